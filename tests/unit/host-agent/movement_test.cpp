// SPDX-License-Identifier: Apache-2.0
#include "core/movement.hpp"

#include <gtest/gtest.h>

namespace understudy::host {
namespace {

using std::chrono::milliseconds;

Instant at(int ms) { return Instant{milliseconds(ms)}; }

class MovementTest : public testing::Test {
 protected:
  /// Drives a fresh movement up to `state`, one millisecond a step.
  Movement in(MovementState state, bool guest_dead = false) {
    Movement movement(RoleId{"role-2"}, Term{3}, Term{2}, {}, guest_dead);
    now_ = 0;
    (void)movement.start(at(now_));
    for (const Step step : {Step::PrepareMovement, Step::CloseMirrorGate, Step::Freeze, Step::Finish, Step::Commit}) {
      if (movement.state() == state) { return movement; }
      (void)movement.on_step_done(at(++now_), step);
      if (movement.state() == state) { return movement; }
      if (step == Step::CloseMirrorGate && !guest_dead) {
        (void)movement.on_step_done(at(++now_), Step::SendMarkers);
        (void)movement.on_guest_quiesced(at(++now_));
      }
    }
    return movement;
  }
  int now_ = 0;
};

template <class T>
bool has(const Effects& effects, const T& wanted) {
  for (const auto& effect : effects) {
    if (const auto* found = std::get_if<T>(&effect); found != nullptr && *found == wanted) { return true; }
  }
  return false;
}

TEST_F(MovementTest, GoesThroughEveryPhaseInOrderAndReportsThem) {
  auto movement = in(MovementState::Resuming);
  const auto effects = movement.on_step_done(at(100), Step::Resume);
  EXPECT_EQ(movement.state(), MovementState::Done);
  ASSERT_EQ(effects.size(), 1U);
  const auto& moved = std::get<link::Moved>(std::get<SendReport>(effects[0]).report);
  std::vector<std::string> names;
  for (const auto& phase : moved.phases) { names.push_back(phase.phase); }
  EXPECT_EQ(names, (std::vector<std::string>{"prepare", "judge", "quiesce", "freeze", "finish", "commit", "resume"}));
  EXPECT_EQ(moved.term, Term{3});
}

TEST_F(MovementTest, ClosesTheTapBeforeItFreezes) {
  auto movement = in(MovementState::Preparing);
  EXPECT_TRUE(
      has(movement.on_step_done(at(10), Step::PrepareMovement), Do{RoleId{"role-2"}, Step::CloseMirrorGate, Term{3}}));
}

TEST_F(MovementTest, EveryFailureBeforeTheCommitRollsBackAndTheGuestServesOn) {
  const std::vector<std::pair<MovementState, Step>> failures{{MovementState::Preparing, Step::PrepareMovement},
                                                             {MovementState::Blocking, Step::CloseMirrorGate},
                                                             {MovementState::Freezing, Step::Freeze},
                                                             {MovementState::Finishing, Step::Finish},
                                                             {MovementState::Committing, Step::Commit}};
  for (const auto& [state, step] : failures) {
    auto movement = in(state);
    ASSERT_EQ(movement.state(), state);
    EXPECT_TRUE(has(movement.on_step_failed(at(200), step, "broken"), Do{RoleId{"role-2"}, Step::Rollback, Term{3}}));
    const auto effects = movement.on_step_done(at(210), Step::Rollback);
    EXPECT_EQ(movement.state(), MovementState::Failed);
    EXPECT_TRUE(has(effects, TellGuest{RoleId{"role-2"}, GuestOrder::Resume, Term{2}}));
    EXPECT_TRUE(std::holds_alternative<link::MoveFailed>(std::get<SendReport>(effects.back()).report));
  }
}

TEST_F(MovementTest, AfterTheCommitAFailureIsRetriedForwardAndNeverRolledBack) {
  auto movement = in(MovementState::Resuming);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(movement.on_step_failed(at(300 + i), Step::Resume, "busy"),
              (Effects{Do{RoleId{"role-2"}, Step::Resume, Term{3}}}));
  }
  const auto last = movement.on_step_failed(at(310), Step::Resume, "busy");
  for (const auto& effect : last) { EXPECT_FALSE(std::holds_alternative<Do>(effect)); }
  // Then with pauses, and for ever: nobody else can serve this role any more.
  for (int round = 0; round < 20; ++round) {
    const auto next = movement.next_deadline();
    ASSERT_TRUE(next);
    EXPECT_EQ(movement.on_tick(*next), (Effects{Do{RoleId{"role-2"}, Step::Resume, Term{3}}}));
    for (int i = 0; i < 5; ++i) { (void)movement.on_step_failed(*next, Step::Resume, "busy"); }
    EXPECT_EQ(movement.state(), MovementState::Resuming);
  }
  (void)movement.on_step_done(at(99'000), Step::Resume);
  EXPECT_EQ(movement.state(), MovementState::Done);
}

TEST_F(MovementTest, ARollbackThatFailsIsTriedAgainAndAtLastTheGuestIsKilled) {
  auto movement = in(MovementState::Freezing);
  (void)movement.on_step_failed(at(200), Step::Freeze, "no answer");
  Instant now = at(210);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(
        has(movement.on_step_failed(now, Step::Rollback, "no answer"), Do{RoleId{"role-2"}, Step::StopGuest, Term{2}}));
    now = movement.next_deadline().value();
    EXPECT_EQ(movement.on_tick(now), (Effects{Do{RoleId{"role-2"}, Step::Rollback, Term{3}}}));
  }
  EXPECT_TRUE(
      has(movement.on_step_failed(now, Step::Rollback, "no answer"), Do{RoleId{"role-2"}, Step::StopGuest, Term{2}}));
  (void)movement.on_guest_exited(now, "killed");
  EXPECT_EQ(movement.on_tick(movement.next_deadline().value()),
            (Effects{Do{RoleId{"role-2"}, Step::Discard, Term{3}}}));
  (void)movement.on_step_done(now, Step::Discard);
  EXPECT_EQ(movement.state(), MovementState::Failed);
}

TEST_F(MovementTest, AMissedQuiesceDeadlineForcesTheFreeze) {
  auto movement = in(MovementState::Quiescing);
  EXPECT_TRUE(movement.on_tick(at(now_ + 10)).empty());
  EXPECT_TRUE(has(movement.on_tick(at(now_ + 51)), Do{RoleId{"role-2"}, Step::Freeze, Term{3}}));
}

TEST_F(MovementTest, AMissedQuiesceDeadlineOfAnApplicationThatNeedsQuiescingRollsBack) {
  auto movement = in(MovementState::Quiescing);
  movement.must_quiesce();
  const Instant deadline = movement.next_deadline().value();
  EXPECT_TRUE(movement.on_tick(at(now_ + 51)).empty()) << "it has longer than a store";
  EXPECT_TRUE(movement.on_tick(deadline).empty());
  EXPECT_TRUE(has(movement.on_tick(deadline + milliseconds(1)), Do{RoleId{"role-2"}, Step::Rollback, Term{3}}));
  EXPECT_TRUE(movement.on_guest_quiesced(deadline + milliseconds(2)).empty()) << "too late";
}

TEST_F(MovementTest, AnApplicationThatIsNotQuiescedRollsBackAtOnceIfItNeedsIt) {
  auto other = in(MovementState::Quiescing);
  EXPECT_TRUE(has(other.on_guest_not_quiesced(at(now_ + 1), "busy"), Do{RoleId{"role-2"}, Step::Freeze, Term{3}}));
  auto movement = in(MovementState::Quiescing);
  movement.must_quiesce();
  EXPECT_TRUE(has(movement.on_guest_not_quiesced(at(now_ + 1), "busy"), Do{RoleId{"role-2"}, Step::Rollback, Term{3}}));
  const auto effects = movement.on_step_done(at(now_ + 2), Step::Rollback);
  EXPECT_TRUE(has(effects, TellGuest{RoleId{"role-2"}, GuestOrder::Resume, Term{2}}));
  auto frozen = in(MovementState::Freezing);
  EXPECT_TRUE(frozen.on_guest_not_quiesced(at(now_ + 1), "busy").empty());
}

/// The events of quiescing in `order`: m the markers are back, l they are lost, g the guest has taken all, u it lacks
/// one.
Effects quiesces(Movement& movement, const std::string& order, int now) {
  Effects all;
  for (const char event : order) {
    ++now;
    Effects effects;
    if (event == 'm') { effects = movement.on_step_done(at(now), Step::SendMarkers); }
    if (event == 'l') { effects = movement.on_step_failed(at(now), Step::SendMarkers, "no marker came back from ext"); }
    if (event == 'g') { effects = movement.on_guest_quiesced(at(now)); }
    if (event == 'u') { effects = movement.on_guest_quiesced(at(now), {"int"}); }
    all.insert(all.end(), effects.begin(), effects.end());
  }
  return all;
}

std::string warning_in(const Effects& effects) {
  for (const auto& effect : effects) {
    const auto* report = std::get_if<SendReport>(&effect);
    const auto* warning = report == nullptr ? nullptr : std::get_if<link::MirrorWarning>(&report->report);
    if (warning != nullptr) { return warning->detail; }
  }
  return {};
}

TEST_F(MovementTest, TheMarkersGoBehindTheClosedGateBeforeTheGuestIsTold) {
  auto movement = in(MovementState::Blocking);
  EXPECT_EQ(movement.on_step_done(at(9), Step::CloseMirrorGate),
            (Effects{Do{RoleId{"role-2"}, Step::SendMarkers, Term{3}},
                     TellGuest{RoleId{"role-2"}, GuestOrder::Quiesce, Term{2}}}));
}

TEST_F(MovementTest, FreezesOnlyWhenTheMarkersAreBackAndTheGuestHasTakenAllBeforeThem) {
  for (const std::string order : {"mg", "gm"}) {
    auto movement = in(MovementState::Quiescing);
    EXPECT_TRUE(quiesces(movement, order.substr(0, 1), now_).empty()) << order;
    EXPECT_EQ(movement.state(), MovementState::Quiescing) << order;
    EXPECT_EQ(quiesces(movement, order.substr(1), now_ + 1), (Effects{Do{RoleId{"role-2"}, Step::Freeze, Term{3}}}));
  }
}

TEST_F(MovementTest, ALostMarkerForcesTheFreezeAndTheWarningNamesItsPort) {
  for (const auto& [order, port] :
       std::vector<std::pair<std::string, std::string>>{{"lg", "ext"}, {"gl", "ext"}, {"um", "int"}, {"lu", "int"}}) {
    auto movement = in(MovementState::Quiescing);
    const auto effects = quiesces(movement, order, now_);
    EXPECT_TRUE(has(effects, Do{RoleId{"role-2"}, Step::Freeze, Term{3}})) << order;
    EXPECT_NE(warning_in(effects).find(port), std::string::npos) << order << ": " << warning_in(effects);
  }
  for (const std::string order : {"m", "g", ""}) {
    auto movement = in(MovementState::Quiescing);
    (void)quiesces(movement, order, now_);
    const auto effects = movement.on_tick(movement.next_deadline().value() + milliseconds(1));
    EXPECT_TRUE(has(effects, Do{RoleId{"role-2"}, Step::Freeze, Term{3}})) << order;
    EXPECT_NE(warning_in(effects), "") << order;
  }
}

TEST_F(MovementTest, AHandoverPastItsDeadlineRollsBack) {
  auto movement = in(MovementState::Finishing);
  EXPECT_TRUE(has(movement.on_tick(at(4000)), Do{RoleId{"role-2"}, Step::Rollback, Term{3}}));
}

/// Nobody has served the role since then.
TEST_F(MovementTest, TheHandoversDeadlineCountsFromTheClosingOfTheTap) {
  auto movement = in(MovementState::Freezing);
  (void)movement.on_step_done(at(2900), Step::Freeze);
  EXPECT_TRUE(movement.on_tick(at(2901)).empty());
  (void)movement.on_tick(at(3100));
  EXPECT_EQ(movement.state(), MovementState::RollingBack);
}

TEST_F(MovementTest, AGuestThatDiesOnTheWayIsAsStillAsAFrozenOne) {
  for (const auto state : {MovementState::Quiescing, MovementState::Freezing}) {
    auto movement = in(state);
    EXPECT_TRUE(has(movement.on_guest_exited(at(50), "killed"), Do{RoleId{"role-2"}, Step::Finish, Term{3}}));
  }
  auto movement = in(MovementState::Preparing);
  EXPECT_TRUE(movement.on_guest_exited(at(5), "killed").empty());
  (void)movement.on_step_done(at(6), Step::PrepareMovement);
  EXPECT_TRUE(has(movement.on_step_done(at(7), Step::CloseMirrorGate), Do{RoleId{"role-2"}, Step::Finish, Term{3}}));
}

TEST_F(MovementTest, AnswersThatBelongToAnotherStateChangeNothing) {
  for (const auto state : {MovementState::Preparing, MovementState::Quiescing, MovementState::Resuming}) {
    auto movement = in(state);
    EXPECT_TRUE(movement.on_step_done(at(50), Step::StartGuest).empty());
    EXPECT_TRUE(movement.on_step_failed(at(50), Step::StartGuest, "x").empty());
    EXPECT_EQ(movement.state(), state);
  }
}

}  // namespace
}  // namespace understudy::host
