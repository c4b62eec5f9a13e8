// SPDX-License-Identifier: Apache-2.0
/// Which role comes first when there is not room for all at once.
/// Covers: control-server/core/group.cpp, control-server/core/role_movement.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

/// Three actives; role-2 comes first, the others are equal.
GroupConfig with_priorities(link::MovementPolicy policy) {
  auto group = config(3);
  group.movement = policy;
  group.roles[1].priority = 200;
  return group;
}

TEST(Priority, TwoThatFailInOneStepAreActivatedByPriorityWhicheverWasSeenFirst) {
  for (const bool lower_first : {true, false}) {
    Chassis chassis(with_priorities(link::MovementPolicy::Manual));
    chassis.bring_up();
    // What stops them is refused for a moment, so that both wait for the same look.
    for (const unsigned blade : {1U, 2U}) { chassis.stuck_ports.insert(Chassis::blade_id(blade)); }
    chassis.power_answers = false;
    for (const unsigned blade : {1U, 2U}) {
      chassis.own_vote(Chassis::blade_id(lower_first ? blade : 3 - blade), Vote::Down);
    }
    for (const unsigned blade : {1U, 2U}) { chassis.mirror_vote(lower_first ? blade : 3 - blade, Vote::Down); }
    ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
    ASSERT_EQ(chassis.state(2), RoleState::TakingOver);
    chassis.stuck_ports.clear();
    chassis.forget();
    chassis.pass(500ms);
    ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
    ASSERT_EQ(chassis.state(2), RoleState::OnMirror);
    EXPECT_EQ(chassis.all<Isolate>().at(0).blade, Chassis::blade_id(2)) << lower_first;
    EXPECT_EQ(chassis.orders<link::Activate>().at(0).second.role, Chassis::role_id(2)) << lower_first;
  }
}

TEST(Priority, TheHigherOneMovesAndTheOtherServesOnOnItsMirrorMeanwhile) {
  for (const unsigned first : {1U, 2U}) {
    Chassis chassis(with_priorities(link::MovementPolicy::Always));
    chassis.bring_up();
    chassis.silence(first);
    chassis.pass(1s);
    chassis.silence(3 - first);
    chassis.forget();
    chassis.silent_agents.insert(chassis.standby());
    chassis.pass(10s);
    EXPECT_EQ(chassis.state(2), RoleState::Moving) << first;
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << first;
    ASSERT_EQ(chassis.orders<link::Move>().size(), 1U);
    EXPECT_TRUE(chassis.noted("state", "stays on its mirror: role-2"));
    chassis.report(chassis.standby(), link::Moved{Chassis::role_id(2), chassis.own(2).reserved, {}});
    const auto released = chassis.orders<link::ReleaseMirrors>();
    ASSERT_EQ(released.size(), 1U);
    EXPECT_EQ(released[0].second.except, std::vector{Chassis::role_id(1)}) << "nobody else is stopped";
  }
}

TEST(Priority, AHigherOneDoesNotWaitForALowerOnesMovement) {
  Chassis chassis(with_priorities(link::MovementPolicy::Always));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.pass(4s);
  ASSERT_EQ(chassis.state(1), RoleState::Moving);
  chassis.silence(2);
  chassis.report(chassis.standby(), link::Activated{Chassis::role_id(2), chassis.own(2).term, {}});
  ASSERT_EQ(chassis.state(2), RoleState::OnMirror);
  chassis.pass(4s);
  EXPECT_EQ(chassis.state(2), RoleState::Moving);
  EXPECT_EQ(chassis.state(1), RoleState::Moving) << "only its host-agent ends a movement";
}

TEST(Priority, EqualOnesBothStay) {
  Chassis chassis(with_priorities(link::MovementPolicy::Always));
  chassis.bring_up();
  for (const unsigned blade : {1U, 3U}) {
    chassis.silence(blade);
    chassis.pass(1s);
  }
  chassis.pass(60s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.state(3), RoleState::OnMirror);
}

TEST(Priority, EveryStatusTellsItAndKeepsTheOrderOfTheFile) {
  Chassis chassis(with_priorities(link::MovementPolicy::Manual));
  const auto roles = chassis.group->status().roles;
  ASSERT_EQ(roles.size(), 3U);
  for (unsigned role = 1; role <= 3; ++role) { EXPECT_EQ(roles[role - 1].role, Chassis::role_id(role)); }
  EXPECT_EQ(roles[0].priority, 100U);
  EXPECT_EQ(roles[1].priority, 200U);
}

}  // namespace
}  // namespace understudy::control::test
