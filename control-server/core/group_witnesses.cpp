// SPDX-License-Identifier: Apache-2.0
/// What a group knows of its independent witnesses (witnesses.hpp), and what it tells of them.
#include <algorithm>

#include "core/group.hpp"

namespace understudy::control {

using link::Severity;
using link::Vote;

void Group::handle(StepContext& context, const WitnessSeen& event) {
  for (std::size_t i = 0; i < config_.witnesses.size(); ++i) {
    const auto& config = config_.witnesses[i];
    if (config.name != event.name) { continue; }
    auto& voice = bench_.voices[i];
    voice.answered_since = event.answered_since;
    if (voice.vote == event.vote) { return; }
    const bool back = voice.vote == Vote::Down;
    voice.vote = event.vote;
    voice.since = context.now;
    if (event.vote == Vote::Unknown) { return; }
    const std::string who = "witness " + config.name + " (" + config.address.to_string() + ")";
    const bool lost = event.vote == Vote::Down;
    note_blade(context, lost ? Severity::Warning : Severity::Info, "witness", {},
               who + (lost   ? " is lost: it does not answer"
                      : back ? " is back"
                             : " is heard"));
  }
  const auto& voices = bench_.voices;
  const bool none = std::all_of(voices.begin(), voices.end(), [](const auto& one) { return one.vote == Vote::Down; });
  if (event.vote == Vote::Down && none && !voices.empty()) {
    note_blade(context, Severity::Alarm, "witness", {},
               "no witness is reached: this control-server is cut off, or the last of them has failed; look at its "
               "cables and at the witnesses");
  }
}

std::vector<link::WitnessStatus> Group::witness_status() const {
  std::vector<link::WitnessStatus> all;
  for (std::size_t i = 0; i < config_.witnesses.size(); ++i) {
    const auto& config = config_.witnesses[i];
    all.push_back({config.name, config.address.to_string(), to_string(config.by), bench_.voices[i].vote});
  }
  return all;
}

}  // namespace understudy::control
