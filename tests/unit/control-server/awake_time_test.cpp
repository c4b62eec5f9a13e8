// SPDX-License-Identifier: Apache-2.0
/// A control-server that stood still, or whose clock jumped: a late wake-up is its own failure and nobody else's.
/// Covers: control-server/core/group.cpp
#include "core/awake_time.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

constexpr Instant at(Duration clock) { return Instant{1h + clock}; }

TEST(AwakeTime, IsThatOfTheClockAsLongAsItIsLookedAt) {
  AwakeTime awake(250ms);
  for (int i = 0; i <= 100; ++i) { EXPECT_EQ(awake.step(at(i * 250ms)), at(i * 250ms)); }
  EXPECT_EQ(awake.by_clock(at(30s)), at(30s));
}

TEST(AwakeTime, CountsAStopAsOneStepAndTellsWhatWasMissed) {
  AwakeTime awake(250ms);
  awake.step(at(0s));
  EXPECT_EQ(awake.step(at(40s)), at(250ms));
  EXPECT_EQ(awake.missed(), 40s - 250ms);
  EXPECT_EQ(awake.step(at(40s + 100ms)), at(350ms));
  EXPECT_EQ(awake.missed(), 0s);
  EXPECT_EQ(awake.by_clock(at(3s)), at(40s + 100ms + 2650ms)) << "a wait goes on where it was";
}

TEST(AwakeTime, GoesOnWhereEveryStepComesLate) {
  AwakeTime awake(250ms);
  Instant last = awake.step(at(0s));
  for (int i = 1; i <= 12; ++i) { last = awake.step(at(i * 1s)); }
  EXPECT_EQ(last, at(3s));
}

TEST(AwakeTime, NeverGoesBack) {
  AwakeTime awake(250ms);
  awake.step(at(10s));
  EXPECT_EQ(awake.step(at(5s)), at(10s));
  EXPECT_EQ(awake.step(at(10s)), at(10s)) << "nor does it count twice what it has counted";
  EXPECT_EQ(awake.step(at(10s + 100ms)), at(10s + 100ms));
}

TEST(AwakeTime, WhatOthersSawBeforeItWokeCountsFromThenOn) {
  AwakeTime awake(250ms);
  awake.step(at(0s));
  EXPECT_EQ(awake.told(at(-5s)), at(-5s)) << "nothing was missed";
  awake.step(at(40s));
  awake.step(at(40s + 200ms));
  EXPECT_EQ(awake.told(at(40s + 150ms)), at(400ms));
  for (const Instant before : {at(-5s), at(20s), at(40s)}) { EXPECT_EQ(awake.told(before), at(250ms)); }
}

/// The whole maintenance network has blinked, and its voices are coming back one by one: the last two are about to.
class StoodStill : public testing::Test {
 protected:
  void begin(const GroupConfig& group = config(3)) {
    sut_.emplace(group);
    sut_->bring_up();
    sut_->pass(10s);
    sut_->forget();
  }
  void most_of_the_network_is_back() {
    for (const auto& blade : sut_->config.blades) { sut_->own_vote(blade.id, Vote::Down); }
    for (const unsigned role : {1U, 2U, 3U}) {
      sut_->stream_ends(role);
      sut_->mirror_vote(role, Vote::Down);
    }
    sut_->pass(300ms);
    sut_->own_vote(sut_->standby(), Vote::Up);
    sut_->own_vote(Chassis::blade_id(3), Vote::Up);
    sut_->pass(250ms);
  }
  /// Or its clock jumps.
  void stand_still(Duration how_long) {
    sut_->now = sut_->now + how_long;
    sut_->step(Tick{});
  }
  void expect_nobody_was_taken_over() {
    for (const unsigned role : {1U, 2U, 3U}) { EXPECT_NE(sut_->state(role), RoleState::TakingOver) << role; }
    EXPECT_TRUE(sut_->all<Isolate>().empty());
    EXPECT_TRUE(sut_->all<PowerOff>().empty());
    EXPECT_TRUE(sut_->orders<link::Activate>().empty());
  }
  std::optional<Chassis> sut_;
};

TEST_F(StoodStill, HasNotHeardAnybodyMeanwhileWhoMakesTheOthersDead) {
  begin();
  most_of_the_network_is_back();
  stand_still(40s);
  sut_->pass(1s);
  expect_nobody_was_taken_over();
  for (const unsigned blade : {1U, 2U}) {
    sut_->own_vote(Chassis::blade_id(blade), Vote::Up);
    sut_->mirror_vote(blade, Vote::Up);
  }
  sut_->pass(10s);
  expect_nobody_was_taken_over();
}

TEST_F(StoodStill, TakesOverWhoIsSilentStillAfterTheRestOfTheWait) {
  begin();
  most_of_the_network_is_back();
  stand_still(3500ms);  // shorter than the copies' grace
  sut_->pass(2s);
  expect_nobody_was_taken_over();
  sut_->pass(1s);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

TEST_F(StoodStill, HasHadNoAnswerOfAWitnessMeanwhile) {
  auto group = config(1);
  WitnessConfig witness;
  witness.name = "switch-a";
  witness.interval = 50ms;
  group.witnesses = {witness};
  begin(group);
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now});
  sut_->pass(10s);
  sut_->step(WitnessSeen{"switch-a", Vote::Down, {}});
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);
  sut_->own_vote(sut_->standby(), Vote::Down);
  sut_->stream_ends(1);
  sut_->mirror_vote(1, Vote::Down);
  sut_->pass(300ms);
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now});
  sut_->pass(250ms);
  const Instant of_a_thread_that_ran = sut_->now + 10s;
  stand_still(40s);
  sut_->step(WitnessSeen{"switch-a", Vote::Up, of_a_thread_that_ran});
  sut_->pass(1s);
  EXPECT_TRUE(sut_->all<Isolate>().empty()) << sut_->status(1).detail;
}

/// However long it slept: the active has written on, and nobody knows since when without its mirror.
TEST_F(StoodStill, DoesNotTakeACopyForAYoungOne) {
  begin();
  sut_->mirror_state(1, MirrorPhase::Connected);
  sut_->pass(1s);
  ASSERT_EQ(sut_->state(1), RoleState::Protected) << "in its grace";
  stand_still(40s);
  sut_->pass(1100ms);  // what has arrived meanwhile is heard first
  EXPECT_EQ(sut_->state(1), RoleState::Exposed);
}

TEST_F(StoodStill, GivesUpNoCopyBeforeItHasHeardWhatCameMeanwhile) {
  begin();
  sut_->mirror_state(1, MirrorPhase::Connected);  // its active was stopped in order, and then died
  stand_still(10s);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  sut_->silence(1);
  sut_->pass(10s);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

TEST_F(StoodStill, BelievesAMirrorThatHasHeardItsActiveOnMeanwhile) {
  begin();
  stand_still(10s);
  sut_->report(sut_->standby(),
               link::MirrorState{Chassis::role_id(1), Term{1}, MirrorPhase::Connected, "nonce", "", true, true});
  EXPECT_EQ(sut_->state(1), RoleState::Exposed) << "its stream may have ended 10 s ago";
  sut_->silence(1);
  sut_->pass(10s);
  EXPECT_EQ(sut_->state(1), RoleState::Lost) << "by a copy of 10 s before nobody is taken over";
}

TEST_F(StoodStill, IsAnEventWithHowLong) {
  begin();
  stand_still(500ms);
  EXPECT_FALSE(sut_->noted("clock", "stood still"));
  stand_still(40s);
  EXPECT_TRUE(sut_->noted("clock", "stood still for 39750 ms"));
}

TEST_F(StoodStill, IsOneEventWhereItStandsStillAgainAndAgain) {
  begin();
  for (int i = 0; i < 20; ++i) { stand_still(2s); }
  EXPECT_EQ(
      std::count_if(sut_->notes.begin(), sut_->notes.end(), [](const auto& note) { return note.kind == "clock"; }), 1);
  sut_->pass(11s);
  stand_still(2s);
  EXPECT_TRUE(sut_->noted("clock", "stood still for 35000 ms")) << "all that was not told";
}

TEST_F(StoodStill, IsToldFromASilenceInWhichNothingHappensSinceItLooksAtItsClock) {
  begin();
  for (int i = 0; i < 100; ++i) {
    const auto next = sut_->group->next_deadline();
    ASSERT_TRUE(next);
    ASSERT_LE(*next - sut_->now, sut_->config.timings.awake_step);
    sut_->now = *next;
    sut_->step(Tick{});
  }
  EXPECT_LT(sut_->config.timings.beat, sut_->config.timings.awake_step) << "a beat that comes in time misses nothing";
}

}  // namespace
}  // namespace understudy::control::test
