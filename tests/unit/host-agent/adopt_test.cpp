// SPDX-License-Identifier: Apache-2.0
// A restarted host-agent: what was written down before each step, and what the next daemon makes of it.
// Covers: host-agent/core/blade_adopt.cpp
#include <gtest/gtest.h>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

link::RunMirror mirror_order() { return {spec(), Term{1}, BladeId{"blade-2"}, {}, {}}; }

template <class T>
const T* find(const Effects& effects) {
  for (const auto& effect : effects) {
    if (const auto* found = std::get_if<T>(&effect)) { return found; }
  }
  return nullptr;
}
template <class T>
const T* report(const Effects& effects) {
  for (const auto& effect : effects) {
    const auto* sent = std::get_if<SendReport>(&effect);
    if (sent == nullptr) { continue; }
    if (const auto* found = std::get_if<T>(&sent->report)) { return found; }
  }
  return nullptr;
}
bool tells(const Effects& effects, GuestOrder order) {
  for (const auto& effect : effects) {
    if (const auto* told = std::get_if<TellGuest>(&effect); told != nullptr && told->order == order) { return true; }
  }
  return false;
}

class AdoptTest : public testing::Test {
 protected:
  /// The record is written before the first thing that is done, told or reported.
  void expect_remembered_first(const Effects& effects) {
    for (const auto& effect : effects) {
      if (std::holds_alternative<Remember>(effect)) { return; }
      EXPECT_TRUE(std::holds_alternative<HoldSpec>(effect) || std::holds_alternative<HoldMirror>(effect));
    }
    ADD_FAILURE() << "nothing is written down";
  }
  Effects step(const Event& event) { return sut_.step(at(++now_), event); }
  Effects order(const link::Order& given) { return step(OrderArrived{given}); }
  Effects adopt(RoleStage stage, Term term, HostFindings found = {}, Term move_term = {}) {
    return sut_.adopt(at(++now_), {spec(), stage, term, move_term, false, mirror_order()}, found);
  }
  link::HeldRole held() {
    const auto effects = step(ControlConnected{});
    const auto* hello = report<link::Hello>(effects);
    return hello != nullptr && hello->held.size() == 1 ? hello->held[0] : link::HeldRole{};
  }
  RoleStage stage() { return sut_.roles().at(role).stage; }

  Blade sut_{BladeId{"blade-4"}, "boot"};
  int now_ = 0;
};

TEST_F(AdoptTest, EveryStageIsWrittenDownBeforeItBegins) {
  expect_remembered_first(order(mirror_order()));
  (void)step(GuestHello{role, "boot-a", GuestActivity::Idle});
  (void)step(GuestPhase{role, link::MirrorPhase::Synced, "", Term{1}});
  expect_remembered_first(order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000}));
  EXPECT_EQ(sut_.record_of(role)->stage, RoleStage::Activating);
  (void)step(GuestReady{role, Term{2}, {}});
  expect_remembered_first(step(StepDone{role, Step::OpenMirrorGate}));
  EXPECT_EQ(sut_.record_of(role)->stage, RoleStage::ServingMirror);
  expect_remembered_first(order(link::Move{role, Term{3}}));
  EXPECT_EQ(sut_.record_of(role)->move_term, Term{3});
  for (const auto one : {Step::PrepareMovement, Step::CloseMirrorGate, Step::SendMarkers}) {
    (void)step(StepDone{role, one});
  }
  (void)step(GuestQuiesced{role});
  for (const auto one : {Step::Freeze, Step::Finish, Step::Commit}) { (void)step(StepDone{role, one}); }
  expect_remembered_first(step(StepDone{role, Step::Resume}));
  const auto record = sut_.record_of(role);
  EXPECT_EQ(record->stage, RoleStage::ServingHost);
  EXPECT_EQ(record->term, Term{3});
  EXPECT_TRUE(record->moved);
}

TEST_F(AdoptTest, AServedRoleServesOnAndNoGateIsTouched) {
  const auto effects = adopt(RoleStage::ServingHost, Term{4}, {.gate_open = true});
  EXPECT_TRUE(does(effects, Step::AdoptHost));
  EXPECT_FALSE(does(effects, Step::OpenHostGate));
  EXPECT_EQ(held(), (link::HeldRole{role, Term{4}, PlaceKind::Host, true}));
  const auto done = step(StepDone{role, Step::AdoptHost});
  EXPECT_NE(report<link::Serving>(done), nullptr);
}

TEST_F(AdoptTest, AGateThatIsClosedOpensOnlyWhenItsTermIsConfirmed) {
  for (const auto before : {RoleStage::ServingHost, RoleStage::PreparingHost, RoleStage::OpeningHost}) {
    const auto effects = adopt(before, Term{4}, {.gate_open = false});
    EXPECT_EQ(find<Do>(effects), nullptr);
    EXPECT_FALSE(held().serving);
    EXPECT_TRUE(does(order(link::ServeRole{spec(), Term{4}}), Step::PrepareHost));
  }
}

TEST_F(AdoptTest, WhatCannotBeAdoptedAtOnceIsTriedAgainBeforeItsGateCloses) {
  (void)adopt(RoleStage::ServingHost, Term{4}, {.gate_open = true});
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(does(step(StepFailed{role, Step::AdoptHost, "busy"}), Step::CloseHostGate));
    EXPECT_TRUE(does(sut_.step(at(now_ += 1000), Tick{}), Step::AdoptHost));
  }
  const auto last = step(StepFailed{role, Step::AdoptHost, "busy"});
  EXPECT_TRUE(does(last, Step::CloseHostGate));
  EXPECT_NE(report<link::ServeFailed>(last), nullptr);
}

TEST_F(AdoptTest, AMirrorMirrorsOnAndTellsItsStateAndVote) {
  EXPECT_TRUE(does(adopt(RoleStage::Mirroring, Term{1}), Step::AdoptGuest));
  EXPECT_TRUE(tells(step(GuestHello{role, "boot-a", GuestActivity::Mirroring}), GuestOrder::Configure));
  (void)step(GuestPhase{role, link::MirrorPhase::Synced, "", Term{1}});
  (void)step(GuestVote{role, link::Vote::Up});
  const auto effects = order(mirror_order());
  ASSERT_NE(report<link::MirrorState>(effects), nullptr);
  EXPECT_EQ(report<link::MirrorState>(effects)->phase, link::MirrorPhase::Synced);
  ASSERT_NE(report<link::PeerVote>(effects), nullptr);
  EXPECT_EQ(report<link::PeerVote>(effects)->vote, link::Vote::Up);
}

TEST_F(AdoptTest, AGuestThatIsGoneIsStartedAgainWhenItMirrored) {
  (void)adopt(RoleStage::Mirroring, Term{1});
  (void)step(StepFailed{role, Step::AdoptGuest, "no mirror runs"});
  EXPECT_TRUE(does(sut_.step(at(now_ += 3000), Tick{}), Step::StartGuest));
}

TEST_F(AdoptTest, AMirrorThatServesServesOn) {
  const auto effects = adopt(RoleStage::ServingMirror, Term{2});
  EXPECT_TRUE(does(effects, Step::AdoptGuest));
  EXPECT_EQ(held(), (link::HeldRole{role, Term{2}, PlaceKind::Mirror, true}));
  const auto hello = step(GuestHello{role, "boot-a", GuestActivity::Serving});
  EXPECT_EQ(find<TellGuest>(hello), nullptr);
  EXPECT_EQ(stage(), RoleStage::ServingMirror);
}

TEST_F(AdoptTest, AServingMirrorWhoseGuestIsGoneIsToldSoThatTheHostGoesOn) {
  (void)adopt(RoleStage::ServingMirror, Term{2});
  const auto effects = step(StepFailed{role, Step::AdoptGuest, "no mirror runs"});
  ASSERT_NE(report<link::MirrorState>(effects), nullptr);
  EXPECT_EQ(report<link::MirrorState>(effects)->phase, link::MirrorPhase::Failed);
  const auto again = step(ControlConnected{});
  EXPECT_EQ(report<link::MirrorState>(again)->phase, link::MirrorPhase::Failed);
  EXPECT_TRUE(does(order(link::Move{role, Term{3}}), Step::PrepareMovement));
}

TEST_F(AdoptTest, AnActivationGoesOnWhateverTheGuestHadHeardOfIt) {
  for (const auto activity : {GuestActivity::Mirroring, GuestActivity::Serving}) {
    (void)adopt(RoleStage::Activating, Term{2});
    const auto hello = step(GuestHello{role, "boot-a", activity});
    EXPECT_EQ(tells(hello, GuestOrder::Configure), activity == GuestActivity::Mirroring);
    EXPECT_TRUE(tells(hello, GuestOrder::Activate));
    EXPECT_TRUE(order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0}).empty());
    EXPECT_TRUE(does(step(GuestReady{role, Term{2}, {}}), Step::OpenMirrorGate));
  }
}

TEST_F(AdoptTest, AMovementBrokenOffBeforeItsCommitRollsBack) {
  (void)adopt(RoleStage::Moving, Term{2}, {.committed = false}, Term{3});
  EXPECT_EQ(held(), (link::HeldRole{role, Term{2}, PlaceKind::Mirror, true}));
  EXPECT_TRUE(does(step(StepDone{role, Step::AdoptGuest}), Step::Rollback));
  const auto done = step(StepDone{role, Step::Rollback});
  EXPECT_TRUE(tells(done, GuestOrder::Resume));
  ASSERT_NE(report<link::MoveFailed>(done), nullptr);
  EXPECT_EQ(stage(), RoleStage::ServingMirror);
}

TEST_F(AdoptTest, AMovementBrokenOffAfterItsCommitGoesForwardAndNeverThaws) {
  const auto adopted = adopt(RoleStage::Moving, Term{2}, {.committed = true}, Term{3});
  EXPECT_FALSE(does(adopted, Step::Rollback));
  EXPECT_TRUE(does(step(StepDone{role, Step::AdoptGuest}), Step::PrepareMovement));
  (void)step(StepDone{role, Step::PrepareMovement});
  EXPECT_TRUE(does(step(StepDone{role, Step::CloseMirrorGate}), Step::Finish));
  EXPECT_TRUE(does(step(StepDone{role, Step::Finish}), Step::Commit));
  EXPECT_TRUE(does(step(StepDone{role, Step::Commit}), Step::Resume));
  (void)step(StepDone{role, Step::Resume});
  EXPECT_EQ(stage(), RoleStage::ServingHost);
  EXPECT_EQ(sut_.roles().at(role).term, Term{3});
}

TEST_F(AdoptTest, PastItsCommitAMovementThatCannotGoOnOpensNoGate) {
  (void)adopt(RoleStage::Moving, Term{2}, {.committed = true}, Term{3});
  EXPECT_TRUE(does(step(StepDone{role, Step::AdoptGuest}), Step::PrepareMovement));
  const auto failed = step(StepFailed{role, Step::PrepareMovement, "no namespace"});
  EXPECT_FALSE(does(failed, Step::Rollback));
  EXPECT_TRUE(does(failed, Step::Discard));
  const auto gone = step(StepDone{role, Step::Discard});
  EXPECT_FALSE(tells(gone, GuestOrder::Resume));
  ASSERT_NE(report<link::MoveFailed>(gone), nullptr);
  ASSERT_NE(report<link::MirrorState>(gone), nullptr) << "the control-server must order another";
  EXPECT_TRUE(does(order(link::Move{role, Term{4}}), Step::PrepareMovement));
}

TEST_F(AdoptTest, AGuestThatWroteItsRegionIsStillNoMirror) {
  HeldRecord record{spec(), RoleStage::Mirroring, Term{1}, {}, false, mirror_order()};
  record.spoiled = true;
  record.spent = Term{2};
  (void)sut_.adopt(at(++now_), record, {});
  EXPECT_EQ(held().term, Term{2}) << "nobody else is given that term";
  EXPECT_EQ(sut_.record_of(role), [&] {
    auto same = record;
    same.stage = RoleStage::StartingGuest;
    same.highest = Term{2};
    return same;
  }());
  EXPECT_TRUE(does(order(link::RunMirror{spec(), Term{3}, BladeId{"blade-2"}, {}, {}}), Step::StopGuest));
}

TEST_F(AdoptTest, AMirrorWhoseActiveIsDeadSaysAfterARestartThatItsCopyIsWhole) {
  (void)adopt(RoleStage::Mirroring, Term{1});
  (void)step(GuestHello{role, "boot-a", GuestActivity::Mirroring});
  (void)step(GuestPhase{role, link::MirrorPhase::Connected, "", Term{1}});
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(stage(), RoleStage::Activating);
}

TEST_F(AdoptTest, ReleasedGuestsAreForgottenWhenTheyAreGoneNotBefore) {
  (void)order(mirror_order());
  EXPECT_EQ(find<Remember>(order(link::ReleaseMirrors{})), nullptr);
  const auto effects = step(GuestsReleased{});
  ASSERT_NE(find<Remember>(effects), nullptr);
  EXPECT_EQ(find<Remember>(effects)->role, role);
  EXPECT_FALSE(sut_.record_of(role));
}

}  // namespace
}  // namespace understudy::host
