// SPDX-License-Identifier: Apache-2.0
/// Is the role protected, and is its active dead? What is decided of it; role_takeover.cpp carries it out.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::MirrorPhase;
using link::Vote;

// --- protection ---

bool RoleMachine::can_take_over(const StepContext& context) const {
  return state_ == RoleState::Protected && on_own_blade() && context.blades.at(standby_).connected;
}

/// The active died while nobody decided: between two lives of the control-server, or two leaders. Its mirror's stream
/// ended with it, and the copy is complete all the same, if three things are so:
///   - the last word that was written down is PROTECTED: a copy that was given up may be of any age, whole as it is.
///     One that was being overwritten is not given up, it is none until it is whole;
///   - its host-agent says that the copy is whole under the present term, and not that the active was heard on without
///     it (an older host-agent says neither);
///   - the active has not been heard, nor served, in this life for longer than a sync may be away, nor has it said that
///     nothing reaches its mirror (doubt_former_protection): it was exposed then, and has written on.
/// Or it died while its mirror was out of sight, in a sync that was completed there (synchronization_unit.hpp).
bool RoleMachine::copy_outlived_its_active(const StepContext& context) const {
  if (step_ != Step::None || !on_own_blade() || !mirror_known(context)) { return false; }
  const auto around = around_sync(context);
  const bool former = was_protected_ && former_word_stands() && sync_.whole() && !sync_.older(around);
  return former || sync_.completed_unseen(around);
}

/// Who said Hello first, the active or its mirror's host-agent, must make no difference.
bool RoleMachine::former_word_stands() const {
  const bool unserved = state_ == RoleState::Starting || state_ == RoleState::Lost;
  const bool untold = state_ == RoleState::Exposed || state_ == RoleState::Lost;
  return (unserved && !served_) || (untold && former_word_);
}

/// The former life's word is no better than this one's: PROTECTED survives a lost sync for sync_grace while the active
/// is heard, and no longer. How long ago the sync was lost nobody knows, so an active that says itself that nothing
/// reaches its mirror ends it at once, and a mirror does that has heard it on without a stream. A silence in between
/// gives no second grace: the active wrote on in it too.
void RoleMachine::doubt_former_protection(StepContext& context) {
  disarm(Timer::FormerLife);
  const auto around = around_sync(context);
  sync_.doubt_unseen(around, context.blades.at(config_.active).bfd.vote == Vote::Up);
  const bool stopped = sync_.stopped(around);
  const bool synced = sync_.known(around) && sync_.says(MirrorPhase::Synced) && !stopped;
  if (!was_protected_ || !former_word_stands() || !on_own_blade() || synced) {
    former_heard_.reset();
    return;
  }
  const auto& active = context.blades.at(config_.active);
  const bool heard = active.bfd.vote == Vote::Up || (served_ && !active.silent()) ||
                     (sync_.phase() && mirror_ballot_.vote == Vote::Up);
  const bool older = sync_.older(around);
  if (!stopped && !older && !heard) { return; }
  if (!former_heard_) { former_heard_ = context.now; }
  const Instant until = *former_heard_ + context.config.timings.sync_grace;
  if (!stopped && !older && context.now < until) {
    arm(Timer::FormerLife, until);
    return;
  }
  was_protected_ = former_word_ = false;
  context.effects.emplace_back(KeepProtection{id(), false});
  note(context, link::Severity::Warning, "mirror", standby_,
       config_.active.value +
           (stopped ? " says that nothing reaches its mirror"
            : older ? " was heard by its mirror, which nothing reached"
                    : " is heard and its mirror is not synced") +
           ": the copy counts as an older one from now on");
}

/// What is being found out, or taken over, changes nothing. Nor does a copy that is being overwritten: it is none, its
/// host-agent says so, and when it is whole again it is the present one, whoever hears of it. What is written down is
/// whether a whole copy may be an old one.
void RoleMachine::keep_protection(StepContext& context) {
  if (state_ == RoleState::Starting || state_ == RoleState::TakingOver || state_ == RoleState::Lost) { return; }
  const auto around = around_sync(context);
  const bool overwritten = (sync_.known(around) && sync_.says(MirrorPhase::Syncing)) || sync_.syncs_unseen(around);
  if (state_ == RoleState::Exposed && (overwritten || former_word_)) { return; }
  former_word_ = false;
  const bool is = state_ == RoleState::Protected;
  if (std::exchange(was_protected_, is) != is) { context.effects.emplace_back(KeepProtection{id(), is}); }
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::MirrorState& report) {
  seen_ = std::max(seen_, std::min(report.term, own_.highest()));  // a guest's word never raises the count (rule 8)
  // A store that knows nothing yet keeps what is said: nothing follows from it but with an ownership of the same term.
  if (blade != standby_ || (report.term > own_.highest() && own_.term.value != 0)) {
    ignore(context, blade, std::string("mirror ") + link::to_string(report.phase), report.term);
    return;
  }
  // A reason that changes is news too, but not with every try.
  const bool reworded = !report.detail.empty() && sync_.detail() != report.detail &&
                        context.now >= mirror_told_ + context.config.timings.reason_again;
  const bool news = sync_.mirror_said(report) || reworded;
  if (news) {
    mirror_told_ = context.now;
    const bool failed = report.phase == MirrorPhase::Failed;
    note(context, failed ? link::Severity::Warning : link::Severity::Info, "mirror", blade,
         std::string(link::to_string(report.phase)) + " under term " + std::to_string(report.term.value) +
             (report.detail.empty() ? "" : ": " + report.detail));
  }
  const bool dead = report.phase == MirrorPhase::Failed || report.phase == MirrorPhase::Stopped;
  if (dead && state_ == RoleState::OnMirror && report.term == own_.term) {
    if (!std::exchange(urgent_move_, true)) { move_tries_ = 0; }  // those were of a guest that served on
    raise(context, "mirror", "the guest that serves the role is dead; the host goes on from its region");
  }
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::SyncProgress& report) {
  // A blade that was replaced goes on telling until it has stood down: nothing to note once a second.
  if (blade == own_.place.blade && on_own_blade() && report.term == own_.term) {
    sync_.active_said(context.now, report);
  }
}

SyncSurroundings RoleMachine::around_sync(const StepContext& context) const {
  const auto& timings = context.config.timings;
  const auto& standby = context.blades.at(standby_);
  SyncSurroundings around{timings, context.now, own_.term, config_.active, standby_};
  around.standby_connected = standby.connected;
  around.standby_off = standby.powered_off;
  around.standby_silent = standby.silent();
  around.standby_spoke = context.last_word(standby.bfd);
  around.standby_gone_from = standby.gone_from(timings.agent_restart);
  around.standby_free = context.standby_free(standby_);
  around.served = served_;
  around.alarmed = alarms_.contains("mirror");
  return around;
}

bool RoleMachine::mirror_known(const StepContext& context) const { return sync_.known(around_sync(context)); }

void RoleMachine::update_protection(StepContext& context, const Neighbours& neighbours) {
  disarm(Timer::StandbyGone);
  doubt_former_protection(context);
  if (!on_own_blade() || state_ == RoleState::TakingOver || step_ == Step::AwaitMirrorsWord) {
    sync_.rest();
    clear(context, "lag");
    return;
  }
  auto around = around_sync(context);
  around.verdict_until = votes_word(context, mirror_ballot_, neighbours).out_until;
  around.standby_free = neighbours.standby_free;  // another role may have moved there in this very step
  const auto word = sync_.judge(around);
  if (word.alarm_over) { clear(context, "mirror"); }
  if (word.lag_over) { clear(context, "lag"); }
  if (word.lag) { raise(context, "lag", *word.lag); }
  if (word.alarm) { raise(context, "mirror", *word.alarm); }
  if (sync_.is_protected()) {
    become(context, RoleState::Protected, word.why);
  } else if (state_ == RoleState::Protected) {
    become(context, RoleState::Exposed, word.why);
  }
  if (word.order) { send_run_mirror(context); }
}

void RoleMachine::on_mirrors_released(StepContext& context, const BladeId& blade) {
  sync_.released();
  mirror_ballot_ = {Vote::Unknown, context.now};
  if (!on_own_blade()) { return; }
  const std::string why = "its mirror is gone: " + blade.value + " has become an active";
  raise(context, "mirror", why);
  if (state_ == RoleState::Protected) { become(context, RoleState::Exposed, why); }
}

bool RoleMachine::spares_its_mirror(const StepContext& context) {
  if (state_ == RoleState::TakingOver || state_ == RoleState::OnMirror || state_ == RoleState::Moving) { return true; }
  const auto& active = context.blades.at(config_.active);
  const bool silent = active.silent() || mirror_ballot_.vote == Vote::Down || !active.connected;
  const bool unserved = state_ == RoleState::Starting || state_ == RoleState::Lost || silent;
  const bool untold = !sync_.phase() && sync_.followed();  // its host-agent has just said Hello
  const auto held = held_.find(standby_);
  // A store that has lost its memory knows of no owner yet. A guest that serves, or died serving, is not to be shut
  // down: what is left of it is the way back.
  const bool claims = held != held_.end() && held->second.kind == PlaceKind::Mirror && held->second.serving;
  const bool may_have_it = untold || claims || sync_.says(MirrorPhase::Synced) || sync_.says(MirrorPhase::Connected);
  spared_ = unserved && on_own_blade() && may_have_it;
  return spared_;
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::MirrorWarning& report) {
  if (blade != standby_ || report.term > own_.highest()) {
    ignore(context, blade, "mirror warning", report.term);
    return;
  }
  note(context, link::Severity::Warning, "mirror", blade, report.detail);
}

// --- failures ---

/// The last vote of a guest that is being shut down would stay for ever: nobody takes it back.
void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::PeerVote& report) {
  if (blade != standby_ || report.peer != config_.active || sync_.was_released()) {
    ignore(context, blade, std::string("vote ") + link::to_string(report.vote), own_.term);
    return;
  }
  if (mirror_ballot_.vote == report.vote) { return; }
  if (mirror_ballot_.vote != Vote::Unknown && report.vote != Vote::Unknown) {
    mirror_waver_.changed(context.now, context.config.timings);
  }
  mirror_ballot_ = {report.vote, context.now};
  note(context, link::Severity::Info, "vote", report.peer,
       std::string("the mirror sees ") + report.peer.value + " " + link::to_string(report.vote));
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::ServeFailed& report) {
  if (blade != own_.place.blade || own_.place.kind != PlaceKind::Host || report.term != own_.term || pending_) {
    ignore(context, blade, "failed serving", report.term);
    return;
  }
  application_is_down(context, "it cannot serve: " + report.detail);
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::ApplicationFailed& report) {
  if (blade != own_.place.blade || report.term != own_.term) {
    ignore(context, blade, "application failure", report.term);
    return;
  }
  if (own_.place.kind == PlaceKind::Mirror) {
    raise(context, "application", "the application failed in the mirror: " + report.detail);
    return;
  }
  application_is_down(context, "its application failed: " + report.detail);
}

void RoleMachine::application_is_down(StepContext& context, const std::string& detail) {
  blade_failed_ = blade_failed_ || !application_failed_;  // once, however often it is told until it runs again
  application_failed_ = detail;
  raise(context, "application", own_.place.blade.value + ": " + detail);
}

void RoleMachine::judge_active(StepContext& context, const Neighbours& neighbours) {
  disarm(Timer::Votes);
  if (own_.place.kind == PlaceKind::Mirror) {
    judge_serving_mirror(context);
  } else {
    clear(context, "agent");  // it was about the mirror that served
  }
  if (state_ == RoleState::TakingOver && step_ == Step::AwaitHandOver && !pending_) {
    watch_hand_over(context, neighbours);
  }
  if (own_.place.kind != PlaceKind::Host || own_.term.value == 0 || pending_ || state_ == RoleState::TakingOver) {
    return;
  }
  if (application_failed_) {
    handle_application_failure(context);
    if (state_ == RoleState::TakingOver) { return; }
  }
  const Ballot nobody;
  const auto& mirror = on_own_blade() ? mirror_ballot_ : nobody;
  act_on(context, verdict_about(context, mirror, neighbours));
}

/// Nothing understudies a role on its mirror: when the mirror's blade is gone, what is left is to say so. The way back
/// is the blade's next Hello, for a blade that has rebooted without the role answers BFD too.
void RoleMachine::judge_serving_mirror(StepContext& context) {
  const auto& blade = context.blades.at(standby_);
  const bool serves = state_ == RoleState::OnMirror || state_ == RoleState::Moving;
  if (!blade.away_since) {
    clear(context, "agent");
    clear(context, "silent");
    return;
  }
  if (!serves) { return; }
  const Duration restart = context.config.timings.agent_restart;
  const Instant back = blade.gone_from(restart).value_or(*blade.away_since + restart);
  if (context.now < back) {
    arm(Timer::Votes, back);
    return;
  }
  if (blade.bfd.vote != Vote::Down) {
    clear(context, "silent");
    raise(context, "agent",
          "the host-agent of " + standby_.value +
              ", whose mirror serves the role, is away: the mirror is not watched and cannot be moved");
    return;
  }
  clear(context, "agent");
  raise(context, "silent",
        standby_.value + ", whose mirror serves the role, is silent: nothing can take over; " + config_.active.value +
            " gets the role when " + standby_.value + " says that it has it no more");
  if (state_ == RoleState::OnMirror) {  // only the host-agent ends a movement: its successor will tell
    become(context, RoleState::Lost, standby_.value + " is silent and serves the role by its mirror");
  }
}

void RoleMachine::act_on(StepContext& context, Verdict verdict) {
  const std::string blade = own_.place.blade.value;
  switch (verdict) {
    case Verdict::Unsettled:
      return;
    case Verdict::Healthy:
      clear(context, "observers");
      clear(context, "silent");
      // Its blade was only not heard. A voice alone is no such news: one that has rebooted has a voice before it says
      // Hello, and the copy is all that is left of the role.
      if (context.blades.at(own_.place.blade).connected &&
          (state_ == RoleState::Exposed || state_ == RoleState::Protected)) {
        moved_ = std::exchange(spared_, false) || moved_;
      }
      if (std::exchange(silent_, false) && state_ == RoleState::Lost) {
        become(context, on_own_blade() ? RoleState::Exposed : RoleState::OnHost, blade + " is heard again");
      }
      return;
    case Verdict::ControlBlind:
      raise(context, "observers", "control-server alone is blind: it does not hear " + blade + ", the mirror does");
      return;
    case Verdict::MirrorBlind:
      raise(context, "observers", "the mirror alone is blind: it does not hear " + blade + ", the control-server does");
      return;
    case Verdict::ObserversFailed:
      raise(context, "observers",
            "all actives are silent at once, or nobody else is heard: the observers' network "
            "has more likely failed than " +
                blade + "; no failover");
      return;
    case Verdict::BfdBlocked:
      if (state_ == RoleState::Lost) { return; }
      raise(context, "observers",
            blade +
                " talks to the control-server, and neither observer hears its BFD: UDP port 3784 is blocked on the "
                "way; no failover while it talks; look at the firewalls, and at the filters of the maintenance "
                "switches");
      return;
    case Verdict::CutOff:
      raise(context, "observers",
            blade +
                " is silent for both observers, and no witness is reached either: this side of the network is cut "
                "off, so nobody is believed dead; look at the cables and switches of the control-server");
      return;
    case Verdict::OneObserver: {
      const bool own_down = context.blades.at(own_.place.blade).bfd.vote == Vote::Down;
      raise(context, "observers",
            !on_own_blade()
                ? blade + " is silent for the control-server, and nothing understudies a role that is served there; " +
                      "look at " + blade + " and its maintenance cable: the role is there again when it is"
                : blade + " is silent for the " + (own_down ? "control-server" : "mirror") +
                      ", and the other observer says nothing; no failover by one vote: look at " + blade +
                      ", and why " + (own_down ? "its mirror" : "the control-server") + " cannot tell");
      if (!own_down || state_ == RoleState::Protected || state_ == RoleState::Lost) { return; }
      silent_ = true;
      become(context, RoleState::Lost, blade + " is silent and there is no mirror");
      return;
    }
    case Verdict::Dead:
      if (can_take_over(context) || copy_outlived_its_active(context)) {
        clear(context, "observers");
        begin_takeover(context, blade + " is silent for both observers", std::nullopt);
      } else if (state_ != RoleState::Protected && state_ != RoleState::Lost) {
        silent_ = true;
        raise(context, "silent", blade + " is dead and the role has no synced mirror: nothing can take over");
        become(context, RoleState::Lost, blade + " is dead, no synced mirror");
      }
      return;
  }
}

void RoleMachine::handle_application_failure(StepContext& context) {
  if (can_take_over(context)) {
    begin_takeover(context, *application_failed_, std::nullopt);
    return;
  }
  if (step_ == Step::AwaitMirrorsWord) { return; }
  if (state_ == RoleState::Protected) { return; }  // the standby's host-agent is away: a moment of grace
  become(context, RoleState::Lost, *application_failed_);
  if (!armed(Timer::Serve)) { arm(Timer::Serve, context.now + context.config.timings.serve_retry); }
}

}  // namespace understudy::control
