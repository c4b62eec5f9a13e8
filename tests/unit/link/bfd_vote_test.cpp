// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_vote.hpp"

#include <gtest/gtest.h>

namespace understudy::link::bfd {
namespace {

using enum SessionState;

TEST(BfdVote, OnlySilenceSpeaksOfAFailure) {
  EXPECT_EQ(vote_of({Init, Up, Diagnostic::None, Up, 0}), Vote::Up);
  EXPECT_EQ(vote_of({Up, Down, Diagnostic::DetectionTimeExpired, Up, 0}), Vote::Down);
  EXPECT_EQ(vote_of({Init, Down, Diagnostic::DetectionTimeExpired, Down, 0}), Vote::Down) << "heard, then silent";
}

TEST(BfdVote, APeerThatSaysItIsDownIsAlive) {
  for (const auto said : {Down, AdminDown}) {
    EXPECT_EQ(vote_of({Up, Down, Diagnostic::NeighborSignaledDown, said, 0}), Vote::Unknown);
  }
}

TEST(BfdVote, OnTheWayUpNothingIsSaidAndASilenceBeforeStands) {
  EXPECT_EQ(vote_of({Down, Init, Diagnostic::None, Down, 0}), std::nullopt);
  EXPECT_EQ(vote_of({Down, Init, Diagnostic::DetectionTimeExpired, Down, 0}), std::nullopt);
}

}  // namespace
}  // namespace understudy::link::bfd
