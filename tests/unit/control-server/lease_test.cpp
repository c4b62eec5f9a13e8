// SPDX-License-Identifier: Apache-2.0
/// The third stop-evidence, as scenarios over a chassis in memory whose switch and power do not obey.
/// Covers: control-server/core/role_lease.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

GroupConfig leased(unsigned actives) {
  auto group = config(actives);
  group.leases = true;
  return group;
}

class LeaseTest : public testing::Test {
 protected:
  explicit LeaseTest() {
    sut_.bring_up();
    sut_.pass(2s);
  }
  /// The active's gate is timed, and the store knows.
  void arm() {
    const auto armed = sut_.orders<link::ArmLease>();
    ASSERT_FALSE(armed.empty());
    sut_.report(blade_, link::LeaseState{role_, Term{1}, armed.back().second.id});
    ASSERT_TRUE(sut_.own(1).leased);
  }
  void nothing_obeys() {
    sut_.stuck_ports.insert(blade_);
    sut_.power_works = false;
    sut_.silent_agents.insert(blade_);
  }
  BladeId blade_{"blade-1"};
  RoleId role_{"role-1"};
  Chassis sut_{leased(2)};
};

TEST_F(LeaseTest, IsCountedOutOnlyAfterTheMirrorSaysThatItGrantsNoMore) {
  arm();
  nothing_obeys();
  sut_.silence(1);
  EXPECT_FALSE(sut_.orders<link::StopGrants>().empty());
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver) << "the mirror has said nothing";
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
  sut_.pass(sut_.config.timings.lease_out() - 10ms);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
  sut_.pass(20ms);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::LeaseRanOut);
}

TEST_F(LeaseTest, AnotherBladesWordOrOneAboutAnotherTermCountsNothingOut) {
  arm();
  nothing_obeys();
  sut_.silence(1);
  sut_.report(BladeId{"blade-2"}, link::GrantsStopped{role_, Term{1}});
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{0}});
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
}

/// The last grant may have been asked for a moment before, and the gate been refreshed under it in its last one.
TEST_F(LeaseTest, WhoCountsItOutAddsTheTimeOfTheGatesElement) {
  arm();
  nothing_obeys();
  sut_.silence(1);
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
  const auto& timings = sut_.config.timings;
  sut_.pass(timings.lease + timings.lease_element);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
}

TEST_F(LeaseTest, AClockThatJumpsCountsNothingOut) {
  arm();
  nothing_obeys();
  sut_.silence(1);
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
  sut_.now = sut_.now + 40s;
  sut_.step(Tick{});
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
}

TEST_F(LeaseTest, WhatTheActiveNeverConfirmedIsNoStopEvidence) {
  nothing_obeys();
  sut_.silence(1);
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
  EXPECT_TRUE(sut_.orders<link::StopGrants>().empty());
}

TEST_F(LeaseTest, AMirrorThatIsLostExposesTheRoleInTheStoreBeforeItsActiveIsTold) {
  arm();
  sut_.forget();
  sut_.mirror_state(1, MirrorPhase::Connected);
  EXPECT_TRUE(sut_.own(1).leased) << "the active may be about to fall silent for us too";
  sut_.pass(sut_.config.timings.vote_settle());
  EXPECT_FALSE(sut_.own(1).leased);
  const auto persist = index_of(sut_, [](auto& e) { return std::holds_alternative<Persist>(e); });
  EXPECT_LT(persist, index_of(sut_, is_order<link::DisarmLease>));
}

/// It freezes, and the mirror's BFD has noticed that a few milliseconds before ours.
TEST_F(LeaseTest, IsNotGivenUpBecauseTheMirrorsVoteFallsFirst) {
  arm();
  nothing_obeys();
  sut_.mirror_vote(1, Vote::Down);
  sut_.pass(10ms);
  sut_.own_vote(blade_, Vote::Down);
  ASSERT_EQ(sut_.state(1), RoleState::TakingOver);
  EXPECT_TRUE(sut_.own(1).leased);
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
  sut_.pass(sut_.config.timings.lease_out() + 10ms);
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::LeaseRanOut);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(LeaseTest, OfAnActiveThatTheMirrorAloneHasLostIsTakenBackSoon) {
  arm();
  sut_.mirror_vote(1, Vote::Down);
  sut_.pass(sut_.config.timings.vote_settle());
  EXPECT_FALSE(sut_.own(1).leased);
  EXPECT_FALSE(sut_.orders<link::DisarmLease>().empty());
}

TEST_F(LeaseTest, AnOrderThatWasLostWithTheActivesDaemonIsGivenAnew) {
  ASSERT_EQ(sut_.orders<link::ArmLease>().size(), 2U) << "of both roles";
  sut_.step(AgentLost{blade_});
  sut_.forget();
  sut_.hello(blade_, {{role_, Term{1}, PlaceKind::Host, true}});
  sut_.pass(2s);
  EXPECT_EQ(sut_.orders<link::ArmLease>().size(), 1U);
}

TEST_F(LeaseTest, ThatIsNotTimedWithinAWhileIsAnAlarm) {
  const auto told = [&] { return sut_.status(1).detail.find("blade-1 has not said yet") != std::string::npos; };
  EXPECT_FALSE(told());
  sut_.pass(sut_.config.timings.lease_arming);
  EXPECT_TRUE(told());
  const auto armed = sut_.orders<link::ArmLease>();
  sut_.report(blade_, link::LeaseState{role_, Term{1}, armed.front().second.id});
  EXPECT_FALSE(told());
}

TEST_F(LeaseTest, AnActiveThatGetsNoGrantsIsLetGoBeforeItsGateCloses) {
  arm();
  sut_.forget();
  sut_.report(blade_, link::LeaseState{role_, Term{1}, 0});
  EXPECT_FALSE(sut_.own(1).leased);
  const auto persist = index_of(sut_, [](auto& e) { return std::holds_alternative<Persist>(e); });
  EXPECT_LT(persist, index_of(sut_, is_order<link::DisarmLease>));
}

TEST_F(LeaseTest, WhereNobodyWantsLeasesAnyMoreOneOfAnEarlierLifeIsTakenBack) {
  arm();
  sut_.config.leases = false;
  sut_.restart_control_server();
  for (unsigned blade = 1; blade <= 3; ++blade) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_.forget();
  sut_.hello(blade_, {{role_, Term{1}, PlaceKind::Host, true}});
  EXPECT_FALSE(sut_.own(1).leased);
  EXPECT_EQ(sut_.orders<link::DisarmLease>().size(), 1U);
  EXPECT_EQ(sut_.group->status().roles[0].lease, "off");
}

TEST_F(LeaseTest, OneThatAnEarlierLifeArmedIsLetGoOnceAlsoWhenItGetsNoGrants) {
  sut_.restart_control_server();
  for (unsigned blade = 1; blade <= 3; ++blade) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_.forget();
  sut_.hello(blade_, {{role_, Term{1}, PlaceKind::Host, true}});
  EXPECT_TRUE(sut_.orders<link::DisarmLease>().empty()) << "it may have none";
  sut_.report(blade_, link::LeaseState{role_, Term{1}, 0});
  EXPECT_EQ(sut_.orders<link::DisarmLease>().size(), 1U);
  sut_.report(blade_, link::LeaseState{role_, Term{1}, 0});
  EXPECT_EQ(sut_.orders<link::DisarmLease>().size(), 1U) << "that was the answer";
}

/// The order to let go was lost with its stream, and what it says of its lease comes before BFD hears it again.
TEST_F(LeaseTest, AnActiveThatIsNotHeardYetWhenItTellsOfItsLeaseIsLetGoLater) {
  arm();
  sut_.mirror_state(1, MirrorPhase::Failed);
  ASSERT_FALSE(sut_.own(1).leased);
  sut_.mirror_vote(1, Vote::Unknown);
  sut_.own_vote(blade_, Vote::Down);
  sut_.step(AgentLost{blade_});
  sut_.pass(5s);
  ASSERT_EQ(sut_.state(1), RoleState::Lost);
  sut_.hello(blade_, {{role_, Term{1}, PlaceKind::Host, true}});
  sut_.forget();
  sut_.report(blade_, link::LeaseState{role_, Term{1}, 4711});
  sut_.own_vote(blade_, Vote::Up);
  EXPECT_FALSE(sut_.orders<link::DisarmLease>().empty()) << "its gate has closed by itself";
}

TEST_F(LeaseTest, EveryStatusTellsHowFarItIs) {
  const auto lease = [&] { return sut_.group->status().roles[0].lease; };
  EXPECT_EQ(lease(), "arming");
  arm();
  EXPECT_EQ(lease(), "armed");
  nothing_obeys();
  sut_.silence(1);
  EXPECT_EQ(lease(), "stopping");
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
  EXPECT_EQ(lease(), "counting");
  sut_.pass(sut_.config.timings.lease_out() + 10ms);
  EXPECT_EQ(lease(), "none") << "the mirror serves, and nothing is leased there";
}

/// A restart between the compare-and-set and the activation: what was stored is looked at again.
class StoredEvidence : public LeaseTest {
 protected:
  void restart_before_the_mirror_hears() {
    arm();
    nothing_obeys();
    sut_.silent_agents.insert(sut_.standby());
    sut_.silence(1);
    sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{1}});
    sut_.pass(sut_.config.timings.lease_out() + 10ms);
    ASSERT_EQ(sut_.own(1).evidence, link::StopEvidence::LeaseRanOut);
    ASSERT_EQ(sut_.own(1).term, Term{2});
    sut_.restart_control_server();
    sut_.silent_agents.erase(sut_.standby());
    sut_.forget();
    for (unsigned blade = 2; blade <= 3; ++blade) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
    sut_.own_vote(blade_, Vote::Down);
    sut_.hello(sut_.standby(), {{role_, Term{1}, PlaceKind::Mirror, false}});
    sut_.pass(1s);
  }
};

TEST_F(StoredEvidence, OfALeaseIsCountedOutOnceMoreAfterARestart) {
  restart_before_the_mirror_hears();
  ASSERT_FALSE(sut_.orders<link::StopGrants>().empty()) << "the mirror is asked again";
  EXPECT_EQ(sut_.orders<link::StopGrants>().back().second.term, Term{2}) << "for its term and every lower one";
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver) << "the mirror has said nothing";
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{2}});
  sut_.pass(sut_.config.timings.lease_out() - 10ms);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.pass(20ms);
  ASSERT_EQ(sut_.orders<link::Activate>().size(), 1U);
  EXPECT_EQ(sut_.orders<link::Activate>()[0].second.evidence, link::StopEvidence::LeaseRanOut);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).term, Term{2}) << "of the same takeover";
}

TEST_F(StoredEvidence, OfAnotherKindMakesNoLease) {
  arm();
  sut_.silent_ports.insert(blade_);
  nothing_obeys();
  sut_.stuck_ports.clear();
  sut_.silent_agents.insert(sut_.standby());
  sut_.silence(1);
  sut_.step(IsolateDone{blade_});
  ASSERT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
  sut_.silent_ports.clear();
  sut_.stuck_ports.insert(blade_);
  sut_.restart_control_server();
  sut_.forget();
  sut_.hello(sut_.standby(), {{role_, Term{1}, PlaceKind::Mirror, false}});
  sut_.report(sut_.standby(), link::GrantsStopped{role_, Term{2}});
  sut_.pass(60s);
  EXPECT_TRUE(sut_.orders<link::StopGrants>().empty());
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
}

TEST_F(LeaseTest, AnActiveThatCannotBeToldStaysLeased) {
  arm();
  sut_.own_vote(blade_, Vote::Down);
  sut_.mirror_state(1, MirrorPhase::Connected);
  EXPECT_TRUE(sut_.own(1).leased) << "it is the one that the lease is for";
}

/// A former control-server had timed its gate and stopped the grants; then its store was lost.
TEST(Lease, AnAdoptedActiveKeepsItsGateOpenWithoutATimeout) {
  Chassis chassis(leased(1));
  const BladeId blade{"blade-1"};
  chassis.hello(blade, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  chassis.report(blade, link::LeaseState{RoleId{"role-1"}, Term{1}, 4711});
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  ASSERT_EQ(chassis.own(1).term, Term{1});
  const auto disarmed = chassis.orders<link::DisarmLease>();
  ASSERT_EQ(disarmed.size(), 1U) << "nobody would ever open it again";
  EXPECT_EQ(disarmed[0].first, blade);
  EXPECT_EQ(disarmed[0].second.term, Term{1});
}

TEST(Lease, IsNotArmedWhereTheControlServerSharesTheMirrorsFateOrNobodyWantsIt) {
  auto shared = leased(2);
  shared.control_blade = shared.standbys().front();
  for (const auto& group : {shared, config(2)}) {
    Chassis chassis(group);
    chassis.bring_up();
    chassis.pass(10s);
    EXPECT_TRUE(chassis.orders<link::ArmLease>().empty());
  }
}

}  // namespace
}  // namespace understudy::control::test
