// SPDX-License-Identifier: Apache-2.0
/// A whole copy whose stream has ended: did its active live on without it? For whoever decides after a long absence.
/// Covers: host-agent/core/blade.cpp
#include "core/copy_age.hpp"

#include <gtest/gtest.h>

#include "core/blade.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
using link::MirrorPhase;
using link::Vote;

class AMirrorsCopy : public testing::Test {
 protected:
  AMirrorsCopy() {
    link::RunMirror order;
    order.spec.id = role_;
    order.term = Term{1};
    order.active = BladeId{"blade-1"};
    step(OrderArrived{order});
    step(StepDone{role_, Step::StartGuest});
    step(GuestHello{role_, "nonce"});
    step(GuestVote{role_, Vote::Up});
    says(MirrorPhase::Synced);
  }
  void step(const Event& event) {
    for (const auto& effect : blade_.step(now_, event)) {
      const auto* report = std::get_if<SendReport>(&effect);
      const auto* state = report != nullptr ? std::get_if<link::MirrorState>(&report->report) : nullptr;
      if (state != nullptr) { told_.push_back(*state); }
    }
  }
  void says(MirrorPhase phase, Term whole_under = Term{1}) { step(GuestPhase{role_, phase, "", whole_under}); }
  void pass(Duration time) {
    const Instant end = now_ + time;
    for (auto next = blade_.next_deadline(); next && *next <= end; next = blade_.next_deadline()) {
      now_ = std::max(now_, *next);
      step(Tick{});
    }
    now_ = end;
    step(Tick{});
  }
  [[nodiscard]] bool older() const { return told_.back().older; }

  RoleId role_{"role-1"};
  Instant now_{1h};
  Blade blade_{BladeId{"blade-2"}, "boot"};
  std::vector<link::MirrorState> told_;
};

TEST_F(AMirrorsCopy, IsOlderWhenItsActiveIsHeardOnAndNothingComes) {
  says(MirrorPhase::Connected);
  pass(CopyAge::grace - 1ms);
  EXPECT_FALSE(older());
  pass(1ms);
  ASSERT_TRUE(older()) << "told without being asked";
  EXPECT_TRUE(told_.back().whole);
  EXPECT_EQ(told_.back().phase, MirrorPhase::Connected);
  step(GuestVote{role_, Vote::Down});
  step(ControlConnected{});
  EXPECT_TRUE(older()) << "to whoever decides next too, hours after its active's death";
}

TEST_F(AMirrorsCopy, IsTheLastWhereItsActiveDiedWithItsStreamHoweverLongAgo) {
  says(MirrorPhase::Connected);
  step(GuestVote{role_, Vote::Down});
  pass(10h);
  step(ControlConnected{});
  EXPECT_TRUE(told_.back().whole);
  EXPECT_FALSE(older());
}

TEST_F(AMirrorsCopy, IsOlderWhereItsActiveIsHeardAgainAfterASilence) {
  says(MirrorPhase::Connected);
  step(GuestVote{role_, Vote::Down});
  pass(1min);
  step(GuestVote{role_, Vote::Up});
  pass(CopyAge::sure - 1ms);
  EXPECT_FALSE(older());
  pass(1ms);
  EXPECT_TRUE(older());
}

TEST_F(AMirrorsCopy, IsNoOlderOneAnyMoreWhenItIsSyncedAgain) {
  says(MirrorPhase::Connected);
  pass(10s);
  ASSERT_TRUE(older());
  says(MirrorPhase::Syncing, Term{});
  EXPECT_FALSE(older());
  says(MirrorPhase::Synced);
  says(MirrorPhase::Connected);
  EXPECT_FALSE(older()) << "from here on it is counted anew";
}

TEST_F(AMirrorsCopy, StaysOlderWhateverBecomesOfItsGuestAgent) {
  says(MirrorPhase::Connected);
  pass(10s);
  step(GuestLost{role_, "closed"});
  step(GuestHello{role_, "nonce"});
  says(MirrorPhase::Starting);
  says(MirrorPhase::Connected);
  EXPECT_TRUE(older());
}

/// What its guest has told meanwhile is heard after it: the active may have died with its stream.
TEST_F(AMirrorsCopy, IsNotOlderForAVoiceThatADaemonThatStoodStillHasNotHeard) {
  says(MirrorPhase::Connected);
  now_ = now_ + 1min;
  step(Tick{});
  step(GuestVote{role_, Vote::Down});
  pass(1min);
  EXPECT_FALSE(older());
}

TEST_F(AMirrorsCopy, NorForAnOldVoiceThatItHearsFirst) {
  says(MirrorPhase::Connected);
  step(GuestVote{role_, Vote::Down});
  now_ = now_ + 1min;
  for (const auto vote : {Vote::Up, Vote::Down}) { step(GuestVote{role_, vote}); }
  pass(1min);
  EXPECT_FALSE(older());
}

}  // namespace
}  // namespace understudy::host
