// SPDX-License-Identifier: Apache-2.0
/// Every state met with every event: what a role is afterwards, and what is done, in order, as docs/tables/role.txt
/// says. A change of the core that changes a cell fails here.
#include <gtest/gtest.h>

#include "role_rows.hpp"

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
  chassis.pass(500ms);  // until the power of a blade that was taken over is off
  for (const auto& blade : chassis.config.blades) { chassis.silent_agents.insert(blade.id); }
  chassis.power_works = true;
  return chassis;
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
  for (const auto& row : rows()) {
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

documented::Cell cell_of(const Row& row, RoleState state) {
  auto chassis = in_state(state);
  chassis.forget();
  const auto before = chassis.own(1).term;
  row.act(chassis);
  documented::Cell cell{to_string(state), to_string(chassis.state(1)), {}};
  for (const auto& effect : chassis.effects) { cell.effects.push_back(effect_words(chassis, effect, before)); }
  EXPECT_EQ(chassis.state(2) == RoleState::TakingOver || chassis.state(2) == RoleState::Lost, false)
      << "another role was disturbed by: " << row.event;
  return cell;
}

TEST(StateTable, EveryEventInEveryState) {
  std::vector<std::string> table;
  for (const auto& row : rows()) {
    std::vector<documented::Cell> cells;
    for (std::size_t i = 0; i < kRoleStates; ++i) { cells.push_back(cell_of(row, static_cast<RoleState>(i))); }
    table.push_back(documented::row_text(row.event, cells));
  }
  documented::expect_documented("role.txt", table);
}

}  // namespace
}  // namespace understudy::control::test
