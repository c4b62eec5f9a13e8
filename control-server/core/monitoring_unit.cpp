// SPDX-License-Identifier: Apache-2.0
#include "core/monitoring_unit.hpp"

#include <algorithm>

namespace understudy::control {

using link::Severity;
using link::Vote;

namespace {

void note(StepContext& context, Severity severity, const std::string& kind, const BladeId& blade,
          const std::string& text) {
  context.note({0, 0, severity, kind, RoleId{}, blade, "", 0, text});
}

/// For the second observer: what the first one has not heard for long may be another matter.
Instant silent_since(const BladeBook& blades, const RoleMachine& self) {
  return std::max(blades.at(self.ownership().place.blade).bfd.since, self.mirrors_ballot().since);
}

/// `since_its_first_word`: also one that has never come and gone must have been heard for a while.
std::optional<Instant> steady_at(const Blade& blade, const Timings& timings, Instant now, Instant silent_since,
                                 bool since_its_first_word) {
  if (blade.waver.last() || !since_its_first_word) { return blade.waver.steady_at(timings, now, silent_since); }
  const Instant at = blade.bfd.since + timings.voices_return;
  return at > now ? std::optional(at) : std::nullopt;
}

/// A voice that was heard all along, for a while before the silence and since, proves at once that our network works;
/// who else blinks on his own cable changes nothing. One that came back a moment before may be gone again: a session
/// that has just come up notices a silence only after seconds, until both ends have agreed on their times. One that
/// came back since proves nothing yet: when a network comes back, so do its voices, one after the other, and the last
/// one of them says how long it has been back.
void look_for_witness(const GroupConfig& config, const BladeBook& blades, const RoleMachine& self, Instant now,
                      Surroundings& around) {
  const BladeId& place = self.ownership().place.blade;
  const auto& silent = blades.at(place).bfd;
  const bool alone = mirrors_word_is_older(silent, self.mirrors_ballot(), config.timings.vote_settle());
  const Instant long_before = silent.since - config.timings.voices_return;
  bool heard = false;
  std::optional<Instant> steady;       // all that are heard
  std::optional<Instant> may_be_back;  // one that is not
  for (const auto& [id, blade] : blades.all()) {
    if (id == place || config.control_shares(id)) { continue; }
    const bool up = blade.bfd.vote == Vote::Up;
    const bool first_word = !blade.waver.last();
    const Instant in_time = first_word && !alone ? silent.since : long_before;
    if (up && blade.bfd.since <= in_time) {
      around.witness = true;
      return;
    }
    heard = heard || up;
    auto& last = up ? steady : may_be_back;
    const auto at = steady_at(blade, config.timings, now, silent_since(blades, self), up);
    if (at) { last = std::max(last.value_or(*at), *at); }
  }
  around.witness = heard && !steady;
  around.witness_from = heard ? steady : may_be_back;
}

/// Both observers hang on the standby's one cable: voices that come and go are that cable's fault, as long as a single
/// one of them does, to the control-server or to a mirror.
void look_for_witness_on_one_cable(const GroupConfig& config, const BladeBook& blades,
                                   const std::vector<RoleMachine>& roles, const RoleMachine& self, Instant now,
                                   Surroundings& around) {
  const auto wavered = [&](const Waver& waver) {
    const auto steady = waver.steady_at(config.timings, now, silent_since(blades, self));
    if (steady) { around.witness_from = std::max(around.witness_from.value_or(*steady), *steady); }
  };
  for (const auto& [id, blade] : blades.all()) {
    if (id == self.ownership().place.blade || config.control_shares(id)) { continue; }
    around.witness = around.witness || blade.bfd.vote == Vote::Up;
    wavered(blade.waver);
  }
  for (const auto& role : roles) {
    if (role.id() != self.id()) { wavered(role.mirror_waver()); }
  }
  around.same_cable = config.timings.same_cable();
  around.witness = around.witness && !around.witness_from;
}

std::optional<Instant> others_heard_since(const GroupConfig& config, const BladeBook& blades, const BladeId& place) {
  std::optional<Instant> since;
  for (const auto& [id, blade] : blades.all()) {
    if (id == place || config.control_shares(id) || blade.bfd.vote != Vote::Up) { continue; }
    since = std::min(since.value_or(blade.bfd.since), blade.bfd.since);
  }
  return since;
}

/// Who serves, or did until a moment ago, and whether all of them fell silent at once.
void count_actives(const GroupConfig& config, const BladeBook& blades, const std::vector<RoleMachine>& roles,
                   Instant now, Surroundings& around) {
  const Duration settle = config.timings.vote_settle();
  std::optional<Instant> first;
  std::optional<Instant> last;
  bool all_silent = true;
  for (const auto& role : roles) {
    const auto state = role.state();
    const bool on_mirror = state == RoleState::TakingOver || state == RoleState::OnMirror || state == RoleState::Moving;
    // A role that is being taken over counts as serving until its failure is older than one settle time: two that
    // fall silent together are decided one after the other.
    const auto decided = role.decided_at();
    const bool was_serving = on_mirror && decided && now - *decided <= settle;
    const bool serves = !on_mirror && role.ownership().place == Place{role.config().active, PlaceKind::Host};
    if (!serves && !was_serving) { continue; }
    ++around.actives;
    const auto& ballot = blades.at(role.config().active).bfd;
    all_silent = all_silent && ballot.vote == Vote::Down;
    first = first ? std::min(*first, ballot.since) : ballot.since;
    last = last ? std::max(*last, ballot.since) : ballot.since;
  }
  around.all_at_once = all_silent && first && *last - *first <= settle;
}

}  // namespace

MonitoringUnit::MonitoringUnit(const GroupConfig& config)
    : bench_{{}, config.timings.silence_window(), config.timings.voices_return, {}} {
  for (const auto& witness : config.witnesses) { bench_.voices.push_back({Vote::Unknown, {}, {}, witness.spacing()}); }
}

void MonitoringUnit::on(StepContext& context, const BfdChanged& event) {
  auto* blade = context.blades.find(event.peer);
  if (blade == nullptr || blade->bfd.vote == event.vote) { return; }
  if (blade->bfd.since != Instant{}) { blade->waver.changed(context.now, context.config.timings); }
  blade->bfd = {event.vote, context.now, event.vote == Vote::Down && blade->bfd.vote == Vote::Unknown};
  note(context, event.vote == Vote::Down ? Severity::Warning : Severity::Info, "vote", event.peer,
       "the control-server sees " + event.peer.value + " " + link::to_string(event.vote));
}

void MonitoringUnit::on(StepContext& context, const WitnessSeen& event) {
  const auto& witnesses = context.config.witnesses;
  for (std::size_t i = 0; i < witnesses.size(); ++i) {
    const auto& config = witnesses[i];
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
    note(context, lost ? Severity::Warning : Severity::Info, "witness", {},
         who + (lost   ? " is lost: it does not answer"
                : back ? " is back"
                       : " is heard"));
  }
  const auto& voices = bench_.voices;
  const bool none = std::all_of(voices.begin(), voices.end(), [](const auto& one) { return one.vote == Vote::Down; });
  if (event.vote == Vote::Down && none && !voices.empty()) {
    note(context, Severity::Alarm, "witness", {},
         "no witness is reached: this control-server is cut off, or the last of them has failed; look at its "
         "cables and at the witnesses");
  }
}

Surroundings MonitoringUnit::surroundings(const GroupConfig& config, const BladeBook& blades,
                                          const std::vector<RoleMachine>& roles, const RoleMachine& self,
                                          Instant now) const {
  Surroundings around;
  count_actives(config, blades, roles, now, around);
  if (config.control_shares(self.standby())) {
    look_for_witness_on_one_cable(config, blades, roles, self, now, around);
  } else {
    look_for_witness(config, blades, self, now, around);
  }
  around.bench = bench_;
  around.bench.others_since = others_heard_since(config, blades, self.ownership().place.blade);
  return around;
}

std::vector<link::WitnessStatus> MonitoringUnit::witnesses(const GroupConfig& config) const {
  std::vector<link::WitnessStatus> all;
  for (std::size_t i = 0; i < config.witnesses.size(); ++i) {
    const auto& witness = config.witnesses[i];
    all.push_back({witness.name, witness.address.to_string(), to_string(witness.by), bench_.voices[i].vote});
  }
  return all;
}

}  // namespace understudy::control
