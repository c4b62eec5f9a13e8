// SPDX-License-Identifier: Apache-2.0
/// Every state of a movement met with every event: the state afterwards and what is done, in order, as
/// docs/tables/movement.txt says. The guest has served under term 2, the host gets 3.
/// Covers: host-agent/core/movement.cpp
#include <gtest/gtest.h>

#include <functional>

#include "core/movement.hpp"
#include "support/documented_table.hpp"

namespace understudy::host {
namespace {

using std::chrono::milliseconds;

const RoleId kRole{"role-2"};
constexpr Term kHost{3};
constexpr Term kGuest{2};
constexpr Instant kThen{std::chrono::seconds(1)};

/// The states, and some of them twice: what they do depends on the guest, and on the application.
struct Column {
  const char* name;
  MovementState state;
  bool guest_dead = false;
  bool must_quiesce = false;
  bool quiesced = false;      ///< the guest has said so, and the markers are not back
  bool markers_back = false;  ///< and the guest has said nothing
};
constexpr std::array kColumns{
    Column{"idle", MovementState::Idle},
    Column{"preparing", MovementState::Preparing},
    Column{"preparing (guest dead)", MovementState::Preparing, true},
    Column{"blocking", MovementState::Blocking},
    Column{"blocking (guest dead)", MovementState::Blocking, true},
    Column{"quiescing", MovementState::Quiescing},
    Column{"quiescing an arena", MovementState::Quiescing, false, true},
    Column{"quiescing (guest quiesced)", MovementState::Quiescing, false, false, true},
    Column{"quiescing (markers back)", MovementState::Quiescing, false, false, false, true},
    Column{"freezing", MovementState::Freezing},
    Column{"finishing", MovementState::Finishing},
    Column{"finishing (guest dead)", MovementState::Finishing, true},
    Column{"committing", MovementState::Committing},
    Column{"resuming", MovementState::Resuming},
    Column{"rolling back", MovementState::RollingBack},
    Column{"rolling back (guest dead)", MovementState::RollingBack, true},
    Column{"done", MovementState::Done},
    Column{"failed", MovementState::Failed},
};
constexpr std::array kStates{"idle",       "preparing", "blocking",     "quiescing", "freezing", "finishing",
                             "committing", "resuming",  "rolling back", "done",      "failed"};
static_assert(kStates.size() == static_cast<std::size_t>(MovementState::Failed) + 1);

Movement in_column(const Column& column) {
  if (column.state == MovementState::Idle) { return {}; }
  Movement movement(kRole, kHost, kGuest, {}, column.guest_dead);
  if (column.must_quiesce) { movement.must_quiesce(); }
  (void)movement.start(kThen);
  if (column.state == MovementState::RollingBack || column.state == MovementState::Failed) {
    (void)movement.on_step_failed(kThen, Step::PrepareMovement, "x");
    if (column.state == MovementState::Failed) { (void)movement.on_step_done(kThen, Step::Rollback); }
    return movement;
  }
  for (const Step step :
       {Step::PrepareMovement, Step::CloseMirrorGate, Step::Freeze, Step::Finish, Step::Commit, Step::Resume}) {
    if (movement.state() == column.state) { break; }
    (void)movement.on_step_done(kThen, step);
    if (movement.state() == column.state) { break; }
    if (movement.state() == MovementState::Quiescing) {
      (void)movement.on_guest_quiesced(kThen);
      (void)movement.on_step_done(kThen, Step::SendMarkers);
    }
  }
  if (column.quiesced) { (void)movement.on_guest_quiesced(kThen); }
  if (column.markers_back) { (void)movement.on_step_done(kThen, Step::SendMarkers); }
  return movement;
}

struct Row {
  std::string name;
  std::function<Effects(Movement&)> act;
};

constexpr std::array kOwnSteps{Step::PrepareMovement, Step::CloseMirrorGate, Step::SendMarkers,
                               Step::Freeze,          Step::Finish,          Step::Commit,
                               Step::Resume,          Step::Rollback,        Step::Discard};
constexpr std::array kStepWords{
    "prepare", "close the tap's gate", "send markers", "freeze", "finish", "commit", "resume", "rollback", "discard"};

std::vector<Row> rows() {
  std::vector<Row> rows{
      {"the guest is quiesced", [](Movement& one) { return one.on_guest_quiesced(kThen); }},
      {"the guest cannot be quiesced", [](Movement& one) { return one.on_guest_not_quiesced(kThen, "x"); }},
      {"the guest exited", [](Movement& one) { return one.on_guest_exited(kThen, "x"); }},
      {"the application on the host ended", [](Movement& one) { return one.on_application_exited(kThen, "x"); }},
      {"the application ended, then resume is done",
       [](Movement& one) {
         auto effects = one.on_application_exited(kThen, "x");
         const auto then = one.on_step_done(kThen, Step::Resume);
         effects.insert(effects.end(), then.begin(), then.end());
         return effects;
       }},
      {"nothing, for a millisecond", [](Movement& one) { return one.on_tick(kThen + milliseconds(1)); }},
      {"nothing, until a guest must be quiesced", [](Movement& one) { return one.on_tick(kThen + milliseconds(51)); }},
      {"nothing, until an arena must be quiesced",
       [](Movement& one) { return one.on_tick(kThen + milliseconds(1001)); }},
      {"nothing, until the handover must be done",
       [](Movement& one) { return one.on_tick(kThen + milliseconds(3001)); }},
      {"nothing, for an hour", [](Movement& one) { return one.on_tick(kThen + std::chrono::hours(1)); }},
      {"another step is done", [](Movement& one) { return one.on_step_done(kThen, Step::StartGuest); }},
      {"another step failed", [](Movement& one) { return one.on_step_failed(kThen, Step::StartGuest, "x"); }},
  };
  for (std::size_t i = 0; i < kOwnSteps.size(); ++i) {
    const auto step = kOwnSteps.at(i);
    const std::string word = kStepWords.at(i);
    rows.push_back({word + " done", [step](Movement& one) { return one.on_step_done(kThen, step); }});
    rows.push_back({word + " failed", [step](Movement& one) { return one.on_step_failed(kThen, step, "x"); }});
  }
  rows.push_back({"resume or rollback failed five times", [](Movement& one) {
                    Effects effects;
                    const auto step = one.state() == MovementState::Resuming ? Step::Resume : Step::Rollback;
                    for (int i = 0; i < 5; ++i) { effects = one.on_step_failed(kThen, step, "x"); }
                    return effects;  // of the last
                  }});
  rows.push_back({"resume or rollback failed five times, then a second passes", [](Movement& one) {
                    const auto step = one.state() == MovementState::Resuming ? Step::Resume : Step::Rollback;
                    for (int i = 0; i < 5; ++i) { (void)one.on_step_failed(kThen, step, "x"); }
                    const auto next = one.next_deadline();
                    return one.is_running() && next ? one.on_tick(*next) : Effects{};
                  }});
  return rows;
}

std::string words_of(const Effect& effect) {
  if (const auto* begun = std::get_if<Do>(&effect)) {
    const auto* found = std::find(kOwnSteps.begin(), kOwnSteps.end(), begun->step);
    const std::string word = found == kOwnSteps.end()
                                 ? "kill the guest"
                                 : kStepWords.at(static_cast<std::size_t>(found - kOwnSteps.begin()));
    EXPECT_TRUE(found != kOwnSteps.end() || begun->step == Step::StopGuest);
    return word + ", " + std::to_string(begun->term.value);
  }
  if (const auto* told = std::get_if<TellGuest>(&effect)) {
    return std::string("tell the guest to ") + (told->order == GuestOrder::Quiesce ? "quiesce, " : "resume, ") +
           std::to_string(told->term.value);
  }
  if (const auto* report = std::get_if<SendReport>(&effect)) {
    if (std::holds_alternative<link::MirrorWarning>(report->report)) { return "report warning"; }
    const auto* moved = std::get_if<link::Moved>(&report->report);
    const auto term = moved != nullptr ? moved->term : std::get<link::MoveFailed>(report->report).term;
    return (moved != nullptr ? "report moved, " : "report move failed, ") + std::to_string(term.value);
  }
  return std::get<Note>(effect).severity == Severity::Alarm ? "alarm" : "info";
}

documented::Cell cell_of(const Row& row, const Column& column) {
  auto movement = in_column(column);
  documented::Cell cell{column.name, {}, {}};
  const auto before = movement.state();
  for (const auto& effect : row.act(movement)) { cell.effects.push_back(words_of(effect)); }
  cell.after = movement.state() == before ? cell.state : kStates.at(static_cast<std::size_t>(movement.state()));
  return cell;
}

TEST(MovementTable, EveryStateIsReached) {
  for (const auto& column : kColumns) { EXPECT_EQ(in_column(column).state(), column.state) << column.name; }
}

TEST(MovementTable, EveryEventInEveryState) {
  std::vector<std::string> table;
  for (const auto& row : rows()) {
    std::vector<documented::Cell> cells;
    for (const auto& column : kColumns) { cells.push_back(cell_of(row, column)); }
    table.push_back(documented::row_text(row.name, cells));
  }
  documented::expect_documented("movement.txt", table);
}

/// The invariants of movement.hpp that a single event could break, in every cell.
TEST(MovementTable, NoCellBreaksAnInvariant) {
  for (const auto& row : rows()) {
    for (const auto& column : kColumns) {
      const auto cell = cell_of(row, column);
      for (const auto& effect : cell.effects) {
        const auto where = row.name + " in " + cell.state + ": " + effect;
        const bool back = effect.rfind("rollback", 0) == 0 || effect.rfind("discard", 0) == 0;
        if (back) { EXPECT_NE(column.state, MovementState::Resuming) << "I3, " << where; }
        if (effect == "resume, 3") { EXPECT_GE(column.state, MovementState::Committing) << "I1, " << where; }
        if (effect == "rollback, 3") { EXPECT_FALSE(column.guest_dead) << "I8, " << where; }
        if (effect == "report moved, 3") { EXPECT_EQ(row.name, "resume done") << "I7, " << where; }
        if (effect == "freeze, 3" && column.must_quiesce) {
          EXPECT_EQ(row.name, "the guest is quiesced") << "I5, " << where;
        }
      }
    }
  }
}

}  // namespace
}  // namespace understudy::host
