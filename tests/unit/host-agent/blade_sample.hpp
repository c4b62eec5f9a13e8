// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The role, the clock and the question that every test of the blade's core needs.

#include "core/blade.hpp"

namespace understudy::host {

inline const RoleId role{"role-2"};

inline Instant at(int ms) { return Instant{std::chrono::milliseconds(ms)}; }

inline link::RoleSpec spec() {
  link::RoleSpec made;
  made.id = role;
  made.number = 2;
  return made;
}

inline bool does(const Effects& effects, Step step) {
  for (const auto& effect : effects) {
    if (const auto* wanted = std::get_if<Do>(&effect); wanted != nullptr && wanted->step == step) { return true; }
  }
  return false;
}

}  // namespace understudy::host
