// SPDX-License-Identifier: Apache-2.0
/// A role whose blade says that it is unfit for it: role_fitness.hpp judges, here the words are kept and carried out.
#include "core/role_fitness.hpp"

#include <algorithm>

#include "core/role_machine.hpp"

namespace understudy::control {

using link::UnfitCause;

namespace {

std::set<std::string> without(const std::set<std::string>& some, const std::set<std::string>& others) {
  std::set<std::string> left;
  std::set_difference(some.begin(), some.end(), others.begin(), others.end(), std::inserter(left, left.end()));
  return left;
}

std::string listed(const std::set<std::string>& names) {
  std::string text;
  for (const auto& name : names) { text += (text.empty() ? "" : ", ") + name; }
  return text;
}

}  // namespace

std::set<std::string> lacked_by_the_blade_alone(const FitnessCase& of) {
  return without(without(of.lacks, of.standby_lacks), of.all_lack);
}

FitnessVerdict judge_fitness(const FitnessCase& of) {
  if (!of.unwell && of.lacks.empty()) { return FitnessVerdict::Fit; }
  if (!of.unwell && lacked_by_the_blade_alone(of).empty()) { return FitnessVerdict::NetworkFailed; }
  if (!of.mirror_synced) { return FitnessVerdict::NobodyCan; }
  if (!without(of.standby_lacks, of.lacks).empty()) { return FitnessVerdict::NoBetter; }
  if (!of.unwell && !of.links_settled) { return FitnessVerdict::Wait; }
  return of.tried_before ? FitnessVerdict::TriedBefore : FitnessVerdict::TakeOver;
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::RoleUnfit& report) {
  const bool of_its_place = blade == own_.place.blade && report.term == own_.term;
  const bool of_its_standby = blade == standby_ && report.cause == UnfitCause::Link && report.term <= own_.highest();
  if (!of_its_place && !of_its_standby) {
    ignore(context, blade, std::string("unfit (") + link::to_string(report.cause) + ")", report.term);
    return;
  }
  if (!of_its_place) {
    standby_lacks_ = {report.networks.begin(), report.networks.end()};
    return;
  }
  auto& word = unfit_[report.cause];
  if (word.report == report) { return; }
  const bool counts_already = word.blamed && word.report.term == report.term;
  word = {report, counts_already};
  note(context, link::Severity::Warning, "fitness", blade, "unfit: " + report.detail);
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::RoleFit& report) {
  if (blade == own_.place.blade && report.term == own_.term) {
    const auto word = unfit_.find(report.cause);
    if (word == unfit_.end()) { return; }
    came_and_went_ = came_and_went_ || word->second.blamed;
    unfit_.erase(word);
    note(context, link::Severity::Info, "fitness", blade, std::string("fit again: ") + link::to_string(report.cause));
  } else if (blade == standby_ && report.cause == UnfitCause::Link) {
    standby_lacks_.clear();
  }
}

/// It is told anew after each Hello.
void RoleMachine::forget_fitness(const BladeId& blade) {
  if (blade == own_.place.blade) { unfit_.clear(); }
  if (blade == standby_) { standby_lacks_.clear(); }
}

/// The words that count: of whoever has the role now.
std::set<std::string> RoleMachine::links_lacked() const {
  const auto word = unfit_.find(UnfitCause::Link);
  if (word == unfit_.end() || word->second.report.term != own_.term) { return {}; }
  return {word->second.report.networks.begin(), word->second.report.networks.end()};
}

bool RoleMachine::has_network(const std::string& network) const {
  const auto& ports = config_.spec.ports;
  return std::any_of(ports.begin(), ports.end(), [&](const auto& port) { return port.network == network; });
}

FitnessCase RoleMachine::fitness_case(const StepContext& context, const Neighbours& neighbours) {
  FitnessCase of;
  of.lacks = links_lacked();
  of.standby_lacks = standby_lacks_;
  of.all_lack = neighbours.lacked_by_all;
  of.mirror_synced = can_take_over(context) && mirror_known(context) && sync_.says(link::MirrorPhase::Synced) &&
                     !context.blades.at(standby_).silent();
  of.tried_before = unfit_pause_ && context.now < *unfit_pause_;
  for (const auto& [cause, word] : unfit_) {
    if (word.report.term != own_.term) { continue; }
    of.unwell = of.unwell || cause != UnfitCause::Link;
  }
  const auto alone = lacked_by_the_blade_alone(of);
  if (std::exchange(lacks_alone_, alone) != alone) { lacks_alone_since_ = context.now; }
  of.links_settled = !alone.empty() && context.now >= lacks_alone_since_ + context.config.timings.link_settle;
  // What is the network's fault is held against no blade.
  for (auto& [cause, word] : unfit_) { word.blamed = word.blamed || cause != UnfitCause::Link || of.links_settled; }
  return of;
}

std::string RoleMachine::unfit_text() const {
  std::string text;
  for (const auto& [cause, word] : unfit_) {
    if (word.report.term == own_.term) { text += (text.empty() ? "" : "; ") + word.report.detail; }
  }
  return own_.place.blade.value + " is unfit for the role: " + text;
}

void RoleMachine::consider_fitness(StepContext& context, const Neighbours& neighbours) {
  disarm(Timer::Fitness);
  if (standby_lacks_.empty() || !on_own_blade()) {
    clear(context, "standby-links");
  } else {
    raise(
        context, "standby-links",
        standby_.value + " has no link to " + listed(standby_lacks_) + ": after a takeover the role would not have it");
  }
  // What is under way goes on, and of a blade whose host-agent is away nothing is known: what was told stands.
  const bool under_way = pending_ || (own_.place.kind == PlaceKind::Host && state_ == RoleState::TakingOver);
  if (under_way || !context.blades.at(own_.place.blade).connected) { return; }
  const auto of = fitness_case(context, neighbours);
  switch (judge_fitness(of)) {
    case FitnessVerdict::Fit:
      clear(context, "unfit");
      return;
    case FitnessVerdict::Wait:
      arm(Timer::Fitness, lacks_alone_since_ + context.config.timings.link_settle);
      return;
    case FitnessVerdict::TakeOver:
      unfit_pause_ = context.now + context.config.timings.unfit_pause;
      begin_takeover(context, unfit_text(), std::nullopt);
      return;
    case FitnessVerdict::NobodyCan:
      raise(context, "unfit",
            unfit_text() + (on_own_blade() ? ". It serves on, since no synced mirror can take over"
                                           : ". It serves on: nothing understudies a role that is served there"));
      return;
    case FitnessVerdict::NoBetter:
      raise(context, "unfit",
            unfit_text() + ". It serves on, since " + standby_.value +
                " lacks a link that it has: " + listed(without(of.standby_lacks, of.lacks)));
      return;
    case FitnessVerdict::NetworkFailed:
      raise(context, "unfit",
            unfit_text() +
                ". No failover: the standby, or every active, lacks the same link; look at the network's "
                "switch");
      return;
    case FitnessVerdict::TriedBefore:
      arm(Timer::Fitness, *unfit_pause_);
      raise(context, "unfit",
            unfit_text() +
                ". It serves on, since a takeover for this was begun a short while ago and the role came "
                "back; `understudy switchover " +
                id().value + "` tries again");
      return;
  }
}

}  // namespace understudy::control
