// SPDX-License-Identifier: Apache-2.0
#include "core/witnesses.hpp"

#include <algorithm>

namespace understudy::control {
namespace {

/// When its answers will have proved that our network works, if none of them is missing; nothing: they do not yet.
std::optional<Instant> proves_at(const WitnessVoice& voice, const WitnessBench& bench, Instant ours,
                                 Instant silent_since) {
  if (voice.vote != link::Vote::Up || !voice.answered_since) { return std::nullopt; }
  const Duration known_after = 2 * voice.spacing;
  if (voice.spacing <= bench.window && *voice.answered_since <= ours - bench.window) {
    return silent_since - bench.window + known_after;
  }
  return std::max(*voice.answered_since, silent_since) + bench.steady + known_after;
}

}  // namespace

WitnessWord ask(const WitnessBench& bench, Instant silent_since, Instant now, std::optional<Instant> ours) {
  WitnessWord word;
  const Instant began = std::min(ours.value_or(silent_since), silent_since);
  bool awaited = false;
  for (const auto& voice : bench.voices) {
    const bool lost = voice.vote == link::Vote::Down;
    if (lost && voice.since + bench.steady <= began) { continue; }
    const bool others_heard_it_go = bench.others_since && *bench.others_since < voice.since;
    if (lost && others_heard_it_go && voice.since + bench.steady <= silent_since) { continue; }
    if (lost) {
      word.said = std::max(word.said, Witnesses::Lost);
      continue;
    }
    const auto at = proves_at(voice, bench, began, silent_since);
    if (at && *at <= now) { return {Witnesses::Reached, std::nullopt}; }
    awaited = true;
    if (at) { word.again = word.again ? std::min(*word.again, *at) : *at; }
  }
  if (awaited) { word.said = Witnesses::Awaited; }
  return word;
}

}  // namespace understudy::control
