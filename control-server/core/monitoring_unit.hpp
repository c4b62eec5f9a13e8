// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The monitoring unit: what this control-server sees with its own eyes, and what a judgement about one role's active
/// must know beside the votes (votes.hpp).
///
///     BFD with each blade ──► ballots ─────┐
///     independent witnesses ──► bench ─────┼──► surroundings(role) ──► judge, with the mirror's vote (role machine)
///     the other roles: who serves, since ──┘
///
/// Facts only; roles decide. Invariants
///   - An observer's word is taken when it changes, and its time is that of the change.
///   - The blade that this control-server runs on is no witness: it is heard without any network.
/// The surprising rules: a blade that is heard again is no witness yet, since the network that came back to it may come
/// back to the silent one a moment later; and where both observers hang on one cable, a single voice that comes and
/// goes, to the control-server or to a mirror, makes all of them unsteady for a while.

#include <vector>

#include "core/events.hpp"
#include "core/role_machine.hpp"
#include "core/step_context.hpp"
#include "core/witnesses.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

class MonitoringUnit {
 public:
  explicit MonitoringUnit(const GroupConfig& config);

  void on(StepContext& context, const BfdChanged& event);
  void on(StepContext& context, const WitnessSeen& event);

  /// What surrounds a judgement about the blade that serves `self`.
  [[nodiscard]] Surroundings surroundings(const GroupConfig& config, const BladeBook& blades,
                                          const std::vector<RoleMachine>& roles, const RoleMachine& self,
                                          Instant now) const;
  [[nodiscard]] std::vector<link::WitnessStatus> witnesses(const GroupConfig& config) const;

 private:
  WitnessBench bench_;  ///< a voice for each witness of the configuration, in its order
};

}  // namespace understudy::control
