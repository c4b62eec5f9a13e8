// SPDX-License-Identifier: Apache-2.0
/// Whoever serves is heard outside: ports are opened, and stay open. But not on the word of a store alone.
#include "core/role_machine.hpp"

namespace understudy::control {

/// A store that is older than the truth names who owned the role before, and only a standby can know better (rule 7).
/// Until all have said Hello to this life of the control-server no port is opened and nothing starts from nothing; when
/// one does not come it is waited for until then. Nothing: they have come, or are not waited for any more.
std::optional<Instant> RoleMachine::standby_is_due(const StepContext& context) const {
  const Instant until = started_ + context.config.timings.hello_wait;
  if (context.now >= until) { return std::nullopt; }
  for (const auto& standby : context.blades.standbys()) {
    if (!standbys_heard_.contains(standby) && !context.blades.at(standby).powered_off) { return until; }
  }
  return std::nullopt;
}

void RoleMachine::readmit(StepContext& context) {
  if (context.blades.at(own_.place.blade).maybe_closed() && !standby_is_due(context)) {
    context.readmit(own_.place.blade);
  }
}

/// A blade that the role was taken from is heard outside again: the switch was restarted and forgot, or a command of a
/// former control-server reached it late. Where it only hangs, nothing else keeps it from being a second owner.
void RoleMachine::on_ports_opened(StepContext& context, const BladeId& blade) {
  if (blade != config_.active || own_.place.blade == config_.active || own_.term.value == 0) { return; }
  raise(context, "isolation",
        "the ports of " + blade.value + " are open again, from where the role was taken; they are closed once more: " +
            "has the switch been restarted, or somebody changed it?");
  isolate_active(context);
}

/// A readmission that failed leaves a blade that serves behind a closed port, and nobody but the switch would notice.
void RoleMachine::keep_admitted(StepContext& context) {
  const bool serves = state_ == RoleState::Exposed || state_ == RoleState::Protected;
  const auto& blade = context.blades.at(config_.active);
  const bool retired = own_.place.blade != config_.active && own_.term.value != 0;
  if ((!serves && !retired) || pending_) {
    disarm(Timer::Readmit);
    disarm(Timer::Ports);
    return;
  }
  if (due(Timer::Ports, context.now)) { context.look_at_ports(config_.active); }
  if (!armed(Timer::Ports)) { arm(Timer::Ports, context.now + context.config.timings.ports_look); }
  if (retired) {
    disarm(Timer::Readmit);
    return;
  }
  if (!blade.maybe_closed()) {
    disarm(Timer::Readmit);
    return;
  }
  if (blade.ports.awaited(PortOrders::Kind::Readmit)) { return; }
  if (const auto until = standby_is_due(context)) {
    arm(Timer::Readmit, *until);
  } else if (due(Timer::Readmit, context.now)) {
    context.readmit(config_.active);
  } else if (!armed(Timer::Readmit)) {
    arm(Timer::Readmit, context.now + context.config.timings.retry);
  }
}

}  // namespace understudy::control
