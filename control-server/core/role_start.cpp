// SPDX-License-Identifier: Apache-2.0
/// Who owns the role and does that place know: start, reconnects, blades that come back, stores that lost their memory.
#include <algorithm>

#include "core/role_machine.hpp"

namespace understudy::control {

using link::HeldRole;
using link::StopEvidence;

namespace {
std::string listed(const std::vector<BladeId>& blades, const std::string& between) {
  std::string text;
  for (const auto& blade : blades) { text += (text.empty() ? "" : between) + blade.value; }
  return text;
}
}  // namespace

/// As its places are told of it: the active lets the mirror of this role's standby follow, and no other one.
link::RoleSpec RoleMachine::spec() const {
  auto told = config_.spec;
  if (!told.mirror_blade.empty()) { told.mirror_blade = standby_; }
  return told;
}

/// Of another of the group's standbys: nothing is known of a mirror there.
void RoleMachine::use_standby(StepContext& context, const BladeId& standby) {
  if (standby == standby_) { return; }
  note(context, link::Severity::Warning, "standby", standby,
       "its standby is " + standby.value + " now, no more " + standby_.value);
  standby_ = standby;
  const auto held = held_.find(standby_);
  sync_.hello(held != held_.end() && held->second.kind == PlaceKind::Mirror);
  mirror_ballot_ = {link::Vote::Unknown, context.now};
  mirror_waver_.reset();
  standby_lacks_.clear();
  ++changes_;
}

void RoleMachine::on_started(StepContext& context) {
  started_ = context.now;
  arm(Timer::Hello, context.now + context.config.timings.hello_wait);
  if (own_.term.value == 0) {
    note(context, link::Severity::Info, "state", config_.active,
         "not owned yet; asking " + config_.active.value + " and " + listed(context.blades.standbys(), " and ") +
             " what they hold");
    return;
  }
  note(context, link::Severity::Info, "state", own_.place.blade,
       "owned by " + to_string(own_.place) + " under term " + std::to_string(own_.term.value));
  // What was stopped stays stopped; after a restart the evidence is looked at again (rule 6).
  if (own_.place.blade != config_.active) { context.isolate(config_.active); }
}

void RoleMachine::on_hello(StepContext& context, const BladeId& blade, const std::optional<HeldRole>& held,
                           Term known) {
  forget_fitness(blade);
  forget_told(blade);
  if ((held && !claim_counts(context, blade, *held)) || !known_term_counts(context, blade, known)) {
    if (blade == standby_) { on_agent_lost(context, blade); }
    return;
  }
  claim_is_over(context, blade);
  if (held) {
    held_[blade] = *held;
    seen_ = std::max(seen_, held->term);
  } else {
    held_.erase(blade);
  }
  if (blade == config_.active) {
    power_due_ = false;
    lease_.let_go = false;
    lease_.broken_off =
        lease_.broken_off || (lease_.id != 0 && !lease_.timed);  // the order may be lost with its daemon
  }
  if (blade == standby_) {  // it tells its mirror's state and vote anew
    standby_needs_no_stop(context);
    sync_.hello(held && held->kind == PlaceKind::Mirror);
    mirror_ballot_ = {link::Vote::Unknown, context.now};
    if (step_ == Step::AwaitMirrorsWord) { arm(Timer::MirrorsWord, context.now + context.config.timings.mirror_wait); }
  }
  if (context.blades.is_standby(blade) && standbys_heard_.insert(blade).second) { arm(Timer::Readmit, context.now); }
  if (frozen_) { return; }
  if (own_.term.value == 0) {
    consider_first_term(context);
    return;
  }
  if (pending_) { return; }  // what follows the store looks at held_ and at who is connected
  if (held && held->term > own_.highest()) {
    newer_than_the_store(context, blade, *held);
  } else if (blade != own_.place.blade) {
    other_says_hello(context, blade, held);
  } else if (own_.place.kind == PlaceKind::Host) {
    owner_on_host_says_hello(context, held);
  } else {
    owner_on_mirror_says_hello(context, held);
  }
}

/// Whose host-agent is to say what it holds, and is not there. Any standby may have the role where nothing is stored.
std::string RoleMachine::missing(const StepContext& context) const {
  std::vector<BladeId> asked = context.blades.standbys();
  asked.insert(asked.begin(), config_.active);
  std::erase_if(asked, [&](const BladeId& blade) {
    const bool needed = own_.term.value == 0 || blade == own_.place.blade;
    return !needed || context.blades.at(blade).connected;
  });
  return listed(asked, " and ");
}

/// The store knows nothing of this role: a first start, or a store that was lost. Whoever could hold the role is asked
/// before anything is decided (rule 7).
void RoleMachine::consider_first_term(StepContext& context) {
  if (pending_ || !distrusted_.empty() || !missing(context).empty()) { return; }
  clear(context, "start");
  disarm(Timer::Hello);
  const HeldRole* best = nullptr;
  const BladeId* where = nullptr;
  for (const auto& [blade, held] : held_) {
    if (!held.serving) { continue; }
    if (best != nullptr && best->term == held.term) {
      frozen_ = true;
      raise(context, "start",
            where->value + " and " + blade.value + " both serve under term " + std::to_string(held.term.value) +
                "; a person must stop one of them");
      become(context, RoleState::Lost, "two places claim it");
      return;
    }
    if (best == nullptr || best->term < held.term) {
      best = &held;
      where = &blade;
    }
  }
  if (best == nullptr) {
    // Nobody serves it, and its blade has nothing of it; but a mirror has followed it once, and may have it all.
    const auto mirror = std::find_if(held_.begin(), held_.end(), [&](const auto& one) {
      return one.second.kind == PlaceKind::Mirror && context.blades.is_standby(one.first);
    });
    if (mirror != held_.end() && !held_.contains(config_.active)) {
      use_standby(context, mirror->first);
      came_empty_ = true;
      begin_takeover(context, config_.active.value + " has nothing of the role", StopEvidence::StoodDown);
    } else {
      serve_under_new_term(context, config_.active, StopEvidence::NeverServed);
    }
    return;
  }
  newer_than_the_store(context, *where, *best);
}

void RoleMachine::owner_on_host_says_hello(StepContext& context, const std::optional<HeldRole>& held) {
  came_empty_ = !held;
  const bool same = held && held->kind == PlaceKind::Host && held->term == own_.term;
  if (state_ == RoleState::TakingOver) {
    if (step_ == Step::AwaitHandOver) { return hello_in_hand_over(context, held); }
    // The decision stands. A blade that holds nothing has just given the evidence itself.
    if (!held && step_ == Step::AwaitEvidence) { evidence_found(context, StopEvidence::StoodDown); }
    return;
  }
  if (same && held->serving) {
    // It may have been told of another standby by a former life.
    if (context.blades.standbys().size() > 1) { context.send(own_.place.blade, link::ServeRole{spec(), own_.term}); }
    confirm_serving(context);
  } else if (same) {
    send_serve(context);
  } else if (can_take_over(context)) {
    take_over_from_returned(context);
  } else if (on_own_blade() && held && held->kind == PlaceKind::Host && held->term < own_.term) {
    send_serve(context);  // it was away when it was to go on under a newer term: what it has is all there is
  } else if (own_.place.blade == config_.active) {
    ask_mirror(context);
  } else {
    serve_under_new_term(context, own_.place.blade, StopEvidence::StoodDown);
  }
}

/// The blade's state is gone. Maybe a mirror has it: its word is awaited before the role starts from nothing.
void RoleMachine::ask_mirror(StepContext& context) {
  become(context, RoleState::Starting, own_.place.blade.value + " came without the role");
  step_ = Step::AwaitMirrorsWord;
  application_failed_.reset();
  disarm(Timer::Serve);
  arm(Timer::MirrorsWord, context.now + context.config.timings.mirror_wait);
}

/// The owner came without the role: its own word that it holds nothing is the evidence. One that holds it under another
/// term may still speak and is stopped like any other.
void RoleMachine::take_over_from_returned(StepContext& context) {
  begin_takeover(context, own_.place.blade.value + " came back without the role",
                 came_empty_ ? std::optional(StopEvidence::StoodDown) : std::nullopt);
}

void RoleMachine::owner_on_mirror_says_hello(StepContext& context, const std::optional<HeldRole>& held) {
  if (held && held->kind == PlaceKind::Host && held->term > own_.term && held->term <= own_.reserved) {
    if (!held->serving) { return; }  // past the commit, about to serve: Moved will come
    note(context, link::Severity::Info, "state", standby_, "the movement was finished meanwhile");
    persist_moved(context, held->term);
  } else if (held && held->kind == PlaceKind::Mirror && held->term == own_.term && held->serving) {
    if (state_ == RoleState::Moving) {
      context.send(standby_, link::Move{id(), own_.reserved});  // whoever already does it goes on
    } else if (state_ != RoleState::OnMirror) {
      owe_power(context);
      now_on_mirror(context);
    }
  } else if (held && held->kind == PlaceKind::Mirror) {
    owe_power(context);
    become(context, RoleState::TakingOver, "the mirror was not activated yet");
    verify_and_activate(context);
  } else {
    place_gone_ = true;
    step_ = Step::None;
    raise(context, "mirror", "the mirror that served the role does not exist any more");
    become(context, RoleState::Lost, standby_.value + " came without the role");
  }
}

void RoleMachine::other_says_hello(StepContext& context, const BladeId& blade, const std::optional<HeldRole>& held) {
  if (blade == config_.active) {
    note(context, link::Severity::Warning, "agent", blade,
         blade.value + " is back" + (held ? " and still holds term " + std::to_string(held->term.value) : "") +
             "; it stays isolated, the role is at " + to_string(own_.place));
    by_silence_ = false;  // its power is not cut once more because a mirror is ordered once more
    clear(context, "power");
    came_empty_ = !held;
    if (!held) { activate_tries_ = 0; }  // the mirror's tries count from here: there is somewhere else to go
    context.isolate(blade);
    if (held) { context.send(blade, link::StandDown{id(), own_.term}); }
    if (place_gone_ && !held) { serve_under_new_term(context, blade, StopEvidence::StoodDown); }
    return;
  }
  if (blade != standby_) {
    if (held) { context.send(blade, link::StandDown{id(), own_.term}); }
    return;
  }
  if (held && (held->kind == PlaceKind::Host || held->serving)) {
    context.send(blade, link::StandDown{id(), own_.term});
  }
  if (state_ != RoleState::TakingOver) { send_run_mirror(context); }
}

/// A new life of the role at `blade`'s host, under a term that nobody had.
void RoleMachine::serve_under_new_term(StepContext& context, const BladeId& blade, StopEvidence evidence) {
  step_ = Step::None;
  lease_ = {};
  disarm(Timer::MirrorsWord);
  persist(context, {id(), next_term(), {blade, PlaceKind::Host}, evidence, Term{}}, AfterStore::Serve);
}

void RoleMachine::confirm_serving(StepContext& context) {
  application_failed_.reset();
  silent_ = false;
  step_ = Step::None;
  disarm(Timer::Hello);
  disarm(Timer::Serve);
  disarm(Timer::MirrorsWord);
  serve_tries_ = 0;
  served_ = true;
  readmit(context);
  if (std::exchange(mirror_owed_, false)) { send_run_mirror(context); }
  for (const auto* topic : {"activation", "application", "movement", "silent", "start"}) {
    clear(context, topic);  // a mirror that did not take over, or move, has nothing to do with the role any more
  }
  standby_needs_no_stop(context);
  if (on_own_blade()) {
    for (const auto* topic : {"isolation", "power"}) { clear(context, topic); }
  }
  if (state_ != RoleState::Starting && state_ != RoleState::Lost) { return; }
  moved_ = std::exchange(spared_, false) || moved_;
  become(context, on_own_blade() ? RoleState::Exposed : RoleState::OnHost,
         "served by " + to_string(own_.place) + " under term " + std::to_string(own_.term.value));
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::Serving& report) {
  const bool back = state_ == RoleState::TakingOver && step_ == Step::AwaitHandOver && hand_over_.undone;
  if (blade != own_.place.blade || own_.place.kind != PlaceKind::Host || report.term != own_.term || pending_ ||
      (state_ == RoleState::TakingOver && !back)) {
    ignore(context, blade, "serving", report.term);
    return;
  }
  if (back) { return hand_over_undone(context, "it was rolled back"); }
  confirm_serving(context);
}

void RoleMachine::send_serve(StepContext& context) {
  if (own_.place.kind != PlaceKind::Host) { return; }
  if (own_.leased) {  // who serves anew opens its gate without a timeout
    lease_ = {};
    Ownership next = own_;
    next.leased = false;
    persist(context, next, AfterStore::Serve);
    return;
  }
  lease_ = {};
  came_empty_ = false;
  readmit(context);
  context.send(own_.place.blade, link::ServeRole{spec(), own_.term});
  // One that serves already starts its application only, and would keep a lease that nobody knows of any more.
  if (context.config.leases && on_own_blade()) { disarm_lease(context); }
}

void RoleMachine::send_run_mirror(StepContext& context) {
  if (!on_own_blade() || own_.term.value == 0 || !context.standby_free(standby_)) { return; }
  // Told of the blade, and in every status. What it runs already is left to it, and follows the role's terms.
  if (context.blades.at(standby_).hold_out.held() && !mirror_runs()) { return; }
  if (!served_ && mirror_is_of_earlier_term()) {
    mirror_owed_ = true;
    return;
  }
  sync_.ordered();
  context.send(standby_, link::RunMirror{spec(), own_.term, config_.active,
                                         context.blades.at(config_.active).config.address, context.config.bfd});
}

/// Whole as it may be, its copy goes when it begins to follow a newer term. Until that one is served it is all there
/// is.
bool RoleMachine::mirror_is_of_earlier_term() const {
  if (sync_.phase()) { return sync_.mirrors_term() < own_.term; }
  const auto held = held_.find(standby_);
  return held != held_.end() && held->second.kind == PlaceKind::Mirror && held->second.term < own_.term;
}

/// As far as its host-agent has said.
bool RoleMachine::mirror_runs() const {
  if (sync_.phase()) {
    return *sync_.phase() != link::MirrorPhase::Failed && *sync_.phase() != link::MirrorPhase::Stopped;
  }
  const auto held = held_.find(standby_);
  return held != held_.end() && held->second.kind == PlaceKind::Mirror;
}

void RoleMachine::on_let_back(StepContext& context, const BladeId& blade) {
  if (blade == standby_ && state_ != RoleState::TakingOver && !mirror_known(context)) { send_run_mirror(context); }
}

void RoleMachine::await_mirrors_word(StepContext& context) {
  const bool known = sync_.phase() && (sync_.mirrors_term() == own_.term || (!served_ && mirror_is_of_earlier_term()));
  const auto& standby = context.blades.at(standby_);
  const bool may_come = !standby.connected && standby.away_since && !standby.powered_off;
  const auto standby_due = standby_is_due(context);
  // Its guest-agent was restarted and could not find its way: what it has may be whole all the same.
  if (known && sync_.says(link::MirrorPhase::Failed) &&
      (!armed(Timer::MirrorAgain) || due(Timer::MirrorAgain, context.now))) {
    send_run_mirror(context);
    arm(Timer::MirrorAgain, context.now + context.config.timings.retry);
  }
  if (known && sync_.says(link::MirrorPhase::Synced)) {
    take_over_from_returned(context);
  } else if (due(Timer::MirrorsWord, context.now) && known && sync_.followed() &&
             sync_.says(link::MirrorPhase::Connected)) {
    // Its stream ended with its active. Whether its copy was whole then, its host-agent knows, and refuses if not.
    take_over_from_returned(context);
  } else if (may_come && context.now < *standby.away_since + context.config.timings.hello_wait) {
    arm(Timer::MirrorsWord, *standby.away_since + context.config.timings.hello_wait);  // its host-agent may be back
  } else if (standby_due) {
    arm(Timer::MirrorsWord, *standby_due);
  } else if (!armed(Timer::MirrorsWord) || (known && sync_.says(link::MirrorPhase::Syncing)) ||
             (standby.connected && !sync_.followed())) {
    serve_under_new_term(context, own_.place.blade, StopEvidence::StoodDown);
  }
}

/// What the start and the serving blade still owe.
void RoleMachine::retry_start(StepContext& context) {
  if (due(Timer::Hello, context.now) && state_ == RoleState::Starting) {
    const auto away = missing(context);
    if (!away.empty()) {
      raise(context, "start",
            "waiting for the host-agent of " + away + ": " + id().value +
                " is not started, taken over or moved before that; is it on, and what says `systemctl status "
                "understudy-host-agent` there?");
    }
  }
  heed_newer_mirror(context);
  if (step_ == Step::AwaitMirrorsWord) { await_mirrors_word(context); }
  // Its blade was not fit to have it back when the standby came without it, and is now.
  if (place_gone_ && state_ == RoleState::Lost && !pending_ && old_active_is_healthy(context)) {
    serve_under_new_term(context, config_.active, StopEvidence::StoodDown);
  }
  if (pending_) { return; }
  if (due(Timer::Serve, context.now) && application_failed_ && own_.place.kind == PlaceKind::Host) {
    // A blade that was told to stand down by an earlier life of the control-server refuses the old term for ever.
    if (++serve_tries_ % 3 == 0 && context.blades.at(own_.place.blade).connected) {
      serve_under_new_term(context, own_.place.blade, StopEvidence::StoodDown);
      return;
    }
    send_serve(context);
    arm(Timer::Serve, context.now + context.config.timings.serve_retry);
  }
}

}  // namespace understudy::control
