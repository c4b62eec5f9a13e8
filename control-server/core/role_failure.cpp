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
///   - the last word that was written down is PROTECTED: a copy that was given up may be of any age, whole as it is;
///   - its host-agent says that the copy is whole under the present term;
///   - the active has not served in this life, nor been heard for longer than a sync may be away
///     (doubt_former_protection): it was exposed then, and has written on.
bool RoleMachine::copy_outlived_its_active(const StepContext& context) const {
  const bool unserved = (state_ == RoleState::Starting || state_ == RoleState::Lost) && step_ == Step::None && !served_;
  return was_protected_ && unserved && on_own_blade() && mirror_known(context) && mirror_.whole;
}

/// The former life's word is no better than this one's: PROTECTED survives a lost sync for sync_grace while the active
/// is heard, and no longer.
void RoleMachine::doubt_former_protection(StepContext& context) {
  const bool unserved = (state_ == RoleState::Starting || state_ == RoleState::Lost) && !served_;
  const bool heard =
      context.blades.at(config_.active).bfd.vote == Vote::Up || (mirror_.phase && mirror_.ballot.vote == Vote::Up);
  const bool synced = mirror_known(context) && mirror_.phase == MirrorPhase::Synced;
  if (!was_protected_ || !unserved || !on_own_blade() || !heard || synced) {
    disarm(Timer::FormerLife);
    return;
  }
  if (!armed(Timer::FormerLife)) { arm(Timer::FormerLife, context.now + context.config.timings.sync_grace); }
  if (!due(Timer::FormerLife, context.now)) { return; }
  was_protected_ = false;
  context.effects.emplace_back(KeepProtection{id(), false});
  note(context, link::Severity::Warning, "mirror", standby_,
       config_.active.value + " is heard and its mirror is not synced: the copy counts as an older one from now on");
}

/// What is being found out, or taken over, changes nothing.
void RoleMachine::keep_protection(StepContext& context) {
  if (state_ == RoleState::Starting || state_ == RoleState::TakingOver || state_ == RoleState::Lost) { return; }
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
  const bool news = mirror_.phase != report.phase || mirror_.term != report.term;
  mirror_followed_ = mirror_followed_ || report.phase == MirrorPhase::Synced;
  mirror_.phase = report.phase;
  mirror_.term = report.term;
  mirror_.boot_nonce = report.boot_nonce;
  mirror_.detail = report.detail;
  mirror_.whole = report.whole;
  if (news) {
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

bool RoleMachine::mirror_known(const StepContext& context) const {
  const auto& standby = context.blades.at(standby_);
  return mirror_.phase && mirror_.term == own_.term && standby.connected && !standby.powered_off;
}

void RoleMachine::update_protection(StepContext& context, const Neighbours& neighbours) {
  disarm(Timer::StandbyGone);
  doubt_former_protection(context);
  if (!on_own_blade() || state_ == RoleState::TakingOver || step_ == Step::AwaitMirrorsWord) {
    for (const auto timer : {Timer::Grace, Timer::SyncAlarm, Timer::Mirror}) { disarm(timer); }
    return;
  }
  const bool known = mirror_known(context);
  if (known && mirror_.phase == MirrorPhase::Synced) {
    const bool sure = !context.blades.at(standby_).silent();
    disarm(Timer::Grace);
    if (sure) { disarm(Timer::SyncAlarm); }
    if (sure || state_ != RoleState::Protected) { clear(context, "mirror"); }
    synced_nonce_ = mirror_.boot_nonce;
    become(context, RoleState::Protected, "the mirror is synced under term " + std::to_string(own_.term.value));
    if (!sure) { watch_sync(context); }
  } else if (state_ == RoleState::Protected) {
    doubt_protection(context);
  }
  const bool broken = known && (mirror_.phase == MirrorPhase::Failed || mirror_.phase == MirrorPhase::Stopped);
  if (broken && neighbours.standby_free && !armed(Timer::Mirror)) {
    arm(Timer::Mirror, context.now + context.config.timings.mirror_retry);
  }
  if (due(Timer::Mirror, context.now) && broken && neighbours.standby_free) { send_run_mirror(context); }
}

/// What was synced a moment ago is still as good as the last change that arrived, but only for a moment, in the same
/// boot of the guest, never once a new sync began to overwrite it (rule 23), and only while its blade can be there.
/// The moment lasts while one observer has lost the active and the other is still undecided: the sync ended because the
/// active fell silent, and a copy that is given up before the verdict cannot be activated after it.
void RoleMachine::doubt_protection(StepContext& context) {
  const auto& timings = context.config.timings;
  const auto& standby = context.blades.at(standby_);
  const bool known = mirror_known(context);
  const bool broken = known && (mirror_.phase == MirrorPhase::Failed || mirror_.phase == MirrorPhase::Stopped);
  // A host-agent that was restarted says Hello before its guest has told it who it is.
  const bool other_boot = known && !mirror_.boot_nonce.empty() && mirror_.boot_nonce != synced_nonce_;
  const auto gone_from = standby.gone_from(timings.agent_restart);
  const bool gone = gone_from && context.now >= *gone_from;
  const bool at_once = broken || other_boot || gone || (known && mirror_.phase == MirrorPhase::Syncing);
  if (!at_once) {
    if (gone_from) { arm(Timer::StandbyGone, *gone_from); }
    if (!armed(Timer::Grace)) { arm(Timer::Grace, context.now + timings.sync_grace); }
    watch_sync(context);
    if (!due(Timer::Grace, context.now)) { return; }
    Ballot own = context.blades.at(config_.active).bfd;
    own.since = std::max(own.since, started_);  // who was never heard has been unknown from the start of this life on
    const auto verdict = judgement_is_due(own, mirror_.ballot);
    if (verdict && context.now < *verdict + timings.vote_settle()) {
      arm(Timer::Grace, *verdict + timings.vote_settle());
      return;
    }
  }
  disarm(Timer::Grace);
  disarm(Timer::SyncAlarm);
  const std::string sync_stopped = known ? std::string("the mirror's sync stopped (") + to_string(*mirror_.phase) +
                                               ")" + (mirror_.detail.empty() ? "" : ": " + mirror_.detail)
                                         : "";
  const std::string why = broken                ? "the mirror failed: " + mirror_.detail
                          : other_boot          ? "the mirror's guest has restarted"
                          : known               ? sync_stopped
                          : standby.powered_off ? standby_.value + " is off"
                          : gone                ? standby_.value + " is silent and its host-agent is lost"
                                                : "the mirror is out of reach";
  raise(context, "mirror", why);
  become(context, RoleState::Exposed, why);
}

/// The alarm within a second: counted from the mirror's own word that it is not synced any more, or from the last word
/// that its blade can have said, whichever is known first.
void RoleMachine::watch_sync(StepContext& context) {
  const auto& standby = context.blades.at(standby_);
  const Instant from = standby.silent() ? context.last_word(standby.bfd) : context.now;
  const Instant at = from + context.config.timings.sync_alarm;
  if (!armed(Timer::SyncAlarm) && !alarms_.contains("mirror")) { arm(Timer::SyncAlarm, at); }
  if (!due(Timer::SyncAlarm, context.now)) { return; }
  raise(context, "mirror",
        standby.silent() ? standby_.value + " is silent: as far as anybody can tell the mirror's sync has stopped"
                         : "the mirror's sync has stopped");
}

void RoleMachine::on_mirrors_released(StepContext& context, const BladeId& blade) {
  mirror_ = Mirror{};
  mirror_.ballot.since = context.now;
  mirror_followed_ = false;
  mirror_released_ = true;
  if (!on_own_blade()) { return; }
  const std::string why = "its mirror is gone: " + blade.value + " has become an active";
  raise(context, "mirror", why);
  if (state_ == RoleState::Protected) { become(context, RoleState::Exposed, why); }
}

bool RoleMachine::spares_its_mirror(const StepContext& context) {
  if (state_ == RoleState::TakingOver || state_ == RoleState::OnMirror || state_ == RoleState::Moving) { return true; }
  const bool silent = context.blades.at(config_.active).silent() || mirror_.ballot.vote == Vote::Down;
  const bool unserved = state_ == RoleState::Starting || state_ == RoleState::Lost || silent;
  const bool untold = !mirror_.phase && mirror_followed_;  // its host-agent has just said Hello
  const bool may_have_it = untold || mirror_.phase == MirrorPhase::Synced || mirror_.phase == MirrorPhase::Connected;
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
  if (blade != standby_ || report.peer != config_.active || mirror_released_) {
    ignore(context, blade, std::string("vote ") + link::to_string(report.vote), own_.term);
    return;
  }
  if (mirror_.ballot.vote == report.vote) { return; }
  if (mirror_.ballot.vote != Vote::Unknown && report.vote != Vote::Unknown) { mirror_wavered_at_ = context.now; }
  mirror_.ballot = {report.vote, context.now};
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
  const auto& mirror = on_own_blade() ? mirror_.ballot : nobody;
  act_on(context, verdict_about(context, mirror, neighbours));
}

Verdict RoleMachine::verdict_about(StepContext& context, const Ballot& mirror, const Neighbours& neighbours) {
  const auto judgement = judge(context.blades.at(own_.place.blade).bfd, mirror, neighbours.surroundings,
                               context.config.timings.vote_settle(), context.now);
  if (judgement.again) { arm(Timer::Votes, *judgement.again); }
  // A daemon's restart is no failure (D13): its BFD falls silent with it, the kernel and the role go on. A dead blade
  // closes no stream, so there the silence comes first and nothing is waited for.
  const auto& sign = context.blades.at(own_.place.blade).sign_of_life;
  if (judgement.verdict == Verdict::Dead && sign) {
    const Instant back = *sign + context.config.timings.agent_restart;
    if (context.now < back) {
      arm(Timer::Votes, back);
      return Verdict::Unsettled;
    }
  }
  return judgement.verdict;
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
  const Instant back = *blade.away_since + context.config.timings.agent_restart;
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
      if (state_ == RoleState::Exposed || state_ == RoleState::Protected) {
        moved_ = std::exchange(spared_, false) || moved_;  // its blade was only not heard
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
    case Verdict::CutOff:
      raise(context, "observers",
            blade +
                " is silent for both observers, and no witness is reached either: this side of the network is cut "
                "off, so nobody is believed dead; look at the cables and switches of the control-server");
      return;
    case Verdict::OneObserver: {
      const bool own_down = context.blades.at(own_.place.blade).bfd.vote == Vote::Down;
      raise(context, "observers",
            blade + " is silent for the " + (own_down ? "control-server" : "mirror") +
                ", and the other observer says nothing; no failover by one vote");
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
