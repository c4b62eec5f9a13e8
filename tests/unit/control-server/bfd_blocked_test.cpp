// SPDX-License-Identifier: Apache-2.0
/// A blade that nobody hears by BFD, and whose host-agent talks.
/// Covers: control-server/core/role_verdict.cpp, control-server/core/role_failure.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};
const RoleId kRole1{"role-1"};

class BfdBlocked : public testing::Test {
 protected:
  BfdBlocked() {
    sut_.bring_up();
    sut_.pass(10s);
    sut_.forget();
  }
  void it_talks() { sut_.report(kBlade1, link::SyncProgress{kRole1, Term{1}, link::SyncStream::Synced, {}}); }
  Chassis sut_{2};
};

TEST_F(BfdBlocked, IsAnAlarmAndNoTakeoverForAsLongAsTheHostAgentTalks) {
  sut_.own_vote(kBlade1, Vote::Down);
  for (int i = 0; i < 20; ++i) {
    sut_.pass(1s);
    it_talks();
    if (i == 0) { sut_.mirror_vote(1, Vote::Down); }
  }
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_NE(sut_.status(1).detail.find("UDP port 3784 is blocked"), std::string::npos) << sut_.status(1).detail;
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  sut_.pass(sut_.config.timings.word_lasts);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << "it says nothing any more";
}

TEST_F(BfdBlocked, WhatWasUnderWayWhenItFellSilentIsNoSignOfLife) {
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(sut_.config.timings.detection - 1ms);
  it_talks();
  sut_.mirror_vote(1, Vote::Down);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

/// Port 3784 stays blocked, and the control-server is restarted: it hears no BFD of the blade from the start on.
TEST_F(BfdBlocked, ARestartedControlServerTakesNobodyOverWhoTalked) {
  sut_.restart_control_server();
  for (const unsigned blade : {2U, 3U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  for (const unsigned blade : {1U, 2U}) {
    sut_.hello(Chassis::blade_id(blade), {{Chassis::role_id(blade), Term{1}, PlaceKind::Host, true}});
  }
  sut_.hello(sut_.standby(),
             {{kRole1, Term{1}, PlaceKind::Mirror, false}, {Chassis::role_id(2), Term{1}, PlaceKind::Mirror, false}});
  sut_.mirror_state(1, MirrorPhase::Synced);
  sut_.mirror_vote(1, Vote::Down);
  for (int i = 0; i < 20; ++i) {
    if (i == 5) { sut_.own_vote(kBlade1, Vote::Down); }
    sut_.pass(500ms);
    if (i % 2 == 0) { it_talks(); }
    if (i % 2 != 0) { sut_.pass(500ms); }
  }
  EXPECT_EQ(sut_.state(1), RoleState::Protected) << sut_.status(1).detail;
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  sut_.pass(sut_.config.timings.word_lasts);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << "it says nothing any more";
}

/// Another leads from here on: its BFD has watched all along, and the standby's host-agent finds it first.
class NewLeaderMeetsAFilter : public BfdBlocked {
 protected:
  NewLeaderMeetsAFilter() {
    sut_.restart_control_server();
    sut_.own_vote(kBlade1, Vote::Down);
    for (const unsigned blade : {2U, 3U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
    sut_.hello(sut_.standby(),
               {{kRole1, Term{1}, PlaceKind::Mirror, false}, {Chassis::role_id(2), Term{1}, PlaceKind::Mirror, false}});
    the_mirror_says(MirrorPhase::Synced);
    sut_.mirror_vote(1, Vote::Down);
  }
  void the_mirror_says(MirrorPhase phase) {
    sut_.report(sut_.standby(), link::MirrorState{kRole1, Term{1}, phase, "nonce", "", true});
  }
};

TEST_F(NewLeaderMeetsAFilter, AndWaitsForTheHostAgentOfABladeWhoseMirrorIsSynced) {
  sut_.pass(5s);
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  sut_.hello(kBlade1, {{kRole1, Term{1}, PlaceKind::Host, true}});
  for (int i = 0; i < 20; ++i) {
    it_talks();
    sut_.pass(1s);
  }
  EXPECT_EQ(sut_.state(1), RoleState::Protected) << sut_.status(1).detail;
  EXPECT_TRUE(sut_.all<Isolate>().empty());
}

TEST_F(NewLeaderMeetsAFilter, AndTakesOverAtOnceWhenTheMirrorLosesItsStreamToo) {
  sut_.pass(1s);
  the_mirror_says(MirrorPhase::Connected);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << sut_.status(1).detail;
}

/// A frozen guest says so for ever.
TEST_F(NewLeaderMeetsAFilter, AndWaitsNoLongerThanForAnyHostAgent) {
  sut_.pass(sut_.config.timings.hello_wait - 1ms);
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  sut_.pass(1ms);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << sut_.status(1).detail;
}

TEST_F(BfdBlocked, ACopyThatLosesItsStreamMeanwhileIsKeptForTheVerdict) {
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.pass(1s);
  it_talks();
  sut_.mirror_vote(1, Vote::Down);
  for (int i = 0; i < 5; ++i) {
    sut_.pass(1s);
    it_talks();
  }
  sut_.mirror_state(1, link::MirrorPhase::Connected);
  sut_.pass(sut_.config.timings.word_lasts + 1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

}  // namespace
}  // namespace understudy::control::test
