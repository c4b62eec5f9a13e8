// SPDX-License-Identifier: Apache-2.0
/// A control-server that starts from a store that is older than the truth: the standby is heard before a port is opened
/// or a role starts from nothing.
/// Covers: control-server/core/role_ports.cpp, control-server/core/role_start.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kActive{"blade-1"};
const RoleId kRole{"role-1"};
const link::HeldRole kMirrorServes{kRole, Term{2}, PlaceKind::Mirror, true};
const link::HeldRole kStillServes{kRole, Term{1}, PlaceKind::Host, true};

/// Its store holds term 1 at the role's blade; that the mirror took over under term 2 is lost.
Chassis with_an_older_store() {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.isolated.insert(kActive);
  chassis.restart_control_server();
  for (const auto& blade : chassis.config.blades) { chassis.own_vote(blade.id, Vote::Up); }
  chassis.forget();
  return chassis;
}

TEST(OlderStore, APortIsNotOpenedBeforeTheStandbyWasHeard) {
  auto chassis = with_an_older_store();
  chassis.hello(kActive, {kStillServes});
  chassis.pass(9s);
  EXPECT_TRUE(chassis.all<Readmit>().empty()) << "it is closed since another place took the role over";
  chassis.hello(chassis.standby(), {kMirrorServes});
  chassis.pass(20s);
  EXPECT_TRUE(chassis.isolated.contains(kActive));
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(OlderStore, APortIsOpenedAsSoonAsTheStandbyHasSaidThatItServesNothing) {
  auto chassis = with_an_older_store();
  chassis.hello(kActive, {kStillServes});
  chassis.hello(chassis.standby(), {{kRole, Term{1}, PlaceKind::Mirror, false}});
  EXPECT_TRUE(chassis.isolated.empty());
}

TEST(OlderStore, AStandbyThatDoesNotComeIsNotWaitedForForEver) {
  auto chassis = with_an_older_store();
  chassis.hello(kActive, {kStillServes});
  chassis.pass(chassis.config.timings.hello_wait + 1ms);
  EXPECT_TRUE(chassis.isolated.empty());
}

TEST(OlderStore, ARoleStartsFromNothingOnlyAfterTheStandbyWasHeard) {
  auto chassis = with_an_older_store();
  chassis.hello(kActive);
  chassis.pass(9s);
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty());
  EXPECT_EQ(chassis.own(1).term, Term{1}) << "term 2 is in use";
  chassis.hello(chassis.standby(), {kMirrorServes});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(OlderStore, WithoutTheStandbyARoleStartsFromNothingInTheEnd) {
  auto chassis = with_an_older_store();
  chassis.hello(kActive);
  chassis.pass(chassis.config.timings.hello_wait + 1ms);
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.own(1).term, Term{2});
}

TEST(OlderStore, OnceTheStandbyHasComeItsMirrorIsWaitedForNoLongerThanEver) {
  auto chassis = with_an_older_store();
  chassis.hello(kActive);
  chassis.hello(chassis.standby(), {{kRole, Term{1}, PlaceKind::Mirror, false}});
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(chassis.config.timings.mirror_wait + 1ms);
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

/// The control-server died between storing the first term and the order to serve.
TEST(OlderStore, AMirrorThatThisControlServerBeganItselfHasNothingToTakeOverWith) {
  Chassis chassis(2);
  chassis.silent_agents.insert(kActive);
  chassis.bring_up();
  chassis.restart_control_server();
  chassis.silent_agents.clear();
  chassis.forget();
  chassis.hello(kActive);
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.orders<link::ServeRole>().size(), 1U) << "nobody can have anything of it: it begins at once";
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(5s);
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
}

/// The store lost term 2 while the mirror was being activated: Hello told of no service yet, and it ends well.
TEST(OlderStore, AMirrorThatIsActivatedUnderAForgottenTermIsAdopted) {
  auto chassis = with_an_older_store();
  chassis.hello(chassis.standby(), {{kRole, Term{2}, PlaceKind::Mirror, false}});
  chassis.hello(kActive);
  chassis.report(chassis.standby(), link::Activated{kRole, Term{2}, {}});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.own(1).term, Term{2});
  chassis.pass(chassis.config.timings.hello_wait + 1s);
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty()) << "the mirror speaks";
  EXPECT_TRUE(chassis.isolated.contains(kActive));
}

TEST(OlderStore, AnEmptyStoreHearsTheActiveBeforeItBelievesAnActivation) {
  auto chassis = with_an_older_store();
  chassis.store.clear();
  chassis.restart_control_server();
  chassis.hello(chassis.standby(), {{kRole, Term{2}, PlaceKind::Mirror, false}});
  chassis.report(chassis.standby(), link::Activated{kRole, Term{2}, {}});
  EXPECT_EQ(chassis.own(1).term, Term{0});
  chassis.hello(kActive, {{kRole, Term{3}, PlaceKind::Host, true}});
  EXPECT_EQ(chassis.own(1).term, Term{3});
  EXPECT_EQ(chassis.own(1).place, (Place{kActive, PlaceKind::Host}));
}

/// The movement ended between Hello and the active's.
TEST(OlderStore, AMovementThatEndsUnderAForgottenTermIsAdopted) {
  for (const bool being_stored : {false, true}) {
    auto chassis = with_an_older_store();
    chassis.store.clear();
    chassis.restart_control_server();
    chassis.hello(chassis.standby(), {kMirrorServes});
    chassis.store_answers = !being_stored;
    if (being_stored) { chassis.hello(kActive); }
    chassis.report(chassis.standby(), link::Moved{kRole, Term{3}, {}});
    chassis.store_answers = true;
    if (being_stored) {
      chassis.store[kRole] = {kRole, Term{2}, {chassis.standby(), PlaceKind::Mirror}, link::StopEvidence::None, Term{}};
      chassis.step(StoreDone{kRole, Term{2}});
    } else {
      chassis.hello(kActive);
    }
    chassis.pass(5s);
    EXPECT_EQ(chassis.state(1), RoleState::OnHost) << being_stored;
    EXPECT_EQ(chassis.own(1).term, Term{3});
    EXPECT_EQ(chassis.own(1).place, (Place{chassis.standby(), PlaceKind::Host}));
    EXPECT_TRUE(chassis.orders<link::Move>().empty());
  }
}

/// Its blade could not serve under its newest terms and gave the role up: it holds nothing, and has written under them.
TEST(OlderStore, ATermThatABladeHasGivenUpIsNotUsedAgain) {
  for (const unsigned stored : {0U, 1U}) {
    auto chassis = with_an_older_store();
    if (stored == 0) {
      chassis.store.clear();
      chassis.restart_control_server();
    }
    chassis.hello(kActive, {}, {{kRole, Term{5}}});
    chassis.hello(chassis.standby(), {{kRole, Term{1}, PlaceKind::Mirror, false}}, {{kRole, Term{1}}});
    chassis.mirror_state(1, MirrorPhase::Connected, "nonce", 1);
    chassis.pass(chassis.config.timings.mirror_wait + 1ms);
    EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
    EXPECT_EQ(chassis.own(1).term, Term{6}) << "with term " << stored << " in the store";
  }
}

/// Its store holds term 2 at the mirror; that the blade was given the role back under term 3 is lost.
class GivenBack : public testing::Test {
 protected:
  void SetUp() override {
    sut_.bring_up();
    sut_.store[kRole] = {kRole, Term{2}, {sut_.standby(), PlaceKind::Mirror}, link::StopEvidence::Isolated, Term{}};
    sut_.restart_control_server();
    for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
    sut_.forget();
    sut_.hello(sut_.standby(), {{kRole, Term{3}, PlaceKind::Mirror, false}});
  }
  Chassis sut_{2};
};

TEST_F(GivenBack, AndForgottenABladeThatIsHeardIsAskedBeforeItsMirrorTakesOver) {
  sut_.pass(5s);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.hello(kActive, {{kRole, Term{3}, PlaceKind::Host, true}});
  EXPECT_EQ(sut_.own(1).term, Term{3});
  EXPECT_EQ(sut_.own(1).place, (Place{kActive, PlaceKind::Host}));
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}

TEST_F(GivenBack, OrNotYetWhenTheBladeHasNothingOfTheRole) {
  sut_.hello(kActive);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).term, Term{4});
}

TEST_F(GivenBack, OrNotYetWhenTheBladeIsDeadOrSaysNothing) {
  for (const bool dead : {true, false}) {
    SetUp();
    sut_.pass(1s);
    if (dead) {
      sut_.own_vote(kActive, Vote::Down);
    } else {
      sut_.pass(sut_.config.timings.hello_wait);
    }
    EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << dead;
  }
}

TEST(OlderStore, ABladeThatObeyedAnotherStoreIsAnAlarm) {
  Chassis chassis(1);
  chassis.hello(Chassis::blade_id(1));
  EXPECT_FALSE(chassis.noted("store", "another state store"));
  chassis.report(Chassis::blade_id(1), link::Hello{Chassis::blade_id(1), "boot-of-blade-1", {}, "0123abcd"});
  EXPECT_TRUE(chassis.noted("store", "blade-1 obeyed the control-server of another state store until now (0123abcd)"));
}

}  // namespace
}  // namespace understudy::control::test
