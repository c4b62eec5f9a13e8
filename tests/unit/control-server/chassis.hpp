// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A chassis in memory around the real core: N actives and a standby that obey orders, a store with compare-and-set,
/// a switch and a power driver that can be told to fail. What a test does not script behaves well.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>

#include "core/group.hpp"

namespace understudy::control::test {

using namespace std::chrono_literals;
using link::MirrorPhase;
using link::Vote;

inline GroupConfig config(unsigned actives) {
  GroupConfig config;
  for (unsigned i = 1; i <= actives + 1; ++i) {
    const auto number = std::to_string(i);
    config.blades.push_back({BladeId{"blade-" + number},
                             IpAddress::parse("192.168.1." + number).value(),
                             {"b" + number + "-ext"},
                             i == actives + 1});
  }
  for (unsigned i = 1; i <= actives; ++i) {
    link::RoleSpec spec;
    spec.id = RoleId{"role-" + std::to_string(i)};
    spec.number = i;
    config.roles.push_back({spec, BladeId{"blade-" + std::to_string(i)}});
  }
  config.movement = link::MovementPolicy::Manual;
  config.has_power = true;
  return config;
}

/// And a second standby, which is not used.
inline GroupConfig with_a_spare(unsigned actives) {
  auto group = config(actives);
  const auto number = std::to_string(actives + 2);
  group.blades.push_back(
      {BladeId{"blade-" + number}, IpAddress::parse("192.168.1." + number).value(), {"b" + number + "-ext"}, true});
  return group;
}

class Chassis {
 public:
  explicit Chassis(unsigned actives) : Chassis(test::config(actives)) {}
  explicit Chassis(GroupConfig group_config) : config(std::move(group_config)) { restart_control_server(); }

  GroupConfig config;
  std::optional<Group> group;
  Instant now{1h};

  // --- how the world behaves ---
  std::map<RoleId, Ownership> store;
  std::map<BladeId, std::pair<Instant, HoldOutAges>> hold_outs;  ///< in the store, and when it was written
  std::set<RoleId> kept_protection;                              ///< likewise
  bool store_answers = true;  ///< false: a write is under way for ever (its effect is lost by a restart)
  bool store_works = true;
  std::set<BladeId> stuck_ports;     ///< the switch refuses
  std::set<BladeId> silent_ports;    ///< the switch does not answer yet
  bool silent_readmissions = false;  ///< likewise, to a Readmit
  bool silent_looks = false;
  bool power_works = true;
  bool power_answers = true;        ///< false: it hangs
  std::set<BladeId> silent_agents;  ///< get orders, do nothing

  // --- what happened ---
  std::vector<Effect> effects;
  std::vector<link::EventRecord> notes;
  std::vector<std::variant<Event, Effect>> trace;  ///< everything in and out, in order
  std::set<BladeId> isolated;
  std::set<BladeId> powered_off;

  void step(const Event& event) {
    queue_.push_back(event);
    if (stepping_) { return; }
    stepping_ = true;
    for (int i = 0; i < 10000 && !queue_.empty(); ++i) {
      const Event next = queue_.front();
      queue_.pop_front();
      trace.emplace_back(next);
      for (const auto& effect : group->step(now, next)) {
        effects.push_back(effect);
        trace.emplace_back(effect);
        std::visit([this](const auto& one) { perform(one); }, effect);
      }
    }
    stepping_ = false;
  }

  /// Lets time pass, with a Tick at every deadline.
  void pass(Duration time) {
    const Instant end = now + time;
    for (int i = 0; i < 100000; ++i) {
      const auto deadline = group->next_deadline();
      if (!deadline || *deadline > end) { break; }
      now = std::max(now, *deadline);
      step(Tick{});
    }
    now = end;
    step(Tick{});
  }

  void restart_control_server() {
    std::vector<Ownership> stored;
    for (const auto& [role, ownership] : store) { stored.push_back(ownership); }
    std::map<BladeId, HoldOutAges> held_out;
    for (const auto& [blade, kept] : hold_outs) {
      auto& ages = held_out[blade] = kept.second;
      for (auto& age : ages.failures) { age += now - kept.first; }
      if (ages.held) { *ages.held += now - kept.first; }
    }
    group.emplace(config, stored, kept_protection, held_out);
    queue_.clear();
    step(Started{});
    for (const auto& blade : config.blades) { step(PortsSeen{blade.id, isolated.contains(blade.id)}); }
  }

  // --- agents ---
  void hello(const BladeId& blade, std::vector<link::HeldRole> held = {}, std::vector<link::KnownTerm> known = {}) {
    report(blade, link::Hello{blade, "boot-of-" + blade.value, std::move(held), {}, std::move(known)});
  }
  void report(const BladeId& blade, link::Report report) { step(AgentReport{blade, std::move(report)}); }
  void own_vote(const BladeId& blade, Vote vote) { step(BfdChanged{blade, vote}); }
  void mirror_vote(unsigned role, Vote vote) { report(standby(), link::PeerVote{role_id(role), blade_id(role), vote}); }
  void mirror_state(unsigned role, MirrorPhase phase, const std::string& nonce = "nonce", std::uint64_t term = 0) {
    const Term at = term != 0 ? Term{term} : group->find(role_id(role))->ownership().term;
    report(standby(), link::MirrorState{role_id(role), at, phase, nonce, ""});
  }

  /// Everybody comes up and every mirror syncs.
  void bring_up() {
    for (const auto& blade : config.blades) { own_vote(blade.id, Vote::Up); }
    for (const auto& blade : config.blades) { hello(blade.id); }
    for (unsigned i = 1; i <= config.roles.size(); ++i) {
      mirror_vote(i, Vote::Up);
      mirror_state(i, MirrorPhase::Synced);
    }
  }
  /// The active's stream to its mirror ends with the active, and the mirror says so.
  void stream_ends(unsigned blade) {
    const auto* role = group->find(role_id(blade));
    const bool on_host = role != nullptr && role->ownership().place == Place{blade_id(blade), PlaceKind::Host};
    if (on_host && role->mirrors_phase() == MirrorPhase::Synced) { mirror_state(blade, MirrorPhase::Connected); }
  }
  /// Both observers stop hearing a blade, a moment apart, and so does its mirror.
  void silence(unsigned blade) {
    own_vote(blade_id(blade), Vote::Down);
    pass(10ms);
    stream_ends(blade);
    if (group->find(role_id(blade)) != nullptr) { mirror_vote(blade, Vote::Down); }
  }

  [[nodiscard]] static BladeId blade_id(unsigned number) { return BladeId{"blade-" + std::to_string(number)}; }
  [[nodiscard]] static RoleId role_id(unsigned number) { return RoleId{"role-" + std::to_string(number)}; }
  [[nodiscard]] static BladeId blade_of(const RoleId& role) { return BladeId{"blade-" + role.value.substr(5)}; }
  [[nodiscard]] BladeId standby() const { return config.standbys().front(); }
  [[nodiscard]] RoleState state(unsigned role) const { return group->find(role_id(role))->state(); }
  [[nodiscard]] const Ownership& own(unsigned role) const { return group->find(role_id(role))->ownership(); }
  [[nodiscard]] link::RoleStatus status(unsigned role) const { return group->find(role_id(role))->status(); }

  template <class Wanted>
  [[nodiscard]] std::vector<Wanted> all() const {
    std::vector<Wanted> found;
    for (const auto& effect : effects) {
      if (const auto* one = std::get_if<Wanted>(&effect)) { found.push_back(*one); }
    }
    return found;
  }
  template <class Wanted>
  [[nodiscard]] std::vector<std::pair<BladeId, Wanted>> orders() const {
    std::vector<std::pair<BladeId, Wanted>> found;
    for (const auto& send : all<Send>()) {
      if (const auto* one = std::get_if<Wanted>(&send.order)) { found.emplace_back(send.blade, *one); }
    }
    return found;
  }
  [[nodiscard]] bool noted(const std::string& kind, const std::string& words) const {
    return std::any_of(notes.begin(), notes.end(), [&](const auto& note) {
      return note.kind == kind && (note.text + " " + note.phase).find(words) != std::string::npos;
    });
  }
  void forget() {
    effects.clear();
    notes.clear();
  }

 private:
  void perform(const Persist& persist) {
    if (!store_answers) { return; }
    const auto& next = persist.next;
    if (!store_works) {
      queue_.push_back(StoreFailed{next.role, next.highest(), false, "disk full"});
      return;
    }
    auto& stored = store[next.role];
    if (stored.term != persist.expected || stored.reserved != persist.expected_reserved) {
      queue_.push_back(StoreFailed{next.role, next.highest(), true, "another term"});
      return;
    }
    stored = next;
    queue_.push_back(StoreDone{next.role, next.highest()});
  }
  void perform(const KeepHoldOut& keep) { hold_outs[keep.blade] = {now, keep.ages}; }
  void perform(const KeepProtection& keep) {
    if (keep.is) {
      kept_protection.insert(keep.role);
    } else {
      kept_protection.erase(keep.role);
    }
  }
  void perform(const Isolate& isolate) {
    if (silent_ports.contains(isolate.blade)) { return; }
    if (stuck_ports.contains(isolate.blade)) {
      queue_.push_back(IsolateFailed{isolate.blade, "switch says no"});
      return;
    }
    isolated.insert(isolate.blade);
    queue_.push_back(IsolateDone{isolate.blade});
  }
  void perform(const Readmit& readmit) {
    if (silent_readmissions) { return; }
    isolated.erase(readmit.blade);
    queue_.push_back(ReadmitDone{readmit.blade});
  }
  void perform(const LookAtPorts& look) {
    if (!silent_looks) { queue_.push_back(PortsSeen{look.blade, isolated.contains(look.blade)}); }
  }
  void perform(const PowerOff& power) {
    if (!power_answers) { return; }
    if (!power_works) {
      queue_.push_back(PowerFailed{power.blade, "no answer"});
      return;
    }
    powered_off.insert(power.blade);
    queue_.push_back(PowerDone{power.blade});
  }
  void perform(const Note& note) { notes.push_back(note.event); }
  void perform(const Send& send) {
    if (silent_agents.contains(send.blade) || powered_off.contains(send.blade)) { return; }
    if (const auto* serve = std::get_if<link::ServeRole>(&send.order)) {
      queue_.push_back(AgentReport{send.blade, link::Serving{serve->spec.id, serve->term}});
    } else if (const auto* activate = std::get_if<link::Activate>(&send.order)) {
      queue_.push_back(AgentReport{send.blade, link::Activated{activate->role, activate->term, {{"handover", 1.5}}}});
    } else if (const auto* move = std::get_if<link::Move>(&send.order)) {
      queue_.push_back(AgentReport{send.blade, link::Moved{move->role, move->term, {{"freeze", 0.5}}}});
    } else if (const auto* hand_over = std::get_if<link::HandOver>(&send.order)) {
      queue_.push_back(
          AgentReport{send.blade, link::HandedOver{hand_over->role, hand_over->term, {{"quiesce", 2.5}, {"ship", 1}}}});
    } else if (std::get_if<link::ReleaseMirrors>(&send.order) != nullptr) {
      queue_.push_back(AgentReport{send.blade, link::MirrorsReleased{0, 250}});
    }
  }

  std::deque<Event> queue_;
  bool stepping_ = false;
};

/// Where in the effects the first one that fits is; fails the test when there is none.
template <class Predicate>
std::ptrdiff_t index_of(const Chassis& chassis, Predicate fits) {
  const auto found = std::find_if(chassis.effects.begin(), chassis.effects.end(), fits);
  EXPECT_NE(found, chassis.effects.end());
  return found - chassis.effects.begin();
}
template <class Order>
bool is_order(const Effect& effect) {
  const auto* send = std::get_if<Send>(&effect);
  return send != nullptr && std::holds_alternative<Order>(send->order);
}

}  // namespace understudy::control::test
