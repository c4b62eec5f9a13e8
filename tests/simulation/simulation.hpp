// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One run: a chassis comes up, things go wrong, everything is mended, and all roles must be served and protected again
/// within the bound. A seed is a run.
///
///   start ──► up ──► faults for some seconds ──► mended ──► the way back, at most kWayBack ──► done
///
/// What the way back means, with what the present product can do (a blade that comes back is not made a standby yet):
///   - every role is served by the very place and term that the control-server names, and its state says so;
///   - PROTECTED, if it is on its own blade and no role has moved to the standby's host; what is on a mirror or moved,
///     and what stays when the standby became an active, has no second place to be protected by;
///   - except a role for which the control-server asks a person: only after a state store that was lost or went back.

#include "last_act.hpp"

namespace understudy::sim {

inline constexpr Duration kWayBack = 60s;

struct Report {
  std::optional<Violation> violation;
  Matrix met{};
  Tally injected{};
  Tally bites{};
  Exercised exercised;
  std::uint64_t steps = 0;
  Duration simulated{0};
  Duration way_back{0};
  unsigned asked_a_person = 0;    ///< roles
  unsigned stayed_on_host = 0;    ///< roles that end on the standby's host, where nothing can protect them
  std::uint64_t left_behind = 0;  ///< copies, see World::left_behind
  unsigned takeovers = 0;
  std::array<std::uint64_t, kLastActs> last_acts{};  ///< by kind
  std::array<std::uint64_t, kEvidences> evidence{};  ///< of new terms
  unsigned movements = 0;
};

[[nodiscard]] Report run_seed(std::uint64_t seed, bool trace, Bug bug);

}  // namespace understudy::sim
