// SPDX-License-Identifier: Apache-2.0
#include "core/role_machine.hpp"

#include <algorithm>

#include "core/awake_time.hpp"

namespace understudy::control {

const char* to_string(RoleState state) {
  switch (state) {
    case RoleState::Starting:
      return "starting";
    case RoleState::Exposed:
      return "exposed";
    case RoleState::Protected:
      return "protected";
    case RoleState::TakingOver:
      return "taking-over";
    case RoleState::OnMirror:
      return "on-mirror";
    case RoleState::Moving:
      return "moving";
    case RoleState::OnHost:
      return "on-host";
    case RoleState::Lost:
      return "lost";
  }
  return "lost";
}

namespace {
const BladeId& standby_of(const std::vector<BladeId>& standbys, const Place& place) {
  const auto found = std::find(standbys.begin(), standbys.end(), place.blade);
  return found != standbys.end() ? *found : standbys.front();
}
}  // namespace

RoleMachine::RoleMachine(const RoleConfig& config, const std::vector<BladeId>& standbys, Ownership stored)
    : config_(config), standby_(standby_of(standbys, stored.place)), own_(std::move(stored)) {
  own_.role = config_.spec.id;
  if (own_.term.value == 0) { own_.place = {config_.active, PlaceKind::Host}; }
}

void RoleMachine::settle(StepContext& context, const Neighbours& neighbours) {
  if (frozen_) { return; }
  if (due(Timer::Store, context.now) && pending_) {
    context.effects.emplace_back(Persist{own_.term, own_.reserved, *pending_});
  }
  if (pending_) { return; }
  retry_start(context);
  if (pending_) { return; }
  update_protection(context, neighbours);
  judge_active(context, neighbours);
  consider_fitness(context, neighbours);
  consider_cancelling(context);
  retry_takeover(context);
  consider_cutting_power(context);
  consider_give_back(context, neighbours);
  if (pending_) { return; }
  keep_admitted(context);
  consider_switchover(context);
  if (pending_) { return; }
  consider_lease(context);
  movement_deadline(context);
  consider_movement(context, neighbours);
  for (auto& timer : timers_) {  // what nobody waits for any more must not make the caller spin
    if (timer && *timer <= context.now) { timer.reset(); }
  }
}

void RoleMachine::on_stored(StepContext& context, Term term) {
  if (!pending_ || term != pending_->highest()) { return; }
  own_ = *pending_;
  pending_.reset();
  disarm(Timer::Store);
  clear(context, "store");
  ++changes_;
  switch (after_store_) {
    case AfterStore::Serve:
      step_ = Step::None;
      place_gone_ = false;
      served_ = false;
      mirror_owed_ = false;
      application_failed_.reset();
      become(context, RoleState::Starting, "term " + std::to_string(own_.term.value) + " at " + to_string(own_.place));
      send_serve(context);
      send_run_mirror(context);
      break;
    case AfterStore::Adopt:
      adopted(context);
      break;
    case AfterStore::Activate:
      send_activate(context);
      break;
    case AfterStore::Move:
      step_ = Step::AwaitMoved;
      arm(Timer::MoveDeadline, context.now + context.config.timings.movement_deadline);
      context.send(standby_, link::Move{id(), own_.reserved});
      break;
    case AfterStore::Leased:
    case AfterStore::Exposed:
      if (after_store_ == AfterStore::Exposed) { disarm_lease(context); }
      if (!mirror_known(context)) { send_run_mirror(context); }  // a standby that said Hello meanwhile was told nothing
      break;
    case AfterStore::Moved:
      step_ = Step::None;
      disarm(Timer::MoveDeadline);
      clear(context, "movement");
      moved_ = true;
      urgent_move_ = false;
      become(context, RoleState::OnHost, "moved to " + to_string(own_.place));
      break;
  }
}

void RoleMachine::on_store_failed(StepContext& context, Term term, bool conflict, const std::string& detail) {
  if (!pending_ || term != pending_->highest()) { return; }
  if (!conflict) {
    raise(context, "store", "the state store refuses to write, trying again: " + detail);
    arm(Timer::Store, context.now + context.config.timings.retry);
    return;
  }
  // Somebody else changed the ownership: whatever this machine believes is not true. A restart reads the truth. Who
  // serves the role goes on.
  pending_.reset();
  step_ = Step::None;
  frozen_ = true;
  raise(context, "store",
        "decisions about " + id().value + " are stopped, since the state store holds another ownership (" + detail +
            "): it serves on where it is served, without a failover; look who serves it, then restart the "
            "control-server, which reads the store anew");
}

void RoleMachine::grows_older(Instant now, Duration missed, Duration grace) {
  sync_.grows_older(now, missed, grace);
  if (former_heard_) { former_heard_ = aged(*former_heard_ + grace, missed, now) - grace; }
}

void RoleMachine::on_agent_lost(StepContext& context, const BladeId& blade) {
  held_.erase(blade);
  forget_fitness(blade);
  forget_told(blade);
  if (blade != standby_) { return; }
  sync_.out_of_sight();  // neither its sync nor its vote is known any more
  mirror_ballot_ = {link::Vote::Unknown, context.now};
}

std::optional<Instant> RoleMachine::next_deadline() const {
  if (frozen_) { return std::nullopt; }
  if (pending_) { return timers_[static_cast<std::size_t>(Timer::Store)]; }
  std::optional<Instant> next;
  for (const auto& timer : timers_) {
    if (timer && (!next || *timer < *next)) { next = timer; }
  }
  if (const auto sync = sync_.next_deadline(); sync && (!next || *sync < *next)) { next = sync; }
  return next;
}

link::RoleStatus RoleMachine::status() const {
  std::string detail;
  for (const auto& [topic, text] : alarms_) { detail += (detail.empty() ? "" : "; ") + text; }
  if (const auto reason = mirrors_reason(); !reason.empty() && detail.find(sync_.detail()) == std::string::npos) {
    detail += (detail.empty() ? "" : "; ") + reason;
  }
  return {id(),
          to_string(state_),
          own_.place,
          own_.term,
          state_ == RoleState::Protected && !frozen_,
          mirror_text(),
          detail,
          lease_text(),
          config_.priority,
          sync_.status(standby_, on_own_blade() ? own_.term : Term{})};
}

void RoleMachine::become(StepContext& context, RoleState state, const std::string& why) {
  if (state == state_) { return; }
  if (state != RoleState::Protected) { sync_.give_up(); }
  state_ = state;
  ++changes_;
  const auto severity = state == RoleState::Lost                                        ? link::Severity::Alarm
                        : state == RoleState::Exposed || state == RoleState::TakingOver ? link::Severity::Warning
                                                                                        : link::Severity::Info;
  note(context, severity, "state", own_.place.blade, std::string(to_string(state)) + ": " + why);
}

void RoleMachine::persist(StepContext& context, Ownership next, AfterStore after) {
  if (frozen_) { return; }
  context.effects.emplace_back(Persist{own_.term, own_.reserved, next});
  pending_ = std::move(next);
  after_store_ = after;
  disarm(Timer::Store);
}

void RoleMachine::raise(StepContext& context, const std::string& topic, const std::string& text) {
  auto& alarm = alarms_[topic];
  if (alarm == text) { return; }
  alarm = text;
  note(context, link::Severity::Alarm, "alarm", own_.place.blade, text);
}

void RoleMachine::clear(StepContext& context, const std::string& topic) {
  const auto found = alarms_.find(topic);
  if (found == alarms_.end()) { return; }
  note(context, link::Severity::Info, "alarm", own_.place.blade, "over: " + found->second);
  alarms_.erase(found);
}

void RoleMachine::note(StepContext& context, link::Severity severity, const std::string& kind, const BladeId& blade,
                       const std::string& text) const {
  context.note({0, 0, severity, kind, id(), blade, "", 0, text});
}

void RoleMachine::note_phase(StepContext& context, const std::string& phase, Duration took,
                             const std::string& text) const {
  context.note(
      {0, 0, link::Severity::Info, "phase", id(), own_.place.blade, phase, std::max(0.0, milliseconds(took)), text});
}

void RoleMachine::note_phases(StepContext& context, const BladeId& blade,
                              const std::vector<link::PhaseTime>& phases) const {
  for (const auto& phase : phases) {
    context.note({0, 0, link::Severity::Info, "phase", id(), blade, phase.phase, phase.ms, "told by " + blade.value});
  }
}

void RoleMachine::ignore(StepContext& context, const BladeId& blade, const std::string& what, Term term) const {
  note(context, link::Severity::Info, "ignored", blade,
       what + " of " + blade.value + " under term " + std::to_string(term.value) + ": the role is at term " +
           std::to_string(own_.term.value) + ", " + to_string(own_.place) + ", " + to_string(state_));
}

bool RoleMachine::due(Timer timer, Instant now) {
  auto& at = timers_[static_cast<std::size_t>(timer)];
  if (!at || now < *at) { return false; }
  at.reset();
  return true;
}

}  // namespace understudy::control
