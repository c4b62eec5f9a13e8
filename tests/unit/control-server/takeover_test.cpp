// SPDX-License-Identifier: Apache-2.0
/// Start, protection and takeover, as scenarios over a chassis in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

using link::StopEvidence;

const Place kBlade1{BladeId{"blade-1"}, PlaceKind::Host};

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

TEST(Start, TheFirstTermIsStoredBeforeTheBladeIsTold) {
  Chassis chassis(1);
  EXPECT_EQ(chassis.state(1), RoleState::Starting);
  chassis.hello(BladeId{"blade-1"});
  EXPECT_TRUE(chassis.all<Persist>().empty()) << "the standby could hold the role: it is asked first";
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.own(1).term, Term{1});
  EXPECT_EQ(chassis.own(1).evidence, StopEvidence::NeverServed);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_LT(index_of(chassis, [](auto& e) { return std::holds_alternative<Persist>(e); }),
            index_of(chassis, is_order<link::ServeRole>));
  ASSERT_EQ(chassis.orders<link::RunMirror>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::RunMirror>()[0].second.active, BladeId{"blade-1"});
}

TEST(Start, AMissingHostAgentIsAnAlarmByName) {
  Chassis chassis(1);
  chassis.hello(BladeId{"blade-1"});
  chassis.pass(11s);
  EXPECT_TRUE(chassis.noted("alarm", "waiting for the host-agent of blade-2"));
}

TEST(Start, NothingIsOrderedWhileTheStoreDoesNotAnswer) {
  Chassis chassis(1);
  chassis.store_works = false;
  chassis.bring_up();
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty());
  EXPECT_NE(chassis.status(1).detail.find("state store refuses"), std::string::npos);
  chassis.store_works = true;
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.status(1).detail, "");
}

TEST(Start, ARestartedControlServerAdoptsWhatServes) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.restart_control_server();
  chassis.forget();
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty()) << "a daemon's restart disturbs nobody";
  chassis.hello(chassis.standby());
  chassis.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_EQ(chassis.own(1).term, Term{1});
}

TEST(Start, AnEmptyStoreAdoptsTheHighestTermThatServes) {
  Chassis chassis(1);
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{4}, PlaceKind::Host, false}});
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{5}, PlaceKind::Mirror, true}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{5});
  EXPECT_TRUE(chassis.isolated.contains(BladeId{"blade-1"}));
}

TEST(Start, AnEmptyStoreNeverGivesATermThatWasUsed) {
  Chassis chassis(1);
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{7}, PlaceKind::Host, false}});
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.own(1).term, Term{8});
}

TEST(Start, TwoPlacesUnderOneTermAreLeftToAPerson) {
  Chassis chassis(1);
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{4}, PlaceKind::Host, true}});
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{4}, PlaceKind::Mirror, true}});
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty());
  EXPECT_NE(chassis.status(1).detail.find("both serve under term 4"), std::string::npos);
}

TEST(Start, ABladeThatRebootedWithoutAMirrorGetsANewTerm) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Failed);
  ASSERT_EQ(chassis.state(1), RoleState::Exposed);
  chassis.step(AgentLost{BladeId{"blade-1"}});
  chassis.hello(BladeId{"blade-1"});
  chassis.pass(4s);
  EXPECT_EQ(chassis.own(1).term, Term{2}) << "its state is gone: (term, sequence) must not mean two things";
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Start, ABladeThatRebootedWhileItsMirrorIsSyncedLosesTheRoleToTheMirror) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.hello(BladeId{"blade-1"});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).evidence, StopEvidence::StoodDown);
}

TEST(Protection, OnlyASyncedMirrorOfTheCurrentTermProtects) {
  Chassis chassis(1);
  chassis.bring_up();
  ASSERT_EQ(chassis.state(1), RoleState::Protected);
  for (const auto phase : {MirrorPhase::Syncing, MirrorPhase::Failed, MirrorPhase::Stopped}) {
    chassis.mirror_state(1, phase);
    EXPECT_EQ(chassis.state(1), RoleState::Exposed) << link::to_string(phase);
    chassis.mirror_state(1, MirrorPhase::Synced);
    EXPECT_EQ(chassis.state(1), RoleState::Protected);
  }
  chassis.mirror_state(1, MirrorPhase::Syncing);
  chassis.mirror_state(1, MirrorPhase::Synced, "nonce", 9);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed) << "a term that nobody gave";
  EXPECT_TRUE(chassis.noted("ignored", "mirror synced"));
}

TEST(Protection, ASyncThatStopsCountsForAMomentOnly) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.pass(1001ms);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_NE(chassis.status(1).detail.find("sync has stopped"), std::string::npos) << "an alarm within a second";
  chassis.pass(3000ms);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_TRUE(chassis.noted("alarm", "the mirror's sync stopped (connected)"));
}

TEST(Protection, ARestartOfTheStandbysHostAgentDoesNotExpose) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(500ms);
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  chassis.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_FALSE(chassis.noted("state", "exposed: the mirror"));
}

TEST(Protection, AnotherBootOfTheGuestIsNotTheOneThatSynced) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected, "other nonce");
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

TEST(Protection, AFailedMirrorIsStartedAgain) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.forget();
  chassis.mirror_state(1, MirrorPhase::Failed);
  EXPECT_TRUE(chassis.orders<link::RunMirror>().empty());
  chassis.pass(6s);
  EXPECT_FALSE(chassis.orders<link::RunMirror>().empty());
}

TEST(Takeover, IsolatesThenStoresThenActivates) {
  for (const unsigned actives : {1U, 3U}) {
    Chassis chassis(actives);
    chassis.bring_up();
    chassis.forget();
    chassis.silence(1);
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << actives;
    EXPECT_EQ(chassis.own(1).term, Term{2});
    EXPECT_EQ(chassis.own(1).place, (Place{chassis.standby(), PlaceKind::Mirror}));
    EXPECT_EQ(chassis.own(1).evidence, StopEvidence::Isolated);
    const auto isolate = index_of(chassis, [](auto& e) { return std::holds_alternative<Isolate>(e); });
    const auto persist = index_of(chassis, [](auto& e) { return std::holds_alternative<Persist>(e); });
    const auto activate = index_of(chassis, is_order<link::Activate>);
    const auto power = index_of(chassis, [](auto& e) { return std::holds_alternative<PowerOff>(e); });
    EXPECT_LT(isolate, persist);
    EXPECT_LT(persist, activate);
    EXPECT_LT(activate, power) << "power-off waits for nothing and nothing waits for it";
    EXPECT_EQ(chassis.orders<link::Activate>()[0].second.evidence, StopEvidence::Isolated);
    for (const auto* phase : {"detect", "decide", "isolate", "activate", "handover"}) {
      EXPECT_TRUE(chassis.noted("phase", phase)) << phase;
    }
    for (unsigned other = 2; other <= actives; ++other) { EXPECT_EQ(chassis.state(other), RoleState::Protected); }
  }
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
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror) << "the standby's voice shows that our network works";
}

TEST(Takeover, AStandbyThatHostsTheControlServerIsNoWitness) {
  auto shared = config(1);
  shared.control_shares_standby_blade = true;
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
      {chassis.standby(), link::Moved{RoleId{"role-1"}, Term{9}, {}}},
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
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(Takeover, ABladeThatWasIsolatedForNothingIsReadmitted) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.store_answers = false;
  chassis.silence(1);
  chassis.store_answers = true;
  chassis.restart_control_server();
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  EXPECT_TRUE(chassis.isolated.empty());
}

TEST(Takeover, AFailedActivationGivesAHealthyOldActiveItsRoleBack) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.power_works = false;
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Up);
  chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, Term{2}, "no region"});
  EXPECT_EQ(chassis.own(1).place, kBlade1);
  EXPECT_EQ(chassis.own(1).term, Term{3});
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_TRUE(chassis.isolated.empty());
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

TEST(Takeover, AContradictingStoreStopsEveryAutomaticDecision) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.store[RoleId{"role-1"}].term = Term{40};
  chassis.forget();
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::Lost);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  chassis.pass(60s);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  EXPECT_NE(chassis.status(1).detail.find("another ownership"), std::string::npos);
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

}  // namespace
}  // namespace understudy::control::test
