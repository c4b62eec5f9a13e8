// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The switching unit: which blades are connected to the service networks, and which have power.
///
///     a role: isolate, readmit, look, power off (StepContext) ──► switch, power ──► the answer, as a fact of the blade
///                                                                                     └──► every role hears of it
///
/// Roles decide who is isolated and why; that a standby's ports are open again is decided here. Invariants
///   - Isolated is what was read back, after the last order about the blade: an answer to an earlier one tells nothing.
///   - An isolation that failed is none, but some port may be closed.
///   - Off is what was confirmed, of a blade that has not been heard of since the order.
/// The surprising rule: a readmission that failed leaves the blade isolated for all that is known; it is tried again.

#include <vector>

#include "core/events.hpp"
#include "core/role_machine.hpp"
#include "core/step_context.hpp"

namespace understudy::control {

class SwitchingUnit {
 public:
  explicit SwitchingUnit(std::vector<RoleMachine>& roles, StepContext& context) : roles_(roles), context_(context) {}

  void on(const IsolateDone& event);
  void on(const IsolateFailed& event);
  void on(const ReadmitDone& event);
  void on(const ReadmitFailed& event);
  void on(const PortsSeen& event);
  void on(const PowerDone& event);
  void on(const PowerFailed& event);

  /// A blade that was said to be off and is heard is not.
  void doubt_power();
  /// The ports of standbys are closed only so that an active can have its role back (role_give_back.cpp), or by a
  /// person; a mirror that takes over behind closed ports would be heard by nobody.
  void open_standbys();

 private:
  void open_standby(const BladeId& id);
  void note(link::Severity severity, const std::string& kind, const BladeId& blade, const std::string& text);

  std::vector<RoleMachine>& roles_;
  StepContext& context_;
};

}  // namespace understudy::control
