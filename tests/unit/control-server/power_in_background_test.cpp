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

}  // namespace
}  // namespace understudy::control::test
