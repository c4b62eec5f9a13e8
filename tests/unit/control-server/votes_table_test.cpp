// SPDX-License-Identifier: Apache-2.0
/// docs/VOTES.md, row by row: every combination of votes has exactly one row, and what is decided is what it says.
/// Covers: control-server/core/votes.cpp, control-server/core/role_failure.cpp
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

constexpr Instant kThen{1h};
constexpr Duration kSettle = 300ms;

using Row = std::vector<std::string>;

/// The rows of the table whose first line begins with these columns.
std::vector<Row> table_of(const std::string& first_columns) {
  std::ifstream file(VOTES_TABLE);
  std::vector<Row> rows;
  bool in_it = false;
  for (std::string line; std::getline(file, line);) {
    const bool heading = line.rfind("| " + first_columns, 0) == 0;
    if (heading || line.rfind("|", 0) != 0) {
      in_it = heading;
      continue;
    }
    if (!in_it || line.rfind("|---", 0) == 0) { continue; }
    Row row;
    std::istringstream cells(line.substr(2));
    for (std::string cell; std::getline(cells, cell, '|');) {
      const auto begin = cell.find_first_not_of(' ');
      if (begin != std::string::npos) { row.push_back(cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin)); }
    }
    rows.push_back(row);
  }
  return rows;
}

std::string text(Verdict verdict) {
  switch (verdict) {
    case Verdict::Healthy:
      return "healthy";
    case Verdict::Unsettled:
      return "unsettled";
    case Verdict::Dead:
      return "dead";
    case Verdict::ControlBlind:
      return "control blind";
    case Verdict::MirrorBlind:
      return "mirror blind";
    case Verdict::OneObserver:
      return "one observer";
    case Verdict::ObserversFailed:
      return "observers failed";
    case Verdict::BfdBlocked:
      return "bfd blocked";
    case Verdict::CutOff:
      return "cut off";
  }
  return "";
}

/// A bench of one witness that says this about a silence since kThen, at any time after it.
WitnessBench bench(const std::string& witnesses) {
  WitnessBench bench{{}, 100ms, 3s};
  if (witnesses == "awaited") { bench.voices.push_back({Vote::Up, {}, std::nullopt, 75ms}); }
  if (witnesses == "lost") { bench.voices.push_back({Vote::Down, kThen, std::nullopt, 75ms}); }
  if (witnesses == "reached") { bench.voices.push_back({Vote::Up, {}, kThen - 10s, 10ms}); }
  return bench;
}

TEST(VotesTable, EveryCombinationHasOneRowAndItsVerdict) {
  const auto rows = table_of("own | mirror");
  const std::map<std::string, Surroundings> others = {{"heard", {3, false, true}},
                                                      {"back", {3, false, false, kThen + 3s}},
                                                      {"nobody", {3, false, false}},
                                                      {"all", {3, true, true}}};
  std::set<const Row*> used;
  for (const auto own : {Vote::Up, Vote::Down, Vote::Unknown}) {
    for (const auto mirror : {Vote::Up, Vote::Down, Vote::Unknown}) {
      for (const auto& [other, surroundings] : others) {
        for (const std::string witnesses : {"none", "awaited", "lost", "reached"}) {
          const Row wanted = {link::to_string(own), link::to_string(mirror), other, witnesses};
          std::vector<const Row*> fitting;
          for (const auto& row : rows) {
            ASSERT_EQ(row.size(), 6U);
            bool fits = true;
            for (std::size_t i = 0; i < 4; ++i) { fits = fits && (row[i] == "any" || row[i] == wanted[i]); }
            if (fits) { fitting.push_back(&row); }
          }
          const auto name = wanted[0] + " " + wanted[1] + " " + wanted[2] + " " + wanted[3];
          ASSERT_EQ(fitting.size(), 1U) << name;
          used.insert(fitting[0]);
          auto around = surroundings;
          around.bench = bench(witnesses);
          const auto verdict = [&](Duration after) {
            return text(judge({own, kThen}, {mirror, kThen}, around, kSettle, kThen + after).verdict);
          };
          EXPECT_EQ(verdict(0ms), (*fitting[0])[4]) << name;
          EXPECT_EQ(verdict(kSettle), (*fitting[0])[5]) << name;
        }
      }
    }
  }
  EXPECT_EQ(used.size(), rows.size()) << "a row that no combination needs";
}

/// A chassis of one active beside the one in question, and a witness.
Chassis chassis_with(const std::string& mirror) {
  auto group = config(2);
  WitnessConfig witness;
  witness.name = "switch-a";
  witness.interval = 10ms;
  group.witnesses = {witness};
  Chassis chassis(group);
  chassis.bring_up();
  chassis.step(WitnessSeen{"switch-a", Vote::Up, chassis.now});
  chassis.pass(10s);
  if (mirror == "grace") { chassis.mirror_state(1, MirrorPhase::Connected); }
  if (mirror == "syncing") { chassis.mirror_state(1, MirrorPhase::Syncing); }
  if (mirror == "failed") { chassis.mirror_state(1, MirrorPhase::Failed); }
  return chassis;
}

void say(Chassis& chassis, const std::string& word) {
  const BladeId blade = Chassis::blade_id(1);
  if (word == "dead") { chassis.silence(1); }
  if (word == "bfd blocked") {
    chassis.own_vote(blade, Vote::Down);
    chassis.pass(200ms);
    chassis.report(blade, link::SyncProgress{RoleId{"role-1"}, Term{1}, link::SyncStream::Synced, {}});
    chassis.mirror_vote(1, Vote::Down);
  }
  if (word == "application failed") { chassis.report(blade, link::ApplicationFailed{RoleId{"role-1"}, Term{1}, "x"}); }
  if (word == "control blind" || word == "one observer") { chassis.own_vote(blade, Vote::Down); }
  if (word == "mirror blind") { chassis.mirror_vote(1, Vote::Down); }
  if (word == "cut off") {
    chassis.step(WitnessSeen{"switch-a", Vote::Down, {}});
    chassis.silence(1);
  }
  if (word == "observers failed") {  // both actives at the same instant, and the witness has failed long ago
    chassis.step(WitnessSeen{"switch-a", Vote::Down, {}});
    chassis.pass(5s);
    for (const unsigned active : {1U, 2U}) { chassis.own_vote(Chassis::blade_id(active), Vote::Down); }
    for (const unsigned active : {1U, 2U}) { chassis.mirror_vote(active, Vote::Down); }
  }
}

TEST(VotesTable, WhatFollowsForTheRole) {
  const auto rows = table_of("word | mirror");
  ASSERT_FALSE(rows.empty());
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), 4U);
    auto chassis = chassis_with(row[1]);
    if (row[2] == "away") { chassis.step(AgentLost{chassis.standby()}); }
    say(chassis, row[0]);
    chassis.pass(1s);
    EXPECT_EQ(to_string(chassis.state(1)), row[3])
        << row[0] << ", " << row[1] << ", " << row[2] << ": " << chassis.status(1).detail;
    EXPECT_EQ(chassis.all<Isolate>().empty(), row[3] != "on-mirror") << row[0] << ", " << row[1];
  }
}

}  // namespace
}  // namespace understudy::control::test
