// SPDX-License-Identifier: Apache-2.0
/// What a blade says of a role that is not its own, or of terms that nobody can have given.
/// Covers: control-server/core/role_claims.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const RoleId kRole1{"role-1"};
constexpr Term kAbsurd{(std::uint64_t{1} << 62U) - 1};

TEST(Claims, ATermThatAnotherRolesBladeNamesIsNotCounted) {
  Chassis chassis(2);
  chassis.bring_up();
  for (const bool serving : {false, true}) {
    chassis.hello(BladeId{"blade-2"},
                  {{Chassis::role_id(2), Term{1}, PlaceKind::Host, true}, {kRole1, kAbsurd, PlaceKind::Host, serving}});
  }
  EXPECT_NE(chassis.status(1).detail.find("blade-2"), std::string::npos) << "and a person is told";
  chassis.silence(1);
  EXPECT_EQ(chassis.own(1).term, Term{2});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
}

TEST(Claims, ATermFarBeyondTheStoreIsNotBelievedOfAnybody) {
  for (const bool serving : {false, true}) {
    for (const unsigned who : {1U, 3U}) {
      Chassis chassis(2);
      chassis.bring_up();
      const auto kind = who == 3 ? PlaceKind::Mirror : PlaceKind::Host;
      chassis.step(AgentLost{Chassis::blade_id(who)});
      chassis.hello(Chassis::blade_id(who), {{kRole1, kAbsurd, kind, serving}});
      chassis.pass(20s);
      EXPECT_EQ(chassis.own(1).term, Term{1}) << who << serving;
      EXPECT_NE(chassis.status(1).detail.find("not believed"), std::string::npos);
      chassis.hello(Chassis::blade_id(who), {{kRole1, Term{1}, kind, who == 1}});
      EXPECT_EQ(chassis.status(1).detail.find("not believed"), std::string::npos) << "over";
    }
  }
}

TEST(Claims, ATermThatWasGivenUpFarBeyondTheStoreIsNotBelieved) {
  Chassis chassis(1);
  const BladeId active = Chassis::blade_id(1);
  const RoleId role = Chassis::role_id(1);
  chassis.hello(chassis.standby());
  chassis.hello(active, {}, {{role, Term{1ULL << 60}}});
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty()) << "its term could be one that was used";
  EXPECT_TRUE(chassis.noted("alarm", "given-up-role-1.json"));
  chassis.hello(active, {}, {{role, Term{7}}});
  EXPECT_EQ(chassis.own(1).term, Term{8});
}

TEST(Claims, AnotherRolesBladeRaisesNoCountByWhatItHasGivenUp) {
  Chassis chassis(2);
  chassis.hello(Chassis::blade_id(2), {}, {{Chassis::role_id(1), Term{9}}});
  chassis.hello(Chassis::blade_id(1));
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.own(1).term, Term{1});
}

TEST(Claims, AnActivationUnderATermThatNobodyCanHaveGivenIsNotAdopted) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.report(chassis.standby(), link::Activated{kRole1, kAbsurd, {}});
  EXPECT_EQ(chassis.own(1).term, Term{1});
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
}

TEST(Claims, WhatAMirrorSaysOfItsTermNeverRaisesTheCount) {
  for (const auto& who : {BladeId{"blade-2"}, BladeId{"blade-3"}}) {
    Chassis chassis(2);
    chassis.bring_up();
    chassis.report(who, link::MirrorState{kRole1, kAbsurd, MirrorPhase::Connected, "nonce", "", false});
    chassis.mirror_state(1, MirrorPhase::Synced);
    chassis.silence(1);
    EXPECT_EQ(chassis.own(1).term, Term{2}) << who.value;
  }
}

TEST(Claims, AnEmptyStoreStartsNothingFromWhatItDoesNotBelieve) {
  Chassis chassis(2);
  chassis.hello(BladeId{"blade-1"}, {{kRole1, kAbsurd, PlaceKind::Host, true}});
  chassis.hello(chassis.standby(), {{kRole1, Term{5}, PlaceKind::Mirror, false}});
  EXPECT_EQ(chassis.own(1).term, Term{}) << "it may serve, under whatever term";
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
}

TEST(Claims, AnEmptyStoreIsNotHeldUpByABladeThatHasNoPartInTheRole) {
  Chassis chassis(2);
  chassis.hello(BladeId{"blade-2"}, {{kRole1, Term{9}, PlaceKind::Host, true}});
  chassis.hello(BladeId{"blade-1"});
  chassis.hello(chassis.standby());
  EXPECT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_EQ(chassis.own(1).term, Term{1});
  EXPECT_NE(chassis.status(1).detail.find("where the configuration never put it"), std::string::npos);
}

}  // namespace
}  // namespace understudy::control::test
