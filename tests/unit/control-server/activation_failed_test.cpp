// SPDX-License-Identifier: Apache-2.0
/// Takeovers whose mirror cannot do it, or not any more; blades that come back after their power was cut.
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const Place kBlade1{BladeId{"blade-1"}, PlaceKind::Host};

TEST(Takeover, AFailedActivationGivesAHealthyOldActiveItsRoleBack) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.power_works = false;
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "no region"});
  chassis.report(chassis.standby(), link::Stopped{RoleId{"role-1"}, Term{3}});
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.own(1).term, Term{3});
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_TRUE(chassis.isolated.empty());
}

/// Ordered, silent past its deadline, ordered again; then comes the mirror's word about the first order, while it is
/// about to open its gate by the second.
TEST(Takeover, AFailureOfAnEarlierActivationIsNoProofThatTheMirrorIsSilent) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.power_works = false;
  chassis.silence(1);
  chassis.pass(7s);
  ASSERT_GE(chassis.orders<link::Activate>().size(), 2U);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.forget();
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "past its deadline"});
  EXPECT_EQ(chassis.own(1).term, Term{2}) << "nobody has said that the mirror stopped";
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty());
  ASSERT_EQ(chassis.orders<link::StandDown>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::StandDown>()[0].first, chassis.standby());
}

TEST(Takeover, AFailedActivationWithADeadActiveIsTriedAgain) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.silence(1);
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "no region"});
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.silent_agents.clear();
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(Takeover, AnActivationWithoutAnAnswerIsStoppedBeforeTheOldActiveServesAgain) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.power_works = false;
  chassis.silence(1);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.forget();
  chassis.pass(6s);
  EXPECT_EQ(chassis.own(1).term, Term{2}) << "the mirror has not confirmed that it stopped";
  ASSERT_FALSE(chassis.orders<link::StandDown>().empty());
  EXPECT_EQ(chassis.orders<link::StandDown>()[0].first, chassis.standby());
  chassis.report(chassis.standby(), link::Stopped{RoleId{"role-1"}, Term{3}});
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.own(1).term, Term{3});
}

/// The mirror was told to stand down so that its old active could have the role back; then the control-server died.
TEST(Takeover, AMirrorThatWasToldToStandDownByAnEarlierLifeIsActivatedUnderANewerTerm) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.silence(1);
  ASSERT_EQ(chassis.own(1).term, Term{2});
  chassis.restart_control_server();
  chassis.silent_agents.clear();
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{3}, PlaceKind::Mirror, false}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{4});
}

/// Powered off in the takeover; an operator brought it back; the mirror, which cannot do it, is ordered again.
TEST(Takeover, ABladeThatIsBackIsNotPoweredOffOnceMore) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.silence(1);
  chassis.pass(500ms);
  ASSERT_EQ(chassis.all<PowerOff>().size(), 1U);
  chassis.powered_off.clear();
  chassis.hello(BladeId{"blade-1"});
  chassis.pass(8s);
  ASSERT_GE(chassis.orders<link::Activate>().size(), 2U);
  EXPECT_EQ(chassis.all<PowerOff>().size(), 1U);
}

/// The switch refused once and obeyed then; the mirror, which cannot serve, is ordered again and again.
/// It was cut off for a moment only, and its stream stood: there is no Hello.
TEST(Takeover, ABladeThatIsHeardAgainIsNotPoweredOffOnceMoreAndGetsItsRoleBack) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.power_answers = false;
  chassis.silence(1);
  chassis.pass(500ms);
  ASSERT_EQ(chassis.all<PowerOff>().size(), 1U);
  chassis.own_vote(kBlade1.blade, Vote::Up);
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "the mirror has no complete copy"});
  chassis.step(PowerFailed{kBlade1.blade, "no answer"});
  chassis.pass(600ms);
  EXPECT_EQ(chassis.all<PowerOff>().size(), 1U) << "it may have the last copy";
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "the mirror has no complete copy"});
  ASSERT_EQ(chassis.orders<link::StandDown>().back().first, chassis.standby());
  chassis.report(chassis.standby(), link::Stopped{RoleId{"role-1"}, Term{3}});
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Takeover, ASwitchThatObeysAgainIsNoReasonToPowerOff) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents = {chassis.standby(), BladeId{"blade-1"}};
  chassis.stuck_ports.insert(BladeId{"blade-1"});
  chassis.power_works = false;
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "x"});
  chassis.stuck_ports.clear();
  chassis.pass(1s);
  ASSERT_EQ(chassis.orders<link::Activate>().size(), 1U);
  chassis.forget();
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "x"});
  chassis.pass(2s);
  ASSERT_EQ(chassis.orders<link::Activate>().size(), 1U);
  EXPECT_TRUE(chassis.all<PowerOff>().empty());
}

TEST(Takeover, AnApplicationThatFailedIsTriedAgainWhenTheMirrorCannotServeEither) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "exit status 1"});
  for (int i = 0; i < 3; ++i) {
    chassis.forget();
    chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "the application has ended"});
    chassis.pass(4s);
  }
  ASSERT_EQ(chassis.orders<link::StandDown>().size(), 1U);
  chassis.report(chassis.standby(), link::Stopped{RoleId{"role-1"}, Term{3}});
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Takeover, TheMirrorThatOwnedTheRoleIsGone) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.power_works = false;
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "exit status 1"});
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.step(AgentLost{chassis.standby()});
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.own(1).place, kBlade1) << "its blade is healthy and gets the role back";
  EXPECT_EQ(chassis.own(1).term, Term{3});
}

TEST(Takeover, ABladeThatIsHeardOnAfterItsPowerOffIsOnAndFitForItsRole) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.power_answers = false;
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);  // a delay, no death
  chassis.step(PowerDone{BladeId{"blade-1"}});     // and a fence agent that is wrong
  chassis.pass(1s);
  EXPECT_TRUE(chassis.noted("power", "blade-1 was said to be powered off and is heard on"));
  chassis.step(AgentLost{chassis.standby()});
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Takeover, ABladeThatFallsSilentAfterItsPowerOffStaysOff) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.step(PowerDone{BladeId{"blade-1"}});
  chassis.pass(chassis.config.timings.detection);
  chassis.silence(1);
  chassis.pass(2s);
  EXPECT_FALSE(chassis.noted("power", "is heard on"));
}

TEST(Takeover, ABladeThatBecomesFitAfterTheMirrorWasLostGetsItsRoleBackThen) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.power_answers = false;
  chassis.silence(1);
  chassis.pass(500ms);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.step(AgentLost{chassis.standby()});
  chassis.hello(chassis.standby());
  ASSERT_EQ(chassis.state(1), RoleState::Lost) << "its power may go off at any moment";
  chassis.step(PowerFailed{BladeId{"blade-1"}, "no answer"});
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

}  // namespace
}  // namespace understudy::control::test
