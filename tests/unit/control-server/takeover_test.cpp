// SPDX-License-Identifier: Apache-2.0
/// From a failure to the mirror that serves, as scenarios over a chassis in memory.
/// Covers: control-server/core/role_failure.cpp, control-server/core/role_takeover.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

using link::StopEvidence;

TEST(Takeover, IsolatesThenStoresThenActivates) {
  for (const unsigned actives : {1U, 3U}) {
    Chassis chassis(actives);
    chassis.bring_up();
    chassis.forget();
    chassis.silence(1);
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << actives;
    chassis.pass(500ms);  // the blade's own word is waited for, and by nobody but the power
    EXPECT_EQ(chassis.own(1).term, Term{2});
    EXPECT_EQ(chassis.own(1).place, (Place{chassis.standby(), PlaceKind::Mirror}));
    EXPECT_EQ(chassis.own(1).evidence, StopEvidence::Isolated);
    const auto isolate = index_of(chassis, [](auto& e) { return std::holds_alternative<Isolate>(e); });
    const auto persist = index_of(chassis, [](auto& e) { return std::holds_alternative<Persist>(e); });
    const auto activate = index_of(chassis, is_order<link::Activate>);
    const auto power = index_of(chassis, [](auto& e) { return std::holds_alternative<PowerOff>(e); });
    EXPECT_LT(isolate, persist);
    EXPECT_LT(persist, activate);
    EXPECT_LT(activate, power) << "nothing waits for the power-off";
    EXPECT_EQ(chassis.orders<link::Activate>()[0].second.evidence, StopEvidence::Isolated);
    for (const auto* phase : {"detect", "decide", "isolate", "activate", "handover"}) {
      EXPECT_TRUE(chassis.noted("phase", phase)) << phase;
    }
    for (unsigned other = 2; other <= actives; ++other) { EXPECT_EQ(chassis.state(other), RoleState::Protected); }
  }
}

TEST(Takeover, DetectBeginsAtTheLastWordThatTheSilentBladeCanHaveSaid) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);  // the second vote comes 10 ms after the first
  const auto took = [&](unsigned role) {
    for (const auto& note : chassis.notes) {
      if (note.role == Chassis::role_id(role) && note.phase == "detect") { return note.ms; }
    }
    return -1.0;
  };
  EXPECT_DOUBLE_EQ(took(1), 160.0) << "BFD's detection time is a part of the outage";
  chassis.report(BladeId{"blade-2"}, link::ApplicationFailed{RoleId{"role-2"}, Term{1}, "exit status 1"});
  EXPECT_DOUBLE_EQ(took(2), 0.0) << "told by the blade itself";
}

TEST(Takeover, NothingIsStoredWhileTheSwitchHasNotAnswered) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_ports.insert(BladeId{"blade-1"});
  chassis.forget();
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver);
  EXPECT_TRUE(chassis.all<Persist>().empty());
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  chassis.step(IsolateDone{BladeId{"blade-1"}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, WhenTheObserversCableComesBackTheFirstVoiceAccusesNobody) {
  auto group = config(3);
  group.control_blade = group.standbys().front();
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(10s);
  for (const unsigned blade : {1U, 2U, 3U}) { chassis.silence(blade); }
  for (const unsigned role : {1U, 2U, 3U}) { EXPECT_EQ(chassis.state(role), RoleState::Protected); }
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  chassis.pass(1s);
  for (const unsigned role : {2U, 3U}) { EXPECT_EQ(chassis.state(role), RoleState::Protected); }
  EXPECT_TRUE(chassis.isolated.empty());
  chassis.own_vote(BladeId{"blade-2"}, Vote::Up);
  chassis.mirror_vote(2, Vote::Up);
  chassis.pass(4s);
  EXPECT_EQ(chassis.state(3), RoleState::OnMirror) << "the one that does not come back was dead";
}

TEST(Takeover, OnOneCableABladeIsNotDeadBeforeTheOthersWereHeardOn) {
  auto group = config(2);
  group.control_blade = group.standbys().front();
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(10s);
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.silence(2);  // the rest of the cable
  chassis.pass(1s);
  EXPECT_TRUE(chassis.isolated.empty());
}

/// The copy's last moment of grace is the one in which the second observer has lost the active, and that has to settle.
TEST(Takeover, ACopyIsNotGivenUpWhileTheSecondObserversSilenceSettles) {
  auto group = config(2);
  group.control_blade = BladeId{"blade-3"};
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(10s);
  chassis.mirror_vote(1, Vote::Down);
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(chassis.config.timings.sync_grace - 10ms);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, OnOneCableAMirrorThatLosesAnotherActiveAccusesTheCable) {
  auto group = config(3);
  group.control_blade = group.standbys().front();
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(10s);
  chassis.mirror_vote(2, Vote::Down);  // the cable loses frames: so far the control-server has got enough of them
  chassis.silence(1);
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_TRUE(chassis.isolated.empty());
  chassis.mirror_vote(2, Vote::Up);
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "it has not been steady for long";
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, ABlindControlServerIsAnAlarmAndNoFailover) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  EXPECT_EQ(chassis.status(1).detail, "");
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_NE(chassis.status(1).detail.find("control-server alone is blind"), std::string::npos);
  EXPECT_TRUE(chassis.isolated.empty());
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  EXPECT_EQ(chassis.status(1).detail, "");
}

TEST(Takeover, ABlindMirrorIsAnAlarmAndNoFailover) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_vote(1, Vote::Down);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_NE(chassis.status(1).detail.find("the mirror alone is blind"), std::string::npos);
}

TEST(Takeover, OneVoteAloneDecidesNothing) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_vote(1, Vote::Unknown);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_NE(chassis.status(1).detail.find("no failover by one vote"), std::string::npos);
  chassis.mirror_vote(1, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, ARestartedHostAgentIsNoFailureOfItsBlade) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.step(AgentLost{BladeId{"blade-1"}});  // its kernel closes the stream, then BFD falls silent
  chassis.silence(1);
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_TRUE(chassis.isolated.empty());
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  chassis.mirror_state(1, MirrorPhase::Synced);
  chassis.pass(10s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_EQ(chassis.own(1).term, Term{1});
}

TEST(Takeover, AHostAgentThatDoesNotComeBackIsAFailure) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.step(AgentLost{BladeId{"blade-1"}});
  chassis.silence(1);
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

/// The mirror had just been told by the active that it had lost it, when the active died: its observer says nothing for
/// its whole bound, longer than a stopped sync counts.
TEST(Takeover, ACopyIsNotGivenUpBeforeAnUndecidedObserverHasSpoken) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.mirror_vote(1, Vote::Unknown);
  chassis.step(AgentLost{BladeId{"blade-1"}});
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(link::kVoteUnknownMax);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.mirror_vote(1, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, ACopyIsGivenUpWhenTheUndecidedObserverNeverSpeaks) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.mirror_vote(1, Vote::Unknown);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(link::kVoteUnknownMax + chassis.config.timings.vote_settle());
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
}

TEST(Takeover, ABladeThatDiesBeforeItsStreamIsTakenOverAtOnce) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.step(AgentLost{BladeId{"blade-1"}});
  chassis.mirror_vote(1, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Takeover, ASyncingMirrorNeverTakesOver) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Syncing);
  chassis.forget();
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
  EXPECT_NE(chassis.status(1).detail.find("no synced mirror"), std::string::npos);
  EXPECT_TRUE(chassis.all<Isolate>().empty());
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.mirror_vote(1, Vote::Up);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.status(1).detail.find("no synced mirror"), std::string::npos);
}

TEST(Takeover, AllActivesAtOnceAreAFailureOfTheObservers) {
  Chassis chassis(3);
  chassis.bring_up();
  for (unsigned i = 1; i <= 3; ++i) { chassis.own_vote(Chassis::blade_id(i), Vote::Down); }
  for (unsigned i = 1; i <= 3; ++i) { chassis.mirror_vote(i, Vote::Down); }
  chassis.pass(5s);
  for (unsigned i = 1; i <= 3; ++i) {
    EXPECT_EQ(chassis.state(i), RoleState::Protected);
    EXPECT_NE(chassis.status(i).detail.find("no failover"), std::string::npos);
  }
  EXPECT_TRUE(chassis.isolated.empty());
}

TEST(Takeover, TheOnlyActiveNeedsAWitness) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.silence(1);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.own_vote(chassis.standby(), Vote::Up);
  EXPECT_EQ(chassis.state(1), RoleState::Protected)
      << "the network may have come back this moment, and the blade be next";
  chassis.pass(chassis.config.timings.voices_return);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << "the standby's voice shows that our network works";
}

TEST(Takeover, AStandbyThatHostsTheControlServerIsNoWitness) {
  auto shared = config(1);
  shared.control_blade = shared.standbys().front();
  Chassis chassis(shared);
  chassis.bring_up();
  chassis.silence(1);
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
}

TEST(Takeover, TwoBladesOfThreeAreBothTakenOver) {
  Chassis chassis(3);
  chassis.bring_up();
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.own_vote(BladeId{"blade-2"}, Vote::Down);
  chassis.mirror_vote(1, Vote::Down);
  chassis.mirror_vote(2, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
  EXPECT_EQ(chassis.state(3), RoleState::Protected);
}

TEST(Takeover, TheSecondOfTwoActivesMayFailLater) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.pass(2s);
  chassis.silence(2);
  EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
}

TEST(Takeover, AWarningAboutAMirrorIsAnEventOfItsStandbyOnly) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.forget();
  chassis.report(BladeId{"blade-2"}, link::MirrorWarning{RoleId{"role-1"}, Term{1}, "its region is slow"});
  EXPECT_FALSE(chassis.noted("mirror", "slow"));
  chassis.report(chassis.standby(), link::MirrorWarning{RoleId{"role-1"}, Term{1}, "its region is slow"});
  EXPECT_TRUE(chassis.noted("mirror", "its region is slow"));
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
}

TEST(Takeover, AnApplicationsDeathFailsOverAtOnceAndKeepsTheBladeOn) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.forget();
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "exit status 1"});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_TRUE(chassis.powered_off.empty());
  const auto orders = chassis.orders<link::StandDown>();
  ASSERT_FALSE(orders.empty());
  EXPECT_EQ(orders[0].second.term, Term{2});
}

TEST(Takeover, ABladesOwnWordThatItStoodDownIsEvidence) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_ports.insert(BladeId{"blade-1"});
  chassis.report(BladeId{"blade-1"}, link::ServeFailed{RoleId{"role-1"}, Term{1}, "lost its interface"});
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.report(BladeId{"blade-1"}, link::Stopped{RoleId{"role-1"}, Term{2}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).evidence, StopEvidence::StoodDown);
}

/// It was under way since a takeover that was called off: its blade serves that term since.
TEST(Takeover, AWordOfTheTermThatTheBladeServesIsNoEvidence) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_ports.insert(BladeId{"blade-1"});
  chassis.report(BladeId{"blade-1"}, link::ServeFailed{RoleId{"role-1"}, Term{1}, "lost its interface"});
  chassis.report(BladeId{"blade-1"}, link::Stopped{RoleId{"role-1"}, Term{1}});
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
}

TEST(Takeover, AnApplicationFailureWithoutAMirrorIsServedAgain) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Syncing);
  chassis.forget();
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "exit status 1"});
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
  chassis.pass(3s);
  EXPECT_EQ(chassis.orders<link::ServeRole>().size(), 1U);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Takeover, WhenTheSwitchDoesNotObeyPowerOffIsTheEvidence) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.stuck_ports.insert(BladeId{"blade-1"});
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).evidence, StopEvidence::PoweredOff);
}

TEST(Takeover, WithoutAnyEvidenceNothingIsActivatedAndItIsTriedAgain) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.stuck_ports.insert(BladeId{"blade-1"});
  chassis.power_works = false;
  chassis.forget();
  chassis.silence(1);
  chassis.pass(5s);
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver);
  EXPECT_TRUE(chassis.all<Persist>().empty());
  EXPECT_NE(chassis.status(1).detail.find("cannot isolate blade-1: switch says no"), std::string::npos);
  EXPECT_NE(chassis.status(1).detail.find("cannot power off blade-1"), std::string::npos);
  EXPECT_GT(chassis.all<Isolate>().size(), 5U);
  chassis.stuck_ports.clear();
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

}  // namespace
}  // namespace understudy::control::test
