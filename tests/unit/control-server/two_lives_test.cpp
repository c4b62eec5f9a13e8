// SPDX-License-Identifier: Apache-2.0
/// An active dies while nobody decides: with its leading control-server, before another leads. The next one has never
/// heard it, and its mirror has lost its stream.
/// Covers: control-server/core/role_failure.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

class TwoLives : public testing::Test {
 protected:
  void SetUp() override { sut_.bring_up(); }
  /// The active is dead; whoever decides now has its own votes of before.
  void next_life(bool was_protected) {
    std::vector<Ownership> stored;
    for (const auto& [role, ownership] : sut_.store) { stored.push_back(ownership); }
    std::set<RoleId> before;
    if (was_protected) { before.insert(Chassis::role_id(1)); }
    sut_.forget();
    sut_.group.emplace(sut_.config, stored, before);
    sut_.step(Started{});
    sut_.silent_agents.insert(Chassis::blade_id(1));
  }
  void standby_tells(MirrorPhase phase) {
    sut_.hello(sut_.standby(), {{Chassis::role_id(1), Term{1}, PlaceKind::Mirror, false}});
    sut_.mirror_state(1, phase);
    sut_.mirror_vote(1, Vote::Down);
  }
  Chassis sut_{1};
};

TEST_F(TwoLives, WhatWasProtectedIsTakenOver) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  sut_.pass(1s);  // the standby's host-agent has to find the new leader
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).term, Term{2});
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
}

TEST_F(TwoLives, WhatWasExposedIsNot) {
  next_life(false);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(5s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_EQ(sut_.orders<link::Activate>().size(), 0U) << "its copy may be of any age";
}

TEST_F(TwoLives, AMirrorThatIsBeingOverwrittenNeverTakesOver) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Syncing);
  sut_.pass(5s);
  EXPECT_EQ(sut_.orders<link::Activate>().size(), 0U);
}

TEST_F(TwoLives, AnActiveThatWasHeardSinceWentOnWithoutItsMirror) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Up);
  sut_.pass(10s);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(5s);
  EXPECT_EQ(sut_.orders<link::Activate>().size(), 0U) << "it may have served for all that time";
}

}  // namespace
}  // namespace understudy::control::test
