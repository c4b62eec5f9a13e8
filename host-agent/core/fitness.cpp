// SPDX-License-Identifier: Apache-2.0
#include "core/fitness.hpp"

#include <algorithm>
#include <utility>

#include "core/blade_words.hpp"

namespace understudy::host {

using link::UnfitCause;

namespace {

/// Fit again is said when it has been so for a moment: an application that changes its mind all the time is not heard
/// more often than that.
constexpr Steady::Waits apparatus_waits{Duration{0}, std::chrono::seconds(1)};
constexpr Duration late_wake_up = std::chrono::milliseconds(200);
constexpr std::uint32_t check_interval_min_ms = 10;  ///< a record that was damaged must not make anybody spin

Duration interval_of(const link::HealthSpec& health) {
  return std::chrono::milliseconds(std::max(health.interval_ms, check_interval_min_ms));
}

}  // namespace

void Steady::see(Instant now, bool bad) {
  if (bad == seen_) { return; }
  seen_ = bad;
  since_ = now;
  anew_ = false;
}

void Steady::settle(Instant now, const Waits& waits) {
  const auto at = due(waits);
  if (!at || now < *at) { return; }
  const bool waited = *at > since_;
  if (waited && now > *at + late_wake_up && !std::exchange(anew_, true)) {
    since_ = now;
  } else {
    believed_ = seen_;
  }
}

std::optional<Instant> Steady::due(const Waits& waits) const {
  if (seen_ == believed_) { return std::nullopt; }
  return since_ + (seen_ ? waits.bad : waits.good);
}

void Fitness::application_said(Instant now, const RoleId& role, const std::string& unfit) {
  auto& of = roles_[role];
  of.apparatus.see(now, !unfit.empty());
  if (!unfit.empty()) { of.reason = unfit; }
}

bool Fitness::is_checked(const FitnessOf& held) {
  return held.stage == RoleStage::ServingHost && held.application_runs && !held.spec.health.command.empty();
}

void Fitness::health_answered(const RoleId& role) {
  if (const auto found = roles_.find(role); found != roles_.end()) { found->second.checking = false; }
}

void Fitness::health_answered(const FitnessOf& held, const std::string& failure) {
  auto& of = roles_[held.spec.id];
  const bool asked = std::exchange(of.checking, false);
  if (!asked || !is_checked(held) || of.checking_under != held.term) { return; }  // about a former life of the role
  if (failure.empty()) {
    of.failures = 0;
    of.unhealthy = false;
    return;
  }
  ++of.failures;
  if (of.unhealthy || of.failures < held.spec.health.failures) { return; }
  of.unhealthy = true;
  of.complaint = "its health command failed" +
                 (of.failures > 1 ? " " + std::to_string(of.failures) + " times in a row" : std::string()) + ": " +
                 failure;
}

void Fitness::ask_health(Instant now, const FitnessOf& held, OfRole& of, Effects& effects) {
  if (!is_checked(held)) {
    of.check_at.reset();
    of.failures = 0;
    return;
  }
  const auto interval = interval_of(held.spec.health);
  if (!of.check_at) { of.check_at = now + interval; }
  if (of.checking || now < *of.check_at) { return; }
  of.checking = true;
  of.checking_under = held.term;
  of.check_at = now + interval;
  effects.push_back(CheckHealth{held.spec.id});
}

void Fitness::see_links(Instant now, const FitnessOf& held, OfRole& of) const {
  const Duration wait = std::chrono::milliseconds(held.spec.link_down_ms);
  of.link_waits = {wait, wait};
  for (const auto& port : held.spec.ports) {
    const auto found = links_.find(port.network);
    auto& link = of.links[port.network];
    link.see(now, found != links_.end() && !found->second);
    link.settle(now, of.link_waits);
  }
}

std::map<UnfitCause, Fitness::Word> Fitness::words(const FitnessOf& held, const OfRole& of) {
  std::map<UnfitCause, Word> words;
  const bool serves = held.stage == RoleStage::ServingHost;
  if (serves && of.unhealthy && !held.spec.health.command.empty()) { words[UnfitCause::Health] = {{}, of.complaint}; }
  if (serves && of.apparatus.bad()) {
    words[UnfitCause::Apparatus] = {{}, "its application says that this blade is not fit for it: " + of.reason};
  }
  Word links;
  for (const auto& [network, link] : of.links) {
    if (!link.bad()) { continue; }
    links.networks.push_back(network);
    links.detail += (links.detail.empty() ? "no link to " : ", ") + network;
  }
  if (!links.networks.empty()) { words[UnfitCause::Link] = links; }
  return words;
}

void Fitness::settle(Instant now, const FitnessOf& held, Effects& effects) {
  const RoleId& role = held.spec.id;
  auto& of = roles_[role];
  see_links(now, held, of);
  of.apparatus.settle(now, apparatus_waits);
  ask_health(now, held, of, effects);
  if (held.stage != RoleStage::ServingHost && !is_mirror_stage(held.stage)) { return; }
  const auto said = words(held, of);
  for (const auto cause : {UnfitCause::Health, UnfitCause::Link, UnfitCause::Apparatus}) {
    const auto word = said.find(cause);
    const auto told = of.told.find(cause);
    if (word == said.end()) {
      if (told == of.told.end()) { continue; }
      of.told.erase(told);
      effects.push_back(SendReport{link::RoleFit{role, held.term, cause}});
      continue;
    }
    const Told now_told{held.term, word->second.networks};
    if (told != of.told.end() && told->second == now_told) { continue; }
    of.told[cause] = now_told;
    effects.push_back(SendReport{link::RoleUnfit{role, held.term, cause, word->second.networks, word->second.detail}});
  }
}

void Fitness::keep_only(const std::set<RoleId>& held) {
  std::erase_if(roles_, [&](const auto& entry) { return !held.contains(entry.first) && !entry.second.checking; });
  for (auto& [role, of] : roles_) {  // those wait for their command's end only
    if (held.contains(role)) { continue; }
    OfRole waits;
    waits.checking = true;
    of = waits;
  }
}

void Fitness::tell_again() {
  for (auto& [role, of] : roles_) { of.told.clear(); }
}

std::optional<Instant> Fitness::next_deadline() const {
  std::optional<Instant> next;
  const auto consider = [&](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) { next = at; }
  };
  for (const auto& [role, of] : roles_) {
    if (!of.checking) { consider(of.check_at); }
    consider(of.apparatus.due(apparatus_waits));
    for (const auto& [network, link] : of.links) { consider(link.due(of.link_waits)); }
  }
  return next;
}

}  // namespace understudy::host
