// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Small things that the parts of the blade's core share (blade*.cpp).

#include <iterator>
#include <string>

#include "core/effects.hpp"
#include "core/held_record.hpp"

namespace understudy::host {

inline constexpr std::uint32_t guest_starts_max = 5;

/// The mirror's side of a role, the movement included.
[[nodiscard]] inline bool is_mirror_stage(RoleStage stage) {
  return stage == RoleStage::StartingGuest || stage == RoleStage::Mirroring || stage == RoleStage::Activating ||
         stage == RoleStage::OpeningMirror || stage == RoleStage::ServingMirror || stage == RoleStage::ClosingMirror ||
         stage == RoleStage::Moving;
}

inline void append(Effects& effects, Effects more) {
  effects.insert(effects.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

[[nodiscard]] inline Note stale(const RoleId& role, const char* order, Term given, Term known) {
  return Note{Severity::Info, role,
              std::string(order) + " under the stale term " + std::to_string(given.value) + " refused; term " +
                  std::to_string(known.value) + " is known here"};
}

}  // namespace understudy::host
