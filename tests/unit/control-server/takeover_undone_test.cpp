// SPDX-License-Identifier: Apache-2.0
/// Takeovers that are late, refused, interrupted by a restart or called off.
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const Place kBlade1{BladeId{"blade-1"}, PlaceKind::Host};

TEST(Takeover, AFalseAlarmIsCalledOffWhileNothingIsStored) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.stuck_ports.insert(BladeId{"blade-1"});
  chassis.power_works = false;
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.own(1).term, Term{2}) << "it was told to stand down below 2";
}

TEST(Takeover, ABladeThatWasAwayWhenItsTakeoverWasCalledOffGoesOnWithWhatItHas) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.stuck_ports.insert(BladeId{"blade-1"});
  chassis.power_works = false;
  chassis.silence(1);
  chassis.step(AgentLost{BladeId{"blade-1"}});
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  ASSERT_EQ(chassis.own(1).term, Term{2});
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.stuck_ports.clear();
  chassis.forget();
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  chassis.pass(10s);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty()) << "the mirror has nothing under this term, the blade has all";
  ASSERT_EQ(chassis.orders<link::ServeRole>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::ServeRole>()[0].second.term, Term{2});
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

/// Its copy goes when it begins to follow the newer term, and the blade may never serve under that.
TEST(Takeover, AMirrorFollowsTheTermOfACallingOffOnlyOnceThatIsServed) {
  Chassis chassis(2);
  const BladeId blade1{"blade-1"};
  chassis.bring_up();
  chassis.stuck_ports.insert(blade1);
  chassis.power_works = false;
  chassis.silence(1);
  chassis.silent_agents.insert(blade1);
  chassis.forget();
  chassis.own_vote(blade1, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  ASSERT_EQ(chassis.own(1).term, Term{2});
  EXPECT_TRUE(chassis.orders<link::RunMirror>().empty());
  chassis.report(blade1, link::Serving{RoleId{"role-1"}, Term{2}});
  ASSERT_EQ(chassis.orders<link::RunMirror>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::RunMirror>()[0].second.term, Term{2});
}

TEST(Takeover, ABladeThatDiedBeforeItServedUnderANewTermIsTakenOverFromTheCopyOfTheOldOne) {
  Chassis chassis(2);
  const BladeId blade1{"blade-1"};
  chassis.bring_up();
  chassis.stuck_ports.insert(blade1);
  chassis.power_works = false;
  chassis.silence(1);
  chassis.silent_agents.insert(blade1);
  chassis.own_vote(blade1, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  ASSERT_EQ(chassis.own(1).term, Term{2});
  chassis.mirror_state(1, MirrorPhase::Connected, "nonce", 1);
  chassis.silence(1);
  chassis.step(AgentLost{blade1});
  chassis.stuck_ports.clear();
  chassis.silent_agents.clear();
  chassis.own_vote(blade1, Vote::Up);
  chassis.forget();
  chassis.hello(blade1);
  chassis.pass(chassis.config.timings.mirror_wait + 1ms);
  ASSERT_EQ(chassis.orders<link::Activate>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::Activate>()[0].second.term, Term{3});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, APowerOffThatIsConfirmedAfterTheBladeSaidHelloIsNoEvidence) {
  Chassis chassis(1);
  chassis.bring_up();
  const BladeId blade1{"blade-1"};
  chassis.stuck_ports.insert(blade1);
  chassis.power_answers = false;
  chassis.silence(1);
  ASSERT_EQ(chassis.all<PowerOff>().size(), 1U);
  chassis.silent_agents.insert(blade1);
  chassis.hello(blade1, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  chassis.power_answers = true;
  chassis.step(PowerDone{blade1});
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver) << "it was off, perhaps; it has spoken since, and speaks still";
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  EXPECT_TRUE(chassis.noted("power", "blade-1 has said Hello since")) << "and a person is told";
  chassis.pass(2s);
  EXPECT_EQ(chassis.all<PowerOff>().size(), 2U) << "asked once more";
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).evidence, link::StopEvidence::PoweredOff);
}

/// It said Hello while its power was being cut, so the answer is no evidence; but the power may have gone off with it.
TEST(Takeover, ATakeoverIsNotCalledOffInTheMomentOfAPowerOff) {
  Chassis chassis(2);
  chassis.bring_up();
  const BladeId blade1{"blade-1"};
  chassis.stuck_ports.insert(blade1);
  chassis.power_answers = false;
  chassis.silence(1);
  chassis.silent_agents.insert(blade1);
  chassis.own_vote(blade1, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  chassis.hello(blade1, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  chassis.power_answers = true;
  chassis.step(PowerDone{blade1});
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver)
      << "both observers hear it, as they would for a moment if it is off";
  chassis.pass(chassis.config.timings.detection);
  chassis.silence(1);
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, ATakeoverIsCalledOffWhenTheBladeIsHeardOnAfterItWasSaidToBeOff) {
  Chassis chassis(2);
  chassis.bring_up();
  const BladeId blade1{"blade-1"};
  chassis.stuck_ports.insert(blade1);
  chassis.power_answers = false;
  chassis.silence(1);
  chassis.own_vote(blade1, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  chassis.hello(blade1, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  chassis.step(PowerDone{blade1});
  chassis.pass(chassis.config.timings.vote_settle());
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.own(1).place, kBlade1);
}

TEST(Takeover, StaleAndForeignReportsAreIgnoredWithANote) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  const auto before = chassis.own(1);
  const std::vector<std::pair<BladeId, link::Report>> strange = {
      {BladeId{"blade-1"}, link::Serving{RoleId{"role-1"}, Term{1}}},
      {BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "late"}},
      {BladeId{"blade-2"}, link::Activated{RoleId{"role-1"}, Term{2}, {}}},
      {chassis.standby(), link::Activated{RoleId{"role-1"}, Term{1}, {}}},
      {chassis.standby(), link::Moved{RoleId{"role-1"}, Term{2}, {}}},
      {chassis.standby(), link::MoveFailed{RoleId{"role-1"}, Term{3}, "late"}},
      {BladeId{"blade-2"}, link::MirrorState{RoleId{"role-2"}, Term{1}, MirrorPhase::Failed, "x", ""}},
      {BladeId{"blade-2"}, link::PeerVote{RoleId{"role-2"}, BladeId{"blade-2"}, Vote::Down}},
  };
  for (const auto& [blade, report] : strange) {
    chassis.forget();
    chassis.report(blade, report);
    EXPECT_TRUE(chassis.noted("ignored", "")) << report.index();
    EXPECT_EQ(chassis.own(1), before);
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
    EXPECT_EQ(chassis.state(2), RoleState::Protected);
  }
}

TEST(Takeover, AnActivationOfAnOldTermActivatesNothing) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.report(chassis.standby(), link::Activated{RoleId{"role-1"}, Term{1}, {}});
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.report(chassis.standby(), link::Activated{RoleId{"role-1"}, Term{2}, {}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, ARestartedControlServerIsolatesWhatItHadIsolated) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.isolated.clear();  // somebody reset the switch meanwhile
  chassis.restart_control_server();
  EXPECT_TRUE(chassis.isolated.contains(BladeId{"blade-1"}));
}

TEST(Takeover, AnIsolationThatSucceedsTooLateIsUndone) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.stuck_ports.insert(BladeId{"blade-1"});
  chassis.power_works = false;
  chassis.silence(1);
  chassis.stuck_ports.clear();
  chassis.silent_ports.insert(BladeId{"blade-1"});
  chassis.pass(600ms);  // the second try is under way
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  ASSERT_EQ(chassis.state(1), RoleState::Exposed);
  chassis.isolated.insert(BladeId{"blade-1"});
  chassis.step(IsolateDone{BladeId{"blade-1"}});
  EXPECT_TRUE(chassis.isolated.empty());
}

TEST(Takeover, ABladeThatComesBackStandsDownAndStaysIsolated) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);
  chassis.powered_off.clear();
  chassis.forget();
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  ASSERT_EQ(chassis.orders<link::StandDown>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::StandDown>()[0].second.term, Term{2});
  EXPECT_TRUE(chassis.isolated.contains(BladeId{"blade-1"}));
  EXPECT_TRUE(chassis.all<Readmit>().empty());
}

TEST(Takeover, AfterARestartBetweenStoreAndActivationTheEvidenceIsVerifiedAgain) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());  // Activate is never answered
  chassis.silence(1);
  ASSERT_EQ(chassis.own(1).term, Term{2});
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.silent_agents.clear();
  chassis.silent_ports.insert(BladeId{"blade-1"});
  chassis.forget();
  chassis.restart_control_server();
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  EXPECT_EQ(chassis.all<Isolate>().size(), 1U);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty()) << "not before the switch answers this control-server";
  chassis.step(IsolateDone{BladeId{"blade-1"}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.orders<link::Activate>()[0].second.term, Term{2});
}

TEST(Takeover, AfterARestartBetweenIsolationAndStoreTheFailureIsSeenAgain) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.store_answers = false;
  chassis.silence(1);
  ASSERT_TRUE(chassis.isolated.contains(BladeId{"blade-1"}));
  chassis.store_answers = true;
  chassis.restart_control_server();
  chassis.own_vote(chassis.standby(), Vote::Up);
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  chassis.mirror_state(1, MirrorPhase::Synced);
  chassis.mirror_vote(1, Vote::Down);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "a restarted observer votes unknown";
  chassis.stream_ends(1);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(Takeover, AReadmissionThatFailedIsTriedAgainWhileTheBladeServes) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.forget();
  chassis.step(ReadmitFailed{BladeId{"blade-1"}, "one port of two"});
  chassis.pass(2s);
  EXPECT_FALSE(chassis.all<Readmit>().empty());
  chassis.forget();
  chassis.pass(2s);
  EXPECT_TRUE(chassis.all<Readmit>().empty()) << "it is open";
}

TEST(Takeover, APortThatClosedBehindTheControlServersBackIsFoundAndOpened) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.isolated.insert(BladeId{"blade-1"});  // a command of a former control-server, that reached the switch late
  chassis.pass(15s);
  EXPECT_TRUE(chassis.isolated.empty());
  chassis.forget();
  chassis.step(PortsSeen{BladeId{"blade-1"}, false, true});
  chassis.pass(1s);
  EXPECT_EQ(chassis.all<Readmit>().size(), 1U) << "half of them too";
  chassis.forget();
  chassis.step(PortsSeen{BladeId{"blade-1"}, false, false, false});
  chassis.pass(1s);
  EXPECT_TRUE(chassis.all<Readmit>().empty()) << "a switch that does not tell says nothing";
}

TEST(Takeover, APortThatOpensBehindARoleThatWasTakenIsClosedAgain) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.isolated.clear();  // the switch was restarted
  chassis.forget();
  chassis.pass(15s);
  EXPECT_TRUE(chassis.isolated.contains(BladeId{"blade-1"}));
  EXPECT_TRUE(chassis.noted("alarm", "open again"));
  chassis.forget();
  chassis.pass(15s);
  EXPECT_TRUE(chassis.all<Isolate>().empty()) << "it is closed";
}

TEST(Takeover, ABladeThatWasIsolatedForNothingIsReadmitted) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.store_answers = false;
  chassis.silence(1);
  chassis.store_answers = true;
  chassis.restart_control_server();
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  EXPECT_TRUE(chassis.isolated.empty());
}

TEST(Takeover, PortsThatAnIsolationClosedBeforeItFailedAreOpenedWithTheNextConfirmation) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.step(IsolateFailed{BladeId{"blade-1"}, "the switch has no port \"b1-int\""});
  chassis.forget();
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  EXPECT_EQ(chassis.all<Readmit>().size(), 1U);
  chassis.step(ReadmitDone{BladeId{"blade-1"}});
  chassis.forget();
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  EXPECT_TRUE(chassis.all<Readmit>().empty()) << "they are open";
}

TEST(Takeover, AContradictingStoreStopsEveryAutomaticDecision) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.store[RoleId{"role-1"}].term = Term{40};
  chassis.forget();
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver) << "as far as it came: nobody knows that it is lost";
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  chassis.pass(60s);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  EXPECT_NE(chassis.status(1).detail.find("another ownership"), std::string::npos);
}

}  // namespace
}  // namespace understudy::control::test
