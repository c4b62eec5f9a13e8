// SPDX-License-Identifier: Apache-2.0
#include "core/votes.hpp"

#include <gtest/gtest.h>

namespace understudy::control {
namespace {

using namespace std::chrono_literals;
using link::Vote;

constexpr Instant kThen{10s};
constexpr Duration kSettle = 300ms;

Verdict settled(Vote own, Vote mirror, Surroundings around = {1, true, true}) {
  return judge({own, kThen}, {mirror, kThen}, around, kSettle, kThen + 1s).verdict;
}

TEST(Votes, EveryPairOfVotesHasItsVerdict) {
  EXPECT_EQ(settled(Vote::Up, Vote::Up), Verdict::Healthy);
  EXPECT_EQ(settled(Vote::Up, Vote::Down), Verdict::MirrorBlind);
  EXPECT_EQ(settled(Vote::Up, Vote::Unknown), Verdict::Healthy);
  EXPECT_EQ(settled(Vote::Down, Vote::Up), Verdict::ControlBlind);
  EXPECT_EQ(settled(Vote::Down, Vote::Down), Verdict::Dead);
  EXPECT_EQ(settled(Vote::Down, Vote::Unknown), Verdict::OneObserver);
  EXPECT_EQ(settled(Vote::Unknown, Vote::Up), Verdict::Healthy);
  EXPECT_EQ(settled(Vote::Unknown, Vote::Down), Verdict::OneObserver);
  EXPECT_EQ(settled(Vote::Unknown, Vote::Unknown), Verdict::Healthy);
}

TEST(Votes, BothDownIsDecidedAtOnce) {
  EXPECT_EQ(judge({Vote::Down, kThen}, {Vote::Down, kThen}, {1, true, true}, kSettle, kThen).verdict, Verdict::Dead);
}

TEST(Votes, ADifferenceMustSettleFirst) {
  const auto early = judge({Vote::Down, kThen}, {Vote::Up, Instant{}}, {1, true, true}, kSettle, kThen + 299ms);
  EXPECT_EQ(early.verdict, Verdict::Unsettled);
  EXPECT_EQ(early.again, kThen + kSettle);
  const auto late = judge({Vote::Down, kThen}, {Vote::Up, Instant{}}, {1, true, true}, kSettle, kThen + 300ms);
  EXPECT_EQ(late.verdict, Verdict::ControlBlind);
  EXPECT_FALSE(late.again);
}

TEST(Votes, WithoutAWitnessTheObserversHaveFailed) {
  EXPECT_EQ(settled(Vote::Down, Vote::Down, {1, true, false}), Verdict::ObserversFailed);
  EXPECT_EQ(settled(Vote::Down, Vote::Down, {3, false, false}), Verdict::ObserversFailed);
}

TEST(Votes, AllOfSeveralAtOnceAreAFailureOfTheObservers) {
  EXPECT_EQ(settled(Vote::Down, Vote::Down, {3, true, true}), Verdict::ObserversFailed);
  EXPECT_EQ(settled(Vote::Down, Vote::Down, {3, false, true}), Verdict::Dead);
}

TEST(Votes, AWitnessThatComesAndGoesIsAskedAgainWhenItIsSteady) {
  const auto early = judge({Vote::Down, kThen}, {Vote::Down, kThen}, {3, false, false, kThen + 3s}, kSettle, kThen);
  EXPECT_EQ(early.verdict, Verdict::ObserversFailed);
  EXPECT_EQ(early.again, kThen + 3s) << "it is asked again when that one has been heard long enough";
}

TEST(Votes, OnOneCableTheWitnessMustBeHeardOnAfterTheSilenceBegan) {
  const Surroundings around{2, false, true, {}, 75ms};
  const auto early = judge({Vote::Down, kThen}, {Vote::Down, kThen}, around, kSettle, kThen + 74ms);
  EXPECT_EQ(early.verdict, Verdict::Unsettled);
  EXPECT_EQ(early.again, kThen + 75ms);
  EXPECT_EQ(judge({Vote::Down, kThen}, {Vote::Down, kThen}, around, kSettle, kThen + 75ms).verdict, Verdict::Dead);
}

TEST(Votes, WhereTheMirrorHadLostItBeforeTheWitnessMustBeHeardOnAfterOurSilenceBegan) {
  const Ballot mirror{Vote::Down, kThen - 180ms};
  const auto early = judge({Vote::Down, kThen}, mirror, {2, false, true}, kSettle, kThen + 74ms);
  EXPECT_EQ(early.verdict, Verdict::Unsettled);
  EXPECT_EQ(early.again, kThen + 75ms);
  EXPECT_EQ(judge({Vote::Down, kThen}, mirror, {2, false, true}, kSettle, kThen + 75ms).verdict, Verdict::Dead);
}

TEST(Votes, WhereTheMirrorHadLostItBeforeAnIndependentWitnessMustHaveBeenReachedForAWhileBefore) {
  const Ballot own{Vote::Down, kThen};
  const Ballot mirror{Vote::Down, kThen - 180ms};
  const auto around = [](Duration answers_before) {
    Surroundings one{1, false, false};
    one.bench = {{{Vote::Up, kThen - 1h, kThen - answers_before, 15ms}}, 100ms, 3s, {}};
    return one;
  };
  EXPECT_EQ(judge(own, mirror, around(500ms), kSettle, kThen + 1s).verdict, Verdict::Unsettled);
  EXPECT_EQ(judge(own, mirror, around(3100ms), kSettle, kThen).verdict, Verdict::Dead);
  EXPECT_EQ(judge(own, {Vote::Down, kThen}, around(500ms), kSettle, kThen).verdict, Verdict::Dead);
}

TEST(Votes, AJudgementIsDueWhenTheUndecidedObserverMustHaveDecided) {
  const Ballot down{Vote::Down, kThen + 2s};
  const Ballot unknown{Vote::Unknown, kThen};
  EXPECT_EQ(judgement_is_due(down, unknown), kThen + link::kVoteUnknownMax);
  EXPECT_EQ(judgement_is_due(unknown, down), kThen + link::kVoteUnknownMax);
  EXPECT_EQ(judgement_is_due(down, {Vote::Down, kThen}), kThen + 2s) << "both have lost it, the later one just now";
  EXPECT_EQ(judgement_is_due(unknown, {Vote::Unknown, kThen + 1s}), kThen + 1s + link::kVoteUnknownMax)
      << "it was shut down in order, or is being restarted";
  EXPECT_FALSE(judgement_is_due(down, {Vote::Up, kThen}));
}

}  // namespace
}  // namespace understudy::control
