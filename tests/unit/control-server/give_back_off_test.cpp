// SPDX-License-Identifier: Apache-2.0
/// A role whose mirror failed waits to be given back to its healthy blade, and that blade dies.
/// Covers: control-server/core/role_takeover.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};
const RoleId kRole1{"role-1"};

/// The standby has not answered StandDown yet.
class GiveBackOff : public testing::Test {
 protected:
  GiveBackOff() {
    sut_.bring_up();
    sut_.silent_agents.insert(sut_.standby());
    sut_.power_works = false;
    sut_.silence(1);
    sut_.own_vote(kBlade1, Vote::Up);
    sut_.mirror_vote(1, Vote::Up);
    sut_.report(sut_.standby(), link::ActivateFailed{kRole1, Term{2}, "too slow"});
    EXPECT_TRUE(sut_.group->find(kRole1)->awaits_give_back());
    sut_.silent_agents.clear();
    sut_.forget();
  }
  Chassis sut_{2};
};

TEST_F(GiveBackOff, TheMirrorIsTriedAgainUnderANewerTermWhenTheBladeDiesMeanwhile) {
  sut_.silence(1);
  sut_.pass(sut_.config.timings.voices_return);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  ASSERT_EQ(sut_.orders<link::Activate>().size(), 1U);
  EXPECT_GT(sut_.orders<link::Activate>()[0].second.term, Term{3}) << "it was told to stand down for 3";
  EXPECT_TRUE(sut_.orders<link::ServeRole>().empty());
  EXPECT_TRUE(sut_.isolated.contains(kBlade1)) << "read back again";
}

TEST_F(GiveBackOff, ABladeWhoseHostAgentIsAwayForAMomentGetsTheRoleWhenItIsBack) {
  sut_.step(AgentLost{kBlade1});
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  EXPECT_EQ(sut_.own(1).place.blade, sut_.standby()) << "nobody knows whether the blade can serve it";
  sut_.pass(1s);
  sut_.hello(kBlade1, {{kRole1, Term{2}, PlaceKind::Host, false}});
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.pass(1s);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade1, PlaceKind::Host}));
}

TEST_F(GiveBackOff, ABladeThatDiedBeforeTheMirrorStoodDownIsNotGivenTheRole) {
  sut_.step(AgentLost{kBlade1});
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  sut_.pass(sut_.config.timings.agent_restart + 100ms);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_GT(sut_.own(1).term, Term{3});
}

/// One observer's word, and his cable may have blinked.
TEST_F(GiveBackOff, AMomentInWhichTheControlServerHearsNothingCallsNothingOff) {
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(500ms);
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.pass(5s);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade1, PlaceKind::Host}));
}

/// A filter, or another key: its BFD never comes back, its host-agent does.
TEST_F(GiveBackOff, AConnectedBladeThatBfdDoesNotHearGetsTheRoleAfterAWhile) {
  sut_.step(AgentLost{kBlade1});
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(500ms);
  sut_.hello(kBlade1, {{kRole1, Term{2}, PlaceKind::Host, false}});
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  EXPECT_EQ(sut_.own(1).place.blade, sut_.standby()) << "it may be heard in a moment";
  for (int i = 0; i < 3; ++i) {
    sut_.pass(5s);
    sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  }
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade1, PlaceKind::Host}));
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}

TEST_F(GiveBackOff, ABladeThatBfdHearsAndWhoseHostAgentStaysAwayIsNotWaitedForForEver) {
  sut_.step(AgentLost{kBlade1});
  sut_.pass(sut_.config.timings.agent_restart + sut_.config.timings.activation_deadline - 100ms);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.pass(200ms);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_GT(sut_.own(1).term, Term{3});
}

}  // namespace
}  // namespace understudy::control::test
