// SPDX-License-Identifier: Apache-2.0
/// Start and protection, as scenarios over a chassis in memory.
/// Covers: control-server/core/role_machine.cpp, control-server/core/role_start.cpp, control-server/core/group.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

using link::StopEvidence;

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

/// The blade died, and nothing was taken over in time; its stream's end left the mirror connected, with a whole copy.
TEST(Start, AMirrorThatFollowedIsTriedBeforeTheRoleStartsFromNothing) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(5s);
  ASSERT_EQ(chassis.state(1), RoleState::Exposed);
  chassis.hello(BladeId{"blade-1"});
  ASSERT_EQ(chassis.state(1), RoleState::Starting);
  chassis.pass(3100ms);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(Start, ABladeThatIsBackIsNotPoweredOffBecauseBfdDoesNotHearItYet) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(5s);
  chassis.own_vote(BladeId{"blade-1"}, Vote::Down);
  chassis.hello(BladeId{"blade-1"});
  chassis.pass(3100ms);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_TRUE(chassis.all<PowerOff>().empty());
}

TEST(Start, WhenTheMirrorRefusesTheRoleStartsFromNothing) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(5s);
  chassis.silent_agents.insert(chassis.standby());
  chassis.hello(BladeId{"blade-1"});
  chassis.pass(3100ms);
  for (int i = 0; i < 3; ++i) {  // it alone can have the state
    chassis.report(chassis.standby(),
                   link::ActivateFailed{RoleId{"role-1"}, Term{2}, "the mirror has no complete copy"});
    chassis.pass(4s);
  }
  chassis.report(chassis.standby(), link::Stopped{RoleId{"role-1"}, Term{3}});
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.own(1).term, Term{3});
}

TEST(Start, AnEmptyStoreAsksTheMirrorOfABladeThatHasNothing) {
  Chassis chassis(1);
  for (const auto& blade : chassis.config.blades) { chassis.own_vote(blade.id, Vote::Up); }
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{5}, PlaceKind::Mirror, false}});
  chassis.hello(BladeId{"blade-1"});
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty());
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{6});
}

TEST(Start, AMirrorWhoseHostAgentIsAwayForAMomentIsWaitedFor) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(5s);
  chassis.hello(BladeId{"blade-1"});
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(5s);
  EXPECT_EQ(chassis.own(1).term, Term{1}) << "the only copy may be there";
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(20s);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Start, AnAdoptedMirrorThatWasToldToBeDeadIsMoved) {
  Chassis chassis(1);
  chassis.own_vote(chassis.standby(), Vote::Up);
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{2}, PlaceKind::Mirror, true}});
  chassis.report(chassis.standby(),
                 link::MirrorState{RoleId{"role-1"}, Term{2}, MirrorPhase::Failed, "n", "QEMU ended"});
  chassis.hello(BladeId{"blade-1"});
  EXPECT_EQ(chassis.state(1), RoleState::OnHost) << "it was told before the store knew of the mirror";
}

/// What its host-agent told before both had connected was told under a term that an empty store does not know.
TEST(Start, AnAdoptedPlaceIsAskedWhetherItsApplicationRuns) {
  Chassis chassis(1);
  chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{7}, PlaceKind::Host, true}});
  chassis.report(BladeId{"blade-1"}, link::ApplicationFailed{RoleId{"role-1"}, Term{7}, "exit status 1"});
  chassis.hello(chassis.standby());
  ASSERT_EQ(chassis.orders<link::ServeRole>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::ServeRole>()[0].second.term, Term{7});
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

/// Its host-agent was restarted, and has not heard it yet; meanwhile the active dies.
TEST(Protection, AGuestThatHasNotSaidYetWhoItIsIsNoOther) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.hello(chassis.standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  chassis.mirror_state(1, MirrorPhase::Starting, "");
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.mirror_state(1, MirrorPhase::Connected, "nonce");
  chassis.silence(1);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
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

}  // namespace
}  // namespace understudy::control::test
