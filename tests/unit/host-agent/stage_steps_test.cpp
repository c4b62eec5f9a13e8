// SPDX-License-Identifier: Apache-2.0
/// The steps inside a role's stages on a blade: a lease from its order to its end, an activation and a handing over
/// whose gate closes, a movement from step to step. Each meets every event of the stages' table and those that only a
/// step waits for, as docs/tables/blade_steps.txt says; what must hold in each cell is written down here by hand.
/// Covers: host-agent/core/blade_lease.cpp, host-agent/core/blade_answers.cpp, host-agent/core/blade_hand_over.cpp
#include <gtest/gtest.h>

#include "stage_rows.hpp"

namespace understudy::host {
namespace {

/// A blade on its way to a step, with the numbers of the grants that it has asked for.
struct Way {
  Blade blade;
  std::vector<std::uint64_t> asked = {};
  int now = 100;

  Way& then(const Event& event, int ms = 10) {
    now += ms;
    for (const auto& effect : blade.step(at(now), event)) {
      if (const auto* ask = std::get_if<AskGrant>(&effect)) { asked.push_back(ask->nonce); }
    }
    return *this;
  }
  Way& then_done(Step step) { return then(StepDone{role, step}); }
  Way& granted() { return then(GrantArrived{role, Term{5}, asked.back()}); }
};

struct InnerStep {
  const char* name;
  std::function<Way()> reach;
};

Way at_stage(RoleStage stage) { return {in_stage(stage)}; }
Way armed() {
  return at_stage(RoleStage::ServingHost).then(OrderArrived{link::ArmLease{role, Term{5}, 1, 2000, 2000}});
}
Way leased() { return armed().granted().then_done(Step::TimeGate); }
/// It was refreshed too late, and has asked once more since.
Way ran_out() {
  return leased().then(Tick{}, 300).granted().then(StepFailed{role, Step::TimeGate, "x"}).then(Tick{}, 300);
}
Way quiescing() {
  return at_stage(RoleStage::Moving).then_done(Step::PrepareMovement).then_done(Step::CloseMirrorGate);
}
Way freezing() { return quiescing().then(GuestQuiesced{role}).then_done(Step::SendMarkers); }

std::vector<InnerStep> steps() {
  return {
      {"a grant is asked for", armed},
      {"the gate is being timed", [] { return armed().granted(); }},
      {"leased", leased},
      {"the lease has run out", ran_out},
      {"the lease is being let go",
       [] {
         return leased().then(OrderArrived{link::DisarmLease{role, Term{5}}});
       }},
      {"closing behind a handing over",
       [] { return at_stage(RoleStage::HandingOver).then_done(Step::QuiesceHost).then_done(Step::ShipLast); }},
      {"closing behind a failed activation",
       [] {
         return at_stage(RoleStage::Activating).then(GuestRefused{role, "x"});
       }},
      {"moving (blocking)", [] { return at_stage(RoleStage::Moving).then_done(Step::PrepareMovement); }},
      {"moving (quiescing)", quiescing},
      {"moving (freezing)", freezing},
      {"moving (finishing)", [] { return freezing().then_done(Step::Freeze); }},
      {"moving (committing)", [] { return freezing().then_done(Step::Freeze).then_done(Step::Finish); }},
      {"moving (rolling back)",
       [] {
         return freezing().then(StepFailed{role, Step::Freeze, "x"});
       }},
  };
}

struct StepRow {
  std::string name;
  std::function<Effects(Way&)> act;
};

std::vector<StepRow> step_rows() {
  std::vector<StepRow> all;
  for (const auto& row : rows()) {
    all.push_back({row.name, [row](Way& way) { return way.blade.step(std::max(row.at, at(way.now)), row.event); }});
  }
  const auto grant = [](bool last) {
    return [last](Way& way) {
      const auto nonce = way.asked.empty() ? 0 : last ? way.asked.back() : way.asked.front();
      return way.blade.step(at(way.now + 1), GrantArrived{role, Term{5}, nonce});
    };
  };
  all.push_back({"GrantArrived, of the last request", grant(true)});
  all.push_back({"GrantArrived, of the first request", grant(false)});
  all.push_back({"GrantArrived, long after its request", [](Way& way) {
                   const auto nonce = way.asked.empty() ? 0 : way.asked.back();
                   return way.blade.step(at(way.now + 2001), GrantArrived{role, Term{5}, nonce});
                 }});
  all.push_back(
      {"Tick, when a grant is asked for again", [](Way& way) { return way.blade.step(at(way.now + 260), Tick{}); }});
  all.push_back({"Tick, when no grant came for half a lease",
                 [](Way& way) { return way.blade.step(at(way.now + 1100), Tick{}); }});
  return all;
}

documented::Cell cell_of(const StepRow& row, const InnerStep& step) {
  auto way = step.reach();
  const auto before = word_of(way.blade);
  documented::Cell cell{step.name, step.name, {}};
  for (const auto& effect : row.act(way)) { cell.effects.push_back(words_of(effect)); }
  if (word_of(way.blade) != before) { cell.after = word_of(way.blade); }
  return cell;
}

TEST(StageStepTable, EveryStepIsReached) {
  const std::vector<std::string> stages{"serving-host", "serving-host", "serving-host", "serving-host", "serving-host",
                                        "closing-host", "mirroring",    "moving",       "moving",       "moving",
                                        "moving",       "moving",       "moving"};
  std::vector<std::string> found;
  for (const auto& step : steps()) { found.push_back(word_of(step.reach().blade)); }
  EXPECT_EQ(found, stages);
}

TEST(StageStepTable, EveryEventInEveryStep) {
  std::vector<std::string> table;
  for (const auto& row : step_rows()) {
    std::vector<documented::Cell> cells;
    for (const auto& step : steps()) { cells.push_back(cell_of(row, step)); }
    table.push_back(documented::row_text(row.name, cells));
  }
  documented::expect_documented("blade_steps.txt", table);
}

/// Rule 15: its region is as still as a frozen one's, and nobody is there who could answer.
TEST(StageStepTable, AMovementBehindADeadGuestAsksNothingOfIt) {
  auto way = at_stage(RoleStage::ServingMirror);
  way.then(GuestExited{role, "x"}).then(OrderArrived{link::Move{role, Term{6}}}).then_done(Step::PrepareMovement);
  const auto effects = way.blade.step(at(way.now + 1), StepDone{role, Step::CloseMirrorGate});
  EXPECT_TRUE(does(effects, Step::Finish));
  for (const auto& effect : effects) { EXPECT_FALSE(std::holds_alternative<TellGuest>(effect)); }
}

/// Which answer leads a movement on from a step to the next: nothing else does.
const std::map<std::string, std::pair<std::string, std::set<std::string>>> kLeadsOn{
    {"moving (blocking)", {"SendMarkers 6", {"CloseMirrorGate done"}}},
    {"moving (quiescing)",
     {"Freeze 6",
      {"GuestNotQuiesced", "Tick", "Tick, past every deadline", "Tick, when a grant is asked for again",
       "Tick, when no grant came for half a lease"}}},
    {"moving (freezing)", {"Finish 6", {"Freeze done", "GuestExited"}}},
    {"moving (finishing)", {"Commit 6", {"Finish done"}}},
    {"moving (committing)", {"Resume 6", {"Commit done"}}},
};

TEST(StageStepTable, NoCellBreaksAnInvariant) {
  for (const auto& row : step_rows()) {
    for (const auto& step : steps()) {
      const auto cell = cell_of(row, step);
      const std::string name = step.name;
      const auto where = row.name + ", in: " + name;
      const auto does = [&](const std::string& words) {
        return std::any_of(cell.effects.begin(), cell.effects.end(),
                           [&](const auto& effect) { return effect.rfind(words, 0) == 0; });
      };
      if (does("open the gate for a time")) {
        EXPECT_TRUE(row.name == "GrantArrived, of the last request" || row.name == "GrantArrived, of the first request")
            << where;
        EXPECT_TRUE(name == "a grant is asked for" || name == "the lease has run out") << where;
        EXPECT_FALSE(name == "the lease has run out" && row.name == "GrantArrived, of the first request")
            << "a grant of before it closed opens it; " << where;
      }
      if (does("refresh the gate")) { EXPECT_EQ(name, "leased") << where; }
      EXPECT_FALSE(does("OpenHostGate")) << "no gate opens by any of these; " << where;
      EXPECT_FALSE(does("OpenMirrorGate")) << "no gate opens by any of these; " << where;
      if (does("report HandedOver")) { EXPECT_EQ(where, "CloseHostGate done, in: closing behind a handing over"); }
      if (does("report ActivateFailed 5")) {
        EXPECT_EQ(where, "CloseMirrorGate done, in: closing behind a failed activation");
      }
      if (const auto on = kLeadsOn.find(name); on != kLeadsOn.end()) {
        EXPECT_EQ(does(on->second.first), on->second.second.contains(row.name)) << where;
      }
      if (name == "moving (rolling back)") {
        for (const auto* forward : {"Freeze", "Finish", "Commit", "Resume"}) { EXPECT_FALSE(does(forward)) << where; }
      }
      if (name == "moving (committing)") {  // the commit's record may be there: only its own answer decides
        EXPECT_EQ(does("Rollback"), row.name == "Commit failed" || row.name == "AdoptGuest done") << where;
      }
    }
  }
}

}  // namespace
}  // namespace understudy::host
