// SPDX-License-Identifier: Apache-2.0
/// The planned switchover: a healthy active lets go of its role when the mirror has all of it, and nothing is lost.
///
///   PROTECTED ─ordered─► lease let go, stored ─► AwaitHandOver ──handed over──► store term+1 ─► activate ─► ON_MIRROR
///       ▲                                           │   │ the active fails in the middle: a takeover like any other
///       └──────────── serving, same term ◄──────────┘   ▼
///                     it cannot, or is late         AwaitEvidence
///
/// Invariants
///   - The active alone decides whether it lets go, and says exactly one of both. Until then it has its term, which
///     nobody else was promised, and its mirror's copy is whole for that term: a rollback costs nobody a sync.
///   - It is told to serve on only after it has said that it does not let go, or by a control-server that has never
///     heard of this switchover: else its two words could cross, and two places would serve.
/// The surprising rule: one that says neither in time is not given the role back but taken over from, isolated first,
/// since a blade that does not answer has failed.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::StopEvidence;

void RoleMachine::consider_switchover(StepContext& context) {
  if (!switchover_wanted_at_ || pending_) { return; }
  const bool late = context.now - *switchover_wanted_at_ > context.config.timings.hand_over_deadline;
  if (late || !can_take_over(context)) {
    switchover_wanted_at_.reset();
    note(context, link::Severity::Warning, "switchover", own_.place.blade,
         late ? "not begun: the state store has not answered in time; order it again"
              : std::string("not begun: the role is ") + to_string(state_) + " by now");
    return;
  }
  if (own_.leased || lease_.id != 0) { expose_first(context); }  // who takes the role back opens without a timeout
  if (pending_) { return; }
  switchover_wanted_at_.reset();
  hand_over_ = {next_term(), false};
  decided_at_ = context.now;
  stopping_since_ = context.now;
  isolate_tries_ = 0;
  activate_tries_ = 0;
  by_silence_ = false;
  step_ = Step::AwaitHandOver;
  disarm(Timer::Serve);
  become(context, RoleState::TakingOver, "a planned switchover: " + own_.place.blade.value + " hands over");
  send_hand_over(context);
}

void RoleMachine::send_hand_over(StepContext& context) {
  const auto& timings = context.config.timings;
  arm(Timer::Activation, context.now + timings.hand_over_deadline + 2 * timings.retry);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(timings.hand_over_deadline).count();
  context.send(config_.active, link::HandOver{id(), hand_over_.term, static_cast<std::uint32_t>(ms)});
}

/// An active that fails in the middle is one that failed.
void RoleMachine::watch_hand_over(StepContext& context, const Neighbours& neighbours) {
  const std::string blade = own_.place.blade.value;
  if (application_failed_) {
    begin_takeover(context, *application_failed_, std::nullopt);
  } else if (verdict_about(context, mirror_ballot_, neighbours) == Verdict::Dead) {
    begin_takeover(context, blade + " is silent for both observers, in the middle of its switchover", std::nullopt);
  } else if (due(Timer::Activation, context.now)) {
    begin_takeover(context,
                   blade + (hand_over_.undone ? " does not take the role back"
                                              : " has neither handed over in time nor said that it cannot"),
                   std::nullopt);
  }
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::HandedOver& report) {
  const bool ours = blade == config_.active && on_own_blade() && report.term > own_.term && !pending_;
  const bool served = state_ == RoleState::Exposed || state_ == RoleState::Protected;
  if (!ours || (state_ != RoleState::TakingOver && !served)) {
    ignore(context, blade, "hand-over", report.term);
    return;
  }
  note_phases(context, blade, report.phases);
  if (state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence) {
    evidence_found(context, StopEvidence::StoodDown);
  } else {
    role_let_go(context);
  }
}

bool RoleMachine::mirror_has_a_copy(const StepContext& context) const { return sync_.has_a_copy(around_sync(context)); }

/// Nobody serves the role now. While the mirror has not been told anything its blade can have it back at once.
void RoleMachine::role_let_go(StepContext& context) {
  disarm(Timer::Activation);
  if (mirror_has_a_copy(context)) {
    evidence_found(context, StopEvidence::StoodDown);
    if (state_ != RoleState::TakingOver) { become(context, RoleState::TakingOver, "its blade has let go of it"); }
    return;
  }
  note(context, link::Severity::Alarm, "switchover", own_.place.blade,
       "rolled back: the mirror was lost in the middle of it; " + config_.active.value + " gets the role back");
  serve_under_new_term(context, config_.active, StopEvidence::StoodDown);
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::HandOverFailed& report) {
  const bool ours = blade == config_.active && state_ == RoleState::TakingOver && step_ == Step::AwaitHandOver &&
                    report.term == hand_over_.term && !pending_;
  if (!ours) {
    ignore(context, blade, "failed hand-over", report.term);
    return;
  }
  note(context, link::Severity::Alarm, "switchover", blade,
       "rolled back, " + blade.value + " serves on: " + report.detail);
  hand_over_.undone = true;
  arm(Timer::Activation, context.now + context.config.timings.activation_deadline);
  send_serve(context);
}

/// Its stream was cut, or its daemon restarted.
void RoleMachine::hello_in_hand_over(StepContext& context, const std::optional<link::HeldRole>& held) {
  const bool same = held && held->kind == PlaceKind::Host && held->term == own_.term;
  if (!held && mirror_has_a_copy(context)) {
    role_let_go(context);
  } else if (!held) {
    ask_mirror(context);  // it may have rebooted: then nothing is left but what the mirror has
  } else if (same && held->serving) {
    hand_over_undone(context, "the order for it was lost");
  } else if (same && hand_over_.undone) {
    send_serve(context);
  } else if (same) {
    send_hand_over(context);  // who is about it goes on; who was restarted says that it does not
  } else {
    begin_takeover(context, config_.active.value + " holds the role under another term", std::nullopt);
  }
}

void RoleMachine::hand_over_undone(StepContext& context, const std::string& why) {
  step_ = Step::None;
  disarm(Timer::Activation);
  if (!hand_over_.undone) { note(context, link::Severity::Alarm, "switchover", config_.active, "rolled back: " + why); }
  sync_.resume(around_sync(context));
  become(context, sync_.is_protected() ? RoleState::Protected : RoleState::Exposed,
         config_.active.value + " serves on: " + why);
  send_run_mirror(context);  // a standby that came back meanwhile was told nothing
}

}  // namespace understudy::control
