// SPDX-License-Identifier: Apache-2.0
/// The standby falls silent: what becomes of the roles that it protects, and of the one that its mirror serves.
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

/// Role-1 is served by its mirror.
Chassis on_mirror() {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.forget();
  return chassis;
}

const link::HeldRole kServingMirror{RoleId{"role-1"}, Term{2}, PlaceKind::Mirror, true};

TEST(ServingMirror, WhenItsBladeIsGoneTheRoleIsLostAndSaysSo) {
  auto chassis = on_mirror();
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(1500ms);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << "its host-agent's stream still stands";
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(1900ms);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << "a host-agent may be back by then";
  chassis.pass(200ms);
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
  EXPECT_TRUE(chassis.noted("alarm", "blade-2, whose mirror serves the role, is silent: nothing can take over"));
  EXPECT_NE(chassis.status(1).detail.find("nothing can take over"), std::string::npos);
}

TEST(ServingMirror, ItsBladesHelloTellsThatItServesOn) {
  auto chassis = on_mirror();
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(3s);
  ASSERT_EQ(chassis.state(1), RoleState::Lost);
  chassis.own_vote(chassis.standby(), Vote::Up);
  EXPECT_EQ(chassis.state(1), RoleState::Lost) << "a blade that has rebooted answers BFD too";
  chassis.hello(chassis.standby(), {kServingMirror});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.status(1).detail, "");
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(ServingMirror, WhenItsBladeComesBackEmptyTheSilenceIsOver) {
  auto chassis = on_mirror();
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(3s);
  chassis.own_vote(chassis.standby(), Vote::Up);
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
  EXPECT_EQ(chassis.status(1).detail.find("is silent"), std::string::npos);
  EXPECT_NE(chassis.status(1).detail.find("does not exist any more"), std::string::npos);
}

TEST(ServingMirror, ARestartOfItsHostAgentIsNoLoss) {
  auto chassis = on_mirror();
  chassis.step(AgentLost{chassis.standby()});
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(1900ms);
  chassis.hello(chassis.standby(), {kServingMirror});
  chassis.pass(10s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_FALSE(chassis.noted("alarm", ""));
}

TEST(ServingMirror, AHostAgentThatStaysAwayWhileItsBladeIsHeardIsAnAlarmOnly) {
  auto chassis = on_mirror();
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(1900ms);
  EXPECT_FALSE(chassis.noted("alarm", ""));
  chassis.pass(60s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_TRUE(chassis.noted("alarm", "the host-agent of blade-2, whose mirror serves the role, is away"));
  chassis.hello(chassis.standby(), {kServingMirror});
  EXPECT_EQ(chassis.status(1).detail, "");
}

TEST(ServingMirror, AMovementWhoseBladeIsGoneIsAnAlarmAndIsNotEndedFromHere) {
  auto chassis = on_mirror();
  chassis.silent_agents.insert(chassis.standby());
  chassis.step(OperatorMove{RoleId{"role-1"}});
  ASSERT_EQ(chassis.state(1), RoleState::Moving);
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(3s);
  EXPECT_EQ(chassis.state(1), RoleState::Moving);
  EXPECT_NE(chassis.status(1).detail.find("is silent: nothing can take over"), std::string::npos);
}

}  // namespace
}  // namespace understudy::control::test
