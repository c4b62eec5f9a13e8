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

GroupConfig config(unsigned actives);

/// And a second standby, which is not used.
GroupConfig with_a_spare(unsigned actives);

class Chassis {
 public:
  explicit Chassis(unsigned actives);
  explicit Chassis(GroupConfig group_config);
  Chassis(const Chassis&);
  Chassis(Chassis&&) noexcept;
  ~Chassis();

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

  void step(const Event& event);

  /// Lets time pass, with a Tick at every deadline.
  void pass(Duration time);

  void restart_control_server();

  // --- agents ---
  void hello(const BladeId& blade, std::vector<link::HeldRole> held = {}, std::vector<link::KnownTerm> known = {});
  void report(const BladeId& blade, link::Report report);
  void own_vote(const BladeId& blade, Vote vote);
  void mirror_vote(unsigned role, Vote vote);
  void mirror_state(unsigned role, MirrorPhase phase, const std::string& nonce = "nonce", std::uint64_t term = 0);

  /// Everybody comes up and every mirror syncs.
  void bring_up();
  /// The active's stream to its mirror ends with the active, and the mirror says so.
  void stream_ends(unsigned blade);
  /// Both observers stop hearing a blade, a moment apart, and so does its mirror.
  void silence(unsigned blade);

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
  [[nodiscard]] bool noted(const std::string& kind, const std::string& words) const;
  void forget();

 private:
  void perform(const Persist& persist);
  void perform(const KeepHoldOut& keep);
  void perform(const KeepProtection& keep);
  void perform(const Isolate& isolate);
  void perform(const Readmit& readmit);
  void perform(const LookAtPorts& look);
  void perform(const PowerOff& power);
  void perform(const Note& note);
  void perform(const Send& send);

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
