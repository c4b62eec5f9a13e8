// SPDX-License-Identifier: Apache-2.0
#include "core/votes.hpp"

#include <algorithm>

namespace understudy::control {
namespace {

using link::Vote;

Judgement after_settling(Verdict verdict, Instant since, Duration settle, Instant now) {
  if (now >= since + settle) { return {verdict, std::nullopt}; }
  return {Verdict::Unsettled, since + settle};
}

}  // namespace

Judgement judge(const Ballot& own, const Ballot& mirror, const Surroundings& surroundings, Duration settle,
                Instant now) {
  const Instant latest = std::max(own.since, mirror.since);
  if (own.vote == Vote::Down && mirror.vote == Vote::Down) {
    const bool several = surroundings.actives > 1;
    if (!surroundings.witness || (several && surroundings.all_at_once)) {
      return {Verdict::ObserversFailed, surroundings.witness_from};
    }
    return after_settling(Verdict::Dead, latest, surroundings.same_cable, now);
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

std::optional<Instant> judgement_is_due(const Ballot& own, const Ballot& mirror) {
  if (own.vote == Vote::Down && mirror.vote == Vote::Unknown) { return mirror.since + link::kVoteUnknownMax; }
  if (mirror.vote == Vote::Down && own.vote == Vote::Unknown) { return own.since + link::kVoteUnknownMax; }
  return std::nullopt;
}

}  // namespace understudy::control
