// SPDX-License-Identifier: Apache-2.0
/// Giving a role back to its healthy blade when its mirror cannot do it and its standby cannot be asked any more.
///
///   mirror failed ─► StandDown ─► Stopped ───────────────────────────► a new term at the blade
///                        └─ the standby is gone ─► isolated, or off ──┘  (read back; nothing else is served there)
///
/// Invariants: the blade serves only under a term that is stored after the mirror's word, or after evidence that its
/// standby is stopped; and only while it is healthy, or at least connected when that has lasted.
/// The surprising rule: a standby that was isolated for this is heard outside again only when nothing on it can speak
/// for the role. Its mirror may have been activated late.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::StopEvidence;

void RoleMachine::consider_give_back(StepContext& context, const Neighbours& neighbours) {
  if (!awaits_give_back() || !may_have_it_back(context) || neighbours.standby_needed) { return; }
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
  standby_needs_no_stop(context);
  if (!awaits_give_back() || pending_ || !may_have_it_back(context)) { return; }
  serve_under_new_term(context, config_.active, evidence);
}

void RoleMachine::standby_is_not_isolated(StepContext& context, const std::string& detail) {
  if (!awaits_give_back()) { return; }
  raise(context, "standby-isolation", unproved(context, standby_, "cannot isolate " + standby_.value + ": " + detail));
  context.power_off(standby_);
}

/// It has stopped, has said Hello and takes orders again, or the role is served: what failed does not matter any more.
void RoleMachine::standby_needs_no_stop(StepContext& context) {
  for (const auto* topic : {"standby-isolation", "standby-power"}) { clear(context, topic); }
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

/// Its host-agent is connected and BFD does not hear it (a filter, another key): after a while that is all the life
/// that can be asked for.
bool RoleMachine::may_have_it_back(const StepContext& context) const {
  const auto& active = context.blades.at(config_.active);
  const auto& timings = context.config.timings;
  const bool late = context.now >= give_back_since_ + timings.agent_restart + timings.activation_deadline;
  return old_active_is_healthy(context) || (late && active.connected && !active.powered_off && !active.powering_off);
}

/// BFD hears it, and nothing takes orders there.
bool RoleMachine::give_back_is_hopeless(StepContext& context) {
  const auto& active = context.blades.at(config_.active);
  if (active.connected && !active.powering_off) { return false; }
  const auto& timings = context.config.timings;
  const Instant late = give_back_since_ + timings.agent_restart + timings.activation_deadline;
  if (context.now < late) { arm_at_latest(Timer::Votes, late); }
  return context.now >= late;
}

}  // namespace understudy::control
