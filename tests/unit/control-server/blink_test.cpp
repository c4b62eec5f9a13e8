// SPDX-License-Identifier: Apache-2.0
/// The whole maintenance network goes away for a moment and its voices come back one by one: nobody has died.
/// Covers: control-server/core/monitoring_unit.cpp, control-server/core/votes.cpp, control-server/core/witnesses.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

class Blink : public testing::Test {
 protected:
  void begin(GroupConfig group = config(3)) {
    sut_.emplace(std::move(group));
    sut_->bring_up();
    sut_->pass(10s);
    sut_->forget();
  }
  /// The control-server hears nobody; what the mirrors see cannot be told.
  void the_network_goes() {
    for (const auto& blade : sut_->config.blades) { sut_->own_vote(blade.id, Vote::Down); }
    sut_->pass(1s);
  }
  /// The standby's stream delivers what had to wait.
  void the_mirrors_votes_come() {
    for (const unsigned role : {1U, 2U, 3U}) {
      sut_->stream_ends(role);
      sut_->mirror_vote(role, Vote::Down);
    }
  }
  void is_heard(unsigned blade) {
    sut_->own_vote(Chassis::blade_id(blade), Vote::Up);
    if (blade <= 3) {
      sut_->mirror_vote(blade, Vote::Up);
      sut_->mirror_state(blade, MirrorPhase::Synced);
    }
    sut_->pass(200ms);
  }
  void expect_nobody_was_taken_over() {
    for (const unsigned role : {1U, 2U, 3U}) { EXPECT_EQ(sut_->state(role), RoleState::Protected) << role; }
    EXPECT_TRUE(sut_->all<Isolate>().empty());
    EXPECT_TRUE(sut_->all<PowerOff>().empty());
    EXPECT_TRUE(sut_->orders<link::Activate>().empty());
  }
  std::optional<Chassis> sut_;
};

TEST_F(Blink, WhoeverIsHeardFirstAgainIsNoWitnessAgainstTheOthers) {
  begin();
  the_network_goes();
  the_mirrors_votes_come();
  for (const unsigned blade : {3U, 4U, 2U, 1U}) { is_heard(blade); }
  expect_nobody_was_taken_over();
}

TEST_F(Blink, NorIsItWhenTheMirrorsVotesComeLast) {
  begin();
  the_network_goes();
  is_heard(4);
  is_heard(3);
  the_mirrors_votes_come();
  sut_->pass(300ms);
  for (const unsigned blade : {3U, 2U, 1U}) { is_heard(blade); }
  expect_nobody_was_taken_over();
}

TEST_F(Blink, WhoHasReallyDiedInItIsTakenOverWhenTheOthersHaveBeenHeardForLongEnough) {
  begin();
  the_network_goes();
  the_mirrors_votes_come();
  for (const unsigned blade : {4U, 3U, 2U}) { is_heard(blade); }
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  sut_->pass(sut_->config.timings.voices_return);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_->state(2), RoleState::Protected);
}

/// Its session has just come up, and notices for seconds nothing: it may be gone again.
TEST_F(Blink, AVoiceThatWasBackAMomentBeforeTheSilenceIsAWitnessWhenItIsSteady) {
  begin(config(1));  // only the standby can be one
  sut_->own_vote(sut_->standby(), Vote::Down);
  sut_->pass(200ms);
  sut_->own_vote(sut_->standby(), Vote::Up);
  const Instant back = sut_->now;
  sut_->pass(500ms);
  sut_->silence(1);
  sut_->pass(back + sut_->config.timings.voices_return - sut_->now - 1ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  sut_->pass(1ms);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
}

TEST_F(Blink, AVoiceThatHasBeenBackForAWhileBeforeTheSilenceIsAWitnessAtOnce) {
  begin(config(1));
  sut_->own_vote(sut_->standby(), Vote::Down);
  sut_->pass(200ms);
  sut_->own_vote(sut_->standby(), Vote::Up);
  sut_->pass(sut_->config.timings.voices_return);
  sut_->silence(1);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
}

/// A control-server that was started a moment before hears a blade for the first time, as the network comes back.
TEST_F(Blink, AFirstWordAfterTheSilenceIsNoWitnessAtOnce) {
  begin();
  sut_->restart_control_server();
  for (const unsigned blade : {1U, 3U, 4U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Up); }
  for (const unsigned blade : {1U, 3U}) {
    sut_->hello(Chassis::blade_id(blade), {{Chassis::role_id(blade), Term{1}, PlaceKind::Host, true}});
  }
  sut_->hello(sut_->standby(), {{Chassis::role_id(1), Term{1}, PlaceKind::Mirror, false}});
  sut_->mirror_state(1, MirrorPhase::Synced);
  sut_->mirror_vote(1, Vote::Up);
  sut_->pass(200ms);
  for (const unsigned blade : {1U, 3U, 4U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Down); }
  sut_->pass(400ms);
  sut_->mirror_vote(1, Vote::Down);
  sut_->own_vote(Chassis::blade_id(2), Vote::Up);
  sut_->pass(500ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected) << sut_->status(1).detail;
  EXPECT_TRUE(sut_->orders<link::Activate>().empty());
}

/// The standby's cable blinks, or its blade's host-agent is restarted, and the one active dies within that moment.
TEST_F(Blink, ADeathTogetherWithABlinkOfTheOnlyWitnessIsTakenOverWhenThatOneIsSteady) {
  begin(config(1));
  sut_->own_vote(sut_->standby(), Vote::Down);
  sut_->pass(200ms);
  sut_->silence(1);
  sut_->pass(1500ms);
  sut_->own_vote(sut_->standby(), Vote::Up);
  sut_->pass(sut_->config.timings.voices_return - 1ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  EXPECT_TRUE(sut_->all<Isolate>().empty());
  sut_->pass(1ms);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
}

TEST_F(Blink, AWitnessThatNeverIsSteadyIsWaitedForNoLongerThanItsBound) {
  begin(config(1));
  const Instant began = sut_->now;
  sut_->own_vote(sut_->standby(), Vote::Down);
  sut_->silence(1);
  while (sut_->state(1) == RoleState::Protected && sut_->now < began + 1min) {
    sut_->own_vote(sut_->standby(), Vote::Down);
    sut_->pass(500ms);
    sut_->own_vote(sut_->standby(), Vote::Up);
    sut_->pass(2s);
  }
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
  EXPECT_LE(sut_->now, began + 12s);
}

/// For longer than a bad cable is waited for: all come and go together, so that it is the network each time.
TEST_F(Blink, ANetworkThatBlinksForLongTakesNobodyOverWhenItsVoicesComeBack) {
  begin();
  const Instant began = sut_->now;
  while (sut_->now < began + sut_->config.timings.voices_flap) {
    the_network_goes();
    the_mirrors_votes_come();
    for (const unsigned blade : {4U, 3U, 2U, 1U}) { is_heard(blade); }
    sut_->pass(1s);
  }
  the_network_goes();
  the_mirrors_votes_come();
  for (const unsigned blade : {3U, 4U, 2U}) { is_heard(blade); }
  expect_nobody_was_taken_over();
  is_heard(1);
  sut_->pass(10s);
  expect_nobody_was_taken_over();
}

/// Its path to the control-server has been cut for long: what its mirror does not hear any more is the network.
TEST_F(Blink, NorWhomTheControlServerAloneHadLostBefore) {
  begin();
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);
  sut_->pass(5s);
  const Instant began = sut_->now;
  for (bool last = false; !last;) {
    last = sut_->now >= began + sut_->config.timings.voices_flap;
    the_network_goes();
    the_mirrors_votes_come();
    for (const unsigned blade : {4U, 3U, 2U}) { is_heard(blade); }
    sut_->mirror_vote(1, Vote::Up);
    sut_->mirror_state(1, MirrorPhase::Synced);
    sut_->pass(1s);
  }
  expect_nobody_was_taken_over();
}

TEST_F(Blink, WhoDiesInANetworkThatBlinksForLongIsTakenOverAllTheSame) {
  begin();
  Instant died;
  for (int i = 0; i < 20 && sut_->state(1) == RoleState::Protected; ++i) {
    the_network_goes();
    the_mirrors_votes_come();
    if (i == 5) { died = sut_->now; }
    for (const unsigned blade : {4U, 3U, 2U}) { is_heard(blade); }
    if (i < 5) { is_heard(1); }
    sut_->pass(1s);
  }
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
  EXPECT_EQ(sut_->state(2), RoleState::Protected);
  EXPECT_LE(sut_->now, died + sut_->config.timings.voices_flap + 3s);
}

/// Port by port, a line card after the other: longer than one voice needs to be steady.
TEST_F(Blink, WhoIsHeardLastSaysHowLongTheNetworkHasBeenBack) {
  begin();
  the_network_goes();
  the_mirrors_votes_come();
  for (const unsigned blade : {4U, 3U, 2U}) {
    is_heard(blade);
    sut_->pass(2s);
  }
  expect_nobody_was_taken_over();
  is_heard(1);
  expect_nobody_was_taken_over();
}

TEST_F(Blink, OneThatWasHeardAllAlongIsAWitnessAtOnceWhoeverElseComesAndGoes) {
  begin();
  sut_->own_vote(Chassis::blade_id(2), Vote::Down);
  sut_->pass(200ms);
  sut_->silence(1);
  sut_->own_vote(Chassis::blade_id(2), Vote::Up);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
}

/// A switch that blinks twice: all are heard again by the control-server, and the mirror has not found its active yet.
class SecondBlink : public Blink {
 protected:
  void the_first_one_is_over() {
    begin();
    the_network_goes();
    the_mirrors_votes_come();
    for (const unsigned blade : {1U, 2U, 3U, 4U}) {
      sut_->own_vote(Chassis::blade_id(blade), Vote::Up);
      sut_->pass(20ms);
    }
    sut_->pass(300ms);
  }
};

TEST_F(SecondBlink, WhoFallsSilentFirstIsNotDead) {
  the_first_one_is_over();
  for (const unsigned blade : {1U, 2U, 3U, 4U}) {
    sut_->own_vote(Chassis::blade_id(blade), Vote::Down);
    sut_->pass(15ms);
  }
  sut_->pass(2s);
  for (const unsigned blade : {4U, 3U, 2U, 1U}) { is_heard(blade); }
  sut_->pass(10s);
  expect_nobody_was_taken_over();
}

/// Its own port only.
TEST_F(SecondBlink, OfOneBladeIsNoDeathWhileTheNetworkHasNotBeenBackForLong) {
  the_first_one_is_over();
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);
  sut_->pass(2s);
  expect_nobody_was_taken_over();
  for (const unsigned blade : {1U, 2U, 3U}) { is_heard(blade); }
  sut_->pass(10s);
  expect_nobody_was_taken_over();
}

TEST_F(SecondBlink, WhoHasReallyDiedInItIsTakenOverWhenTheNetworkHasBeenBackForLongEnough) {
  the_first_one_is_over();
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);
  for (const unsigned blade : {2U, 3U}) { is_heard(blade); }
  sut_->pass(sut_->config.timings.voices_return);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

/// It was started between the two.
TEST_F(SecondBlink, AControlServerThatWasStartedBetweenTheTwoKnowsNoVoiceForLong) {
  begin(config(1));
  sut_->restart_control_server();
  for (const unsigned blade : {1U, 2U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_->hello(Chassis::blade_id(1), {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  sut_->hello(sut_->standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false}});
  sut_->mirror_state(1, MirrorPhase::Synced);
  sut_->mirror_vote(1, Vote::Down);
  sut_->pass(200ms);
  ASSERT_EQ(sut_->state(1), RoleState::Protected);
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);
  sut_->pass(1s);
  EXPECT_EQ(sut_->state(1), RoleState::Protected) << sut_->status(1).detail;
  sut_->pass(sut_->config.timings.voices_return);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

/// A filter at the standby: the mirror has not heard its active for long.
TEST_F(Blink, ADeathOfWhomTheMirrorHasNotHeardForLongIsOneWhenTheOthersAreHeardOn) {
  begin();
  sut_->mirror_vote(1, Vote::Down);
  sut_->pass(1h);
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);
  sut_->pass(sut_->config.timings.same_cable() - 1ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  sut_->pass(1ms);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

GroupConfig with_a_witness() {
  auto group = config(3);
  WitnessConfig witness;
  witness.name = "switch-a";
  witness.interval = 10ms;
  group.witnesses = {witness};
  return group;
}

/// The mirrors' votes were under way for as long as the network was away: that its echoes are answered since it is back
/// proves nothing about the silence before.
TEST_F(Blink, AWitnessThatAnswersAgainHasNotAnsweredForTheSilence) {
  begin(with_a_witness());
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now - 5s});
  the_network_goes();
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now});
  is_heard(4);
  the_mirrors_votes_come();
  for (const unsigned blade : {3U, 2U, 1U}) { is_heard(blade); }
  expect_nobody_was_taken_over();
}

TEST_F(Blink, AWitnessThatWasLostWithAllBladesIsNotOneThatFailedByItself) {
  begin(with_a_witness());
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now - 5s});
  sut_->step(WitnessSeen{"switch-a", Vote::Down, {}});
  the_network_goes();
  sut_->pass(5s);
  sut_->own_vote(sut_->standby(), Vote::Up);
  sut_->pass(3100ms);  // the standby is heard for long enough, the witness is not back: one switch of several is
  the_mirrors_votes_come();
  sut_->pass(1s);
  expect_nobody_was_taken_over();
  EXPECT_NE(sut_->status(1).detail.find("no witness is reached"), std::string::npos) << sut_->status(1).detail;
}

/// The standby's host-agent has had no stream to us for hours (its key), so the mirror's vote is that much younger.
TEST_F(Blink, AWitnessThatFailedAfterOurOwnEyesIsNoReasonToBelieveNobody) {
  begin(with_a_witness());
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now - 5s});
  sut_->own_vote(Chassis::blade_id(1), Vote::Down);  // by its key: it lives, and the mirror hears it
  sut_->pass(1h);
  sut_->step(WitnessSeen{"switch-a", Vote::Down, {}});
  sut_->pass(1h);
  ASSERT_EQ(sut_->state(1), RoleState::Protected);
  sut_->stream_ends(1);
  sut_->mirror_vote(1, Vote::Down);
  sut_->pass(1s);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

}  // namespace
}  // namespace understudy::control::test
