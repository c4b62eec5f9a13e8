// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_vote.hpp"

#include <gtest/gtest.h>

namespace understudy::link::bfd {
namespace {

using namespace std::chrono_literals;
using enum SessionState;

constexpr Duration bound = 5s;

class PeerVoteTest : public ::testing::Test {
 protected:
  static StateChange change(SessionState from, SessionState to, Diagnostic why = Diagnostic::None,
                            SessionState remote = Up) {
    return {from, to, why, remote, {}};
  }
  void come_up() { ASSERT_TRUE(vote.on_change(now, change(Init, Up))); }

  Instant now{100s};
  PeerVote vote{now, bound};
};

TEST_F(PeerVoteTest, StartsUnknownAndSilenceIsDownOnlyAfterTheBound) {
  EXPECT_EQ(vote.vote(), Vote::Unknown);
  EXPECT_EQ(vote.deadline(), now + bound);
  EXPECT_FALSE(vote.on_time(now + bound - 1ns));
  EXPECT_EQ(vote.vote(), Vote::Unknown);
  EXPECT_TRUE(vote.on_time(now + bound));
  EXPECT_EQ(vote.vote(), Vote::Down);
  EXPECT_FALSE(vote.deadline());
}

TEST_F(PeerVoteTest, StepsOnTheWayUpDoNotStretchTheBound) {
  EXPECT_FALSE(vote.on_change(now + 1s, change(Down, Init)));
  EXPECT_FALSE(vote.on_change(now + 3s, change(Init, Down, Diagnostic::DetectionTimeExpired)));
  EXPECT_EQ(vote.deadline(), now + bound);
}

TEST_F(PeerVoteTest, UpIsToldOnceAndHasNoDeadline) {
  come_up();
  EXPECT_EQ(vote.vote(), Vote::Up);
  EXPECT_FALSE(vote.deadline());
  EXPECT_FALSE(vote.on_time(now + 3600s));
}

TEST_F(PeerVoteTest, SilenceIsDownAtOnce) {
  come_up();
  EXPECT_TRUE(vote.on_change(now, change(Up, Down, Diagnostic::DetectionTimeExpired)));
  EXPECT_EQ(vote.vote(), Vote::Down);
}

TEST_F(PeerVoteTest, APeerThatLostUsLivesButMayNotStayUnknownForEver) {
  come_up();
  EXPECT_TRUE(vote.on_change(now + 1s, change(Up, Down, Diagnostic::NeighborSignaledDown, Down)));
  EXPECT_EQ(vote.vote(), Vote::Unknown);
  EXPECT_FALSE(vote.on_time(now + 1s + bound - 1ns));
  EXPECT_TRUE(vote.on_time(now + 1s + bound));  // it died before the session was up again
  EXPECT_EQ(vote.vote(), Vote::Down);
}

TEST_F(PeerVoteTest, APeerThatLostUsAndFindsUsAgainIsUp) {
  come_up();
  vote.on_change(now + 1s, change(Up, Down, Diagnostic::NeighborSignaledDown, Down));
  EXPECT_TRUE(vote.on_change(now + 2s, change(Init, Up)));
  EXPECT_EQ(vote.vote(), Vote::Up);
  EXPECT_FALSE(vote.on_time(now + 3600s));
}

TEST_F(PeerVoteTest, AnOrderlyStopIsNoFailureForAsLongAsARestartMayTake) {
  come_up();
  EXPECT_TRUE(vote.on_change(now, change(Up, Down, Diagnostic::NeighborSignaledDown, AdminDown)));
  EXPECT_EQ(vote.vote(), Vote::Unknown);
  EXPECT_FALSE(vote.on_time(now + bound - 1ns));
  EXPECT_TRUE(vote.on_time(now + bound)) << "a machine that was shut down ended in order too";
  EXPECT_EQ(vote.vote(), Vote::Down);
}

}  // namespace
}  // namespace understudy::link::bfd
