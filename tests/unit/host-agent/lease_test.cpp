// SPDX-License-Identifier: Apache-2.0
// What keeps the gate of a leased role open, and what does not.
// Covers: host-agent/core/lease.cpp, host-agent/core/blade_lease.cpp
#include "core/lease.hpp"

#include <gtest/gtest.h>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;

constexpr Instant kThen{10s};
const link::ArmLease kOrder{RoleId{"role-1"}, Term{1}, 7, 2000, 2000};

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() { sut_.arm(kThen, kOrder); }
  void timed() {
    const auto nonce = sut_.ask(kThen);
    ASSERT_TRUE(nonce);
    ASSERT_TRUE(sut_.granted(kThen, *nonce));
    ASSERT_TRUE(sut_.done());
  }
  Lease sut_;
};

TEST_F(LeaseTest, AGrantIsGoodFromTheSendingOfItsRequest) {
  const auto nonce = sut_.ask(kThen);
  ASSERT_TRUE(nonce);
  EXPECT_FALSE(sut_.granted(kThen + 2s, *nonce)) << "the answer came when its time was over";
  const auto timing = sut_.granted(kThen + 1900ms, *nonce);
  ASSERT_TRUE(timing);
  EXPECT_EQ(timing->until, kThen + 2s);
}

TEST_F(LeaseTest, AGrantThatNobodyAskedForIsNone) { EXPECT_FALSE(sut_.granted(kThen, 12345)); }

TEST_F(LeaseTest, TheGateIsTimedWhenTheFirstGrantHasTimedIt) {
  EXPECT_EQ(sut_.timed_id(), 0U);
  timed();
  EXPECT_EQ(sut_.timed_id(), 7U);
}

TEST_F(LeaseTest, WhatRanOutIsOpenedOnlyByAGrantThatWasAskedForAfterThat) {
  timed();
  const auto before = sut_.ask(kThen + 1s);
  ASSERT_TRUE(before);
  const auto refresh = sut_.granted(kThen + 1s, *before);
  ASSERT_TRUE(refresh);
  EXPECT_EQ(refresh->how, TimedHow::Refresh);
  sut_.failed(kThen + 1100ms);
  EXPECT_FALSE(sut_.granted(kThen + 1200ms, *before));
  const auto after = sut_.ask(kThen + 1300ms);
  ASSERT_TRUE(after);
  const auto open = sut_.granted(kThen + 1300ms, *after);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->how, TimedHow::Open);
}

TEST_F(LeaseTest, ADisarmedLeaseTakesNoGrantAndNoLateAnswer) {
  const auto nonce = sut_.ask(kThen);
  ASSERT_TRUE(nonce);
  ASSERT_TRUE(sut_.granted(kThen, *nonce));
  sut_.disarm();
  sut_.arm(kThen, kOrder);
  EXPECT_FALSE(sut_.done()) << "the step was of the lease before";
  EXPECT_EQ(sut_.timed_id(), 0U);
  EXPECT_FALSE(sut_.granted(kThen, *nonce));
  EXPECT_NE(sut_.ask(kThen), nonce) << "no number is used twice";
}

}  // namespace
}  // namespace understudy::host
