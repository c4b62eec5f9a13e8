// SPDX-License-Identifier: Apache-2.0
/// What the votes about a role's active say now, and until when they may say more: one function for both, since a copy
/// that is given up before the verdict cannot be activated after it.
///
///     stream ends, votes: unknown, or down         verdict                   out_until
///     ├─────────────────────────────────────────────┼──────── settle ─────────────┤
///     └─ the copy is kept, however long sync_grace is ────────────────────────────┘
#include <algorithm>

#include "core/role_machine.hpp"

namespace understudy::control {

namespace {
/// So soon a blade that is there has answered the order to stand down, which goes out with the mirror's activation.
constexpr Duration answers_within = std::chrono::milliseconds(500);
}  // namespace

RoleMachine::VotesWord RoleMachine::votes_word(const StepContext& context, const Ballot& mirror,
                                               const Neighbours& neighbours) const {
  const auto& timings = context.config.timings;
  const auto& blade = context.blades.at(own_.place.blade);
  const auto judgement = judge(blade.bfd, mirror, neighbours.surroundings, timings.vote_settle(), context.now);
  VotesWord word{judgement.verdict, judgement.again, std::nullopt};
  // A daemon's restart is no failure (D13): its BFD falls silent with it, the kernel and the role go on. A dead blade
  // closes no stream, so there the silence comes first and nothing is waited for.
  std::optional<Instant> back;
  if (blade.sign_of_life) { back = *blade.sign_of_life + timings.agent_restart; }
  if (word.verdict == Verdict::Dead && back && context.now < *back) {
    word.verdict = Verdict::Unsettled;
    word.again = back;
  }
  const auto talks_until = blade.talks_until(timings);
  const bool talks = talks_until && context.now < *talks_until;
  if (word.verdict == Verdict::Dead && talks) {
    word.verdict = Verdict::BfdBlocked;
    word.again = talks_until;
  }
  const auto finds_us = finds_us_until(context);
  const bool looks_for_us = finds_us && context.now < *finds_us;
  if (word.verdict == Verdict::Dead && looks_for_us) {
    word.verdict = Verdict::Unsettled;
    word.again = finds_us;
  }
  Ballot own = blade.bfd;
  own.since = std::max(own.since, started_);  // who was never heard has been unknown from the start of this life on
  if (auto due = judgement_is_due(own, mirror)) {
    const auto found = looks_for_us ? finds_us : std::nullopt;
    for (const auto& later : {judgement.again, back, talks ? talks_until : std::nullopt, found}) {
      due = later ? std::max(*due, *later) : *due;
    }
    // It is carried out in this very step.
    if (word.verdict == Verdict::Dead && can_take_over(context)) { due = std::max(*due, context.now); }
    word.out_until = *due + timings.vote_settle();
  }
  return word;
}

/// A blade whose BFD is filtered talks by its streams, and its host-agent may not have found this life of the
/// control-server yet. That its mirror is SYNCED says that one of them stands: a dead active's ends within a moment,
/// and then nothing is waited for. A frozen guest says SYNCED for ever, so the wait has a bound.
std::optional<Instant> RoleMachine::finds_us_until(const StepContext& context) const {
  const auto& blade = context.blades.at(own_.place.blade);
  const bool said_hello = blade.connected || blade.away_since;
  const bool stream_stands = on_own_blade() && mirror_known(context) && sync_.says(link::MirrorPhase::Synced);
  if (said_hello || !stream_stands) { return std::nullopt; }
  return started_ + context.config.timings.hello_wait;
}

Verdict RoleMachine::verdict_about(StepContext& context, const Ballot& mirror, const Neighbours& neighbours) {
  const auto word = votes_word(context, mirror, neighbours);
  if (word.again) { arm(Timer::Votes, *word.again); }
  return word.verdict;
}

void RoleMachine::arm_at_latest(Timer timer, Instant at) {
  const auto& armed = timers_[static_cast<std::size_t>(timer)];
  arm(timer, armed ? std::min(*armed, at) : at);
}

/// In the background; nothing waits for it, and it waits for the blade's own word: one that says that it has stood down
/// for this takeover is there, and only its BFD was not heard (a filter on the way). One that is heard again for long
/// enough is not cut off its power for a silence that is over: what it has of the role may be the last copy, and the
/// role its own again when the mirror cannot take over. A voice now and then is no such news: a blade that hangs has
/// one too.
void RoleMachine::consider_cutting_power(StepContext& context) {
  if (!power_due_) { return; }
  const auto& active = context.blades.at(config_.active);
  if (!by_silence_ || own_.place.blade == config_.active) {
    power_due_ = false;
  } else if (active.silent() && context.now < activating_since_ + answers_within) {
    arm_at_latest(Timer::Votes, activating_since_ + answers_within);
  } else if (active.silent()) {
    power_due_ = false;
    context.power_off(config_.active);
  } else if (active.bfd.vote == link::Vote::Up &&
             context.now < active.bfd.since + context.config.timings.vote_settle()) {
    arm_at_latest(Timer::Votes, active.bfd.since + context.config.timings.vote_settle());
  } else if (active.bfd.vote != link::Vote::Unknown) {  // heard, or it has said Hello
    power_due_ = by_silence_ = false;
  }
}

/// The wait for the blade's own word is in nobody's store: a life that ended in it has cut no power. Who finds the role
/// on its mirror waits once more, and does what was owed. It needs nothing of a blade that has stood down or was
/// confirmed to be off, and one that says Hello, or is heard, keeps its power.
void RoleMachine::owe_power(StepContext& context) {
  const auto& active = context.blades.at(config_.active);
  const bool owed = own_.evidence == link::StopEvidence::Isolated || own_.evidence == link::StopEvidence::LeaseRanOut;
  const bool said_hello = active.connected || active.away_since;
  if (state_ != RoleState::Starting || !owed || active.powered_off || said_hello) { return; }
  by_silence_ = power_due_ = true;
  activating_since_ = context.now;
}

}  // namespace understudy::control
