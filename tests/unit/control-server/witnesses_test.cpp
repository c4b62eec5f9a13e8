// SPDX-License-Identifier: Apache-2.0
/// What an independent witness proves, and what follows for a group that has one.
/// Covers: control-server/core/witnesses.cpp, control-server/core/monitoring_unit.cpp
#include "core/witnesses.hpp"

#include <gtest/gtest.h>

#include "chassis.hpp"
#include "core/echo_run.hpp"

namespace understudy::control::test {
namespace {

constexpr Instant kSilent{1h};

/// Asked every 50 ms, of a blade whose silence is noticed after 150 ms of BFD at 50 ms.
WitnessBench bench(std::vector<WitnessVoice> voices) { return {std::move(voices), 100ms, 3s}; }
WitnessVoice up(Instant answered_since, Duration spacing = 75ms) {
  return {Vote::Up, answered_since, answered_since, spacing};
}

TEST(Witnesses, NoneIsConfigured) { EXPECT_EQ(ask(bench({}), kSilent, kSilent + 1h).said, Witnesses::None); }

TEST(Witnesses, AnEchoOfTheSilenceItselfProvesThatOurNetworkWorks) {
  const auto early = ask(bench({up(kSilent - 10s)}), kSilent, kSilent + 49ms);
  EXPECT_EQ(early.said, Witnesses::Awaited);
  EXPECT_EQ(early.again, kSilent + 50ms) << "then a missing answer would be known";
  EXPECT_EQ(ask(bench({up(kSilent - 10s)}), kSilent, kSilent + 50ms).said, Witnesses::Reached);
  EXPECT_EQ(ask(bench({up(kSilent - 10s, 15ms)}), kSilent, kSilent).said, Witnesses::Reached) << "asked every 10 ms";
}

TEST(Witnesses, AnAnswerAfterACableCameBackProvesNothingBeforeTheBladesHadTimeToSpeak) {
  const auto back = kSilent + 20ms;
  const auto word = ask(bench({up(back)}), kSilent, kSilent + 3s);
  EXPECT_EQ(word.said, Witnesses::Awaited);
  EXPECT_EQ(word.again, back + 3s + 150ms);
  EXPECT_EQ(ask(bench({up(back)}), kSilent, *word.again).said, Witnesses::Reached);
}

TEST(Witnesses, AnAnswerMustCoverTheMomentWhenWeStoppedHearingTheBladeOurselves) {
  const auto ours = kSilent - 2s;  // the mirror's vote came late
  EXPECT_EQ(ask(bench({up(kSilent - 10s)}), kSilent, kSilent + 50ms, ours).said, Witnesses::Reached);
  EXPECT_EQ(ask(bench({up(kSilent - 1s)}), kSilent, kSilent + 50ms, ours).said, Witnesses::Awaited);
  const WitnessVoice lost{Vote::Down, kSilent - 4s, std::nullopt, 75ms};
  EXPECT_EQ(ask(bench({lost}), kSilent, kSilent, ours).said, Witnesses::Lost) << "with the blade, not before it";
}

TEST(Witnesses, OneThatIsAskedSeldomProvesNothingAtOnce) {
  const auto word = ask(bench({up(kSilent - 10s, 750ms)}), kSilent, kSilent + 1s);
  EXPECT_EQ(word.said, Witnesses::Awaited) << "a cable that was out for 200 ms is not noticed by it";
  EXPECT_EQ(word.again, kSilent + 3s + 1500ms);
}

TEST(Witnesses, AnAnswerThatIsMissingIsAwaited) {
  WitnessVoice missing{Vote::Up, kSilent - 10s, std::nullopt, 75ms};
  EXPECT_EQ(ask(bench({missing}), kSilent, kSilent + 1h).said, Witnesses::Awaited);
}

TEST(Witnesses, AllThatCountMustBeLostAndOneReachedIsEnough) {
  const WitnessVoice lost{Vote::Down, kSilent + 50ms, std::nullopt, 75ms};
  EXPECT_EQ(ask(bench({lost, lost}), kSilent, kSilent + 1s).said, Witnesses::Lost);
  EXPECT_EQ(ask(bench({lost, up(kSilent - 10s)}), kSilent, kSilent + 1s).said, Witnesses::Reached);
  EXPECT_EQ(ask(bench({lost, {}}), kSilent, kSilent + 1s).said, Witnesses::Awaited) << "one has not been heard yet";
}

TEST(Witnesses, OneThatWasLostLongBeforeCountsForNobody) {
  const auto lost_at = [](Instant since) { return WitnessVoice{Vote::Down, since, std::nullopt, 75ms}; };
  EXPECT_EQ(ask(bench({lost_at(kSilent - 3s)}), kSilent, kSilent).said, Witnesses::None);
  EXPECT_EQ(ask(bench({lost_at(kSilent - 3s + 1ms)}), kSilent, kSilent).said, Witnesses::Lost);
  EXPECT_EQ(ask(bench({lost_at(kSilent - 3s), lost_at(kSilent)}), kSilent, kSilent).said, Witnesses::Lost);
}

// --- echoes ---

TEST(EchoRun, IsUpByOneAnswerAndDownBySoManyMissingInARow) {
  EchoRun run(3, 75ms);
  const Instant now{1h};
  EXPECT_EQ(run.vote(), Vote::Unknown);
  run.answered(run.send(now));
  EXPECT_TRUE(run.take_changed());
  EXPECT_FALSE(run.take_changed());
  EXPECT_EQ(run.vote(), Vote::Up);
  EXPECT_EQ(run.answered_since(), now);
  for (int i = 1; i <= 3; ++i) { run.send(now + i * 50ms); }
  EXPECT_EQ(run.vote(), Vote::Up) << "the third of them has its time still";
  EXPECT_FALSE(run.answered_since());
  run.send(now + 200ms);
  EXPECT_EQ(run.vote(), Vote::Down);
  EXPECT_TRUE(run.take_changed());
}

TEST(EchoRun, AMissingAnswerEndsTheRunAndALateOneIsNone) {
  EchoRun run(3, 75ms);
  run.answered(run.send(Instant{1h}));
  const auto late = run.send(Instant{1h} + 50ms);
  const auto next = run.send(Instant{1h} + 100ms);
  EXPECT_FALSE(run.answered_since());
  run.answered(late);
  EXPECT_FALSE(run.answered_since());
  run.answered(next);
  EXPECT_EQ(run.answered_since(), Instant{1h} + 100ms);
  EXPECT_EQ(run.vote(), Vote::Up);
}

TEST(EchoRun, OneThatStoodStillItselfBeginsANewRun) {
  EchoRun run(3, 75ms);
  run.answered(run.send(Instant{1h}));
  run.answered(run.send(Instant{1h} + 76ms));
  EXPECT_EQ(run.answered_since(), Instant{1h} + 76ms);
  EXPECT_EQ(run.vote(), Vote::Up) << "and it is not the witness that is lost";
}

TEST(EchoRun, OneThatNeverAnswersIsDownAfterABoundedTime) {
  EchoRun run(3, 75ms);
  for (int i = 0; i < 4; ++i) { run.send(Instant{1h} + i * 50ms); }
  EXPECT_EQ(run.vote(), Vote::Down);
}

// --- a group with a witness ---

GroupConfig watched(unsigned actives) {
  auto group = config(actives);
  for (const auto* name : {"switch-a", "router"}) {
    WitnessConfig witness;
    witness.name = name;
    witness.address = IpAddress::parse("192.168.1.254").value();
    group.witnesses.push_back(witness);
  }
  return group;
}

class WithWitnesses : public testing::Test {
 protected:
  void begin(GroupConfig group) {
    chassis_.emplace(std::move(group));
    chassis_->bring_up();
    both(Vote::Up);
    chassis_->pass(10s);
    chassis_->forget();
  }
  void both(Vote vote) {
    for (const auto* name : {"switch-a", "router"}) { seen(name, vote); }
  }
  void seen(const char* name, Vote vote) {
    chassis_->step(WitnessSeen{name, vote, vote == Vote::Up ? std::optional(chassis_->now) : std::nullopt});
  }
  void missing() {
    for (const auto* name : {"switch-a", "router"}) { chassis_->step(WitnessSeen{name, Vote::Up, {}}); }
  }
  void silence_all(unsigned actives) {
    for (unsigned blade = 1; blade <= actives; ++blade) { chassis_->own_vote(Chassis::blade_id(blade), Vote::Down); }
    for (unsigned blade = 1; blade <= actives; ++blade) { chassis_->mirror_vote(blade, Vote::Down); }
  }

  std::optional<Chassis> chassis_;
};

/// The control-server runs on the standby: with one active there is nobody else that it could hear.
TEST_F(WithWitnesses, APairFailsOverAlthoughTheControlServerIsOnTheStandby) {
  auto group = watched(1);
  group.control_blade = group.standbys().front();
  begin(group);
  chassis_->silence(1);
  EXPECT_EQ(chassis_->state(1), RoleState::Protected) << "an answer may still be missing";
  chassis_->pass(50ms);
  EXPECT_EQ(chassis_->state(1), RoleState::OnMirror);

  group.witnesses.clear();
  begin(group);
  chassis_->silence(1);
  chassis_->pass(3s);
  EXPECT_EQ(chassis_->state(1), RoleState::Protected) << "without one it could be the standby's cable";
}

TEST_F(WithWitnesses, AllAtOnceAreDeadOnlyWhenAWitnessIsReached) {
  begin(watched(3));
  silence_all(3);
  chassis_->pass(50ms);
  for (const unsigned role : {1U, 2U, 3U}) { EXPECT_EQ(chassis_->state(role), RoleState::OnMirror); }
}

TEST_F(WithWitnesses, WhoReachesNoWitnessIsCutOffHimselfAndNobodyFailsOver) {
  begin(watched(2));
  missing();
  chassis_->silence(1);  // blade-2 is heard on
  chassis_->pass(100ms);
  both(Vote::Down);
  chassis_->pass(1min);
  EXPECT_TRUE(chassis_->isolated.empty());
  EXPECT_TRUE(chassis_->noted("alarm", "no witness is reached either: this side of the network is cut off"));
  EXPECT_TRUE(chassis_->noted("witness", "witness router (192.168.1.254) is lost"));
  EXPECT_TRUE(chassis_->noted("witness", "no witness is reached"));
  EXPECT_NE(chassis_->state(1), RoleState::OnMirror);
}

TEST_F(WithWitnesses, AWitnessThatFailedByItselfKeepsNobodyFromFailingOver) {
  begin(watched(2));
  both(Vote::Down);
  chassis_->pass(3s);
  chassis_->silence(1);
  EXPECT_EQ(chassis_->state(1), RoleState::OnMirror);
}

TEST_F(WithWitnesses, ACableThatComesBackAccusesNobody) {
  auto group = watched(2);
  group.control_blade = group.standbys().front();
  begin(group);
  missing();
  silence_all(2);
  chassis_->pass(20ms);
  both(Vote::Up);  // it answers at once, the blades within some seconds
  chassis_->pass(2s);
  for (const unsigned blade : {1U, 2U}) {
    chassis_->own_vote(Chassis::blade_id(blade), Vote::Up);
    chassis_->mirror_vote(blade, Vote::Up);
  }
  chassis_->pass(1min);
  EXPECT_TRUE(chassis_->isolated.empty());
}

TEST_F(WithWitnesses, OneThatAnswersSlowlyIsWaitedForOnlyAsLongAsAnotherBladeIsSilentToo) {
  auto group = watched(2);
  for (auto& witness : group.witnesses) { witness.interval = 500ms; }
  begin(group);
  chassis_->silence(1);
  chassis_->pass(299ms);
  EXPECT_EQ(chassis_->state(1), RoleState::Protected);
  chassis_->pass(1ms);
  EXPECT_EQ(chassis_->state(1), RoleState::OnMirror) << "blade-2 is heard";
}

TEST_F(WithWitnesses, ABladesOwnWordNeedsNoWitness) {
  begin(watched(1));
  both(Vote::Down);
  chassis_->report(Chassis::blade_id(1), link::ApplicationFailed{Chassis::role_id(1), Term{1}, "exit status 1"});
  EXPECT_EQ(chassis_->state(1), RoleState::OnMirror);
}

TEST_F(WithWitnesses, EveryStatusTellsHowTheyAreSeenAndThatOneIsBackIsAnEvent) {
  begin(watched(1));
  seen("router", Vote::Down);
  const auto status = chassis_->group->status();
  ASSERT_EQ(status.witnesses.size(), 2U);
  EXPECT_EQ(status.witnesses[0], (link::WitnessStatus{"switch-a", "192.168.1.254", "icmp", Vote::Up}));
  EXPECT_EQ(status.witnesses[1].vote, Vote::Down);
  EXPECT_FALSE(chassis_->noted("witness", "no witness is reached")) << "one is";
  seen("router", Vote::Up);
  EXPECT_TRUE(chassis_->noted("witness", "witness router (192.168.1.254) is back"));
}

}  // namespace
}  // namespace understudy::control::test
