// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who owns a role: the one durable truth of the control-server (D3).

#include <algorithm>

#include "understudy/link/messages.hpp"

namespace understudy::control {

struct Ownership {
  RoleId role;
  Term term;  ///< 0: never owned
  Place place;
  link::StopEvidence evidence = link::StopEvidence::None;  ///< why the place before no longer speaks
  /// A term that was promised to the standby's host for a movement. Used up even when the movement rolled back.
  Term reserved;
  /// The serving host's gate is timed: it closes by itself when the mirror grants no more (rules 3 to 5).
  bool leased = false;

  [[nodiscard]] Term highest() const { return std::max(term, reserved); }
  bool operator==(const Ownership&) const = default;
};

}  // namespace understudy::control
