// SPDX-License-Identifier: Apache-2.0
/// A second failure in the middle of the first: the control-server away, the switch dead, the standby gone.
/// Covers: control-server/core/role_failure.cpp, control-server/core/role_takeover.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};
const RoleId kRole1{"role-1"};

/// Of blade-1, which is dead, while the control-server is away. Then that one is back.
class AwayWhenItDied : public testing::Test {
 protected:
  AwayWhenItDied() {
    sut_.bring_up();
    sut_.restart_control_server();
    sut_.forget();
    for (unsigned blade = 2; blade <= 3; ++blade) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
    sut_.hello(Chassis::blade_id(2), {{Chassis::role_id(2), Term{1}, PlaceKind::Host, true}});
    sut_.hello(sut_.standby(),
               {{kRole1, Term{1}, PlaceKind::Mirror, false}, {Chassis::role_id(2), Term{1}, PlaceKind::Mirror, false}});
  }
  void the_mirror_lost_its_stream(bool whole) {
    sut_.report(sut_.standby(), link::MirrorState{kRole1, Term{1}, MirrorPhase::Connected, "nonce", "", whole});
    sut_.mirror_vote(1, Vote::Down);
    sut_.pass(link::kVoteUnknownMax);
    sut_.own_vote(kBlade1, Vote::Down);
    sut_.pass(1s);
  }
  Chassis sut_{2};
};

TEST_F(AwayWhenItDied, AnActiveIsTakenOverByTheMirrorThatHasItAll) {
  the_mirror_lost_its_stream(true);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).term, Term{2});
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
}

TEST_F(AwayWhenItDied, AMirrorThatHasNotItAllTakesNothingOver) {
  the_mirror_lost_its_stream(false);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_TRUE(sut_.all<Isolate>().empty()) << "what is left of the role may be on its blade";
}

TEST_F(AwayWhenItDied, AnActiveThatHasServedSinceIsNotTakenOverByAnOldCopy) {
  sut_.hello(kBlade1, {{kRole1, Term{1}, PlaceKind::Host, true}});
  the_mirror_lost_its_stream(true);
  EXPECT_EQ(sut_.state(1), RoleState::Lost) << "it was exposed, and wrote on";
}

/// The standby's stream to the control-server is cut in the middle of a sync of role-1, and blade-1 dies in that cut.
class SyncedOutOfSight : public testing::Test {
 protected:
  SyncedOutOfSight() {
    sut_.bring_up();
    sut_.mirror_state(1, MirrorPhase::Syncing);
    sut_.step(AgentLost{sut_.standby()});
    sut_.pass(1s);
  }
  void the_active_dies() {
    sut_.own_vote(kBlade1, Vote::Down);
    sut_.pass(3s);
    EXPECT_EQ(sut_.state(1), RoleState::Lost);
  }
  void the_standby_is_back(bool whole, const std::string& nonce = "nonce") {
    sut_.hello(sut_.standby(),
               {{kRole1, Term{1}, PlaceKind::Mirror, false}, {Chassis::role_id(2), Term{1}, PlaceKind::Mirror, false}});
    sut_.report(sut_.standby(), link::MirrorState{kRole1, Term{1}, MirrorPhase::Connected, nonce, "", whole});
  }
  void expect_its_end(RoleState state) {
    sut_.mirror_vote(1, Vote::Down);
    sut_.pass(1s);
    EXPECT_EQ(sut_.state(1), state) << sut_.status(1).detail;
    EXPECT_EQ(sut_.orders<link::Activate>().empty(), state == RoleState::Lost);
  }
  Chassis sut_{2};
};

TEST_F(SyncedOutOfSight, ACopyThatWasCompletedThereTakesOver) {
  the_active_dies();
  the_standby_is_back(true);
  expect_its_end(RoleState::OnMirror);
}

TEST_F(SyncedOutOfSight, NorWhereItsActiveWasHeardOnWithoutIt) {
  the_active_dies();
  the_standby_is_back(false);
  link::MirrorState state{kRole1, Term{1}, MirrorPhase::Connected, "nonce", "", true};
  state.older = true;
  sut_.report(sut_.standby(), state);
  expect_its_end(RoleState::Lost);
}

TEST_F(SyncedOutOfSight, AnotherControlServerThatDecidesByThenKnowsIt) {
  EXPECT_TRUE(sut_.kept_protection.contains(kRole1)) << "whether the copy is an older one is not known yet";
  sut_.restart_control_server();
  for (const unsigned blade : {2U, 3U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_.hello(Chassis::blade_id(2), {{Chassis::role_id(2), Term{1}, PlaceKind::Host, true}});
  the_active_dies();
  the_standby_is_back(true);
  expect_its_end(RoleState::OnMirror);
}

/// Of a new mirror: the role was never PROTECTED before.
TEST_F(SyncedOutOfSight, AFirstCopyTakesOverToo) {
  sut_.kept_protection.clear();
  sut_.restart_control_server();
  for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
  for (const unsigned blade : {1U, 2U}) {
    sut_.hello(Chassis::blade_id(blade), {{Chassis::role_id(blade), Term{1}, PlaceKind::Host, true}});
  }
  sut_.hello(sut_.standby(), {{kRole1, Term{1}, PlaceKind::Mirror, false}});
  sut_.mirror_state(1, MirrorPhase::Syncing);
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  sut_.step(AgentLost{sut_.standby()});
  the_active_dies();
  the_standby_is_back(true);
  expect_its_end(RoleState::OnMirror);
}

TEST_F(SyncedOutOfSight, AnUnfinishedCopyTakesNothingOver) {
  the_active_dies();
  the_standby_is_back(false);
  expect_its_end(RoleState::Lost);
}

TEST_F(SyncedOutOfSight, NorDoesOneWhoseActiveSaysThatNothingReachesIt) {
  sut_.report(kBlade1, link::SyncProgress{kRole1, Term{1}, link::SyncStream::None, {}});
  sut_.pass(sut_.config.timings.stream_back);
  EXPECT_FALSE(sut_.kept_protection.contains(kRole1));
  the_active_dies();
  the_standby_is_back(true);
  expect_its_end(RoleState::Lost);
}

TEST_F(SyncedOutOfSight, NorDoesAnotherGuest) {
  the_active_dies();
  the_standby_is_back(true, "another-boot");
  expect_its_end(RoleState::Lost);
}

TEST_F(SyncedOutOfSight, NorAfterTheActiveWasHeardForLongerThanASyncMayBeAway) {
  the_standby_is_back(true);
  sut_.pass(sut_.config.timings.sync_grace);
  the_active_dies();
  expect_its_end(RoleState::Lost);
}

/// The active died, and the agent of its guest was restarted and failed once to find its way.
TEST(SecondFault, AMirrorThatFailedIsToldAgainWhileTheRoleWaitsForItsWord) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Failed);
  chassis.hello(kBlade1);
  ASSERT_EQ(chassis.state(1), RoleState::Starting);
  chassis.mirror_state(1, MirrorPhase::Failed);
  chassis.forget();
  chassis.pass(chassis.config.timings.retry);
  ASSERT_EQ(chassis.orders<link::RunMirror>().size(), 1U);
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(chassis.config.timings.mirror_wait);
  EXPECT_EQ(chassis.orders<link::RunMirror>().size(), 1U);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

/// Its power is confirmed to be off; the switch is dead; the mirror does not take over at once.
TEST(SecondFault, AConfirmedPowerOffIsEvidenceForTheNextTryToo) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.stuck_ports.insert(kBlade1);
  chassis.silence(1);
  ASSERT_EQ(chassis.own(1).evidence, link::StopEvidence::PoweredOff);
  chassis.forget();
  chassis.report(chassis.standby(), link::ActivateFailed{kRole1, Term{2}, "no region yet"});
  chassis.silent_agents.clear();
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(SecondFault, ABackgroundPowerOffIsEvidenceWhereTheSwitchFailsLater) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.silence(1);
  chassis.pass(500ms);
  ASSERT_EQ(chassis.own(1).evidence, link::StopEvidence::Isolated);
  ASSERT_TRUE(chassis.powered_off.contains(kBlade1));
  chassis.stuck_ports.insert(kBlade1);
  chassis.step(AgentLost{chassis.standby()});
  chassis.silent_agents.clear();
  chassis.forget();
  chassis.hello(chassis.standby(), {{kRole1, Term{1}, PlaceKind::Mirror, false}});
  chassis.pass(2s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

/// The switch is slow: what was ordered is carried out in the order of the orders, and answered late.
class SlowSwitch : public testing::Test {
 protected:
  SlowSwitch() {
    sut_.config.has_power = false;
    sut_.restart_control_server();
    sut_.bring_up();
    sut_.stuck_ports.insert(kBlade1);
    sut_.silent_agents.insert(kBlade1);
    sut_.silence(1);  // the first isolation fails
    sut_.stuck_ports.clear();
    sut_.silent_ports.insert(kBlade1);
    sut_.pass(600ms);  // the second is under way
    sut_.silent_readmissions = true;
    heard_and_called_off();
  }
  void heard_and_called_off() {
    sut_.own_vote(kBlade1, Vote::Up);
    sut_.mirror_vote(1, Vote::Up);
    sut_.report(kBlade1, link::Serving{kRole1, sut_.own(1).term});
    sut_.mirror_state(1, MirrorPhase::Synced);
    ASSERT_EQ(sut_.state(1), RoleState::Protected);
  }
  Chassis sut_{2};
};

TEST_F(SlowSwitch, AnIsolationOfBeforeAReadmissionIsNoEvidenceAfterIt) {
  ASSERT_EQ(sut_.all<Readmit>().size(), 1U) << "behind the second isolation";
  sut_.forget();
  sut_.silence(1);
  ASSERT_EQ(sut_.state(1), RoleState::TakingOver);
  EXPECT_EQ(sut_.all<Isolate>().size(), 1U) << "behind the readmission";
  sut_.step(IsolateDone{kBlade1});
  EXPECT_TRUE(sut_.orders<link::Activate>().empty()) << "its ports are about to be opened";
  sut_.step(ReadmitDone{kBlade1});
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.step(IsolateDone{kBlade1});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

/// Another evidence came first, so that nothing was isolated for it.
TEST_F(SlowSwitch, AReadmissionThatIsDoneTooLateIsUndone) {
  sut_.hello(kBlade1);
  ASSERT_EQ(sut_.state(1), RoleState::OnMirror);
  sut_.step(IsolateDone{kBlade1});
  sut_.forget();
  sut_.step(ReadmitDone{kBlade1});
  EXPECT_EQ(sut_.all<Isolate>().size(), 1U);
}

/// Its command waits behind others, or hangs.
TEST(SecondFault, ASwitchThatDoesNotAnswerHoldsUpNoOtherEvidence) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_ports.insert(kBlade1);
  chassis.silence(1);
  chassis.pass(chassis.config.timings.isolation_limit - 1ms);
  EXPECT_TRUE(chassis.all<PowerOff>().empty());
  chassis.pass(1ms);
  EXPECT_EQ(chassis.own(1).evidence, link::StopEvidence::PoweredOff);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_TRUE(chassis.noted("alarm", "the switch has not answered in time whether blade-1 is isolated"));
}

TEST(SecondFault, PortsAreLookedAtOnceBeforeTheSwitchHasAnswered) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_looks = true;
  chassis.forget();
  chassis.pass(60s);
  EXPECT_EQ(chassis.all<LookAtPorts>().size(), 3U) << "of each blade that serves, and of the standby";
}

/// The switch hangs, the mirror cannot take over, and the active has rebooted: it is all that the role has left.
TEST(SecondFault, ABladeThatHasComeBackWithNothingIsNotPoweredOffBecauseTheSwitchHangs) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.silence(1);
  chassis.step(AgentLost{kBlade1});
  ASSERT_EQ(chassis.own(1).term, Term{2});
  chassis.powered_off.clear();
  chassis.silent_ports.insert(kBlade1);
  chassis.own_vote(kBlade1, Vote::Up);
  chassis.hello(kBlade1);
  chassis.forget();
  for (int i = 0; i < 3; ++i) {
    chassis.report(chassis.standby(), link::ActivateFailed{kRole1, Term{2}, "no complete copy"});
    chassis.pass(5s);
  }
  EXPECT_TRUE(chassis.all<PowerOff>().empty());
  chassis.report(chassis.standby(), link::Stopped{kRole1, Term{3}});
  EXPECT_EQ(chassis.own(1).place, (Place{kBlade1, PlaceKind::Host}));
}

}  // namespace
}  // namespace understudy::control::test
