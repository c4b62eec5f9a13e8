// SPDX-License-Identifier: Apache-2.0
/// Every stage of a role on a blade met with every event: the stage afterwards and what is done, in order, as
/// docs/tables/blade.txt says. A change of the core that changes a cell fails here. Orders come under term 7, above
/// what is known, except where a row says otherwise. Covers: host-agent/core/blade_orders.cpp,
/// host-agent/core/blade_answers.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "stage_rows.hpp"

namespace understudy::host {
namespace {

/// The stages, and some of them twice: what they do depends on how far they are.
struct Column {
  std::string name;
  std::optional<RoleStage> stage;
  std::vector<Event> then = {};
};
std::vector<Column> columns() {
  std::vector<Column> all{{"nothing held", std::nullopt}};
  for (std::size_t i = 0; i < kStages.size(); ++i) {
    all.push_back({kWords.at(i), kStages.at(i)});
    if (kStages.at(i) == RoleStage::HandingOver) {
      all.push_back({"handing-over (shipping)", kStages.at(i), {StepDone{role, Step::QuiesceHost}}});
    } else if (kStages.at(i) == RoleStage::Mirroring) {
      all.push_back({"mirroring (unfinished)", kStages.at(i), {GuestPhase{role, link::MirrorPhase::Syncing, "", {}}}});
    } else if (kStages.at(i) == RoleStage::Moving) {
      all.push_back({"moving (committed)",
                     kStages.at(i),
                     {StepDone{role, Step::PrepareMovement}, StepDone{role, Step::CloseMirrorGate}, GuestQuiesced{role},
                      StepDone{role, Step::SendMarkers}, StepDone{role, Step::Freeze}, StepDone{role, Step::Finish},
                      StepDone{role, Step::Commit}}});
    }
  }
  return all;
}

documented::Cell cell_of(const Row& row, const Column& column) {
  auto blade = in_stage(column.stage);
  for (const auto& event : column.then) { (void)blade.step(at(100), event); }
  const auto before = word_of(blade);
  documented::Cell cell{column.name, {}, {}};
  for (const auto& effect : blade.step(row.at, row.event)) { cell.effects.push_back(words_of(effect)); }
  const auto after = word_of(blade);
  cell.after = after == before ? column.name : after;
  return cell;
}

TEST(StageTable, EveryStageIsReached) {
  for (std::size_t i = 0; i < kStages.size(); ++i) { EXPECT_EQ(word_of(in_stage(kStages[i])), kWords[i]); }
}

TEST(StageTable, EveryEventInEveryStage) {
  std::vector<std::string> table;
  for (const auto& row : rows()) {
    std::vector<documented::Cell> cells;
    for (const auto& column : columns()) { cells.push_back(cell_of(row, column)); }
    table.push_back(documented::row_text(row.name, cells));
  }
  documented::expect_documented("blade.txt", table);
}

/// The invariants of blade.hpp that a single event could break, in every cell.
TEST(StageTable, NoCellBreaksAnInvariant) {
  for (const auto& row : rows()) {
    for (const auto& column : columns()) {
      const auto cell = cell_of(row, column);
      const auto where = row.name + " in " + cell.state;
      const auto first = [&](const std::string& word) {
        return std::find_if(cell.effects.begin(), cell.effects.end(),
                            [&](const auto& effect) { return effect.rfind(word, 0) == 0; }) -
               cell.effects.begin();
      };
      const auto none = std::ssize(cell.effects);
      if (column.name == "mirroring (unfinished)") { EXPECT_NE(cell.after, "activating") << "I4, " << where; }
      if (first("OpenMirrorGate") != none) { EXPECT_EQ(row.name, "GuestReady") << "I3, " << where; }
      if (first("tell guest Activate") != none) {
        EXPECT_TRUE(row.name == "Activate" || column.name == "activating") << "I4, " << where;
      }
      if (first("report Serving") != none) { EXPECT_EQ(cell.after, "serving-host") << "I5, " << where; }
      if (row.name.find("stale") != std::string::npos && column.stage) {
        EXPECT_EQ(cell.after, cell.state) << "I2, " << where;
      }
      for (const auto* begun : {"PrepareHost", "StartGuest", "PrepareMovement"}) {
        if (first(begun) == none) { continue; }
        EXPECT_LT(first("remember"), first(begun)) << "begun before it is written down, " << where;
      }
    }
  }
}

TEST(StageTable, NoEventNoOrderAndNoStepIsMissing) {
  std::set<std::size_t> events;
  std::set<std::size_t> orders;
  for (const auto& row : rows()) {
    events.insert(row.event.index());
    if (const auto* order = std::get_if<OrderArrived>(&row.event)) { orders.insert(order->order.index()); }
  }
  EXPECT_EQ(events.size(), std::variant_size_v<Event>);
  EXPECT_EQ(orders.size(), std::variant_size_v<link::Order>);
  EXPECT_EQ(kSteps.size(), static_cast<std::size_t>(Step::SendMarkers) + 1);
}

}  // namespace
}  // namespace understudy::host
