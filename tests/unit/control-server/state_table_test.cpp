// SPDX-License-Identifier: Apache-2.0
/// Every state met with every event: what a role is afterwards. The table is the documentation; a change of the core
/// that changes a cell fails here.
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

/// A chassis of two actives whose role-1 is in the wanted state; agents then stay silent, so that a cell shows what
/// the core does and not what the world answers.
Chassis in_state(RoleState state) {
  Chassis chassis(2);
  if (state == RoleState::Starting) {
    chassis.silent_agents.insert(BladeId{"blade-1"});
    for (const auto& blade : chassis.config.blades) { chassis.own_vote(blade.id, Vote::Up); }
    for (const auto& blade : chassis.config.blades) { chassis.hello(blade.id); }
    return chassis;
  }
  chassis.bring_up();
  switch (state) {
    case RoleState::Exposed:
      chassis.mirror_state(1, MirrorPhase::Syncing);
      break;
    case RoleState::TakingOver:
      chassis.silent_agents.insert(chassis.standby());
      chassis.silence(1);
      break;
    case RoleState::OnMirror:
      chassis.silence(1);
      break;
    case RoleState::Moving:
      chassis.silence(1);
      chassis.silent_agents.insert(chassis.standby());
      chassis.step(OperatorMove{RoleId{"role-1"}});
      break;
    case RoleState::OnHost:
      chassis.silence(1);
      chassis.step(OperatorMove{RoleId{"role-1"}});
      break;
    case RoleState::Lost:
      chassis.mirror_state(1, MirrorPhase::Syncing);
      chassis.silence(1);
      break;
    case RoleState::Starting:
    case RoleState::Protected:
      break;
  }
  for (const auto& blade : chassis.config.blades) { chassis.silent_agents.insert(blade.id); }
  chassis.power_works = true;
  return chassis;
}

struct Row {
  const char* event;
  std::function<void(Chassis&)> act;
  /// After it, for role-1 in starting, exposed, protected, taking-over, on-mirror, moving, on-host, lost.
  std::array<const char*, kRoleStates> after;
};

const RoleId kRole{"role-1"};
const BladeId kActive{"blade-1"};

std::vector<Row> table() {
  const auto from = [](const char* blade, link::Report report) {
    return [blade = BladeId{blade}, report = std::move(report)](Chassis& chassis) { chassis.report(blade, report); };
  };
  const auto current = [](const Chassis& chassis) { return chassis.own(1).term; };
  return {
      {"own vote down, settled",
       [](Chassis& chassis) {
         chassis.own_vote(kActive, Vote::Down);
         chassis.pass(1s);
       },
       {"lost", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"both votes down",
       [](Chassis& chassis) { chassis.silence(1); },
       {"lost", "lost", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"application failed under the current term",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::ApplicationFailed{kRole, current(chassis), "x"});
       },
       {"lost", "lost", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"application failed under an old term",
       from("blade-1", link::ApplicationFailed{kRole, Term{60}, "x"}),
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the mirror is synced",
       [](Chassis& chassis) { chassis.mirror_state(1, MirrorPhase::Synced); },
       {"protected", "protected", "protected", "taking-over", "on-mirror", "moving", "on-host", "taking-over"}},
      {"a warning about the mirror",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::MirrorWarning{kRole, current(chassis), "its region is slow"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the mirror is syncing",
       [](Chassis& chassis) { chassis.mirror_state(1, MirrorPhase::Syncing); },
       {"starting", "exposed", "exposed", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the mirror failed",
       [](Chassis& chassis) { chassis.mirror_state(1, MirrorPhase::Failed); },
       {"starting", "exposed", "exposed", "taking-over", "moving", "moving", "on-host", "lost"}},
      {"serving under the current term",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::Serving{kRole, current(chassis)});
       },
       {"exposed", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"activated under the current term",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::Activated{kRole, current(chassis), {}});
       },
       {"starting", "exposed", "protected", "on-mirror", "on-mirror", "moving", "on-host", "lost"}},
      {"activation failed",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::ActivateFailed{kRole, current(chassis), "x"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"moved under the reserved term",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::Moved{kRole, std::max(Term{1}, chassis.own(1).reserved), {}});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "on-host", "on-host", "lost"}},
      {"movement failed",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::MoveFailed{kRole, std::max(Term{1}, chassis.own(1).reserved), "x"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "on-mirror", "on-host", "lost"}},
      {"an operator's move",
       [](Chassis& chassis) { chassis.step(OperatorMove{kRole}); },
       {"starting", "exposed", "protected", "taking-over", "moving", "moving", "on-host", "lost"}},
      {"the active's host-agent is lost",
       [](Chassis& chassis) { chassis.step(AgentLost{kActive}); },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the standby's host-agent is lost, for long",
       [](Chassis& chassis) {
         chassis.step(AgentLost{chassis.standby()});
         chassis.pass(4100ms);
       },
       {"starting", "exposed", "exposed", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the standby dies",
       [](Chassis& chassis) {
         chassis.own_vote(chassis.standby(), Vote::Down);
         chassis.step(AgentLost{chassis.standby()});
         chassis.pass(2100ms);
       },
       {"starting", "exposed", "exposed", "taking-over", "lost", "moving", "lost", "lost"}},
      {"the active comes back without the role",
       [](Chassis& chassis) { chassis.hello(kActive); },
       {"starting", "starting", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "starting"}},
      {"the standby comes back without the role",
       [](Chassis& chassis) { chassis.hello(chassis.standby()); },
       {"starting", "exposed", "protected", "lost", "lost", "lost", "starting", "lost"}},
      {"the switch isolated the active",
       [](Chassis& chassis) { chassis.step(IsolateDone{kActive}); },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the switch refused",
       [](Chassis& chassis) {
         chassis.step(IsolateFailed{kActive, "x"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active is powered off",
       [](Chassis& chassis) { chassis.step(PowerDone{kActive}); },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"an operator's switchover, and the active is silent about it",
       [](Chassis& chassis) {
         chassis.step(OperatorSwitchover{kRole, true});
       },
       {"starting", "exposed", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active has handed over",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::HandedOver{kRole, current(chassis).next(), {}});
       },
       {"starting", "starting", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active cannot hand over",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::HandOverFailed{kRole, current(chassis).next(), "x"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active cannot serve",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::ServeFailed{kRole, current(chassis), "x"});
       },
       {"lost", "lost", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active says that it is unfit",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleUnfit{kRole, current(chassis), link::UnfitCause::Health, {}, "x"});
       },
       {"starting", "exposed", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active says that it lacks a link, for a second",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleUnfit{kRole, current(chassis), link::UnfitCause::Link, {"external"}, "x"});
         chassis.pass(1s);
       },
       {"starting", "exposed", "taking-over", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active says that it is fit",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleFit{kRole, current(chassis), link::UnfitCause::Health});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active has stood down",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::Stopped{kRole, current(chassis)});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the mirror's vote is down, settled",
       [](Chassis& chassis) {
         chassis.mirror_vote(1, Vote::Down);
         chassis.pass(1s);
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the state of the active's lease",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::LeaseState{kRole, current(chassis), 1});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the mirror grants no more",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::GrantsStopped{kRole, current(chassis)});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"guests were released",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::MirrorsReleased{0, 1});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active tells what is acknowledged",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::SyncProgress{kRole, current(chassis), link::SyncStream::Synced, {}});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active tells that nothing is acknowledged, and nothing else for the grace",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::SyncProgress{kRole, current(chassis), link::SyncStream::Stalled, {}});
         chassis.pass(chassis.config.timings.sync_grace);
       },
       {"starting", "exposed", "exposed", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"an answer of the store that nobody waits for",
       [](Chassis& chassis) {
         chassis.step(StoreDone{kRole, Term{99}});
         chassis.step(StoreFailed{kRole, Term{99}, true, "x"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active is readmitted, or not",
       [](Chassis& chassis) {
         chassis.step(ReadmitFailed{kActive, "x"});
         chassis.step(ReadmitDone{kActive});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active's ports are seen closed",
       [](Chassis& chassis) {
         chassis.step(PortsSeen{kActive, true});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"the active cannot be powered off",
       [](Chassis& chassis) {
         chassis.step(PowerFailed{kActive, "x"});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"an operator lets the standby back",
       [](Chassis& chassis) { chassis.step(OperatorLetBack{chassis.standby()}); },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"a witness is lost",
       [](Chassis& chassis) {
         chassis.step(WitnessSeen{"switch-a", Vote::Down, {}});
       },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
      {"an operator's policy: always, for a minute",
       [](Chassis& chassis) {
         chassis.step(OperatorPolicy{link::MovementPolicy::Always});
         chassis.pass(60s);
       },
       {"starting", "exposed", "protected", "taking-over", "moving", "moving", "on-host", "lost"}},
      {"nothing for a minute",
       [](Chassis& chassis) { chassis.pass(60s); },
       {"starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost"}},
  };
}

TEST(StateTable, EveryStateIsReachedAsTheTableSays) {
  for (std::size_t i = 0; i < kRoleStates; ++i) {
    const auto state = static_cast<RoleState>(i);
    EXPECT_STREQ(to_string(in_state(state).state(1)), to_string(state));
  }
}

/// Which alternatives of Event and of Report the table's rows have met: all of them.
TEST(StateTable, NoEventAndNoReportIsMissing) {
  std::set<std::size_t> events;
  std::set<std::size_t> reports;
  for (const auto& row : table()) {
    auto chassis = in_state(RoleState::Protected);
    chassis.trace.clear();
    row.act(chassis);
    for (const auto& entry : chassis.trace) {
      const auto* event = std::get_if<Event>(&entry);
      if (event == nullptr) { continue; }
      events.insert(event->index());
      if (const auto* report = std::get_if<AgentReport>(event)) { reports.insert(report->report.index()); }
    }
  }
  events.insert(Event{Started{}}.index());  // once, before anything else: every cell begins with it
  EXPECT_EQ(events.size(), std::variant_size_v<Event>);
  EXPECT_EQ(reports.size(), std::variant_size_v<link::Report>);
}

TEST(StateTable, EveryEventInEveryState) {
  for (const auto& row : table()) {
    for (std::size_t i = 0; i < kRoleStates; ++i) {
      auto chassis = in_state(static_cast<RoleState>(i));
      row.act(chassis);
      EXPECT_STREQ(to_string(chassis.state(1)), row.after[i])
          << row.event << " in " << to_string(static_cast<RoleState>(i));
      EXPECT_EQ(chassis.state(2) == RoleState::TakingOver || chassis.state(2) == RoleState::Lost, false)
          << "another role was disturbed by: " << row.event;
    }
  }
}

}  // namespace
}  // namespace understudy::control::test
