// SPDX-License-Identifier: Apache-2.0
/// A host-agent that ends in order: it is restarted, or its machine is shut down, and nobody says which.
/// Covers: control-server/core/role_failure.cpp, control-server/core/role_verdict.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};

class OrderlyStop : public testing::Test {
 protected:
  void begin(GroupConfig group = config(2)) {
    sut_.emplace(std::move(group));
    sut_->bring_up();
    sut_->pass(10s);
    sut_->forget();
  }
  /// What systemd's SIGTERM ends in: BFD says AdminDown, the stream is closed.
  void its_host_agent_ends() {
    sut_->own_vote(kBlade1, Vote::Unknown);
    sut_->mirror_vote(1, Vote::Unknown);
    sut_->step(AgentLost{kBlade1});
    sut_->stream_ends(1);  // the host-agent was its other end
  }
  /// As link::bfd::PeerVote tells it.
  void nothing_is_heard_for_its_bound() {
    sut_->pass(link::kVoteUnknownMax);
    sut_->silence(1);
  }
  std::optional<Chassis> sut_;
};

TEST_F(OrderlyStop, ABladeThatIsShutDownIsTakenOverWhenItsHostAgentIsNotBackInTime) {
  begin();
  its_host_agent_ends();
  sut_->pass(link::kVoteUnknownMax - 1ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected) << "it may be a restart";
  sut_->pass(1ms);
  sut_->silence(1);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
  EXPECT_TRUE(sut_->isolated.contains(kBlade1));
}

TEST_F(OrderlyStop, AHostAgentThatIsBackInTimeIsNoFailure) {
  begin();
  its_host_agent_ends();
  sut_->pass(link::kVoteUnknownMax - 1s);
  sut_->hello(kBlade1, {{RoleId{"role-1"}, Term{1}, PlaceKind::Host, true}});
  sut_->own_vote(kBlade1, Vote::Up);
  sut_->mirror_vote(1, Vote::Up);
  sut_->mirror_state(1, MirrorPhase::Synced);
  sut_->pass(1min);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  EXPECT_TRUE(sut_->all<Isolate>().empty());
}

TEST_F(OrderlyStop, WhereAnUpgradeTakesLongerItIsWaitedForAsLongAsTheConfigurationSays) {
  auto group = config(2);
  group.timings.agent_restart = 20s;
  begin(group);
  its_host_agent_ends();
  nothing_is_heard_for_its_bound();
  sut_->pass(14s);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  sut_->pass(1s);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
}

/// A host-agent that is killed: BFD says nothing, it falls silent.
TEST_F(OrderlyStop, OneThatWasKilledIsWaitedForAsLongAsTheConfigurationSaysAndIsTakenOverThen) {
  auto group = config(2);
  group.timings.agent_restart = 8s;
  begin(group);
  sut_->step(AgentLost{kBlade1});
  sut_->silence(1);
  sut_->pass(7s);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  sut_->pass(1s);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror);
}

TEST_F(OrderlyStop, ACopyIsGivenUpWhenNobodyHasSpokenInTime) {
  begin();
  its_host_agent_ends();
  sut_->pass(link::kVoteUnknownMax + sut_->config.timings.vote_settle());
  EXPECT_EQ(sut_->state(1), RoleState::Exposed) << "what it commits goes nowhere, and no failure is seen";
}

/// Its blade serves the role by the mirror, and dies.
TEST_F(OrderlyStop, AServingMirrorWhoseBladeDiedIsToldAtOnceAndOneWhoseHostAgentWasKilledInTime) {
  for (const bool killed : {false, true}) {
    begin();
    sut_->silence(1);
    ASSERT_EQ(sut_->state(1), RoleState::OnMirror);
    if (killed) { sut_->step(AgentLost{sut_->standby()}); }
    sut_->own_vote(sut_->standby(), Vote::Down);
    if (!killed) { sut_->step(AgentLost{sut_->standby()}); }
    EXPECT_EQ(sut_->state(1), killed ? RoleState::OnMirror : RoleState::Lost);
    sut_->pass(sut_->config.timings.agent_restart);
    EXPECT_EQ(sut_->state(1), RoleState::Lost);
  }
}

/// Its host-agent was restarted, and the network went away before that was heard: it has had no time to speak.
TEST_F(OrderlyStop, ABladeWhoseReturnTheNetworkKeptFromUsIsNotTakenOverInTheMomentWhenThatIsBack) {
  auto group = config(2);
  WitnessConfig witness;
  witness.name = "switch-a";
  witness.interval = 10ms;
  group.witnesses = {witness};
  begin(group);
  its_host_agent_ends();
  sut_->pass(1s);
  for (const unsigned blade : {2U, 3U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Down); }
  sut_->step(WitnessSeen{"switch-a", Vote::Down, {}});
  sut_->pass(3s);
  sut_->step(WitnessSeen{"switch-a", Vote::Up, sut_->now});
  for (const unsigned blade : {2U, 3U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_->pass(1s);
  sut_->silence(1);
  sut_->pass(500ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected) << sut_->status(1).detail;
  EXPECT_TRUE(sut_->all<Isolate>().empty());
  sut_->pass(sut_->config.timings.voices_return);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

/// The standby's stream did not outlive the blink, and the active died in it.
TEST_F(OrderlyStop, ACopyIsNotGivenUpForItsStandbysSilenceWhileTheActiveIsSilentToo) {
  begin();
  for (const unsigned blade : {1U, 2U, 3U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Down); }
  sut_->pass(1500ms);
  sut_->step(AgentLost{sut_->standby()});
  sut_->pass(500ms);
  EXPECT_EQ(sut_->state(1), RoleState::Protected);
  for (const unsigned blade : {2U, 3U}) { sut_->own_vote(Chassis::blade_id(blade), Vote::Up); }
  sut_->hello(sut_->standby(), {{RoleId{"role-1"}, Term{1}, PlaceKind::Mirror, false},
                                {RoleId{"role-2"}, Term{1}, PlaceKind::Mirror, false}});
  sut_->mirror_state(1, MirrorPhase::Connected);
  sut_->mirror_vote(1, Vote::Down);
  sut_->pass(sut_->config.timings.voices_return);
  EXPECT_EQ(sut_->state(1), RoleState::OnMirror) << sut_->status(1).detail;
}

}  // namespace
}  // namespace understudy::control::test
