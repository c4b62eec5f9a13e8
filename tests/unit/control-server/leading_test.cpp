// SPDX-License-Identifier: Apache-2.0
/// Covers: control-server/core/leading.cpp, control-server/core/stored_ownership.cpp
#include "core/leading.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/stored_ownership.hpp"

namespace understudy::control {
namespace {

using namespace std::chrono_literals;

/// etcd as a test scripts it: a key with a lease, leases that end when told to.
class LeadingTest : public testing::Test {
 protected:
  static constexpr Duration kPoll{300ms};
  /// A round in which everything is answered, at once; what `unanswered` names is done, and its answer is lost.
  Leading::Step round(std::size_t unanswered = std::variant_npos) {
    now_ = now_ + kPoll;
    Leading::Step all;
    auto step = sut_.begin(now_);
    while (true) {
      if (step.won != 0) { all.won = step.won; }
      if (step.lost) { all.lost = step.lost; }
      all.extended = all.extended || step.extended;
      if (!step.ask) { return all; }
      const bool lost = step.ask->index() == unanswered;
      const auto answer = std::visit([this](const auto& ask) { return done(ask); }, *step.ask);
      step = sut_.answered(now_, lost ? LeadAnswer{NoAnswer{"lost"}} : answer);
    }
  }
  LeadAnswer done(const KeepLease& ask) const { return LeaseKept{leases_.contains(ask.lease)}; }
  LeadAnswer done(const GrantLease& /*ask*/) {
    leases_.insert(++given_);
    return LeaseGranted{given_};
  }
  LeadAnswer done(const LookWhoLeads& /*ask*/) const {
    return LeaderSeen{key_, key_ != 0 ? key_lease_ : 0, "10.0.0.2"};
  }
  LeadAnswer done(const Campaign& ask) {
    if (key_ != 0) { return CampaignEnded{key_lease_ == ask.lease ? key_ : 0}; }
    key_ = ++revision_;
    key_lease_ = ask.lease;
    return CampaignEnded{key_};
  }
  LeadAnswer done(const DropLease& ask) {
    leases_.erase(ask.lease);
    if (key_lease_ == ask.lease) { key_ = 0; }
    return LeaseDropped{};
  }
  static constexpr std::size_t kKeep = 0;
  static constexpr std::size_t kCampaign = 3;

  Leading sut_{{}};
  Instant now_{1h};
  std::set<std::int64_t> leases_;
  std::int64_t given_ = 0;
  std::int64_t key_lease_ = 0;
  std::uint64_t key_ = 0;
  std::uint64_t revision_ = 100;
};

TEST_F(LeadingTest, WinsWhereNobodyLeadsAndCountsFromTheSending) {
  EXPECT_EQ(round().won, 101U);
  EXPECT_EQ(sut_.until(), now_ + 2500ms);
  EXPECT_TRUE(round().extended);
  EXPECT_TRUE(sut_.holds(now_, 101));
  EXPECT_FALSE(sut_.holds(now_ + 2500ms, 101));
}

TEST_F(LeadingTest, ACampaignThatWasWonWithoutOurHearingOfItIsFoundByItsLease) {
  EXPECT_EQ(round(kCampaign).won, 0U);
  ASSERT_NE(key_, 0U) << "etcd has done it";
  EXPECT_EQ(round().won, key_) << "else our own lease keeps everybody from leading for ever";
}

TEST_F(LeadingTest, WhoCannotRenewEndsByItsOwnClockAndGivesItsLeaseBack) {
  (void)round();
  for (int i = 0; i < 8; ++i) { EXPECT_FALSE(round(kKeep).lost); }
  EXPECT_TRUE(sut_.holds(now_, 101));
  EXPECT_FALSE(sut_.holds(now_ + 100ms, 101));
  const auto next = round();
  EXPECT_TRUE(next.lost);
  EXPECT_EQ(next.won, 102U) << "a right that has ended never comes back; a new one is won";
}

TEST_F(LeadingTest, ALeaseThatEtcdHasForgottenEndsTheLead) {
  (void)round();
  leases_.clear();
  key_ = 0;
  const auto next = round();
  EXPECT_TRUE(next.lost);
  EXPECT_EQ(next.won, 102U);
}

TEST_F(LeadingTest, AnotherLeaderEndsOurs) {
  (void)round();
  key_ = 200;
  key_lease_ = 77;
  const auto next = round();
  EXPECT_TRUE(next.lost);
  EXPECT_EQ(next.won, 0U);
  EXPECT_EQ(round().won, 0U);
}

TEST_F(LeadingTest, WhatWasGivenUpIsLostInTheNextRoundAndALaterOneIsNot) {
  (void)round();
  sut_.give_up(99, "an older one");
  EXPECT_FALSE(round().lost);
  sut_.give_up(101, "the state cannot be read");
  EXPECT_EQ(round().lost, "the state cannot be read");
}

TEST_F(LeadingTest, OneWithPatienceLetsOthersGoFirst) {
  Leading::Timings timings;
  timings.patience = 1500ms;
  sut_ = Leading(timings);
  for (int i = 0; i < 5; ++i) { EXPECT_EQ(round().won, 0U); }
  EXPECT_EQ(round().won, 101U);
}

TEST(StoredOwnershipTest, ARefusalSaysWhoWrote) {
  const RoleId role{"role-1"};
  const Ownership next{role, Term{2}, {BladeId{"blade-4"}, PlaceKind::Mirror}, link::StopEvidence::Isolated, Term{}};
  const StoredOwnership ours{next, 7, 5};
  EXPECT_TRUE(judge_refusal(role, next, 5, 5, ours)) << "a first try whose answer was lost";
  EXPECT_EQ(judge_refusal(role, next, 5, 6, ours).error().code, Errc::Expired);
  EXPECT_EQ(judge_refusal(role, next, 5, 5, StoredOwnership{next, 7, 4}).error().code, Errc::Refused);
  EXPECT_EQ(judge_refusal(role, next, 5, 5, std::nullopt).error().code, Errc::Refused);
  EXPECT_FALSE(is_written(StoredOwnership{next, 7, 4}, next, 5)) << "a former leader's";
}

}  // namespace
}  // namespace understudy::control
