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
  EXPECT_EQ(chassis.state(1), RoleState::Lost) << "no kernel closed that stream: there is nothing to wait for";
  EXPECT_TRUE(chassis.noted("alarm", "blade-2, whose mirror serves the role, is silent: nothing can take over"));
  EXPECT_NE(chassis.status(1).detail.find("nothing can take over"), std::string::npos);
}

TEST(ServingMirror, AHostAgentThatWasKilledMayBeBackBeforeTheRoleIsLost) {
  auto chassis = on_mirror();
  chassis.step(AgentLost{chassis.standby()});
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(1900ms);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.pass(100ms);
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
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

TEST(Protection, AStandbysSilenceIsToldWithinASecondOfItsLastWord) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.pass(1s);  // dead by now: BFD says so one detection time later
  chassis.pass(chassis.config.timings.detection);
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(840ms);
  EXPECT_EQ(chassis.status(1).detail, "");
  chassis.pass(10ms);
  for (unsigned role = 1; role <= 2; ++role) {
    EXPECT_NE(chassis.status(role).detail.find("sync has stopped"), std::string::npos);
    EXPECT_EQ(chassis.state(role), RoleState::Protected) << "its host-agent's stream still stands";
  }
}

TEST(Protection, AStandbyThatIsSilentAndLostExposesAtOnce) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(1100ms);
  chassis.step(AgentLost{chassis.standby()});
  for (unsigned role = 1; role <= 2; ++role) {
    EXPECT_EQ(chassis.state(role), RoleState::Exposed);
    EXPECT_NE(chassis.status(role).detail.find("blade-3 is silent and its host-agent is lost"), std::string::npos);
  }
}

TEST(Protection, AStandbyThatIsOffExposesAtOnce) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.step(PowerDone{chassis.standby()});
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Protection, AHostAgentOfTheStandbyThatIsBackInTimeDoesNotExpose) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.step(AgentLost{chassis.standby()});  // its kernel closes the stream, then BFD falls silent with the daemon
  chassis.pass(chassis.config.timings.detection);
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(1700ms);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  chassis.mirror_vote(1, Vote::Up);
  chassis.pass(500ms);
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "it is there, its mirror's word is about to come";
  chassis.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(chassis.status(1).detail, "") << "what it says now is newer than BFD's silence";
  chassis.pass(2s);
  chassis.own_vote(chassis.standby(), Vote::Up);
  chassis.pass(10s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_EQ(chassis.status(1).detail, "");
  EXPECT_FALSE(chassis.noted("state", "exposed: the mirror"));
}

TEST(Protection, AHostAgentOfTheStandbyThatStaysAwayExposesWhenItsRestartHasHadItsTime) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(150ms);
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(1800ms);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.pass(100ms);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Protection, ABlinkOfTheStandbyIsNeitherToldNorExposes) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.forget();
  for (int i = 0; i < 20; ++i) {
    chassis.own_vote(chassis.standby(), Vote::Down);
    chassis.pass(700ms);
    chassis.own_vote(chassis.standby(), Vote::Up);
    chassis.pass(700ms);
  }
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_FALSE(chassis.noted("alarm", ""));
}

TEST(Protection, ALongSilenceOfAConnectedStandbyIsAnAlarmThatEndsWithIt) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(60s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "its host-agent answers, its mirror says synced";
  EXPECT_NE(chassis.status(1).detail.find("sync has stopped"), std::string::npos);
  chassis.own_vote(chassis.standby(), Vote::Up);
  EXPECT_EQ(chassis.status(1).detail, "");
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(3900ms);
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "the grace counts from the mirror's own word";
  chassis.pass(200ms);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Protection, TheLastVoteOfAMirrorThatIsBeingReleasedCountsForNothing) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);
  chassis.step(OperatorMove{Chassis::role_id(1)});
  ASSERT_EQ(chassis.state(1), RoleState::OnHost);
  ASSERT_EQ(chassis.state(2), RoleState::Exposed);
  chassis.mirror_vote(2, Vote::Down);  // said before it was shut down; nobody takes it back
  chassis.own_vote(Chassis::blade_id(2), Vote::Down);
  chassis.pass(1s);
  chassis.own_vote(Chassis::blade_id(2), Vote::Up);
  chassis.pass(10s);
  EXPECT_EQ(chassis.state(2), RoleState::Exposed);
  EXPECT_EQ(chassis.status(2).detail.find("is blind"), std::string::npos) << chassis.status(2).detail;
}

}  // namespace
}  // namespace understudy::control::test
