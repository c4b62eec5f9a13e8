// SPDX-License-Identifier: Apache-2.0
/// What a blade says of itself as a place for its roles.
/// Covers: host-agent/core/fitness.cpp, host-agent/core/blade_fitness.cpp
#include <gtest/gtest.h>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
using link::RoleFit;
using link::RoleUnfit;
using link::UnfitCause;

class BladeFitness : public testing::Test {
 protected:
  BladeFitness() {
    spec_.ports = {{"ext", "external", {}, {}}, {"int", "intranet-2", {}, {}}};
    spec_.health = {{"/usr/bin/check"}, 1000, 500, 3};
  }

  Effects step(const Event& event) {
    auto effects = sut_.step(now_, event);
    for (const auto& effect : effects) {
      if (std::holds_alternative<CheckHealth>(effect)) { ++checks_; }
      if (const auto* sent = std::get_if<SendReport>(&effect)) {
        if (const auto* unfit = std::get_if<RoleUnfit>(&sent->report)) { unfit_.push_back(*unfit); }
        if (const auto* fit = std::get_if<RoleFit>(&sent->report)) { fit_.push_back(*fit); }
      }
    }
    return effects;
  }
  /// With a Tick at each deadline, and each health command answered at once if `answer` says how.
  void pass(Duration time) {
    const Instant end = now_ + time;
    while (true) {
      const auto due = sut_.next_deadline();
      if (!due || *due > end) { break; }
      ASSERT_GE(*due, now_) << "a deadline that has passed makes the loop spin";
      now_ = *due;
      const int before = checks_;
      step(Tick{});
      if (checks_ > before && answer_) { step(HealthAnswered{role, *answer_}); }
    }
    now_ = end;
  }
  void serve(Term term = Term{5}) {
    step(OrderArrived{link::ServeRole{spec_, term}});
    step(StepDone{role, Step::PrepareHost});
    step(StepDone{role, Step::OpenHostGate});
  }
  void mirror(Term term = Term{5}) {
    step(OrderArrived{link::RunMirror{spec_, term, BladeId{"blade-2"}, IpAddress{}, {}}});
    step(GuestHello{role, "nonce", GuestActivity::Idle});
    step(GuestPhase{role, link::MirrorPhase::Synced, "", term});
  }
  void fails(int times) {
    for (int i = 0; i < times; ++i) {
      const int before = checks_;
      answer_.reset();
      pass(1000ms);
      ASSERT_EQ(checks_, before + 1);
      step(HealthAnswered{role, "ended with status 1: no database"});
    }
  }

  link::RoleSpec spec_ = spec();
  Blade sut_{BladeId{"blade-1"}, "boot"};
  Instant now_{1h};
  std::optional<std::string> answer_ = "";
  int checks_ = 0;
  std::vector<RoleUnfit> unfit_;
  std::vector<RoleFit> fit_;
};

TEST_F(BladeFitness, TheCommandIsAskedOnceAnIntervalWhileTheHostServes) {
  pass(10s);
  EXPECT_EQ(checks_, 0);
  serve();
  pass(10s);
  EXPECT_EQ(checks_, 10);
  step(OrderArrived{link::StandDown{role, Term{6}}});
  pass(10s);
  EXPECT_EQ(checks_, 10);
}

TEST_F(BladeFitness, NoRoleIsAskedThatHasNoneOrThatItsMirrorServes) {
  mirror();
  pass(10s);
  EXPECT_EQ(checks_, 0);
  spec_.health = {};
  sut_ = Blade(BladeId{"blade-1"}, "boot");
  serve();
  pass(10s);
  EXPECT_EQ(checks_, 0);
}

TEST_F(BladeFitness, NoSecondCommandBeforeTheFirstHasEnded) {
  serve();
  answer_.reset();
  pass(60s);
  step(Tick{});
  EXPECT_EQ(checks_, 1);
  step(HealthAnswered{role, ""});
  EXPECT_EQ(checks_, 2) << "the next one was due long ago";
}

TEST_F(BladeFitness, AnAnswerAboutAFormerTermCountsNothingAndIsWaitedForAllTheSame) {
  spec_.health.failures = 1;
  serve();
  answer_.reset();
  pass(1000ms);
  step(OrderArrived{link::StandDown{role, Term{6}}});
  step(StepDone{role, Step::CloseHostGate});
  serve(Term{7});
  pass(5s);
  EXPECT_EQ(checks_, 1);
  step(HealthAnswered{role, "x"});
  EXPECT_TRUE(unfit_.empty());
  EXPECT_EQ(checks_, 2);
}

TEST_F(BladeFitness, SoManyFailuresInARowAreUnfitAndOneSuccessIsFit) {
  serve();
  fails(2);
  pass(1000ms);
  step(HealthAnswered{role, ""});
  fails(2);
  EXPECT_TRUE(unfit_.empty()) << "not in a row";
  fails(1);
  ASSERT_EQ(unfit_.size(), 1U);
  const RoleUnfit expected{role,
                           Term{5},
                           UnfitCause::Health,
                           {},
                           "its health command failed 3 times in a row: ended with status 1: no database"};
  EXPECT_EQ(unfit_[0], expected);
  fails(5);
  EXPECT_EQ(unfit_.size(), 1U) << "told once";
  EXPECT_TRUE(fit_.empty());
  pass(1000ms);
  step(HealthAnswered{role, ""});
  EXPECT_EQ(fit_, (std::vector<RoleFit>{{role, Term{5}, UnfitCause::Health}}));
}

TEST_F(BladeFitness, WhatHoldsIsToldAnewOnEachConnectionRightAfterHello) {
  serve();
  fails(3);
  step(LinkChanged{"external", false});
  pass(500ms);
  unfit_.clear();
  const auto effects = step(ControlConnected{});
  ASSERT_EQ(unfit_.size(), 2U);
  EXPECT_EQ(unfit_[0].cause, UnfitCause::Health);
  EXPECT_EQ(unfit_[1].cause, UnfitCause::Link);
  ASSERT_NE(std::get_if<SendReport>(&effects.at(0)), nullptr);
  EXPECT_NE(std::get_if<link::Hello>(&std::get_if<SendReport>(&effects[0])->report), nullptr);
}

TEST_F(BladeFitness, ALinkIsDownWhenItHasBeenWithoutCarrierForLongEnoughAndUpLikewise) {
  serve();
  step(LinkChanged{"external", true});
  step(LinkChanged{"external", false});
  pass(499ms);
  step(LinkChanged{"external", true});
  step(LinkChanged{"external", false});
  pass(499ms);
  EXPECT_TRUE(unfit_.empty()) << "it blinks";
  pass(1ms);
  const RoleUnfit expected{role, Term{5}, UnfitCause::Link, {"external"}, "no link to external"};
  EXPECT_EQ(unfit_, std::vector<RoleUnfit>{expected});
  step(LinkChanged{"intranet-2", false});
  pass(500ms);
  ASSERT_EQ(unfit_.size(), 2U);
  EXPECT_EQ(unfit_[1].networks, (std::vector<std::string>{"external", "intranet-2"})) << "the whole list";
  step(LinkChanged{"external", true});
  pass(500ms);
  ASSERT_EQ(unfit_.size(), 3U);
  EXPECT_EQ(unfit_[2].networks, std::vector<std::string>{"intranet-2"});
  step(LinkChanged{"intranet-2", true});
  pass(499ms);
  EXPECT_TRUE(fit_.empty());
  pass(1ms);
  EXPECT_EQ(fit_, (std::vector<RoleFit>{{role, Term{5}, UnfitCause::Link}}));
}

/// The carrier is back, and that is told behind the wake-up.
TEST_F(BladeFitness, ALinkThatBlinkedWhileTheDaemonStoodStillIsNotDown) {
  serve();
  step(LinkChanged{"external", false});
  pass(100ms);
  now_ = now_ + 40s;
  step(Tick{});
  step(LinkChanged{"external", true});
  pass(5s);
  EXPECT_TRUE(unfit_.empty());
}

TEST_F(BladeFitness, ALinkThatIsStillDownWhenTheDaemonGoesOnIsDownAfterTheWholeWait) {
  serve();
  step(LinkChanged{"external", false});
  now_ = now_ + 40s;
  step(Tick{});
  pass(499ms);
  EXPECT_TRUE(unfit_.empty());
  pass(1ms);
  EXPECT_EQ(unfit_.size(), 1U);
}

TEST_F(BladeFitness, ALinkIsDownAlsoForADaemonThatIsAlwaysLate) {
  serve();
  step(LinkChanged{"external", false});
  for (int i = 0; i < 2; ++i) {
    now_ = now_ + 1s;
    step(Tick{});
  }
  EXPECT_EQ(unfit_.size(), 1U);
}

TEST_F(BladeFitness, ANetworkThatIsNotTheRolesIsNotToldAndNorIsAnyLinkOfWhichNothingWasHeard) {
  serve();
  step(LinkChanged{"intranet-9", false});
  pass(5s);
  EXPECT_TRUE(unfit_.empty());
}

TEST_F(BladeFitness, AStandbySaysWhichLinksItsMirrorsWouldLackUnderTheTermThatTheyFollow) {
  step(LinkChanged{"external", false});
  mirror();
  pass(500ms);
  ASSERT_EQ(unfit_.size(), 1U);
  EXPECT_EQ(unfit_[0].term, Term{5});
  mirror(Term{6});
  ASSERT_EQ(unfit_.size(), 2U);
  EXPECT_EQ(unfit_[1].term, Term{6});
}

TEST_F(BladeFitness, TheApplicationsWordIsToldAtOnceAndFitAgainAfterASecond) {
  step(ApplicationUnfit{role, "too early: nothing is held"});
  serve();
  EXPECT_TRUE(unfit_.empty());
  step(ApplicationUnfit{role, "the card is at 96 degrees"});
  ASSERT_EQ(unfit_.size(), 1U);
  EXPECT_EQ(unfit_[0].cause, UnfitCause::Apparatus);
  EXPECT_NE(unfit_[0].detail.find("the card is at 96 degrees"), std::string::npos);
  for (int i = 0; i < 100; ++i) {  // one that changes its mind all the time
    step(ApplicationUnfit{role, ""});
    pass(10ms);
    step(ApplicationUnfit{role, "96 degrees"});
    pass(10ms);
  }
  EXPECT_EQ(unfit_.size(), 1U);
  step(ApplicationUnfit{role, ""});
  pass(1s);
  EXPECT_EQ(fit_, (std::vector<RoleFit>{{role, Term{5}, UnfitCause::Apparatus}}));
}

TEST_F(BladeFitness, AHostThatServesAnewIsUnhealthyUntilItsCommandSucceeds) {
  serve();
  fails(3);
  serve(Term{7});
  ASSERT_EQ(unfit_.size(), 2U);
  EXPECT_EQ(unfit_[1].term, Term{7});
  answer_ = "";
  pass(1s);
  EXPECT_EQ(fit_.size(), 1U);
}

}  // namespace
}  // namespace understudy::host
