// SPDX-License-Identifier: Apache-2.0
/// The planned switchover: nothing is lost, or nothing has happened.
/// Covers: control-server/core/role_switchover.cpp, control-server/core/group_switchover.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

using link::StopEvidence;

const RoleId kRole{"role-1"};
const BladeId kActive{"blade-1"};

class Switchover : public testing::Test {
 protected:
  explicit Switchover() { sut_.bring_up(); }
  /// The active gets the order and has not answered yet.
  void begin() {
    sut_.silent_agents.insert(kActive);
    sut_.forget();
    sut_.step(OperatorSwitchover{kRole, false});
    ASSERT_EQ(sut_.state(1), RoleState::TakingOver);
    ASSERT_EQ(sut_.orders<link::HandOver>().size(), 1U);
  }
  void expect_refused(const std::string& words, bool force = false) {
    const auto answer = sut_.group->check_switchover(kRole, force);
    ASSERT_FALSE(answer.ok()) << words;
    EXPECT_NE(answer.error().message.find(words), std::string::npos) << answer.error().message;
    sut_.forget();
    sut_.step(OperatorSwitchover{kRole, force});
    EXPECT_TRUE(sut_.orders<link::HandOver>().empty());
  }

  Chassis sut_{2};
};

TEST_F(Switchover, TheMirrorIsActivatedWhenTheActiveHasLetGoAndNobodyIsIsolatedBefore) {
  sut_.forget();
  sut_.step(OperatorSwitchover{kRole, false});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).term, Term{2});
  EXPECT_EQ(sut_.own(1).evidence, StopEvidence::StoodDown);
  EXPECT_EQ(sut_.orders<link::HandOver>()[0].second.term, Term{2});
  const auto hand_over = index_of(sut_, is_order<link::HandOver>);
  const auto persist = index_of(sut_, [](auto& e) { return std::holds_alternative<Persist>(e); });
  const auto activate = index_of(sut_, is_order<link::Activate>);
  EXPECT_LT(hand_over, persist);
  EXPECT_LT(persist, activate);
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  EXPECT_TRUE(sut_.all<PowerOff>().empty()) << "the blade is healthy";
  EXPECT_TRUE(sut_.noted("phase", "ship"));
  EXPECT_EQ(sut_.state(2), RoleState::Protected);
}

TEST_F(Switchover, NothingIsStoredBeforeTheActiveHasLetGo) {
  begin();
  sut_.pass(2s);
  EXPECT_TRUE(sut_.all<Persist>().empty());
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  EXPECT_TRUE(sut_.orders<link::StandDown>().empty()) << "that would not wait for the mirror";
}

TEST_F(Switchover, AnActiveThatCannotLetGoServesOnUnderItsTermAndTheOperatorIsTold) {
  begin();
  sut_.report(kActive, link::HandOverFailed{kRole, Term{2}, "the mirror does not follow"});
  EXPECT_TRUE(sut_.noted("switchover", "rolled back, blade-1 serves on: the mirror does not follow"));
  EXPECT_EQ(sut_.orders<link::ServeRole>().at(0).second.term, Term{1});
  sut_.report(kActive, link::Serving{kRole, Term{1}});
  EXPECT_EQ(sut_.state(1), RoleState::Protected) << "its copy is as whole as it was";
  EXPECT_TRUE(sut_.all<Persist>().empty());
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  sut_.silent_agents.clear();
  sut_.step(OperatorSwitchover{kRole, false});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << "it can be tried again";
}

TEST_F(Switchover, ServingThatWasSaidBeforeTheOrderWasReadIsNoRollback) {
  begin();
  sut_.report(kActive, link::Serving{kRole, Term{1}});
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
  sut_.report(kActive, link::HandedOver{kRole, Term{2}, {}});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(Switchover, AnActiveThatDiesInTheMiddleIsTakenOverFromLikeAnyOther) {
  begin();
  sut_.silence(1);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).evidence, StopEvidence::Isolated);
}

TEST_F(Switchover, AnActiveThatSaysNeitherIsIsolatedAndTakenOverFrom) {
  begin();
  sut_.pass(3900ms);
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  sut_.pass(200ms);
  EXPECT_EQ(sut_.own(1).evidence, StopEvidence::Isolated);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(Switchover, WhileTheMirrorIsLostTheActiveGetsTheRoleBackAtOnceUnderANewTerm) {
  begin();
  sut_.mirror_state(1, MirrorPhase::Failed);
  sut_.silent_agents.clear();
  sut_.report(kActive, link::HandedOver{kRole, Term{2}, {}});
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  EXPECT_TRUE(sut_.noted("switchover", "the mirror was lost in the middle of it"));
  EXPECT_EQ(sut_.own(1).term, Term{2});
  EXPECT_EQ(sut_.own(1).place, (Place{kActive, PlaceKind::Host}));
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
}

TEST_F(Switchover, AMirrorThatDoesNotTakeOverGivesTheRoleBackToItsHealthyBlade) {
  sut_.silent_agents.insert(sut_.standby());
  sut_.step(OperatorSwitchover{kRole, false});
  ASSERT_EQ(sut_.own(1).place.kind, PlaceKind::Mirror);
  sut_.report(sut_.standby(), link::ActivateFailed{kRole, Term{2}, "its application ended"});
  EXPECT_EQ(sut_.orders<link::StandDown>().back().first, sut_.standby());
  sut_.report(sut_.standby(), link::Stopped{kRole, Term{3}});
  EXPECT_EQ(sut_.own(1).place, (Place{kActive, PlaceKind::Host}));
  EXPECT_GT(sut_.own(1).term, Term{2});
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
}

TEST_F(Switchover, ACutStreamIsAskedAgainAndNeverToldToServeBefore) {
  begin();
  sut_.step(AgentLost{kActive});
  sut_.hello(kActive, {{kRole, Term{1}, PlaceKind::Host, false}});
  EXPECT_EQ(sut_.orders<link::HandOver>().size(), 2U);
  EXPECT_TRUE(sut_.orders<link::ServeRole>().empty()) << "its word that it has let go may be on its way";
  sut_.report(kActive, link::HandOverFailed{kRole, Term{2}, "the role is preparing-host on this blade"});
  EXPECT_EQ(sut_.orders<link::ServeRole>().size(), 1U);
}

TEST_F(Switchover, ABladeThatCameBackWithoutTheRoleHasLetGo) {
  begin();
  sut_.step(AgentLost{kActive});
  sut_.hello(kActive);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(Switchover, ABladeThatServesOnHadNotHeardTheOrder) {
  begin();
  sut_.step(AgentLost{kActive});
  sut_.hello(kActive, {{kRole, Term{1}, PlaceKind::Host, true}});
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_TRUE(sut_.noted("switchover", "rolled back: the order for it was lost"));
}

TEST_F(Switchover, AControlServerThatWasRestartedInTheMiddleFindsWhatBecameOfIt) {
  begin();
  sut_.restart_control_server();
  for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
  sut_.hello(sut_.standby(), {{kRole, Term{1}, PlaceKind::Mirror, false}});
  sut_.hello(kActive, {});  // it has let go meanwhile
  sut_.mirror_state(1, MirrorPhase::Connected);
  sut_.pass(4s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(Switchover, IsRefusedInOneLine) {
  EXPECT_NE(sut_.group->check_switchover(RoleId{"role-9"}, true).error().message.find("no role \"role-9\""),
            std::string::npos);
  sut_.mirror_vote(1, Vote::Unknown);
  expect_refused("not every observer has heard");
  EXPECT_TRUE(sut_.group->check_switchover(kRole, true).ok()) << "nothing is decided by that vote";
  sut_.mirror_vote(1, Vote::Down);
  expect_refused("the mirror does not hear blade-1", true);
  sut_.mirror_vote(1, Vote::Up);
  sut_.silent_agents.insert(BladeId{"blade-2"});
  sut_.step(OperatorSwitchover{RoleId{"role-2"}, false});
  expect_refused("role-2 is taking-over and needs the standby", true);
  sut_.report(BladeId{"blade-2"}, link::HandedOver{RoleId{"role-2"}, Term{2}, {}});
  ASSERT_EQ(sut_.state(2), RoleState::OnMirror);
  EXPECT_TRUE(sut_.group->check_switchover(kRole, false).ok()) << "two roles may be on their mirrors";
  sut_.mirror_state(1, MirrorPhase::Connected);
  ASSERT_EQ(sut_.state(1), RoleState::Protected) << "its stream broke a moment ago";
  expect_refused("the mirror of role-1 is connected at the moment, not synced", true);
  sut_.mirror_state(1, MirrorPhase::Syncing);
  expect_refused("role-1 is exposed", true);
  sut_.mirror_state(1, MirrorPhase::Synced);
  sut_.step(AgentLost{kActive});
  expect_refused("the host-agent of blade-1 is not connected", true);
}

TEST(SwitchoverHeldOut, AStandbyThatIsHeldOutIsUsedOnlyByForce) {
  auto group = config(1);
  group.hold_out.failures = 1;
  Chassis chassis(group);
  chassis.bring_up();
  chassis.report(chassis.standby(), link::Hello{chassis.standby(), "another boot", {}});
  chassis.mirror_vote(1, Vote::Up);
  chassis.mirror_state(1, MirrorPhase::Synced);
  ASSERT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_NE(chassis.group->check_switchover(kRole, false).error().message.find("let-back blade-2"), std::string::npos);
  EXPECT_TRUE(chassis.group->check_switchover(kRole, true).ok());
}

TEST(SwitchoverWithoutALink, AStandbyThatLacksALinkOfTheBladeIsUsedOnlyByForce) {
  auto group = config(2);
  for (auto& role : group.roles) { role.spec.ports = {{"ext", "external", {}, {}}, {"int", "intranet", {}, {}}}; }
  Chassis chassis(group);
  chassis.bring_up();
  const auto lacks = [&](const BladeId& blade, std::vector<std::string> networks) {
    if (networks.empty()) {
      chassis.report(blade, link::RoleFit{kRole, Term{1}, link::UnfitCause::Link});
    } else {
      chassis.report(blade, link::RoleUnfit{kRole, Term{1}, link::UnfitCause::Link, std::move(networks), "no carrier"});
    }
  };
  const auto refusal = [&] {
    const auto answer = chassis.group->check_switchover(kRole, false);
    return answer.ok() ? "" : answer.error().message;
  };
  EXPECT_EQ(refusal(), "");
  lacks(chassis.standby(), {"external"});
  ASSERT_EQ(chassis.state(1), RoleState::Protected);
  EXPECT_NE(refusal().find("blade-3 has no link to external, which blade-1 has"), std::string::npos) << refusal();
  EXPECT_NE(refusal().find("--force"), std::string::npos) << refusal();
  chassis.forget();
  chassis.step(OperatorSwitchover{kRole, false});
  EXPECT_TRUE(chassis.orders<link::HandOver>().empty()) << "an order that was checked a moment earlier";
  lacks(kActive, {"external"});
  EXPECT_EQ(refusal(), "") << "it is lost already";
  lacks(chassis.standby(), {"external", "intranet"});
  EXPECT_NE(refusal().find("no link to intranet, which"), std::string::npos) << refusal();
  lacks(chassis.standby(), {});
  EXPECT_EQ(refusal(), "");
  lacks(chassis.standby(), {"intranet"});
  chassis.forget();
  chassis.step(OperatorSwitchover{kRole, true});
  EXPECT_EQ(chassis.orders<link::HandOver>().size(), 1U);
}

TEST(SwitchoverLeased, ARoleIsDurablyExposedBeforeItIsHandedOver) {
  auto group = config(1);
  group.leases = true;
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(2s);
  const auto armed = chassis.orders<link::ArmLease>();
  ASSERT_FALSE(armed.empty());
  chassis.report(kActive, link::LeaseState{kRole, Term{1}, armed.back().second.id});
  ASSERT_TRUE(chassis.own(1).leased);
  chassis.forget();
  chassis.step(OperatorSwitchover{kRole, false});
  const auto exposed = index_of(chassis, [](const Effect& effect) {
    const auto* persist = std::get_if<Persist>(&effect);
    return persist != nullptr && !persist->next.leased && persist->next.term == Term{1};
  });
  const auto disarmed = index_of(chassis, is_order<link::DisarmLease>);
  EXPECT_LT(exposed, disarmed);
  EXPECT_LT(disarmed, index_of(chassis, is_order<link::HandOver>));
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(SwitchoverLeased, OneThatTheStoreKeptWaitingIsNotBegunHoursLater) {
  auto group = config(1);
  group.leases = true;
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(2s);
  chassis.report(kActive, link::LeaseState{kRole, Term{1}, chassis.orders<link::ArmLease>().back().second.id});
  ASSERT_TRUE(chassis.own(1).leased);
  chassis.store_answers = false;
  chassis.forget();
  chassis.step(OperatorSwitchover{kRole, false});
  const auto persist = chassis.all<Persist>().at(0);
  chassis.pass(60s);
  chassis.store_answers = true;
  chassis.store[kRole] = persist.next;
  chassis.step(StoreDone{kRole, persist.next.highest()});
  EXPECT_TRUE(chassis.orders<link::HandOver>().empty());
  EXPECT_TRUE(chassis.noted("switchover", "not begun: the state store has not answered in time"));
}

}  // namespace
}  // namespace understudy::control::test
