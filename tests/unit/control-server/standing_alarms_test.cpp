// SPDX-License-Identifier: Apache-2.0
/// What stands in a role's status ends with its cause, and says what it means and what to do.
/// Covers: control-server/core/role_failure.cpp, control-server/core/role_machine.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};
const RoleId kRole1{"role-1"};

bool has(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

TEST(StandingAlarms, APowerOffThatFailedIsOverWhenItsBladeIsBack) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.power_works = false;
  chassis.silence(1);
  chassis.pass(500ms);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_TRUE(has(chassis.status(1).detail, "cannot power off blade-1")) << chassis.status(1).detail;
  EXPECT_TRUE(has(chassis.status(1).detail, "switch it off by hand")) << chassis.status(1).detail;
  chassis.own_vote(kBlade1, Vote::Up);
  chassis.hello(kBlade1);
  EXPECT_EQ(chassis.status(1).detail, "") << "it is alive, isolated, and has nothing of the role";
}

TEST(StandingAlarms, AStandbyThatCouldNotBeIsolatedIsOverWhenTheRoleIsServed) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silent_agents.insert(chassis.standby());
  chassis.report(kBlade1, link::ApplicationFailed{kRole1, Term{1}, "exit status 1"});
  for (int i = 0; i < 3; ++i) {
    chassis.report(chassis.standby(), link::ActivateFailed{kRole1, Term{2}, "no region"});
    chassis.pass(4s);
  }
  chassis.stuck_ports.insert(chassis.standby());
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.step(AgentLost{chassis.standby()});
  chassis.pass(chassis.config.timings.agent_restart + 100ms);
  ASSERT_EQ(chassis.own(1).evidence, link::StopEvidence::PoweredOff);
  ASSERT_EQ(chassis.state(1), RoleState::Exposed);
  EXPECT_TRUE(chassis.noted("alarm", "cannot isolate blade-2"));
  EXPECT_FALSE(has(chassis.status(1).detail, "cannot isolate")) << chassis.status(1).detail;
  EXPECT_FALSE(has(chassis.status(1).detail, "does not take over")) << chassis.status(1).detail;
}

TEST(StandingAlarms, AMovementThatTookLongAndRolledBackIsNotUnderWayAnyMore) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.step(OperatorMove{kRole1});
  chassis.pass(chassis.config.timings.movement_deadline + 1s);
  ASSERT_TRUE(has(chassis.status(1).detail, "takes unusually long"));
  chassis.report(chassis.standby(), link::MoveFailed{kRole1, chassis.own(1).reserved, "quiesce deadline"});
  EXPECT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.status(1).detail, "");
}

// --- a mirror that cannot do it says why ---

class MirrorsReason : public testing::Test {
 protected:
  MirrorsReason() { sut_.bring_up(); }
  void mirror_says(MirrorPhase phase, const std::string& why) {
    sut_.report(sut_.standby(), link::MirrorState{kRole1, Term{1}, phase, "nonce", why});
  }
  [[nodiscard]] std::size_t told(const std::string& words) const {
    return static_cast<std::size_t>(std::count_if(sut_.notes.begin(), sut_.notes.end(), [&](const auto& note) {
      return note.kind == "mirror" && has(note.text, words);
    }));
  }
  Chassis sut_{1};
};

TEST_F(MirrorsReason, IsInTheStatusOfARoleThatWasNeverProtected) {
  Chassis fresh(1);
  for (const auto& blade : fresh.config.blades) { fresh.own_vote(blade.id, Vote::Up); }
  for (const auto& blade : fresh.config.blades) { fresh.hello(blade.id); }
  ASSERT_EQ(fresh.state(1), RoleState::Exposed);
  fresh.report(fresh.standby(), link::MirrorState{kRole1, Term{1}, MirrorPhase::Failed, "", "qemu: no such file"});
  EXPECT_EQ(fresh.status(1).detail, "the mirror on blade-2 is failed: qemu: no such file");
  fresh.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(fresh.status(1).detail, "");
}

TEST_F(MirrorsReason, IsNotSaidTwiceWhereTheAlarmHasIt) {
  mirror_says(MirrorPhase::Failed, "guest panicked");
  ASSERT_EQ(sut_.state(1), RoleState::Exposed);
  const auto detail = sut_.status(1).detail;
  EXPECT_EQ(detail.find("guest panicked"), detail.rfind("guest panicked")) << detail;
}

TEST_F(MirrorsReason, ThatChangesIsAnEventButNoneASecond) {
  mirror_says(MirrorPhase::Connected, "connection refused");
  sut_.pass(11s);
  mirror_says(MirrorPhase::Connected, "the peer refuses our certificate");
  EXPECT_EQ(told("the peer refuses our certificate"), 1U);
  EXPECT_TRUE(has(sut_.status(1).detail, "the peer refuses our certificate"));
  for (int i = 0; i < 30; ++i) {
    sut_.pass(1s);
    mirror_says(MirrorPhase::Connected, "attempt " + std::to_string(i));
  }
  EXPECT_GE(told("attempt"), 2U);
  EXPECT_LE(told("attempt"), 4U);
}

// --- where the mirror serves ---

TEST(MirrorColumn, AMirrorThatServesIsNotSyncedWithAnybody) {
  Chassis chassis(1);
  chassis.bring_up();
  EXPECT_EQ(chassis.status(1).mirror_phase, "synced");
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::OnMirror);
  EXPECT_EQ(chassis.status(1).mirror_phase, "serving");
  chassis.step(AgentLost{chassis.standby()});
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(3s);
  ASSERT_EQ(chassis.state(1), RoleState::Lost);
  EXPECT_EQ(chassis.status(1).mirror_phase, "none");
}

TEST(MirrorColumn, AServingMirrorWhoseGuestIsDeadIsFailed) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  chassis.silent_agents.insert(chassis.standby());
  chassis.mirror_state(1, MirrorPhase::Failed);
  EXPECT_EQ(chassis.status(1).mirror_phase, "failed");
}

// --- ports ---

TEST(PortsColumn, SaysOnlyWhatTheSwitchHasSaid) {
  Chassis chassis(1);
  const auto ports = [&] { return chassis.group->status().blades.front().ports; };
  EXPECT_EQ(ports(), "connected") << "as the switch said at the start";
  chassis.step(PortsSeen{kBlade1, false, true});
  EXPECT_EQ(ports(), "partly");
  chassis.step(PortsSeen{kBlade1, false, false, false});
  EXPECT_EQ(ports(), "unknown");
  chassis.step(PortsSeen{kBlade1});
  EXPECT_EQ(ports(), "connected");
  chassis.bring_up();
  chassis.stuck_ports.insert(kBlade1);
  chassis.power_works = false;
  chassis.silence(1);
  EXPECT_EQ(ports(), "unknown") << "isolated in vain: some of them may be closed";
  chassis.stuck_ports.clear();
  chassis.pass(1s);
  EXPECT_EQ(ports(), "isolated");
  Group untold(config(1), {});
  EXPECT_EQ(untold.status().blades.front().ports, "unknown");
}

// --- a store that contradicts ---

TEST(StoppedDecisions, ARoleThatIsServedIsNotCalledLostAndTheWayOutIsTold) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.store[kRole1].term = Term{7};  // somebody else
  chassis.silence(1);
  ASSERT_TRUE(chassis.noted("alarm", "decisions about role-1 are stopped"));
  EXPECT_EQ(chassis.state(1), RoleState::TakingOver) << "as far as it came";
  EXPECT_TRUE(has(chassis.status(1).detail, "look who serves it, then restart the control-server"));
  EXPECT_FALSE(chassis.status(1).is_protected);
  chassis.forget();
  chassis.hello(kBlade1);
  chassis.report(chassis.standby(), link::ActivateFailed{kRole1, Term{2}, "x"});
  chassis.report(kBlade1, link::Stopped{kRole1, Term{9}});
  chassis.report(kBlade1, link::HandedOver{kRole1, Term{9}, {}});
  chassis.step(IsolateDone{kBlade1});
  chassis.step(PowerDone{kBlade1});
  chassis.pass(60s);
  EXPECT_TRUE(chassis.all<Persist>().empty());
  EXPECT_TRUE(chassis.orders<link::Activate>().empty());
  EXPECT_TRUE(chassis.orders<link::ServeRole>().empty());
}

TEST(StoppedDecisions, NothingCanBeOrderedForSuchARole) {
  auto group = config(1);
  group.leases = true;
  Chassis chassis(group);
  chassis.bring_up();
  chassis.pass(2s);
  const auto armed = chassis.orders<link::ArmLease>();
  ASSERT_FALSE(armed.empty());
  chassis.store[kRole1].term = Term{7};  // somebody else
  chassis.report(kBlade1, link::LeaseState{kRole1, Term{1}, armed.back().second.id});
  ASSERT_TRUE(chassis.noted("alarm", "decisions about role-1 are stopped"));
  EXPECT_EQ(chassis.state(1), RoleState::Protected) << "it is served, as before";
  EXPECT_FALSE(chassis.status(1).is_protected) << "nothing would take it over";
  const auto answer = chassis.group->check_switchover(kRole1, true);
  ASSERT_FALSE(answer.ok());
  EXPECT_TRUE(has(answer.error().message, "decisions about role-1 are stopped")) << answer.error().message;
}

// --- what a person must do ---

TEST(AlarmsSayWhatToDo, WhereNothingProvesThatTheOldPlaceIsSilent) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.stuck_ports.insert(kBlade1);
  chassis.power_works = false;
  chassis.silent_agents.insert(kBlade1);
  chassis.silence(1);
  ASSERT_EQ(chassis.state(1), RoleState::TakingOver);
  const auto detail = chassis.status(1).detail;
  EXPECT_TRUE(has(detail,
                  "cannot isolate blade-1: switch says no. Nobody serves role-1 until it is proved that "
                  "blade-1 is silent; mend the switch"))
      << detail;
  EXPECT_TRUE(has(detail, "cannot power off blade-1: no answer. Nobody serves role-1 until")) << detail;
}

TEST(AlarmsSayWhatToDo, WhereNobodyElseObserves) {
  Chassis chassis(1);
  chassis.bring_up();
  chassis.silence(1);
  chassis.step(OperatorMove{kRole1});
  ASSERT_EQ(chassis.state(1), RoleState::OnHost);
  chassis.own_vote(chassis.standby(), Vote::Down);
  chassis.pass(5s);
  const auto detail = chassis.status(1).detail;
  EXPECT_FALSE(has(detail, "other observer")) << "there is none for a role on a standby's host: " << detail;
  EXPECT_TRUE(has(detail, "nothing understudies a role that is served there")) << detail;
  EXPECT_TRUE(has(detail, "look at blade-2")) << detail;
}

TEST(AlarmsSayWhatToDo, WhereOneObserverIsSilentOrSyncStopsOrAHostAgentIsMissing) {
  Chassis chassis(1);
  EXPECT_TRUE(chassis.notes.empty() || !chassis.noted("alarm", ""));
  chassis.pass(11s);
  EXPECT_TRUE(chassis.noted("alarm", "systemctl status understudy-host-agent")) << "a missing host-agent";
  chassis.bring_up();
  chassis.mirror_state(1, MirrorPhase::Connected);
  chassis.pass(1100ms);
  EXPECT_TRUE(chassis.noted("alarm", "the mirror's sync has stopped on blade-2"));
  chassis.pass(5s);
  chassis.step(AgentLost{chassis.standby()});
  EXPECT_TRUE(chassis.noted("agent", "what blade-2 serves goes on"));
  chassis.own_vote(kBlade1, Vote::Down);
  chassis.pass(5s);
  EXPECT_TRUE(chassis.noted("alarm", "no failover by one vote"));
  EXPECT_TRUE(chassis.noted("alarm", "look at blade-1"));
}

}  // namespace
}  // namespace understudy::control::test
