// SPDX-License-Identifier: Apache-2.0
/// The movement from the mirror to the standby's host, as scenarios.
/// Covers: control-server/core/role_movement.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

GroupConfig moving_always(unsigned actives) {
  auto group = config(actives);
  group.movement = link::MovementPolicy::Always;
  return group;
}

TEST(Movement, AlwaysMovesWhenSettledReservesFirstAndReleasesAfterwards) {
  for (const unsigned actives : {1U, 3U}) {
    Chassis chassis(moving_always(actives));
    chassis.bring_up();
    chassis.silence(1);
    ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
    chassis.forget();
    chassis.pass(2900ms);
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
    chassis.pass(200ms);
    EXPECT_EQ(chassis.state(1), RoleState::OnHost);
    EXPECT_EQ(chassis.own(1).place, (Place{chassis.standby(), PlaceKind::Host}));
    EXPECT_EQ(chassis.own(1).term, Term{3});
    const auto stored = chassis.all<Persist>();
    ASSERT_EQ(stored.size(), 2U);
    EXPECT_EQ(stored[0].next.term, Term{2});
    EXPECT_EQ(stored[0].next.reserved, Term{3});
    EXPECT_EQ(stored[1].next.reserved, Term{0});
    ASSERT_EQ(chassis.orders<link::Move>().size(), 1U);
    EXPECT_EQ(chassis.orders<link::Move>()[0].second.term, Term{3});
    ASSERT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U);
    EXPECT_TRUE(chassis.orders<link::ReleaseMirrors>()[0].second.except.empty());
    EXPECT_TRUE(chassis.noted("phase", "freeze"));
    EXPECT_TRUE(chassis.noted("phase", "release"));
    for (unsigned other = 2; other <= actives; ++other) {
      EXPECT_EQ(chassis.state(other), RoleState::Exposed);
      EXPECT_NE(chassis.status(other).detail.find("its mirror is gone"), std::string::npos);
    }
    EXPECT_TRUE(chassis.group->status().standby.empty());
  }
}

TEST(Movement, TheOrderFollowsTheStoredReservation) {
  Chassis chassis(moving_always(1));
  chassis.bring_up();
  chassis.silence(1);
  chassis.store_works = false;
  chassis.forget();
  chassis.pass(10s);
  EXPECT_EQ(chassis.state(1), RoleState::Moving);
  EXPECT_TRUE(chassis.orders<link::Move>().empty());
  chassis.store_works = true;
  chassis.pass(1s);
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
}

TEST(Movement, RolledBackItIsTriedAFewTimesUnderNewTermsAndThenStays) {
  Chassis chassis(moving_always(1));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.forget();
  chassis.pass(3100ms);
  for (std::uint64_t reserved = 3; reserved <= 5; ++reserved) {
    ASSERT_EQ(chassis.state(1), RoleState::Moving) << reserved;
    EXPECT_EQ(chassis.own(1).reserved, Term{reserved}) << "a reserved term is used once";
    chassis.report(chassis.standby(), link::MoveFailed{RoleId{"role-1"}, Term{reserved}, "quiesce deadline"});
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
    chassis.pass(20s);
  }
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.orders<link::Move>().size(), 3U);
  EXPECT_NE(chassis.status(1).detail.find("stays on its mirror after 3 movements"), std::string::npos);
  EXPECT_EQ(chassis.own(1).term, Term{2}) << "the guest serves on under its term";
  chassis.silent_agents.clear();
  chassis.step(OperatorMove{RoleId{"role-1"}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
  EXPECT_EQ(chassis.own(1).term, Term{6});
  EXPECT_EQ(chassis.status(1).detail, "");
}

TEST(Movement, ManualWaitsForTheOperator) {
  Chassis chassis(1);
  chassis.bring_up();
  EXPECT_FALSE(chassis.group->check_move(RoleId{"role-1"}).ok()) << "it is not on its mirror";
  EXPECT_EQ(chassis.group->check_move(RoleId{"role-7"}).error().code, Errc::NotFound);
  chassis.step(OperatorMove{RoleId{"role-1"}});
  chassis.silence(1);
  chassis.pass(60s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_TRUE(chassis.group->check_move(RoleId{"role-1"}).ok());
  chassis.step(OperatorMove{RoleId{"role-1"}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
}

TEST(Movement, ThePolicyCanBeChangedWhileARoleIsOnItsMirror) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  chassis.pass(60s);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.step(OperatorPolicy{link::MovementPolicy::Always});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
}

TEST(Movement, TwoRolesOnMirrorsBothStay) {
  Chassis chassis(moving_always(3));
  chassis.bring_up();
  chassis.silence(1);
  chassis.pass(1s);
  chassis.silence(2);
  chassis.forget();
  chassis.pass(60s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
  EXPECT_TRUE(chassis.orders<link::Move>().empty());
  EXPECT_TRUE(chassis.noted("state", "stays on its mirror: role-2"));
}

TEST(Movement, AnOperatorsMovementNeverShutsAServingGuestDown) {
  Chassis chassis(3);
  chassis.bring_up();
  chassis.silence(1);
  chassis.pass(1s);
  chassis.silence(2);
  chassis.step(OperatorMove{RoleId{"role-1"}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
  EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
  ASSERT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::ReleaseMirrors>()[0].second.except, std::vector<RoleId>{RoleId{"role-2"}});
}

TEST(Movement, AFailureInTheMiddleOfAnothersMovementIsTakenOver) {
  Chassis chassis(moving_always(3));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.pass(3100ms);
  ASSERT_EQ(chassis.state(1), RoleState::Moving);
  chassis.silent_agents.clear();
  chassis.silence(2);
  EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
  EXPECT_EQ(chassis.state(1), RoleState::Moving);
  chassis.report(chassis.standby(), link::Moved{RoleId{"role-1"}, chassis.own(1).reserved, {}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
  EXPECT_EQ(chassis.orders<link::ReleaseMirrors>()[0].second.except, std::vector<RoleId>{RoleId{"role-2"}});
}

TEST(Movement, FinishedWhileTheControlServerWasAwayIsAdopted) {
  Chassis chassis(moving_always(1));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.pass(3100ms);
  ASSERT_EQ(chassis.state(1), RoleState::Moving);
  chassis.restart_control_server();
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{3}, PlaceKind::Host, true}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
  EXPECT_EQ(chassis.own(1).term, Term{3});
}

TEST(Movement, AReconnectInTheMiddleRepeatsTheSameOrder) {
  Chassis chassis(moving_always(1));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.pass(3100ms);
  chassis.forget();
  chassis.step(AgentLost{chassis.standby()});
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{2}, PlaceKind::Mirror, true}});
  ASSERT_EQ(chassis.orders<link::Move>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::Move>()[0].second.term, Term{3});
  chassis.report(chassis.standby(), link::Moved{RoleId{"role-1"}, Term{3}, {}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
}

TEST(Movement, AfterARestartTheStandbyThatBecameAnActiveGetsNoMirrors) {
  Chassis chassis(moving_always(2));
  chassis.bring_up();
  chassis.silence(1);
  chassis.pass(4s);
  ASSERT_EQ(chassis.state(1), RoleState::OnHost);
  chassis.restart_control_server();
  chassis.forget();
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{3}, PlaceKind::Host, true},
                                    {RoleId{"role-2"}, Term{1}, PlaceKind::Mirror, false}});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
  EXPECT_TRUE(chassis.orders<link::RunMirror>().empty());
  EXPECT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U) << "what a crash left behind is finished";
}

/// Nobody knows yet whether its blade is dead: the observers may have failed, and then it has all of it; or it is, and
/// the copy is the last one.
TEST(Movement, AReleaseSparesTheCopyOfARoleWhoseBladeIsNotHeard) {
  for (const bool dead : {false, true}) {
    Chassis chassis(2);
    chassis.bring_up();
    chassis.silence(1);
    ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
    chassis.pass(10s);
    chassis.own_vote(chassis.standby(), Vote::Unknown);
    chassis.own_vote(BladeId{"blade-2"}, Vote::Down);  // and nobody else is heard: no failover by silence alone
    chassis.mirror_vote(2, Vote::Down);
    chassis.mirror_state(2, MirrorPhase::Connected);
    chassis.step(OperatorMove{RoleId{"role-1"}});
    ASSERT_EQ(chassis.state(1), RoleState::OnHost);
    ASSERT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U);
    EXPECT_EQ(chassis.orders<link::ReleaseMirrors>()[0].second.except, std::vector<RoleId>{RoleId{"role-2"}});
    chassis.forget();
    if (dead) {
      chassis.hello(BladeId{"blade-2"});  // it was, and has nothing of the role
      chassis.pass(5s);
      EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
    } else {
      chassis.own_vote(BladeId{"blade-2"}, Vote::Up);
      chassis.mirror_vote(2, Vote::Up);
      EXPECT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U) << "what was spared is not needed any more";
      EXPECT_EQ(chassis.state(2), RoleState::Exposed);
    }
  }
}

TEST(Movement, AReleaseSparesTheOnlyCopyOfARoleThatNobodyServes) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.pass(10s);
  chassis.mirror_state(2, MirrorPhase::Connected);
  chassis.pass(5s);
  chassis.hello(BladeId{"blade-2"});  // it came back without the role; its mirror is about to be asked
  ASSERT_EQ(chassis.state(2), RoleState::Starting);
  chassis.forget();
  chassis.step(OperatorMove{RoleId{"role-1"}});
  ASSERT_EQ(chassis.state(1), RoleState::OnHost);
  ASSERT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::ReleaseMirrors>()[0].second.except, std::vector<RoleId>{RoleId{"role-2"}});
  chassis.pass(5s);
  EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
}

/// A blade that has rebooted is heard before its host-agent says what it has of the role: nothing.
TEST(Movement, AReleaseSparesTheCopyOfARoleWhoseBladeHasAVoiceAndSaysNothingYet) {
  for (const bool moved_before : {true, false}) {
    Chassis chassis(2);
    chassis.bring_up();
    chassis.silence(1);
    ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
    chassis.pass(10s);
    chassis.own_vote(BladeId{"blade-2"}, Vote::Down);
    chassis.step(AgentLost{BladeId{"blade-2"}});
    chassis.mirror_vote(2, Vote::Unknown);
    chassis.mirror_state(2, MirrorPhase::Connected);
    chassis.pass(20s);
    ASSERT_EQ(chassis.state(2), RoleState::Lost);
    chassis.forget();
    if (!moved_before) { chassis.own_vote(BladeId{"blade-2"}, Vote::Up); }
    chassis.step(OperatorMove{RoleId{"role-1"}});
    ASSERT_EQ(chassis.state(1), RoleState::OnHost);
    if (moved_before) { chassis.own_vote(BladeId{"blade-2"}, Vote::Up); }
    for (const auto& [blade, release] : chassis.orders<link::ReleaseMirrors>()) {
      EXPECT_EQ(release.except, std::vector<RoleId>{RoleId{"role-2"}});
    }
    chassis.hello(BladeId{"blade-2"});
    chassis.pass(5s);
    EXPECT_EQ(chassis.state(2), RoleState::OnMirror);
  }
}

/// The store has lost its memory, and the blade of role 2 is not there to say that it has nothing.
TEST(Movement, AReleaseSparesAGuestThatServesARoleOfWhichTheStoreKnowsNothing) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.store.clear();
  chassis.restart_control_server();
  const link::HeldRole one{RoleId{"role-1"}, Term{2}, PlaceKind::Mirror, true};
  const link::HeldRole two{RoleId{"role-2"}, Term{2}, PlaceKind::Mirror, true};
  chassis.hello(chassis.standby(), {one, two});
  chassis.hello(BladeId{"blade-1"});
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.report(chassis.standby(),
                 link::MirrorState{RoleId{"role-2"}, Term{2}, MirrorPhase::Failed, "", "QEMU ended"});
  chassis.forget();
  chassis.step(OperatorMove{RoleId{"role-1"}});
  ASSERT_EQ(chassis.state(1), RoleState::OnHost);
  ASSERT_EQ(chassis.orders<link::ReleaseMirrors>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::ReleaseMirrors>()[0].second.except, std::vector<RoleId>{RoleId{"role-2"}});
  chassis.hello(BladeId{"blade-2"});
  EXPECT_EQ(chassis.state(2), RoleState::OnHost) << "the dead guest's region is the role's only copy";
}

TEST(Movement, ADeadGuestThatServedIsMovedWhateverThePolicy) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.mirror_state(1, MirrorPhase::Failed);
  EXPECT_EQ(chassis.state(1), RoleState::OnHost);
}

TEST(Movement, NoMovementEndsByItsDeadline) {
  Chassis chassis(moving_always(1));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.pass(300s);
  EXPECT_EQ(chassis.state(1), RoleState::Moving);
  EXPECT_NE(chassis.status(1).detail.find("unusually long"), std::string::npos);
}

TEST(Movement, AGuestThatDiesAfterTheLastRollbackIsMovedAllTheSame) {
  Chassis chassis(moving_always(1));
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  for (unsigned i = 0; i < kMovementTries; ++i) {
    chassis.pass(30s);
    ASSERT_EQ(chassis.state(1), RoleState::Moving) << "try " << i;
    chassis.report(chassis.standby(), link::MoveFailed{RoleId{"role-1"}, chassis.own(1).reserved, "x"});
  }
  chassis.pass(300s);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror) << "its guest serves on";
  chassis.mirror_state(1, MirrorPhase::Failed);
  EXPECT_EQ(chassis.state(1), RoleState::Moving);
}

TEST(Movement, BehindADeadGuestItIsTriedUntilItSucceeds) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.power_works = false;
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "x"});
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  chassis.silent_agents.insert(chassis.standby());
  chassis.forget();
  chassis.mirror_state(1, MirrorPhase::Failed);
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(chassis.state(1), RoleState::Moving) << "nobody serves it, try " << i;
    chassis.report(chassis.standby(), link::MoveFailed{RoleId{"role-1"}, chassis.own(1).reserved, "x"});
    chassis.pass(9s);
  }
}

}  // namespace
}  // namespace understudy::control::test
