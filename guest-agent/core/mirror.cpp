// SPDX-License-Identifier: Apache-2.0
#include "core/mirror.hpp"

#include <algorithm>
#include <utility>

namespace understudy::guest {

namespace {
link::MirrorPhase phase_of(SyncPhase sync) {
  switch (sync) {
    case SyncPhase::Syncing:
      return link::MirrorPhase::Syncing;
    case SyncPhase::Synced:
      return link::MirrorPhase::Synced;
    case SyncPhase::Connecting:
    case SyncPhase::Lost:
    case SyncPhase::Held:
      break;
  }
  return link::MirrorPhase::Connected;
}
}  // namespace

Effects Mirror::step(const Event& event) {
  return std::visit([this](const auto& concrete) { return on(concrete); }, event);
}

void Mirror::adopt_serving(Term term) {
  activity_ = Activity::Serving;
  term_ = term;
  restoring_ = true;
}

/// What the stream does now, and whether the copy is whole all the same.
TellPhase Mirror::told(SyncPhase phase, const std::string& detail) const {
  const bool whole = sync_ == SyncPhase::Synced || sync_ == SyncPhase::Lost;
  return {phase_of(phase), detail, whole ? term_ : Term{}};
}

Effects Mirror::restored() {
  restoring_ = false;
  if (!std::exchange(ready_wanted_, false)) { return {}; }
  return {TellReady{term_, phases_}};
}

bool Mirror::is_activating() const {
  return activity_ == Activity::Draining || activity_ == Activity::Installing || activity_ == Activity::HandingOver ||
         activity_ == Activity::Starting;
}

/// The step that this activity waits for; what else ends, or fails, is late.
bool Mirror::is_under_way(Step step) const {
  switch (activity_) {
    case Activity::Configuring:
      return step == Step::Configure;
    case Activity::Draining:
      return step == Step::Drain;
    case Activity::Installing:
      return step == Step::Install;
    case Activity::HandingOver:
      return step == Step::HandOver;
    case Activity::Starting:
      return step == Step::StartApplication;
    case Activity::Quiescing:
      return step == Step::Quiesce;
    case Activity::Idle:
    case Activity::Mirroring:
    case Activity::Serving:
    case Activity::Quiesced:
      break;
  }
  return false;
}

// --- orders ---

Effects Mirror::on(const ConfigureOrder& event) {
  if (activity_ != Activity::Idle && activity_ != Activity::Mirroring) {
    if (activity_ != Activity::Configuring) { return {TellAlarm{"configure while serving is ignored"}}; }
    // The step under way is of an older order: what has changed since is done when it has ended.
    if (event.mirror.term > term_ || event.mirror.spec.version != bundle_) { next_ = event.mirror; }
    return {};
  }
  if (event.mirror.term < term_) { return {TellAlarm{"configure under a stale term is ignored"}}; }
  if (activity_ == Activity::Mirroring && bundle_ == event.mirror.spec.version && event.mirror.term == term_) {
    return {told(sync_, ""), TellVote{vote_}};
  }
  if (event.mirror.term != term_) { sync_ = SyncPhase::Connecting; }  // of this one nothing is here yet
  term_ = event.mirror.term;
  bundle_ = event.mirror.spec.version;
  activity_ = Activity::Configuring;
  return {HoldMirror{event.mirror}, TellPhase{link::MirrorPhase::Starting, "", told(sync_, "").whole_under},
          Do{Step::Configure, term_}};
}

Effects Mirror::on(const ActivateOrder& event) {
  if (activity_ == Activity::Serving && event.term == term_) {
    if (!restoring_) { return {TellReady{term_, phases_}}; }
    ready_wanted_ = true;
    return {};
  }
  if (is_activating() && event.term == term_) { return {}; }
  if (event.term <= term_) { return {TellActivateFailed{"the term is not above the known one"}}; }
  if (activity_ != Activity::Mirroring) { return {TellActivateFailed{"this guest does not mirror anything yet"}}; }
  if (sync_ == SyncPhase::Syncing || sync_ == SyncPhase::Connecting) {
    return {TellActivateFailed{"the copy is unfinished"}};
  }
  mirrored_term_ = std::exchange(term_, event.term);
  no_grants_ = std::max(no_grants_, mirrored_term_);
  granting_ = Term{};
  application_ended_ = false;
  phases_.clear();
  activity_ = Activity::Draining;
  return {Do{Step::Drain, term_}};
}

Effects Mirror::on(const AnnounceOrder&) {
  if (activity_ != Activity::Serving) { return {TellAlarm{"announce without an activation is ignored"}}; }
  return {Announce{}};
}

Effects Mirror::on(const QuiesceOrder&) {
  if (activity_ == Activity::Quiesced) { return {TellQuiesced{}}; }
  if (activity_ != Activity::Serving) { return {TellAlarm{"quiesce without serving is ignored"}}; }
  activity_ = Activity::Quiescing;
  application_ended_ = false;
  return {Do{Step::Quiesce, term_}};
}

Effects Mirror::on(const ResumeOrder&) {
  if (activity_ != Activity::Quiescing && activity_ != Activity::Quiesced) { return {}; }
  activity_ = Activity::Serving;
  restoring_ = true;
  // One that ended meanwhile cannot be told to resume; a restart makes it active too.
  return {Do{std::exchange(application_ended_, false) ? Step::RestartApplication : Step::Resume, term_}};
}

Effects Mirror::on(const AllowGrantsOrder& event) {
  if (activity_ == Activity::Mirroring && event.term == term_ && event.term > no_grants_) { granting_ = event.term; }
  return {};
}

/// It counts from here on: what was granted before was asked for before.
Effects Mirror::on(const StopGrantsOrder& event) {
  no_grants_ = std::max(no_grants_, event.term);
  if (granting_ <= no_grants_) { granting_ = Term{}; }
  return {TellGrantsStopped{event.term}};
}

Effects Mirror::on(const GrantAsked& event) {
  if (activity_ != Activity::Mirroring || granting_.value == 0 || event.term != granting_) { return {}; }
  return {Grant{event.term, event.nonce}};
}

Effects Mirror::on(const ShutdownOrder&) { return {PowerOff{}}; }

// --- steps ---

Effects Mirror::advance(Activity next, Step step, const char* phase, double ms) {
  phases_.push_back({phase, ms});
  activity_ = next;
  return {Do{step, term_}};
}

Effects Mirror::on(const StepDone& event) {
  const bool active_again = event.step == Step::Restore || event.step == Step::Resume;
  if (active_again) { return activity_ == Activity::Serving ? restored() : Effects{}; }
  if (!is_under_way(event.step)) { return {}; }
  switch (event.step) {
    case Step::Configure:
      activity_ = Activity::Mirroring;
      if (const auto next = std::exchange(next_, std::nullopt)) { return on(ConfigureOrder{*next}); }
      return {told(sync_, ""), TellVote{vote_}};
    case Step::Drain:
      return advance(Activity::Installing, Step::Install, "drain", event.ms);
    case Step::Install:
      return advance(Activity::HandingOver, Step::HandOver, "install", event.ms);
    case Step::HandOver:
      return advance(Activity::Starting, Step::StartApplication, "handover", event.ms);
    case Step::StartApplication:
      if (application_ended_) {  // since it became active: nobody would start it again
        return on(StepFailed{event.step, "the application ended as soon as it was active"});
      }
      phases_.push_back({"application", event.ms});
      activity_ = Activity::Serving;
      return {TellReady{term_, phases_}};
    case Step::Quiesce:
      activity_ = Activity::Quiesced;
      return {TellQuiesced{event.ms}};
    case Step::Restore:
    case Step::Resume:
    case Step::BackToMirroring:
    case Step::RestartApplication:
      break;
  }
  return {};
}

Effects Mirror::on(const StepFailed& event) {
  if (!is_under_way(event.step)) {
    // A quiesce that fails after the host has rolled back is of no use to anybody.
    return event.step == Step::Quiesce ? Effects{} : Effects{TellAlarm{event.detail}};
  }
  if (activity_ == Activity::Configuring) {
    activity_ = Activity::Idle;
    bundle_.clear();
    Effects effects{TellPhase{link::MirrorPhase::Failed, event.detail, Term{}}};
    if (const auto next = std::exchange(next_, std::nullopt)) {
      for (auto& effect : on(ConfigureOrder{*next})) { effects.push_back(std::move(effect)); }
    }
    return effects;
  }
  if (activity_ == Activity::Quiescing) { return {TellQuiesceFailed{event.detail}}; }  // until the host says Resume
  // The same term may be tried again, from the copy as it is; one that could not be drained is not whole.
  sync_ = activity_ == Activity::Draining ? SyncPhase::Connecting : SyncPhase::Lost;
  activity_ = Activity::Mirroring;
  term_ = mirrored_term_;
  // Told last: one that is restarted behind that word must not take itself for the one that serves.
  Effects effects{Do{Step::BackToMirroring, term_}, TellActivateFailed{event.detail}};
  // Without it no later try could succeed.
  if (std::exchange(application_ended_, false)) { effects.emplace_back(Do{Step::RestartApplication, term_}); }
  return effects;
}

// --- what is seen ---

Effects Mirror::on(const SyncChanged& event) {
  if (activity_ != Activity::Configuring && activity_ != Activity::Mirroring) { return {}; }
  // A lost stream leaves a whole copy whole; an unfinished one stays unfinished.
  const bool stays_unfinished =
      event.phase == SyncPhase::Lost && sync_ != SyncPhase::Synced && sync_ != SyncPhase::Lost;
  if (!stays_unfinished) { sync_ = event.phase == SyncPhase::Held ? SyncPhase::Lost : event.phase; }
  if (activity_ != Activity::Mirroring) { return {}; }
  return {told(event.phase, event.detail)};
}

Effects Mirror::on(const PeerChanged& event) {
  vote_ = event.vote;
  if (activity_ != Activity::Mirroring) { return {}; }
  return {TellVote{vote_}};
}

Effects Mirror::on(const ApplicationEnded& event) {
  Effects effects{TellAlarm{"the application ended: " + event.detail, "application"}};
  // In a movement it is started on the host; in an activation the step fails and decides.
  if (activity_ == Activity::Mirroring || activity_ == Activity::Serving) {
    restoring_ = activity_ == Activity::Serving;
    effects.emplace_back(Do{Step::RestartApplication, term_});
  } else {
    application_ended_ = true;
  }
  return effects;
}

}  // namespace understudy::guest
