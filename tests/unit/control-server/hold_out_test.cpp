// SPDX-License-Identifier: Apache-2.0
/// Covers: control-server/core/group_hold_out.cpp
#include "core/hold_out.hpp"

#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

GroupConfig strict(Duration lasts = 1h) {
  auto group = config(1);
  group.hold_out = {3, 10min, lasts};
  return group;
}

/// The standby dies, silent as a blade without power, and is back.
void flap(Chassis& chassis, const std::vector<link::HeldRole>& held = {}) {
  const auto standby = chassis.standby();
  chassis.own_vote(standby, Vote::Down);
  chassis.pass(5s);
  chassis.step(AgentLost{standby});
  chassis.own_vote(standby, Vote::Up);
  chassis.forget();
  chassis.hello(standby, held);
}
std::size_t mirrors_ordered(const Chassis& chassis) { return chassis.orders<link::RunMirror>().size(); }

TEST(HoldOut, ABladeThatFailsAgainAndAgainGetsNoMirrors) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int failures = 1; failures <= 2; ++failures) {
    flap(chassis);
    EXPECT_EQ(mirrors_ordered(chassis), 1U) << "after failure " << failures;
  }
  EXPECT_EQ(chassis.group->status().blades[1].detail, "");
  flap(chassis);
  EXPECT_TRUE(chassis.noted("held-out", "held out after 3 failures within 600 s"));
  EXPECT_NE(chassis.group->status().blades[1].detail.find("until `understudy let-back blade-2`, or 3600 s without"),
            std::string::npos)
      << chassis.group->status().blades[1].detail;
  chassis.pass(1min);
  EXPECT_EQ(mirrors_ordered(chassis), 0U) << "not by a retry either";
  EXPECT_EQ(chassis.state(1), RoleState::Exposed) << "and it says so";
  EXPECT_EQ(chassis.own(1).term, Term{1}) << "served on, undisturbed";
}

/// Its network blinks, it does not die: the guests run on.
TEST(HoldOut, WhatRunsAlreadyFollowsItsRolesTermsOn) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) { flap(chassis, {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}}); }
  EXPECT_TRUE(chassis.noted("held-out", "held out after 3 failures within 600 s"));
  chassis.mirror_vote(1, Vote::Up);
  chassis.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  chassis.mirror_state(1, MirrorPhase::Syncing);
  chassis.forget();
  chassis.hello(BladeId{"blade-1"});  // it has rebooted, and serves under a new term
  chassis.pass(10s);
  EXPECT_GT(chassis.own(1).term, Term{1});
  ASSERT_GE(mirrors_ordered(chassis), 1U) << "or it would follow a term that is over, for an hour";
  EXPECT_EQ(chassis.orders<link::RunMirror>().back().second.term, chassis.own(1).term);
  chassis.forget();
  chassis.mirror_state(1, MirrorPhase::Failed);
  chassis.pass(1min);
  EXPECT_EQ(mirrors_ordered(chassis), 0U) << "a guest that has ended is not started again";
}

TEST(HoldOut, ARestartedControlServerForgetsNeitherFailuresNorWhoIsHeldOut) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int i = 0; i < 2; ++i) { flap(chassis); }
  const auto come_back = [&] {
    chassis.pass(1min);
    chassis.restart_control_server();
    for (const auto& blade : chassis.config.blades) { chassis.own_vote(blade.id, Vote::Up); }
    chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
    chassis.forget();
    chassis.hello(chassis.standby());
  };
  come_back();
  EXPECT_EQ(mirrors_ordered(chassis), 1U) << "two are not too many";
  flap(chassis);
  EXPECT_EQ(mirrors_ordered(chassis), 0U) << "the third one is, whoever counted the first two";
  come_back();
  EXPECT_EQ(mirrors_ordered(chassis), 0U);
  EXPECT_NE(chassis.group->status().blades[1].detail.find("held out"), std::string::npos);
  chassis.pass(58min - 1s);
  EXPECT_EQ(mirrors_ordered(chassis), 0U);
  chassis.pass(2min);
  EXPECT_GE(mirrors_ordered(chassis), 1U) << "its hour went on meanwhile";
  come_back();
  EXPECT_EQ(mirrors_ordered(chassis), 1U) << "nothing is held against it any more";
}

/// As if the clock of the wall had been put back by a year while the control-server was away.
TEST(HoldOut, AClockThatWasPutBackHoldsABladeOutOnceMoreAndNotWithEachRestart) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) { flap(chassis); }
  auto& kept = chassis.hold_outs.at(chassis.standby());
  for (auto& age : kept.second.failures) { age -= 8760h; }
  *kept.second.held -= 8760h;
  const auto come_back = [&] {
    chassis.restart_control_server();
    for (const auto& blade : chassis.config.blades) { chassis.own_vote(blade.id, Vote::Up); }
    chassis.hello(BladeId{"blade-1"}, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
    chassis.forget();
    chassis.hello(chassis.standby());
  };
  come_back();
  EXPECT_EQ(mirrors_ordered(chassis), 0U) << "it has failed all the same";
  for (int i = 0; i < 2; ++i) {
    chassis.pass(29min);
    come_back();
    EXPECT_EQ(mirrors_ordered(chassis), 0U);
  }
  chassis.pass(3min);
  EXPECT_GE(mirrors_ordered(chassis), 1U) << "its hour went on through the restarts";
}

TEST(HoldOut, APersonLetsItBack) {
  Chassis chassis(strict(0s));
  chassis.bring_up();
  EXPECT_FALSE(chassis.group->check_let_back(chassis.standby()).ok()) << "not held out";
  EXPECT_FALSE(chassis.group->check_let_back(BladeId{"blade-9"}).ok());
  for (int i = 0; i < 3; ++i) { flap(chassis); }
  chassis.pass(3h);
  ASSERT_EQ(mirrors_ordered(chassis), 0U) << "only a person does";
  ASSERT_TRUE(chassis.group->check_let_back(chassis.standby()).ok());
  chassis.step(OperatorLetBack{chassis.standby()});
  chassis.pass(10s);
  EXPECT_GE(mirrors_ordered(chassis), 1U);
  EXPECT_TRUE(chassis.noted("held-out", "let back by an operator"));
  chassis.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(chassis.state(1), RoleState::Protected);
  flap(chassis);
  EXPECT_EQ(mirrors_ordered(chassis), 1U) << "nothing is held against it any more";
}

TEST(HoldOut, ATimerLetsItBackAfterItsLastFailure) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) { flap(chassis); }
  chassis.pass(59min);
  flap(chassis);
  flap(chassis);
  flap(chassis);
  chassis.pass(59min);
  EXPECT_EQ(mirrors_ordered(chassis), 0U);
  chassis.pass(2min);
  EXPECT_TRUE(chassis.noted("held-out", "let back by time"));
  EXPECT_GE(mirrors_ordered(chassis), 1U);
}

TEST(HoldOut, FailuresThatAreFarApartAndRestartsOfADaemonAreNone) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int i = 0; i < 6; ++i) {
    flap(chassis);
    EXPECT_EQ(mirrors_ordered(chassis), 1U);
    chassis.pass(6min);
  }
  for (int i = 0; i < 6; ++i) {  // its kernel closes the stream before BFD falls silent
    chassis.step(AgentLost{chassis.standby()});
    chassis.own_vote(chassis.standby(), Vote::Down);
    chassis.pass(1s);
    chassis.hello(chassis.standby());
    chassis.own_vote(chassis.standby(), Vote::Up);
  }
  EXPECT_EQ(chassis.group->status().blades[1].detail, "");
}

/// Its cable goes and comes back: every blade was silent, and its host-agent away.
void flap_of_the_network(Chassis& chassis) {
  for (const auto& blade : chassis.config.blades) { chassis.own_vote(blade.id, Vote::Down); }
  chassis.pass(5s);
  for (const auto& blade : chassis.config.blades) {
    chassis.step(AgentLost{blade.id});
    chassis.pass(300ms);
  }
  for (const auto& blade : chassis.config.blades) {
    chassis.own_vote(blade.id, Vote::Up);
    chassis.pass(300ms);
    const auto number = blade.id.value.substr(6);
    const bool active = !blade.standby;
    chassis.hello(blade.id,
                  active ? std::vector<link::HeldRole>{{RoleId{"role-" + number}, Term{1}, PlaceKind::Host, true}}
                         : std::vector<link::HeldRole>{});
  }
}

TEST(HoldOut, AFailureOfTheNetworkIsHeldAgainstNobody) {
  auto group = config(3);
  group.hold_out = {3, 10min, 1h};
  Chassis chassis(group);
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) {
    chassis.pass(30s);
    chassis.forget();
    flap_of_the_network(chassis);
    EXPECT_TRUE(chassis.noted("network", "4 of 4 blades were away at the same time"));
    EXPECT_EQ(
        std::count_if(chassis.notes.begin(), chassis.notes.end(), [](auto& one) { return one.kind == "network"; }), 1)
        << "told once";
  }
  for (const auto& blade : chassis.group->status().blades) { EXPECT_EQ(blade.detail, "") << blade.blade.value; }
}

/// Half of them are not more than half.
TEST(HoldOut, TwoBladesOfFourThatFailTogetherAreHeldOutAndSoIsOneBesideBladesThatAreAwayForLong) {
  auto group = config(3);
  group.hold_out = {3, 10min, 1h};
  Chassis chassis(group);
  chassis.bring_up();
  for (const unsigned dead : {1U, 2U}) { chassis.own_vote(Chassis::blade_id(dead), Vote::Down); }
  chassis.pass(1min);
  for (int i = 0; i < 3; ++i) { flap(chassis); }
  EXPECT_TRUE(chassis.noted("held-out", "held out after 3 failures within 600 s"));
}

/// Silent as a blade without power, and back with what it had.
void flap_of(Chassis& chassis, const BladeId& blade, const std::vector<link::HeldRole>& held) {
  chassis.own_vote(blade, Vote::Down);
  chassis.pass(5s);
  chassis.step(AgentLost{blade});
  chassis.own_vote(blade, Vote::Up);
  chassis.hello(blade, held);
}
const std::vector<link::HeldRole> kRole1OnHost = {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}};

/// It hears its own blade without any network, so that one is never away.
TEST(HoldOut, TheNetworksFailureIsHeldAgainstNobodyWhereTheControlServerIsOnTheStandbyOfOneActive) {
  auto group = strict();
  group.control_blade = group.standbys().front();
  Chassis chassis(group);
  chassis.bring_up();
  for (int i = 0; i < 4; ++i) {
    chassis.pass(30s);
    flap_of(chassis, BladeId{"blade-1"}, kRole1OnHost);
  }
  for (const auto& blade : chassis.group->status().blades) { EXPECT_EQ(blade.detail, "") << blade.blade.value; }
}

TEST(HoldOut, AHostAgentThatHangsBesideTheControlServerIsNotTheNetworkThatTookABlade) {
  auto group = config(3);
  group.hold_out = {3, 10min, 1h};
  group.control_blade = group.standbys().front();
  Chassis chassis(group);
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) {
    chassis.pass(30s);
    chassis.own_vote(chassis.standby(), Vote::Down);
    flap_of(chassis, BladeId{"blade-1"}, kRole1OnHost);
    chassis.own_vote(chassis.standby(), Vote::Up);
  }
  EXPECT_NE(chassis.group->status().blades[0].detail.find("held out after 3"), std::string::npos);
}

TEST(HoldOut, TwoBladesThatFailOneAfterTheOtherAreNotTheNetwork) {
  Chassis chassis(strict());
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) {
    chassis.pass(30s);
    flap(chassis);
    flap_of(chassis, BladeId{"blade-1"}, kRole1OnHost);
  }
  EXPECT_NE(chassis.group->status().blades[0].detail.find("held out after 3"), std::string::npos);
  EXPECT_NE(chassis.group->status().blades[1].detail.find("held out after 3"), std::string::npos);
}

/// Their kernels closed the streams: they lived all the time.
TEST(HoldOut, HostAgentsThatAreRestartedTogetherAreNotTheNetworkThatTookABlade) {
  auto group = config(3);
  group.hold_out = {3, 10min, 1h};
  Chassis chassis(group);
  chassis.bring_up();
  for (int i = 0; i < 3; ++i) {
    chassis.pass(30s);
    for (const unsigned number : {2U, 3U}) { chassis.step(AgentLost{Chassis::blade_id(number)}); }
    flap_of(chassis, BladeId{"blade-1"}, kRole1OnHost);
    for (const unsigned number : {2U, 3U}) {
      chassis.hello(Chassis::blade_id(number), {{Chassis::role_id(number), Term{1}, PlaceKind::Host, true}});
    }
    chassis.step(AgentLost{chassis.standby()});
    chassis.hello(chassis.standby());
  }
  EXPECT_NE(chassis.group->status().blades[0].detail.find("held out after 3"), std::string::npos);
}

/// Of an active, as far as it can be: nobody else is there to serve its role.
void crash(Chassis& chassis) {
  const link::ApplicationFailed failed{RoleId{"role-1"}, chassis.own(1).term, "killed by signal 11"};
  chassis.report(BladeId{"blade-1"}, failed);
  chassis.report(BladeId{"blade-1"}, failed);  // told again until it runs
  chassis.pass(10s);
}

TEST(HoldOut, AnApplicationThatCrashesAgainAndAgainHoldsItsBladeOutAndIsServedOn) {
  Chassis chassis(strict());
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Syncing);
  chassis.pass(10s);
  ASSERT_EQ(chassis.state(1), RoleState::Exposed);
  for (int i = 0; i < 2; ++i) { crash(chassis); }
  EXPECT_EQ(chassis.group->status().blades[0].detail, "");
  crash(chassis);
  EXPECT_NE(chassis.group->status().blades[0].detail.find("held out after 3 failures within 600 s"), std::string::npos);
  EXPECT_EQ(chassis.group->status().blades[1].detail, "") << "the standby has not failed";
  EXPECT_EQ(chassis.state(1), RoleState::Exposed) << "there is nobody else";
  chassis.restart_control_server();
  EXPECT_NE(chassis.group->status().blades[0].detail.find("held out"), std::string::npos);
  ASSERT_TRUE(chassis.group->check_let_back(BladeId{"blade-1"}).ok());
  chassis.step(OperatorLetBack{BladeId{"blade-1"}});
  EXPECT_EQ(chassis.group->status().blades[0].detail, "");
}

TEST(HoldOut, AnActiveThatIsHeldOutGetsNoRoleBackThatItsMirrorCanServe) {
  for (const bool held : {false, true}) {
    Chassis chassis(strict());
    chassis.bring_up();
    chassis.mirror_state(1, MirrorPhase::Syncing);
    chassis.pass(10s);
    for (int i = 0; i < (held ? 3 : 2); ++i) { crash(chassis); }
    chassis.mirror_vote(1, Vote::Up);
    chassis.mirror_state(1, MirrorPhase::Synced);
    ASSERT_EQ(chassis.state(1), RoleState::Protected);
    chassis.power_works = false;
    chassis.silent_agents.insert(chassis.standby());
    chassis.silence(1);
    chassis.pass(1s);
    ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
    chassis.own_vote(BladeId{"blade-1"}, Vote::Up);  // it was its network, and is well again
    chassis.mirror_vote(1, Vote::Up);
    chassis.forget();
    const auto fails = [&] {
      chassis.report(chassis.standby(), link::ActivateFailed{RoleId{"role-1"}, chassis.own(1).term, "x"});
    };
    fails();
    chassis.pass(1s);
    const auto makes_way = [&] {
      const auto orders = chassis.orders<link::StandDown>();
      return std::any_of(orders.begin(), orders.end(), [&](const auto& one) { return one.first == chassis.standby(); });
    };
    EXPECT_EQ(makes_way(), !held) << "the mirror makes way for who is healthy";
    if (!held) { continue; }
    for (int i = 0; i < 5; ++i) {
      fails();
      chassis.pass(20s);
    }
    EXPECT_TRUE(makes_way()) << "a mirror that cannot do it makes way all the same";
  }
}

TEST(HoldOut, LastsFromTheLastFailureEvenWhenThatComesAlone) {
  const HoldOutConfig config{.failures = 3, .within = 10min, .lasts = 1h};
  HoldOut hold_out;
  for (const auto at : {1min, 2min}) { EXPECT_FALSE(hold_out.failed(Instant{at}, config)); }
  EXPECT_TRUE(hold_out.failed(Instant{3min}, config));
  EXPECT_FALSE(hold_out.failed(Instant{33min}, config)) << "it is held out already";
  EXPECT_EQ(hold_out.until(config), Instant{93min});
}

TEST(HoldOut, IsOffWithoutAConfiguration) {
  HoldOut hold_out;
  for (int i = 0; i < 10; ++i) { EXPECT_FALSE(hold_out.failed(Instant{1h}, {})); }
  EXPECT_FALSE(hold_out.held());
}

}  // namespace
}  // namespace understudy::control::test
