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
  void standby_tells(MirrorPhase phase) { standby_tells(phase, phase == MirrorPhase::Connected); }
  void standby_tells(MirrorPhase phase, bool whole) {
    sut_.hello(sut_.standby(), {{Chassis::role_id(1), Term{1}, PlaceKind::Mirror, false}});
    sut_.report(sut_.standby(), link::MirrorState{Chassis::role_id(1), Term{1}, phase, "nonce", "", whole});
    sut_.mirror_vote(1, Vote::Down);
  }
  void active_tells(link::SyncStream stream) {
    sut_.hello(Chassis::blade_id(1), {{Chassis::role_id(1), Term{1}, PlaceKind::Host, true}});
    const link::StoreProgress far_behind{"net", Sequence{900}, Sequence{5}};
    sut_.report(Chassis::blade_id(1), link::SyncProgress{Chassis::role_id(1), Term{1}, stream, {far_behind}});
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

TEST_F(TwoLives, AnActiveThatWasHeardForAMomentHasItsCopyAllTheSame) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Up);
  sut_.pass(2s);  // its host-agent has not found this control-server yet, and it dies
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

/// Its host-agent has found the new control-server before the standby's has.
TEST_F(TwoLives, AnActiveThatSaidHelloAndDiedAtOnceHasItsCopyAllTheSame) {
  next_life(true);
  for (const unsigned blade : {1U, 2U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_.hello(Chassis::blade_id(1), {{Chassis::role_id(1), Term{1}, PlaceKind::Host, true}});
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_TRUE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.pass(500ms);
  sut_.step(AgentLost{Chassis::blade_id(1)});
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  sut_.pass(10s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << sut_.status(1).detail;
}

TEST_F(TwoLives, AnActiveThatSaidHelloAndServedOnWithoutItsMirrorHasNone) {
  next_life(true);
  for (const unsigned blade : {1U, 2U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_.hello(Chassis::blade_id(1), {{Chassis::role_id(1), Term{1}, PlaceKind::Host, true}});
  sut_.pass(sut_.config.timings.sync_grace - 1ms);
  EXPECT_TRUE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.pass(1ms);
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.step(AgentLost{Chassis::blade_id(1)});
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(5s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}

/// It is heard by its own word only: its BFD is filtered.
TEST_F(TwoLives, NorHasOneThatServedOnAndWasNeverHeard) {
  next_life(true);
  sut_.hello(Chassis::blade_id(1), {{Chassis::role_id(1), Term{1}, PlaceKind::Host, true}});
  sut_.pass(sut_.config.timings.sync_grace);
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
}

/// While nobody decided, for hours maybe, its stream was lost. It says so with its first word, and dies.
class LostItsMirrorBefore : public TwoLives, public testing::WithParamInterface<link::SyncStream> {};

TEST_P(LostItsMirrorBefore, HasAnOlderCopy) {
  next_life(true);
  for (const unsigned blade : {1U, 2U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  active_tells(GetParam());
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  sut_.pass(sut_.config.timings.stream_back);
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.step(AgentLost{Chassis::blade_id(1)});
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(5s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}

/// The silence is noticed later than stream_back.
TEST_P(LostItsMirrorBefore, HasItAlsoWhereItDiesWithThatWord) {
  next_life(true);
  for (const unsigned blade : {1U, 2U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  standby_tells(MirrorPhase::Connected);
  active_tells(GetParam());
  sut_.pass(sut_.config.timings.detection);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  sut_.pass(5s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}
INSTANTIATE_TEST_SUITE_P(ByItsWord, LostItsMirrorBefore,
                         testing::Values(link::SyncStream::None, link::SyncStream::Stalled),
                         [](const auto& one) { return std::string(link::to_string(one.param)); });

/// Neither was its mirror's host-agent ever away: it has heard the active on, for hours maybe, and nothing came.
TEST_F(TwoLives, NorIsACopyWhoseActiveWasHeardOnWithoutItBeforeItDied) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  sut_.hello(sut_.standby(), {{Chassis::role_id(1), Term{1}, PlaceKind::Mirror, false}});
  link::MirrorState state{Chassis::role_id(1), Term{1}, MirrorPhase::Connected, "nonce", "", true};
  state.older = true;
  sut_.report(sut_.standby(), state);
  sut_.mirror_vote(1, Vote::Down);
  sut_.pass(5s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1))) << "nor for whoever decides after this one";
  EXPECT_TRUE(sut_.noted("mirror", "blade-1 was heard by its mirror, which nothing reached"));
}

/// A frozen guest says SYNCED for ever.
TEST_F(TwoLives, NorIsACopyThePresentOneWhoseMirrorAloneSaysThatItIsSynced) {
  next_life(true);
  for (const unsigned blade : {1U, 2U}) { sut_.own_vote(Chassis::blade_id(blade), Vote::Up); }
  active_tells(link::SyncStream::Stalled);
  standby_tells(MirrorPhase::Synced, true);
  sut_.mirror_vote(1, Vote::Up);
  sut_.pass(60s);
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.step(AgentLost{Chassis::blade_id(1)});
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(5s);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}

TEST_F(TwoLives, AnActiveThatBlinksGetsNoSecondGrace) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Up);
  const auto grace = sut_.config.timings.sync_grace;
  sut_.pass(grace - 100ms);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  sut_.pass(50ms);
  sut_.own_vote(Chassis::blade_id(1), Vote::Up);
  EXPECT_TRUE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.pass(50ms);
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(5s);
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
}

TEST_F(TwoLives, AWholeCopyThatWasGivenUpBeforeIsOfAnyAge) {
  sut_.mirror_state(1, MirrorPhase::Connected);
  sut_.pass(5s);
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  ASSERT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
  next_life(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(10s);
  EXPECT_EQ(sut_.orders<link::Activate>().size(), 0U) << "its active has written on";
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
}

TEST_F(TwoLives, ProtectionIsWrittenDownWithEachChangeAndNotInBetween) {
  EXPECT_TRUE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.forget();
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<KeepProtection>().empty());
  sut_.mirror_state(1, MirrorPhase::Connected);
  sut_.pass(sut_.config.timings.sync_grace - 1ms);
  EXPECT_TRUE(sut_.all<KeepProtection>().empty());
  sut_.forget();
  sut_.pass(1ms);
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  ASSERT_EQ(sut_.all<KeepProtection>().size(), 1U);
  EXPECT_FALSE(sut_.all<KeepProtection>()[0].is);
  EXPECT_TRUE(std::holds_alternative<KeepProtection>(sut_.effects.front())) << "before anything that follows from it";
}

/// Its application has gone once round the journal. The scan takes a moment; in it the control-server dies, and the
/// active before another decides.
TEST_F(TwoLives, ACopyThatWasBeingOverwrittenIsThePresentOneWhenItIsWhole) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  next_life(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(TwoLives, ACopyThatWasBeingOverwrittenAndNeverWasWholeAgainIsNone) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  next_life(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  standby_tells(MirrorPhase::Connected, false);
  sut_.pass(5s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_EQ(sut_.orders<link::Activate>().size(), 0U);
}

TEST_F(TwoLives, ASyncThatWasBrokenOffIsWrittenDown) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  EXPECT_TRUE(sut_.kept_protection.contains(Chassis::role_id(1)));
  sut_.mirror_state(1, MirrorPhase::Connected);
  EXPECT_FALSE(sut_.kept_protection.contains(Chassis::role_id(1)));
}

/// The mirror's stream stands a moment longer than its active, and ends before the new life knows whom it hears.
TEST_F(TwoLives, ACopyIsNotGivenUpBeforeTheRestartedObserverMayJudge) {
  next_life(true);
  sut_.own_vote(sut_.standby(), Vote::Up);
  standby_tells(MirrorPhase::Synced);
  ASSERT_EQ(sut_.state(1), RoleState::Protected);
  sut_.pass(100ms);
  standby_tells(MirrorPhase::Connected);
  sut_.pass(link::kVoteUnknownMax - 200ms);  // longer than sync_grace
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  sut_.own_vote(Chassis::blade_id(1), Vote::Down);
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

}  // namespace
}  // namespace understudy::control::test
