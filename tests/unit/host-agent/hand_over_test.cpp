// SPDX-License-Identifier: Apache-2.0
/// An active lets go of its role, or takes it back; never both. Covers: host-agent/core/blade_hand_over.cpp
#include <gtest/gtest.h>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

class HandOverTest : public testing::Test {
 protected:
  HandOverTest() {
    (void)step(OrderArrived{link::ServeRole{spec(), Term{1}}});
    (void)step(StepDone{role, Step::PrepareHost});
    (void)step(StepDone{role, Step::OpenHostGate});
    EXPECT_EQ(stage(), RoleStage::ServingHost);
  }
  Effects step(const Event& event) { return sut_.step(at(++now_), event); }
  RoleStage stage() { return sut_.roles().at(role).stage; }
  Effects ordered() { return step(OrderArrived{link::HandOver{role, Term{2}, 3000}}); }
  template <class Report>
  static const Report* said(const Effects& effects) {
    for (const auto& effect : effects) {
      const auto* report = std::get_if<SendReport>(&effect);
      if (report == nullptr) { continue; }
      if (const auto* wanted = std::get_if<Report>(&report->report)) { return wanted; }
    }
    return nullptr;
  }

  Blade sut_{BladeId{"blade-1"}, "boot"};
  int now_ = 0;
};

TEST_F(HandOverTest, LetsGoWhenAllIsShippedAndTheGateIsClosedForGood) {
  EXPECT_TRUE(does(ordered(), Step::QuiesceHost));
  EXPECT_TRUE(ordered().empty()) << "asked twice";
  EXPECT_TRUE(does(step(StepDone{role, Step::QuiesceHost}), Step::ShipLast));
  const auto shipped = step(StepDone{role, Step::ShipLast});
  EXPECT_TRUE(does(shipped, Step::CloseHostGate));
  EXPECT_EQ(said<link::HandedOver>(shipped), nullptr);
  const auto effects = step(StepDone{role, Step::CloseHostGate});
  const auto* handed_over = said<link::HandedOver>(effects);
  ASSERT_NE(handed_over, nullptr);
  EXPECT_EQ(handed_over->term, Term{2});
  EXPECT_EQ(handed_over->phases.size(), 2U);
  EXPECT_TRUE(sut_.roles().empty());
  EXPECT_TRUE(std::holds_alternative<Remember>(effects.front())) << "forgotten before it is said";
}

TEST_F(HandOverTest, TakesTheRoleBackUnderTheSameTermWhateverFails) {
  for (const auto failing : {Step::QuiesceHost, Step::ShipLast}) {
    (void)ordered();
    if (failing == Step::ShipLast) { (void)step(StepDone{role, Step::QuiesceHost}); }
    auto effects = step(StepFailed{role, failing, "the mirror does not follow"});
    ASSERT_NE(said<link::HandOverFailed>(effects), nullptr);
    EXPECT_EQ(said<link::HandOverFailed>(effects)->term, Term{2});
    EXPECT_TRUE(does(effects, Step::ServeOn));
    EXPECT_TRUE(does(step(StepDone{role, Step::ServeOn}), Step::OpenHostGate));
    effects = step(StepDone{role, Step::OpenHostGate});
    ASSERT_NE(said<link::Serving>(effects), nullptr);
    EXPECT_EQ(said<link::Serving>(effects)->term, Term{1});
    EXPECT_EQ(stage(), RoleStage::ServingHost);
  }
}

TEST_F(HandOverTest, TakesTheRoleBackAtItsDeadlineAndALateAnswerChangesNothing) {
  (void)ordered();
  (void)step(StepDone{role, Step::QuiesceHost});
  ASSERT_TRUE(sut_.next_deadline().has_value());
  EXPECT_TRUE(sut_.step(*sut_.next_deadline() - Duration{1}, Tick{}).empty());
  const auto effects = sut_.step(*sut_.next_deadline(), Tick{});
  EXPECT_NE(said<link::HandOverFailed>(effects), nullptr);
  EXPECT_TRUE(does(effects, Step::ServeOn));
  EXPECT_FALSE(sut_.next_deadline().has_value());
  EXPECT_TRUE(step(StepDone{role, Step::ShipLast}).empty());
  EXPECT_EQ(stage(), RoleStage::HandingOver);
}

TEST_F(HandOverTest, OnceItLetsGoThereIsNoWayBack) {
  (void)ordered();
  (void)step(StepDone{role, Step::QuiesceHost});
  (void)step(StepDone{role, Step::ShipLast});
  const auto effects = step(OrderArrived{link::ServeRole{spec(), Term{1}}});
  EXPECT_FALSE(does(effects, Step::PrepareHost)) << "a stale term";
  EXPECT_EQ(stage(), RoleStage::ClosingHost);
}

/// A control-server that was restarted in the middle of it orders the role to be served on, and that order crosses the
/// word of the active. The next control-server hears in the Hello that nothing is held.
TEST_F(HandOverTest, AnOlderOrderToServeThatCrossedItsWordOpensNoGate) {
  (void)ordered();
  (void)step(StepDone{role, Step::QuiesceHost});
  (void)step(StepDone{role, Step::ShipLast});
  (void)step(StepDone{role, Step::CloseHostGate});
  const auto crossed = step(OrderArrived{link::ServeRole{spec(), Term{1}}});
  EXPECT_FALSE(does(crossed, Step::PrepareHost));
  EXPECT_TRUE(sut_.roles().empty());
  ASSERT_NE(said<link::ServeFailed>(crossed), nullptr) << "or it is waited for until for ever";
  EXPECT_TRUE(does(step(OrderArrived{link::ServeRole{spec(), Term{2}}}), Step::PrepareHost));
}

TEST_F(HandOverTest, ABladeThatHoldsNothingServesNothingOlderThanWhatItStoodDownFrom) {
  Blade empty(BladeId{"blade-1"}, "boot");
  (void)empty.step(at(1), OrderArrived{link::StandDown{role, Term{2}}});
  EXPECT_FALSE(does(empty.step(at(2), OrderArrived{link::ServeRole{spec(), Term{1}}}), Step::PrepareHost));
  (void)empty.step(at(3), ControlConnected{});
  EXPECT_TRUE(does(empty.step(at(4), OrderArrived{link::ServeRole{spec(), Term{1}}}), Step::PrepareHost))
      << "a store that was lost begins to count anew";
}

TEST_F(HandOverTest, AControlServerThatKnowsNothingOfItGetsTheRoleServedOn) {
  (void)ordered();
  const auto effects = step(OrderArrived{link::ServeRole{spec(), Term{1}}});
  EXPECT_TRUE(does(effects, Step::ServeOn));
  EXPECT_TRUE(step(OrderArrived{link::ServeRole{spec(), Term{1}}}).empty()) << "it is about it";
}

TEST_F(HandOverTest, StandDownEndsItAndSaysOnlyThatItStopped) {
  (void)ordered();
  EXPECT_TRUE(does(step(OrderArrived{link::StandDown{role, Term{2}}}), Step::CloseHostGate));
  EXPECT_TRUE(step(StepDone{role, Step::QuiesceHost}).empty());
  const auto effects = step(StepDone{role, Step::CloseHostGate});
  EXPECT_NE(said<link::Stopped>(effects), nullptr);
  EXPECT_EQ(said<link::HandedOver>(effects), nullptr) << "not all of it was shipped";
}

TEST_F(HandOverTest, WhoDoesNotServeSaysSo) {
  (void)step(ApplicationExited{role, "exit status 1"});
  const auto effects = ordered();
  ASSERT_NE(said<link::HandOverFailed>(effects), nullptr);
  EXPECT_NE(said<link::HandOverFailed>(effects)->detail.find("exit status 1"), std::string::npos);
  EXPECT_EQ(stage(), RoleStage::ServingHost);
}

TEST_F(HandOverTest, WhatCannotBeTakenBackIsClosedAndTold) {
  (void)ordered();
  (void)step(StepFailed{role, Step::QuiesceHost, "it hangs"});
  const auto effects = step(StepFailed{role, Step::ServeOn, "the region has another writer"});
  EXPECT_NE(said<link::ServeFailed>(effects), nullptr);
  EXPECT_TRUE(does(effects, Step::CloseHostGate));
}

TEST_F(HandOverTest, ARestartedDaemonServesOnBehindAnOpenGateAndWaitsBehindAClosedOne) {
  (void)ordered();
  const auto record = sut_.record_of(role);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->stage, RoleStage::HandingOver);
  EXPECT_EQ(record->term, Term{1});
  for (const bool open : {true, false}) {
    Blade again(BladeId{"blade-1"}, "boot");
    const auto effects = again.adopt(at(++now_), *record, {.gate_open = open});
    EXPECT_EQ(does(effects, Step::AdoptHost), open);
    const auto asked = again.step(at(++now_), OrderArrived{link::HandOver{role, Term{2}, 3000}});
    EXPECT_NE(said<link::HandOverFailed>(asked), nullptr) << "its former life had said nothing";
    EXPECT_EQ(said<link::HandedOver>(asked), nullptr);
  }
}

}  // namespace
}  // namespace understudy::host
