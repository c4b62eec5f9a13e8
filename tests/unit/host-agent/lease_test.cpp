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
    ASSERT_TRUE(sut_.done(kThen));
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

TEST_F(LeaseTest, WithoutGrantsForHalfALeaseItAsksOnceToBeExposedAndSaysWhenTheyComeAgain) {
  timed();
  EXPECT_FALSE(sut_.starves(kThen + 1s));
  EXPECT_TRUE(sut_.starves(kThen + 1001ms)) << "the element closes a second later";
  EXPECT_EQ(sut_.timed_id(), 0U);
  EXPECT_FALSE(sut_.starves(kThen + 1200ms)) << "once";
  const auto nonce = sut_.ask(kThen + 1300ms);
  ASSERT_TRUE(nonce);
  ASSERT_TRUE(sut_.granted(kThen + 1300ms, *nonce));
  EXPECT_TRUE(sut_.done(kThen + 1300ms)) << "to be told";
  EXPECT_EQ(sut_.timed_id(), 7U);
  EXPECT_FALSE(sut_.starves(kThen + 1400ms));
}

TEST_F(LeaseTest, AGateThatWasNeverTimedStarvesOfNothing) { EXPECT_FALSE(sut_.starves(kThen + 1h)); }

TEST_F(LeaseTest, ADisarmedLeaseTakesNoGrantAndNoLateAnswer) {
  const auto nonce = sut_.ask(kThen);
  ASSERT_TRUE(nonce);
  ASSERT_TRUE(sut_.granted(kThen, *nonce));
  sut_.disarm();
  sut_.arm(kThen, kOrder);
  EXPECT_FALSE(sut_.done(kThen)) << "the step was of the lease before";
  EXPECT_EQ(sut_.timed_id(), 0U);
  EXPECT_FALSE(sut_.granted(kThen, *nonce));
  EXPECT_NE(sut_.ask(kThen), nonce) << "no number is used twice";
}

template <class Wanted>
std::vector<Wanted> all(const Effects& effects) {
  std::vector<Wanted> found;
  for (const auto& effect : effects) {
    if (const auto* one = std::get_if<Wanted>(&effect)) { found.push_back(*one); }
  }
  return found;
}
std::vector<link::LeaseState> told(const Effects& effects) {
  std::vector<link::LeaseState> found;
  for (const auto& one : all<SendReport>(effects)) {
    if (const auto* state = std::get_if<link::LeaseState>(&one.report)) { found.push_back(*state); }
  }
  return found;
}

/// An active whose gate is timed.
class LeasedBladeTest : public testing::Test {
 protected:
  LeasedBladeTest() {
    sut_.step(kThen, OrderArrived{link::ServeRole{spec(), Term{1}}});
    sut_.step(kThen, StepDone{role, Step::PrepareHost});
    sut_.step(kThen, StepDone{role, Step::OpenHostGate});
    asked_ = all<AskGrant>(sut_.step(kThen, OrderArrived{link::ArmLease{role, Term{1}, 7, 2000, 2000}}));
  }
  Effects grant() {
    const auto timing = all<TimeGate>(sut_.step(kThen, GrantArrived{role, Term{1}, asked_.at(0).nonce}));
    EXPECT_EQ(timing.size(), 1U);
    return sut_.step(kThen, StepDone{role, Step::TimeGate});
  }
  Blade sut_{BladeId{"blade-2"}, "boot"};
  std::vector<AskGrant> asked_;
};

TEST_F(LeasedBladeTest, TellsThatItsGateIsTimedAndBeforeItClosesThatNoGrantsCome) {
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(told(grant()), (std::vector<link::LeaseState>{{role, Term{1}, 7}}));
  EXPECT_TRUE(told(sut_.step(kThen + 1s, Tick{})).empty());
  EXPECT_EQ(told(sut_.step(kThen + 1300ms, Tick{})), (std::vector<link::LeaseState>{{role, Term{1}, 0}}));
  EXPECT_EQ(told(sut_.step(kThen + 1400ms, ControlConnected{})), (std::vector<link::LeaseState>{{role, Term{1}, 0}}));
  EXPECT_TRUE(does(sut_.step(kThen + 1400ms, OrderArrived{link::DisarmLease{role, Term{1}}}), Step::UntimeGate));
}

TEST_F(LeasedBladeTest, AGrantUnderAnotherTermIsNone) {
  EXPECT_TRUE(all<TimeGate>(sut_.step(kThen, GrantArrived{role, Term{2}, asked_.at(0).nonce})).empty());
  EXPECT_FALSE(told(grant()).empty()) << "the one that was asked for is waited for still";
}

TEST_F(LeasedBladeTest, ARestartedDaemonGoesOnAskingUnderNumbersThatNobodyHasSeen) {
  grant();
  const auto record = sut_.record_of(role);
  ASSERT_TRUE(record);
  ASSERT_TRUE(record->lease);
  Blade successor(BladeId{"blade-2"}, "boot");
  successor.adopt(kThen + 1s, *record, HostFindings{true, false});
  const auto asked = all<AskGrant>(successor.step(kThen + 1s, Tick{}));
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_NE(asked[0].nonce, asked_[0].nonce);
  EXPECT_TRUE(all<TimeGate>(successor.step(kThen + 1s, GrantArrived{role, Term{1}, asked_[0].nonce})).empty());
}

/// A daemon that is killed in between must not leave a gate that closes by itself to a successor that knows of no
/// lease.
TEST_F(LeasedBladeTest, ALeaseIsForgottenOnlyWhenTheGateHasNoTimeoutAnyMore) {
  grant();
  const auto ordered = sut_.step(kThen, OrderArrived{link::DisarmLease{role, Term{1}}});
  EXPECT_TRUE(does(ordered, Step::UntimeGate));
  EXPECT_TRUE(all<Remember>(ordered).empty());
  const auto done = sut_.step(kThen, StepDone{role, Step::UntimeGate});
  EXPECT_EQ(all<Remember>(done).size(), 1U);
  EXPECT_FALSE(sut_.record_of(role)->lease);
}

TEST(MirrorsHost, TellsItsGuestToGrantNoMoreUpToATermAndTellsItsWord) {
  Blade sut(BladeId{"blade-3"}, "boot");
  sut.step(kThen, OrderArrived{link::RunMirror{spec(), Term{4}, BladeId{"blade-2"}, {}, {}}});
  sut.step(kThen, GuestHello{role, "nonce", GuestActivity::Mirroring});
  const auto tells = [](const Effects& effects) { return all<TellGuest>(effects); };
  EXPECT_TRUE(tells(sut.step(kThen, OrderArrived{link::StopGrants{role, Term{3}}})).empty()) << "of an owner before";
  EXPECT_EQ(tells(sut.step(kThen, OrderArrived{link::StopGrants{role, Term{5}}})),
            (std::vector<TellGuest>{{role, GuestOrder::StopGrants, Term{5}}}))
      << "a control-server that has stored its takeover already knows the newer term only";
  const auto effects = sut.step(kThen, GuestStoppedGrants{role, Term{5}});
  EXPECT_EQ(all<SendReport>(effects), (std::vector<SendReport>{{link::GrantsStopped{role, Term{5}}}}));
  EXPECT_TRUE(sut.step(kThen, GuestStoppedGrants{role, Term{4}}).empty());
}

}  // namespace
}  // namespace understudy::host
