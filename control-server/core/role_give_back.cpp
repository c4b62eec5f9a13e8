// SPDX-License-Identifier: Apache-2.0
/// Giving a role back to its healthy blade when its mirror cannot do it and its standby cannot be asked any more.
///
///   mirror failed ─► StandDown ─► Stopped ───────────────────────────► a new term at the blade
///                        └─ the standby is gone ─► isolated, or off ──┘  (read back; nothing else is served there)
///
/// Invariants: the blade serves only under a term that is stored after the mirror's word, or after evidence that its
/// standby is stopped; and only while it is healthy.
/// The surprising rule: a standby that was isolated for this is heard outside again only when nothing on it can speak
/// for the role. Its mirror may have been activated late.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::StopEvidence;

void RoleMachine::consider_give_back(StepContext& context, const Neighbours& neighbours) {
  if (!awaits_give_back() || !old_active_is_healthy(context) || neighbours.standby_needed) { return; }
  const auto& standby = context.blades.at(standby_);
  const auto gone_from = standby.gone_from(context.config.timings.agent_restart);
  if (!gone_from) { return; }
  if (context.now < *gone_from) {
    arm(Timer::StandbyGone, *gone_from);
    return;
  }
  if (standby.powered_off) {
    serve_under_new_term(context, config_.active, StopEvidence::PoweredOff);
    return;
  }
  if (armed(Timer::GiveBack) && !due(Timer::GiveBack, context.now)) { return; }
  arm(Timer::GiveBack, context.now + context.config.timings.isolation_limit);
  context.isolate(standby_);
}

void RoleMachine::standby_is_stopped(StepContext& context, StopEvidence evidence) {
  if (!awaits_give_back() || pending_ || !old_active_is_healthy(context)) { return; }
  serve_under_new_term(context, config_.active, evidence);
}

void RoleMachine::standby_is_not_isolated(StepContext& context, const std::string& detail) {
  if (!awaits_give_back()) { return; }
  raise(context, "standby-isolation", "cannot isolate " + standby_.value + ": " + detail);
  context.power_off(standby_);
}

/// Asked while a standby, which is connected, is behind closed ports. False: it may still speak for this role, and is
/// told to stand down.
bool RoleMachine::standby_is_clear(StepContext& context, const BladeId& standby) {
  if (frozen_ || pending_ || own_.term.value == 0 || awaits_give_back()) { return false; }
  const auto held = held_.find(standby);
  const bool follows = standby == standby_ && mirror_known(context);
  if (own_.place.blade == standby || held == held_.end() || follows) { return true; }
  context.send(standby, link::StandDown{id(), own_.term});
  return false;
}

/// Of a role that is elsewhere; its mirror begins to follow it.
void RoleMachine::standby_has_stood_down(StepContext& context, Term term) {
  const auto held = held_.find(standby_);
  if (!on_own_blade() || held == held_.end() || term < own_.term || state_ == RoleState::TakingOver) { return; }
  held_.erase(held);
  if (!mirror_known(context)) { send_run_mirror(context); }
}

}  // namespace understudy::control
