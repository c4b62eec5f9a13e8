// SPDX-License-Identifier: Apache-2.0
/// Isolated and replaced: whether its power goes off too, when it is heard once more in that very moment.
/// Covers: control-server/core/role_takeover.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};

class PowerInBackground : public testing::Test {
 protected:
  /// The switch answers late, and BFD has heard the blade once more by then.
  PowerInBackground() {
    sut_.bring_up();
    sut_.silent_ports.insert(kBlade1);
    sut_.silence(1);
    sut_.pass(500ms);
    sut_.own_vote(kBlade1, Vote::Up);
    sut_.forget();
    sut_.step(IsolateDone{kBlade1});
    EXPECT_EQ(sut_.own(1).place.blade, sut_.standby());
    EXPECT_TRUE(sut_.all<PowerOff>().empty());
  }
  Chassis sut_{2};
};

TEST_F(PowerInBackground, ABladeThatHangsAndSpeaksNowAndThenIsSwitchedOff) {
  sut_.pass(sut_.config.timings.vote_settle() - 1ms);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(500ms);
  EXPECT_EQ(sut_.all<PowerOff>().size(), 1U);
}

TEST_F(PowerInBackground, OneThatIsHeardForLongEnoughKeepsItsPower) {
  sut_.pass(sut_.config.timings.vote_settle());
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(10s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

TEST_F(PowerInBackground, SoDoesOneThatHasSaidHello) {
  sut_.step(AgentLost{kBlade1});
  sut_.hello(kBlade1);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(10s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

/// The control-server that ordered the takeover dies in the half second in which it waits for the blade's own word.
class PowerIsOwed : public testing::Test {
 protected:
  PowerIsOwed() {
    sut_.bring_up();
    sut_.silence(1);
    EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
    EXPECT_TRUE(sut_.all<PowerOff>().empty());
    next_life();
  }
  void next_life() {
    sut_.forget();
    sut_.restart_control_server();
    sut_.own_vote(sut_.standby(), Vote::Up);
  }
  void standby_says(bool serving) {
    sut_.hello(sut_.standby(), {{Chassis::role_id(1), sut_.own(1).term, PlaceKind::Mirror, serving}});
  }
  Chassis sut_{2};
};

TEST_F(PowerIsOwed, TheNextOneCutsIt) {
  standby_says(true);
  sut_.pass(1s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty()) << "nobody knows yet whether it is heard";
  sut_.own_vote(kBlade1, Vote::Down);
  ASSERT_EQ(sut_.all<PowerOff>().size(), 1U);
  EXPECT_EQ(sut_.all<PowerOff>()[0].blade, kBlade1);
  sut_.pass(60s);
  EXPECT_EQ(sut_.all<PowerOff>().size(), 1U);
}

TEST_F(PowerIsOwed, TheNextOneCutsItAlsoWhereTheMirrorWasNotToldInTime) {
  standby_says(false);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.all<PowerOff>().size(), 1U);
}

TEST_F(PowerIsOwed, ABladeThatSaysHelloKeepsIt) {
  standby_says(true);
  sut_.hello(kBlade1);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

TEST_F(PowerIsOwed, SoDoesOneThatSaidHelloBeforeTheStandbyDid) {
  sut_.hello(kBlade1);
  sut_.step(AgentLost{kBlade1});
  standby_says(true);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

TEST_F(PowerIsOwed, OneThatIsHeardKeepsIt) {
  standby_says(true);
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.pass(1s);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

TEST_F(PowerIsOwed, OneThatHasStoodDownKeepsIt) {
  sut_.store[Chassis::role_id(1)].evidence = link::StopEvidence::StoodDown;
  next_life();
  standby_says(true);
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

}  // namespace
}  // namespace understudy::control::test
