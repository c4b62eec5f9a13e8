// SPDX-License-Identifier: Apache-2.0
/// The takeover: isolate (or other stop-evidence) → store term+1 → activate; retries, calling off, giving back.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::StopEvidence;
using link::Vote;

void RoleMachine::begin_takeover(StepContext& context, const std::string& why, std::optional<StopEvidence> evidence) {
  const auto& active = context.blades.at(config_.active);
  by_silence_ = !application_failed_ && active.silent();  // one that has just said Hello keeps its power
  const Ballot& first = active.bfd.since < mirror_ballot_.since ? active.bfd : mirror_ballot_;
  const Instant spoke = by_silence_ ? context.last_word(first) : context.now;
  const Instant both = by_silence_ ? std::max(active.bfd.since, mirror_ballot_.since) : context.now;
  note_phase(context, "detect", both - spoke, "from the blade's last word to the second observer's vote: " + why);
  note_phase(context, "decide", context.now - both, "take over on " + standby_.value);
  decided_at_ = context.now;
  stopping_since_ = context.now;
  isolate_tries_ = 0;
  activate_tries_ = 0;
  step_ = Step::AwaitEvidence;
  disarm(Timer::Serve);
  disarm(Timer::Activation);
  become(context, RoleState::TakingOver, why);
  if (evidence) {
    evidence_found(context, *evidence);
    return;
  }
  isolate_active(context);
  context.send(config_.active, link::StandDown{id(), next_term()});  // whichever proves it first
}

void RoleMachine::verify_and_activate(StepContext& context) {
  step_ = Step::AwaitEvidence;
  disarm(Timer::Activation);
  stopping_since_ = context.now;
  isolate_active(context);
}

void RoleMachine::isolate_active(StepContext& context) {
  context.isolate(config_.active);
  arm(Timer::SlowStop, context.now + context.config.timings.isolation_limit);
}

/// A command may come late from behind others, or the switch hang: whatever else may prove the stop begins meanwhile,
/// unless both observers hear the active again: its power is not cut for a silence that is over.
void RoleMachine::isolation_is_slow(StepContext& context) {
  if (!due(Timer::SlowStop, context.now) || state_ != RoleState::TakingOver || step_ != Step::AwaitEvidence) { return; }
  ++isolate_tries_;  // it has not obeyed either
  consider_cancelling(context);
  if (pending_) { return; }
  arm(Timer::SlowStop, context.now + context.config.timings.isolation_limit);
  if (context.blades.at(config_.active).ports.awaited(PortOrders::Kind::Isolate)) {
    raise(context, "isolation",
          unproved(context, config_.active,
                   "the switch has not answered in time whether " + config_.active.value + " is isolated"));
  }
  seek_other_evidence(context);
}

/// It has come back and says so: to cut its power would only keep the role from the one blade that may need it.
bool RoleMachine::active_has_nothing(const StepContext& context) const {
  return came_empty_ && context.blades.at(config_.active).connected;
}

/// The switch does not obey. A power that was confirmed to be off, of a blade that nobody has heard since, is proof
/// already.
void RoleMachine::seek_other_evidence(StepContext& context) {
  const auto& active = context.blades.at(config_.active);
  if (active.powered_off && active.bfd.vote != Vote::Up && !pending_) {
    evidence_found(context, StopEvidence::PoweredOff);
    return;
  }
  if (active_has_nothing(context)) {
    if (!pending_) { evidence_found(context, StopEvidence::StoodDown); }
    return;
  }
  context.power_off(config_.active);
  stop_grants(context);
}

/// What was ordered before the role went elsewhere: its blade gets it back, and open ports, with the store's word only.
void RoleMachine::on_readmitted(StepContext& context, const BladeId& blade) {
  const bool retired = own_.place.blade != config_.active || state_ == RoleState::TakingOver;
  if (blade == config_.active && retired && !frozen_) { context.isolate(blade); }
}

void RoleMachine::on_isolated(StepContext& context, const BladeId& blade) {
  if (blade == standby_) { standby_is_stopped(context, StopEvidence::Isolated); }
  if (blade != config_.active) { return; }
  clear(context, "isolation");
  disarm(Timer::Isolate);
  isolate_tries_ = 0;  // the switch obeys: what it refused before is no reason to cut a power
  if (state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence && !pending_) {
    evidence_found(context, StopEvidence::Isolated);
  } else if (on_own_blade() && state_ != RoleState::TakingOver && !pending_) {
    context.readmit(blade);  // an answer that came after the takeover was called off
  }
}

void RoleMachine::on_isolate_failed(StepContext& context, const BladeId& blade, const std::string& detail) {
  if (blade == standby_) { standby_is_not_isolated(context, detail); }
  const bool wanted = own_.place.blade != config_.active || state_ == RoleState::TakingOver;
  if (blade != config_.active || !wanted) { return; }
  ++isolate_tries_;
  raise(context, "isolation", unproved(context, blade, "cannot isolate " + blade.value + ": " + detail));
  arm(Timer::Isolate, context.now + context.config.timings.retry);
  if (state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence) { seek_other_evidence(context); }
}

void RoleMachine::on_powered_off(StepContext& context, const BladeId& blade) {
  if (blade == standby_) { standby_is_stopped(context, StopEvidence::PoweredOff); }
  if (blade != config_.active) { return; }
  clear(context, "power");
  if (state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence && !pending_) {
    evidence_found(context, StopEvidence::PoweredOff);
  }
}

void RoleMachine::on_power_failed(StepContext& context, const BladeId& blade, const std::string& detail) {
  const std::string what = "cannot power off " + blade.value + ": " + detail;
  if (blade == standby_ && awaits_give_back()) { raise(context, "standby-power", unproved(context, blade, what)); }
  if (blade != config_.active) { return; }
  const bool sought = state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence;
  raise(context, "power",
        sought ? unproved(context, blade, what)
               : what + ". It is isolated, and it may hang with its power on: switch it off by hand");
}

/// Told under a newer term than the stored one, as each takeover orders it: a word under that very term may have been
/// under way since a takeover that was called off, and its blade has been told to serve since.
void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::Stopped& report) {
  const bool awaited =
      state_ == RoleState::TakingOver && !pending_ && blade == own_.place.blade && report.term > own_.term;
  if (awaited && step_ == Step::AwaitHandOver) {
    role_let_go(context);
    return;
  }
  if (awaited && step_ == Step::AwaitEvidence && own_.place.kind == PlaceKind::Host) {
    evidence_found(context, StopEvidence::StoodDown);
  } else if (awaited && step_ == Step::AwaitGiveBack && may_have_it_back(context)) {
    serve_under_new_term(context, config_.active, StopEvidence::StoodDown);
  } else {
    const bool of_this = blade == config_.active && own_.place.blade == standby_ && report.term >= own_.term;
    if (of_this && !pending_) { power_due_ = by_silence_ = false; }
    note(context, link::Severity::Info, "agent", blade, blade.value + " has stood down");
    if (blade == standby_) { standby_has_stood_down(context, report.term); }
  }
}

void RoleMachine::evidence_found(StepContext& context, StopEvidence evidence) {
  if (frozen_) { return; }
  if (evidence == StopEvidence::StoodDown) { by_silence_ = false; }  // its own word: it is there, and keeps its power
  evidence_ = evidence;
  disarm(Timer::Isolate);
  disarm(Timer::SlowStop);
  note_phase(context, "isolate", context.now - stopping_since_,
             std::string("stop-evidence: ") + link::to_string(evidence));
  activating_since_ = context.now;
  // Stored before, by an earlier try or an earlier life. A mirror that was told to stand down since needs a newer term.
  if (own_.place.kind == PlaceKind::Mirror && seen_ <= own_.highest()) {
    send_activate(context);
    return;
  }
  step_ = Step::None;
  persist(context, {id(), next_term(), {standby_, PlaceKind::Mirror}, evidence, Term{}}, AfterStore::Activate);
}

void RoleMachine::send_activate(StepContext& context) {
  step_ = Step::AwaitActivated;
  const auto deadline = context.config.timings.activation_deadline;
  arm(Timer::Activation, context.now + deadline + context.config.timings.retry);
  const auto deadline_ms = std::chrono::duration_cast<std::chrono::milliseconds>(deadline).count();
  context.send(standby_, link::Activate{id(), own_.term, evidence_, static_cast<std::uint32_t>(deadline_ms)});
  context.send(config_.active, link::StandDown{id(), own_.term});
  power_due_ = by_silence_;
  consider_cutting_power(context);
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::Activated& report) {
  if (context.blades.is_standby(blade) && report.term > own_.highest()) {
    return serves_under_a_forgotten_term(context, blade, {id(), report.term, PlaceKind::Mirror, true});
  }
  const bool ours = blade == standby_ && own_.place.kind == PlaceKind::Mirror && report.term == own_.term && !pending_;
  if (!ours || (state_ != RoleState::TakingOver && state_ != RoleState::Lost) || step_ == Step::AwaitGiveBack) {
    ignore(context, blade, "activated", report.term);
    return;
  }
  note_phase(context, "activate", context.now - activating_since_, "from the stop-evidence to the mirror's word");
  note_phases(context, blade, report.phases);
  now_on_mirror(context);
}

/// The store has lost the term while the mirror was being activated, or moved: what Hello told is not true any more, or
/// was no claim yet; this is one.
void RoleMachine::serves_under_a_forgotten_term(StepContext& context, const BladeId& blade,
                                                const link::HeldRole& serves) {
  if (frozen_ || !claim_counts(context, blade, serves)) { return; }
  held_[blade] = serves;
  seen_ = std::max(seen_, serves.term);
  if (pending_) { return; }  // adopted() looks at it
  if (own_.term.value == 0) {
    consider_first_term(context);  // whoever else may serve is heard first
  } else {
    newer_than_the_store(context, blade, serves);
  }
}

void RoleMachine::now_on_mirror(StepContext& context) {
  step_ = Step::None;
  application_failed_.reset();
  silent_ = false;
  place_gone_ = false;
  move_tries_ = 0;
  // One that was told was about an earlier guest; a dead one is told again after each Hello, maybe before the store
  // knew.
  urgent_move_ = sync_.says(link::MirrorPhase::Failed) && sync_.mirrors_term() == own_.term;
  move_due_ = false;
  stays_noted_ = false;
  disarm(Timer::Activation);
  disarm(Timer::Isolate);
  disarm(Timer::Hello);
  for (const auto* topic : {"activation", "application", "lag", "lease", "mirror", "observers", "silent", "start"}) {
    clear(context, topic);
  }
  standby_needs_no_stop(context);
  arm(Timer::Move, context.now + context.config.timings.movement_delay);
  become(context, RoleState::OnMirror,
         "served by " + to_string(own_.place) + " under term " + std::to_string(own_.term.value));
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::ActivateFailed& report) {
  const bool ours = blade == standby_ && own_.place.kind == PlaceKind::Mirror && report.term == own_.term && !pending_;
  if (!ours || state_ != RoleState::TakingOver || frozen_) {
    ignore(context, blade, "failed activation", report.term);
    return;
  }
  activation_failed(context, report.detail);
}

bool RoleMachine::old_active_is_healthy(const StepContext& context) const {
  const auto& active = context.blades.at(config_.active);
  return active.connected && active.bfd.vote == Vote::Up && !active.powered_off && !active.powering_off;
}

/// One whose host-agent is away for a moment is neither healthy nor gone, and that only one observer does not hear it
/// is no more than a blink for a while.
bool RoleMachine::old_active_is_gone(StepContext& context) {
  const auto& active = context.blades.at(config_.active);
  if (active.powered_off) { return true; }
  if (!active.silent()) { return false; }
  const auto& timings = context.config.timings;
  const Instant from =
      active.sign_of_life ? *active.sign_of_life + timings.agent_restart : active.bfd.since + timings.voices_return;
  if (context.now < from) { arm_at_latest(Timer::Votes, from); }
  return context.now >= from;
}

/// The blade that was to have the role back has died meanwhile: whatever the mirror could not do it is asked for again,
/// above the term that it was told to stand down for.
void RoleMachine::give_back_is_off(StepContext& context) {
  note(context, link::Severity::Warning, "state", config_.active,
       config_.active.value + " is silent before it got the role back: the mirror is tried again");
  seen_ = std::max(seen_, next_term());
  verify_and_activate(context);
}

/// Rule 11: a healthy old active gets the role back under a newer term; else the mirror is tried again. The mirror's
/// word that it failed is no evidence: it may be about an earlier order, and a later one be under way. It is told to
/// stand down, and its answer is.
void RoleMachine::activation_failed(StepContext& context, const std::string& why) {
  ++activate_tries_;
  disarm(Timer::Activation);
  raise(context, "activation", "the mirror does not take over: " + why);
  // Where the application failed, nothing is left of the state, or the blade fails again and again, it is tried only
  // when the mirror cannot do it.
  const bool may_do_it = came_empty_ || !context.blades.at(standby_).gone_from(context.config.timings.agent_restart);
  const bool rather_not = application_failed_ || came_empty_ || context.blades.at(config_.active).hold_out.held();
  const bool mirror_first = rather_not && may_do_it && activate_tries_ < kActivationTries;
  if (!old_active_is_healthy(context) || mirror_first) {
    step_ = Step::AwaitEvidence;
    arm(Timer::Isolate, context.now + context.config.timings.retry * std::min(activate_tries_, 10U));
  } else {
    step_ = Step::AwaitGiveBack;
    give_back_since_ = context.now;
    context.send(standby_, link::StandDown{id(), next_term()});
    arm(Timer::Activation, context.now + context.config.timings.activation_deadline);
  }
}

/// Rule 11 where the standby dies between the order and its answer: an active that has all of the role's state is not
/// kept waiting for the deadline. One that has nothing is: the copy may come back with the standby's network.
bool RoleMachine::standby_died_activating(StepContext& context) {
  if (step_ != Step::AwaitActivated || came_empty_ || !old_active_is_healthy(context)) { return false; }
  const auto gone_from = context.blades.at(standby_).gone_from(context.config.timings.agent_restart);
  if (gone_from && context.now < *gone_from) { arm(Timer::StandbyGone, *gone_from); }
  return gone_from && context.now >= *gone_from;
}

void RoleMachine::retry_takeover(StepContext& context) {
  const bool retired = own_.place.blade != config_.active;
  if (due(Timer::Isolate, context.now) && (retired || state_ == RoleState::TakingOver)) {
    isolate_active(context);
    const bool to_blame = step_ == Step::AwaitEvidence && isolate_tries_ > 0;
    if (to_blame && !active_has_nothing(context)) { context.power_off(config_.active); }
  }
  isolation_is_slow(context);
  if (state_ != RoleState::TakingOver) { return; }
  if (standby_died_activating(context)) {
    activation_failed(context, standby_.value + " is silent and its host-agent is lost");
    return;
  }
  if (awaits_give_back() && (old_active_is_gone(context) || give_back_is_hopeless(context))) {
    give_back_is_off(context);
    return;
  }
  if (!due(Timer::Activation, context.now)) { return; }
  if (step_ == Step::AwaitGiveBack) {
    context.send(standby_, link::StandDown{id(), next_term()});
    arm(Timer::Activation, context.now + context.config.timings.activation_deadline);
  } else if (step_ == Step::AwaitActivated) {
    const bool there = context.blades.at(standby_).connected;
    activation_failed(context, there ? "no answer within its deadline"
                                     : standby_.value + " is out of reach, and nobody serves the role until it or " +
                                           config_.active.value + " is back");
  }
}

/// Nothing is stored yet and the switch did not obey: when both observers hear the active again it was a false alarm.
void RoleMachine::consider_cancelling(StepContext& context) {
  if (state_ != RoleState::TakingOver || step_ != Step::AwaitEvidence || !on_own_blade() || !by_silence_) { return; }
  const bool heard = context.blades.at(config_.active).bfd.vote == Vote::Up && mirror_ballot_.vote == Vote::Up;
  if (isolate_tries_ == 0 || !heard || context.blades.at(config_.active).powering_off) { return; }
  // Its power may have gone off this moment: what the observers heard of it before that is no life.
  const auto& off_said = context.blades.at(config_.active).off_said_at;
  if (off_said && context.now < *off_said + context.config.timings.vote_settle()) {
    arm(Timer::Votes, *off_said + context.config.timings.vote_settle());
    return;
  }
  note(context, link::Severity::Warning, "state", config_.active, "both observers hear it again: takeover called off");
  disarm(Timer::Isolate);
  clear(context, "isolation");
  clear(context, "power");
  // It was told to stand down below the next term, so it must be given one. Its ports are opened when that is stored:
  // a store that refuses may know of another owner.
  serve_under_new_term(context, config_.active, StopEvidence::StoodDown);
}

}  // namespace understudy::control
