// SPDX-License-Identifier: Apache-2.0
#include "core/votes.hpp"

#include <algorithm>

namespace understudy::control {
namespace {

using link::Vote;

/// Half a detection time: more than one interval of BFD.
constexpr Duration one_moment(Duration settle) { return settle / 4; }

Judgement after_settling(Verdict verdict, Instant since, Duration settle, Instant now) {
  if (now >= since + settle) { return {verdict, std::nullopt}; }
  return {Verdict::Unsettled, since + settle};
}

std::optional<Instant> earlier(const std::optional<Instant>& one, const std::optional<Instant>& other) {
  return one && other ? std::min(*one, *other) : one ? one : other;
}

/// `ours`: when we stopped hearing it. The mirror's vote may have been on its way for as long as a network was away.
Judgement judge_silence(const Surroundings& surroundings, Instant ours, Instant since, Duration settle, Instant now) {
  const auto witnesses = ask(surroundings.bench, since, now, ours);
  if (witnesses.said == Witnesses::Reached) { return {Verdict::Dead, std::nullopt}; }
  if (witnesses.said == Witnesses::Lost) { return {Verdict::CutOff, std::nullopt}; }
  const bool awaited = witnesses.said == Witnesses::Awaited;
  const bool all_at_once = surroundings.actives > 1 && surroundings.all_at_once;
  if (!surroundings.witness || all_at_once) {
    return {awaited ? Verdict::Unsettled : Verdict::ObserversFailed,
            earlier(witnesses.again, surroundings.witness_from)};
  }
  // Another blade is heard: then a witness that needs longer is not waited for.
  const Duration wait = std::max(surroundings.same_cable, awaited ? settle : Duration{0});
  auto judgement = after_settling(Verdict::Dead, since, wait, now);
  if (judgement.again) { judgement.again = earlier(judgement.again, witnesses.again); }
  return judgement;
}

}  // namespace

Judgement judge(const Ballot& own, const Ballot& mirror, const Surroundings& surroundings, Duration settle,
                Instant now) {
  const Instant latest = std::max(own.since, mirror.since);
  if (own.vote == Vote::Down && mirror.vote == Vote::Down) {
    auto around = surroundings;
    const bool alone = mirrors_word_is_older(own, mirror, settle);
    if (alone) { around.same_cable = std::max(around.same_cable, one_moment(settle)); }
    const Instant ours = own.overdue || alone ? own.since - around.bench.steady : own.since;
    return judge_silence(around, ours, latest, settle, now);
  }
  if (own.vote == Vote::Down) {
    const auto verdict = mirror.vote == Vote::Up ? Verdict::ControlBlind : Verdict::OneObserver;
    return after_settling(verdict, latest, settle, now);
  }
  if (mirror.vote == Vote::Down) {
    const auto verdict = own.vote == Vote::Up ? Verdict::MirrorBlind : Verdict::OneObserver;
    return after_settling(verdict, latest, settle, now);
  }
  return {Verdict::Healthy, std::nullopt};
}

bool mirrors_word_is_older(const Ballot& own, const Ballot& mirror, Duration settle) {
  const bool both = own.vote == Vote::Down && mirror.vote == Vote::Down;
  return both && !own.overdue && own.since > mirror.since + one_moment(settle);
}

std::optional<Instant> judgement_is_due(const Ballot& own, const Ballot& mirror) {
  if (own.vote == Vote::Down && mirror.vote == Vote::Down) { return std::max(own.since, mirror.since); }
  if (own.vote == Vote::Unknown && mirror.vote == Vote::Unknown) {
    return std::max(own.since, mirror.since) + link::kVoteUnknownMax;  // a blade that was shut down in order
  }
  if (own.vote == Vote::Down && mirror.vote == Vote::Unknown) { return mirror.since + link::kVoteUnknownMax; }
  if (mirror.vote == Vote::Down && own.vote == Vote::Unknown) { return own.since + link::kVoteUnknownMax; }
  return std::nullopt;
}

}  // namespace understudy::control
