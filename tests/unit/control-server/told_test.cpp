// SPDX-License-Identifier: Apache-2.0
/// What blades tell about their roles for a person.
/// Covers: control-server/core/role_told.cpp
#include "chassis.hpp"

namespace understudy::control {
namespace {

using test::Chassis;

const RoleId kRole{"role-1"};
const BladeId kActive{"blade-1"};

TEST(Told, WhatStandsIsInTheStatusUntilItsBladeSaysThatItIsOver) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "table-0", "table \"flows\" is full"});
  EXPECT_EQ(chassis.status(1).detail, "blade-1: table \"flows\" is full");
  EXPECT_TRUE(chassis.noted("alarm", "blade-1: table \"flows\" is full"));
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "it decides nothing";
  chassis.report(chassis.standby(), link::RoleAlarm{kRole, Term{1}, "mirror-kernel", "the kernel refused 3"});
  EXPECT_EQ(chassis.status(1).detail, "blade-1: table \"flows\" is full; blade-2: the kernel refused 3");
  chassis.forget();
  chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "table-0", "table \"flows\" is full"});
  EXPECT_TRUE(chassis.notes.empty()) << "no news";
  chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "table-0", ""});
  EXPECT_TRUE(chassis.noted("alarm", "over: blade-1: table"));
  EXPECT_EQ(chassis.status(1).detail, "blade-2: the kernel refused 3");
}

TEST(Told, AnEventIsToldAndDoesNotStand) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "", "announcing ext failed"});
  EXPECT_TRUE(chassis.noted("alarm", "blade-1: announcing ext failed"));
  EXPECT_EQ(chassis.status(1).detail, "");
}

TEST(Told, WhatABladeThatIsAwayToldIsForgottenAndItsHelloTellsItAnew) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "gate", "the gate does not close"});
  chassis.step(AgentLost{kActive});
  EXPECT_EQ(chassis.status(1).detail.find("gate"), std::string::npos);
  chassis.hello(kActive, {{kRole, Term{1}, PlaceKind::Host, true}});
  chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "gate", "the gate does not close"});
  EXPECT_EQ(chassis.status(1).detail, "blade-1: the gate does not close");
  chassis.hello(kActive, {{kRole, Term{1}, PlaceKind::Host, true}});
  EXPECT_EQ(chassis.status(1).detail, "") << "another daemon, which has not said so";
}

TEST(Told, ABladeThatTellsNonsenseFillsNoStatus) {
  Chassis chassis(1);
  chassis.bring_up();
  for (int i = 0; i < 1000; ++i) {
    chassis.report(kActive, link::RoleAlarm{kRole, Term{1}, "t" + std::to_string(i), "x"});
  }
  EXPECT_LT(chassis.status(1).detail.size(), 1000U);
}

}  // namespace
}  // namespace understudy::control
