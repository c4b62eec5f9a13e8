// SPDX-License-Identifier: Apache-2.0
/// Random histories against the promises of the core: whatever comes in whatever order, also lies and restarts.
#include <gtest/gtest.h>

#include <random>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

/// Feeds a chassis with anything that a real one could say, and some things that it could not.
class RandomHistory {
 public:
  explicit RandomHistory(unsigned seed) : random_(seed), chassis_(make_config()) {}

  void run(int events) {
    chassis_.bring_up();
    for (int i = 0; i < events && !testing::Test::HasFailure(); ++i) {
      chassis_.forget();
      const auto before = chassis_.store;
      one_event();
      check(before);
    }
  }

 private:
  GroupConfig make_config() {
    auto group = pick(3) == 0 ? with_a_spare(1 + pick(3)) : config(1 + pick(3));
    group.movement = pick(2) == 0 ? link::MovementPolicy::Always : link::MovementPolicy::Manual;
    return group;
  }
  unsigned pick(unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_); }
  unsigned some_role() { return 1 + pick(static_cast<unsigned>(chassis_.config.roles.size())); }
  BladeId some_blade() { return chassis_.config.blades[pick(static_cast<unsigned>(chassis_.config.blades.size()))].id; }
  Term some_term(unsigned role) {
    const auto around = chassis_.own(role).highest().value + 1;
    return Term{std::max<std::uint64_t>(1, around - std::min<std::uint64_t>(around, pick(4)))};
  }
  void toggle(std::set<BladeId>& set) {
    const auto blade = some_blade();
    if (set.erase(blade) == 0) { set.insert(blade); }
  }

  void one_event() {
    const unsigned role = some_role();
    const RoleId id = Chassis::role_id(role);
    switch (pick(25)) {
      case 0:
        chassis_.own_vote(some_blade(), static_cast<Vote>(pick(3)));
        break;
      case 1:
        chassis_.mirror_vote(role, static_cast<Vote>(pick(3)));
        break;
      case 2:
        chassis_.silence(role);
        break;
      case 3:
        chassis_.mirror_state(role, static_cast<MirrorPhase>(pick(6)), pick(4) == 0 ? "other" : "nonce");
        break;
      case 4:
        chassis_.mirror_state(role, MirrorPhase::Synced);
        break;
      case 5:
        chassis_.step(AgentLost{some_blade()});
        break;
      case 6:
        chassis_.hello(some_blade());
        break;
      case 7:
        chassis_.hello(some_blade(), {{id, some_term(role), static_cast<PlaceKind>(pick(2)), pick(2) == 0}});
        break;
      case 8:
        chassis_.report(some_blade(), link::Serving{id, some_term(role)});
        break;
      case 9:
        chassis_.report(some_blade(), link::ApplicationFailed{id, some_term(role), "x"});
        break;
      case 10:
        chassis_.report(some_blade(), link::Stopped{id, some_term(role)});
        break;
      case 11:
        chassis_.report(some_blade(), link::Activated{id, some_term(role), {}});
        break;
      case 12:
        chassis_.report(some_blade(), link::ActivateFailed{id, some_term(role), "x"});
        break;
      case 13:
        chassis_.report(some_blade(), link::Moved{id, some_term(role), {}});
        break;
      case 14:
        chassis_.report(some_blade(), link::MoveFailed{id, some_term(role), "x"});
        break;
      case 15:
        toggle(chassis_.stuck_ports);
        break;
      case 16:
        toggle(chassis_.silent_agents);
        break;
      case 17:
        chassis_.power_works = !chassis_.power_works;
        break;
      case 18:
        chassis_.store_works = pick(4) != 0;
        break;
      case 19:
        chassis_.step(OperatorMove{id});
        break;
      case 20:
        chassis_.forget();
        chassis_.restart_control_server();
        break;
      case 21:
        chassis_.powered_off.clear();
        break;
      case 22:
        chassis_.report(some_blade(), link::SyncProgress{id,
                                                         some_term(role),
                                                         static_cast<link::SyncStream>(pick(4)),
                                                         {{"net", Sequence{pick(9)}, Sequence{pick(9)}}}});
        break;
      default:
        chassis_.pass(std::chrono::milliseconds(pick(4000)));
        break;
    }
  }

  void check(const std::map<RoleId, Ownership>& before) {
    for (const auto& [role, ownership] : before) {
      EXPECT_GE(chassis_.store[role].highest(), ownership.highest()) << "a term is never given back";
      stored_[role] = ownership.highest();
    }
    const auto deadline = chassis_.group->next_deadline();
    EXPECT_TRUE(!deadline || *deadline > chassis_.now) << "the caller would spin";
    EXPECT_LT(chassis_.trace.size(), 5000U);
    for (const auto& item : chassis_.trace) {
      if (const auto* event = std::get_if<Event>(&item)) {
        std::visit([this](const auto& one) { see(one); }, *event);
      } else {
        std::visit([this](const auto& one) { see(one); }, std::get<Effect>(item));
      }
    }
    chassis_.trace.clear();
  }

  // --- what proves that a role's blade no longer speaks, in this life of the control-server ---
  template <class Other>
  void see(const Other& /*other*/) {}
  void see(const Started& /*event*/) { proven_.clear(); }
  void see(const IsolateDone& event) { proven_.insert(event.blade); }
  void see(const PowerDone& event) { proven_.insert(event.blade); }
  void see(const Readmit& effect) { proven_.erase(effect.blade); }
  void see(const StoreDone& event) { stored_[event.role] = std::max(stored_[event.role], event.term); }
  void see(const AgentReport& event) {
    if (const auto* stopped = std::get_if<link::Stopped>(&event.report)) {
      if (Chassis::blade_of(stopped->role) == event.blade) { proven_.insert(event.blade); }
    } else if (const auto* hello = std::get_if<link::Hello>(&event.report)) {
      const bool holds = std::any_of(hello->held.begin(), hello->held.end(),
                                     [&](const auto& held) { return Chassis::blade_of(held.role) == event.blade; });
      if (!holds) { proven_.insert(event.blade); }
    }
  }
  void see(const Persist& effect) {
    const auto& next = effect.next;
    const bool takeover = next.place.kind == PlaceKind::Mirror && next.term != effect.expected;
    if (takeover && next.evidence != link::StopEvidence::None) {
      EXPECT_TRUE(proven_.contains(Chassis::blade_of(next.role))) << "stored without stop-evidence";
    }
  }
  void see(const Send& effect) {
    if (const auto* serve = std::get_if<link::ServeRole>(&effect.order)) {
      EXPECT_LE(serve->term, stored_[serve->spec.id]) << "ordered before it was stored";
      proven_.erase(effect.blade);
    } else if (const auto* mirror = std::get_if<link::RunMirror>(&effect.order)) {
      EXPECT_LE(mirror->term, stored_[mirror->spec.id]) << "ordered before it was stored";
      EXPECT_TRUE(is_standby(effect.blade));
    } else if (const auto* activate = std::get_if<link::Activate>(&effect.order)) {
      EXPECT_LE(activate->term, stored_[activate->role]) << "ordered before it was stored";
      EXPECT_NE(activate->evidence, link::StopEvidence::None);
      EXPECT_TRUE(proven_.contains(Chassis::blade_of(activate->role))) << "activated without stop-evidence";
      EXPECT_TRUE(is_standby(effect.blade));
    } else if (const auto* move = std::get_if<link::Move>(&effect.order)) {
      EXPECT_LE(move->term, stored_[move->role]) << "ordered before it was stored";
    }
  }

  [[nodiscard]] bool is_standby(const BladeId& blade) const {
    const auto standbys = chassis_.config.standbys();
    return std::find(standbys.begin(), standbys.end(), blade) != standbys.end();
  }

  std::mt19937 random_;
  Chassis chassis_;
  std::set<BladeId> proven_;
  std::map<RoleId, Term> stored_;
};

TEST(RandomHistories, KeepEveryPromise) {
  for (unsigned seed = 1; seed <= 500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomHistory(seed).run(300);
  }
}

}  // namespace
}  // namespace understudy::control::test
