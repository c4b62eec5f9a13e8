// SPDX-License-Identifier: Apache-2.0
#include "core/movement.hpp"

namespace understudy::host {

namespace {
constexpr std::uint32_t resume_tries_at_once = 5;
/// A guest that so many rollbacks could not thaw is killed: its region serves from another movement (rule 15).
constexpr std::uint32_t rollback_tries_max = 5;
constexpr Duration retry_pause = std::chrono::seconds(1);
}  // namespace

Movement::Movement(RoleId role, Term host_term, Term guest_term, MovementLimits limits, bool guest_dead)
    : role_(std::move(role)),
      host_term_(host_term),
      guest_term_(guest_term),
      limits_(limits),
      guest_dead_(guest_dead) {}

Effects Movement::start(Instant now) {
  phase_began_ = now;
  return become(now, MovementState::Preparing, Step::PrepareMovement);
}

Effects Movement::become(Instant now, MovementState next, Step step) {
  state_ = next;
  state_began_ = now;
  application_ended_ = false;
  return {Do{role_, step, host_term_}};
}

void Movement::close_phase(Instant now, const char* phase) {
  phases_.push_back({phase, milliseconds(now - phase_began_)});
  phase_began_ = now;
}

Effects Movement::on_step_done(Instant now, Step step) {
  if (step == Step::PrepareMovement && state_ == MovementState::Preparing) {
    close_phase(now, "prepare");
    close_phase(now, "judge");  // the policy that asked for this movement has judged already
    blocked_at_ = now;
    return become(now, MovementState::Blocking, Step::CloseMirrorGate);
  }
  if (step == Step::CloseMirrorGate && state_ == MovementState::Blocking) {
    if (guest_dead_) { return become(now, MovementState::Finishing, Step::Finish); }
    auto effects = become(now, MovementState::Quiescing, Step::SendMarkers);
    effects.push_back(TellGuest{role_, GuestOrder::Quiesce, guest_term_});
    return effects;
  }
  if (step == Step::SendMarkers && state_ == MovementState::Quiescing) {
    markers_back_ = true;
    return freeze_if_dry(now);
  }
  if (step == Step::Freeze && state_ == MovementState::Freezing) {
    close_phase(now, "freeze");
    return become(now, MovementState::Finishing, Step::Finish);
  }
  if (step == Step::Finish && state_ == MovementState::Finishing) {
    close_phase(now, "finish");
    return become(now, MovementState::Committing, Step::Commit);
  }
  if (step == Step::Commit && state_ == MovementState::Committing) {
    close_phase(now, "commit");
    return become(now, MovementState::Resuming, Step::Resume);
  }
  if (step == Step::Resume && state_ == MovementState::Resuming) {
    // It had become active and ended before this answer was heard.
    if (application_ended_) { return on_step_failed(now, Step::Resume, "its application ended"); }
    close_phase(now, "resume");
    state_ = MovementState::Done;
    return {SendReport{link::Moved{role_, host_term_, phases_}}};
  }
  if ((step == Step::Rollback || step == Step::Discard) && state_ == MovementState::RollingBack) {
    state_ = MovementState::Failed;
    if (guest_dead_) { return {SendReport{link::MoveFailed{role_, host_term_, failure_}}}; }
    return {TellGuest{role_, GuestOrder::Resume, guest_term_},
            SendReport{link::MoveFailed{role_, host_term_, failure_}}};
  }
  return {};
}

Effects Movement::on_step_failed(Instant now, Step step, const std::string& detail) {
  switch (state_) {
    case MovementState::Preparing:
      if (step == Step::PrepareMovement) { return roll_back(now, "prepare: " + detail); }
      break;
    case MovementState::Blocking:
      if (step == Step::CloseMirrorGate) { return roll_back(now, "the mirror's gate did not close: " + detail); }
      break;
    case MovementState::Freezing:
      if (step == Step::Freeze) { return roll_back(now, "freeze: " + detail); }
      break;
    case MovementState::Finishing:
      if (step == Step::Finish) { return roll_back(now, "finish: " + detail); }
      break;
    case MovementState::Committing:
      if (step == Step::Commit) { return roll_back(now, "commit: " + detail); }
      break;
    case MovementState::Resuming:
      if (step != Step::Resume) { break; }
      if (++tries_ % resume_tries_at_once != 0) { return become(now, MovementState::Resuming, Step::Resume); }
      retry_at_ = now + retry_pause;
      return {Note{Severity::Alarm, role_,
                   "after the movement's commit the role does not resume on the host, nobody serves it; it is tried "
                   "again: " +
                       detail}};
    case MovementState::RollingBack:
      if (step != Step::Rollback && step != Step::Discard) { break; }
      return rollback_failed(now, detail);
    case MovementState::Quiescing:
      if (step != Step::SendMarkers) { break; }
      markers_back_ = true;
      note_undry(detail);
      return freeze_if_dry(now);
    case MovementState::Idle:
    case MovementState::Done:
    case MovementState::Failed:
      break;
  }
  return {};
}

Effects Movement::rollback_failed(Instant now, const std::string& detail) {
  retry_at_ = now + retry_pause;
  Effects effects{Note{Severity::Alarm, role_,
                       "the movement's rollback failed, nobody serves the role; it is tried again: " + detail}};
  if (++tries_ == rollback_tries_max && !guest_dead_) {
    effects.push_back(Note{Severity::Alarm, role_, "the guest cannot be thawed and is killed"});
    effects.push_back(Do{role_, Step::StopGuest, guest_term_});
  }
  return effects;
}

Effects Movement::on_guest_quiesced(Instant now, const std::vector<std::string>& unmarked) {
  if (state_ != MovementState::Quiescing || quiesced_) { return {}; }
  quiesced_ = true;
  for (const auto& port : unmarked) { note_undry("it has seen no marker at " + port); }
  return freeze_if_dry(now);
}

Effects Movement::freeze_if_dry(Instant now) {
  if (!quiesced_ || !markers_back_) { return {}; }
  close_phase(now, "quiesce");
  auto effects = become(now, MovementState::Freezing, Step::Freeze);
  if (undry_.empty()) { return effects; }
  const auto text = "mirror-" + role_.value + " is frozen before it was seen to be dry (" + undry_ +
                    "): what it was sent in the last moments may not be in its records";
  effects.push_back(Note{Severity::Alarm, role_, text});
  effects.push_back(SendReport{link::MirrorWarning{role_, guest_term_, text}});
  return effects;
}

Effects Movement::force_freeze(Instant now) {
  if (!quiesced_) { note_undry("it was not quiesced in time"); }
  if (!markers_back_) { note_undry("no marker is back in time"); }
  quiesced_ = markers_back_ = true;
  return freeze_if_dry(now);
}

Effects Movement::on_guest_not_quiesced(Instant now, const std::string& detail) {
  if (state_ != MovementState::Quiescing) { return {}; }
  if (must_quiesce_) { return roll_back(now, "the application was not quiesced: " + detail); }
  return force_freeze(now);
}

Effects Movement::on_guest_exited(Instant now, const std::string&) {
  guest_dead_ = true;
  if (state_ != MovementState::Quiescing && state_ != MovementState::Freezing) { return {}; }
  close_phase(now, state_ == MovementState::Quiescing ? "quiesce" : "freeze");
  return become(now, MovementState::Finishing, Step::Finish);
}

Effects Movement::on_application_exited(Instant now, const std::string& detail) {
  switch (state_) {
    case MovementState::Preparing:
    case MovementState::Blocking:
    case MovementState::Quiescing:
    case MovementState::Freezing:
    case MovementState::Finishing:
      return roll_back(now, "the application on the host ended: " + detail);
    case MovementState::Committing:  // whether its record is written is what the step's answer tells
    case MovementState::Resuming:
      application_ended_ = true;
      return {Note{Severity::Alarm, role_,
                   "the application on the host ended after the movement's commit; it is started again: " + detail}};
    case MovementState::RollingBack:  // it goes in any case
    case MovementState::Idle:
    case MovementState::Done:
    case MovementState::Failed:
      break;
  }
  return {};
}

Effects Movement::on_tick(Instant now) {
  if (retry_at_ && now >= *retry_at_) {
    retry_at_.reset();
    return become(now, state_, state_ == MovementState::Resuming ? Step::Resume : rollback_step());
  }
  if (state_ == MovementState::Preparing && now - state_began_ > limits_.prepare) {
    return roll_back(now, "prepare took longer than its deadline");
  }
  if (state_ == MovementState::Quiescing && now - state_began_ > quiesce_limit()) {
    if (must_quiesce_ && !quiesced_) {
      return roll_back(now, "the application, which needs it, was not quiesced in time");
    }
    return force_freeze(now);
  }
  const bool before_commit =
      state_ == MovementState::Blocking || state_ == MovementState::Freezing || state_ == MovementState::Finishing;
  if (before_commit && now - blocked_at_ > limits_.handover) {
    return roll_back(now, "the handover passed its deadline");
  }
  return {};
}

Effects Movement::roll_back(Instant now, const std::string& detail) {
  tries_ = 0;
  failure_ = guest_dead_ ? detail + "; the guest is dead, nobody serves the role" : detail;
  return become(now, MovementState::RollingBack, rollback_step());
}

std::optional<Instant> Movement::next_deadline() const {
  switch (state_) {
    case MovementState::Preparing:
      return state_began_ + limits_.prepare;
    case MovementState::Quiescing:
      return state_began_ + quiesce_limit();
    case MovementState::Blocking:
    case MovementState::Freezing:
    case MovementState::Finishing:
      return blocked_at_ + limits_.handover;
    case MovementState::Resuming:
    case MovementState::RollingBack:
      return retry_at_;
    case MovementState::Idle:
    case MovementState::Committing:
    case MovementState::Done:
    case MovementState::Failed:
      break;
  }
  return std::nullopt;
}

}  // namespace understudy::host
