// SPDX-License-Identifier: Apache-2.0
/// Every stage of a role on a blade met with every event: the stage afterwards. The table is the documentation; a
/// change of the core that changes a cell fails here. Orders come under a term above what is known, except where a row
/// says otherwise.
/// Covers: host-agent/core/blade_orders.cpp, host-agent/core/blade_answers.cpp
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <set>
#include <sstream>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

constexpr std::array kStages{RoleStage::PreparingHost, RoleStage::OpeningHost, RoleStage::ServingHost,
                             RoleStage::HandingOver,   RoleStage::ClosingHost, RoleStage::StartingGuest,
                             RoleStage::Mirroring,     RoleStage::Activating,  RoleStage::OpeningMirror,
                             RoleStage::ServingMirror, RoleStage::Moving,      RoleStage::ClosingMirror};
static_assert(kStages.size() == static_cast<std::size_t>(RoleStage::Moving) + 1);
/// Two letters for a stage, "--" where nothing is held.
constexpr std::array kWords{"ph", "oh", "sh", "ho", "ch", "sg", "mi", "ac", "om", "sm", "mo", "cm"};

std::string word_of(const Blade& blade) {
  const auto found = blade.roles().find(role);
  if (found == blade.roles().end()) { return "--"; }
  for (std::size_t i = 0; i < kStages.size(); ++i) {
    if (kStages[i] == found->second.stage) { return kWords[i]; }
  }
  return "??";
}

link::RunMirror mirror_order(Term term) { return {spec(), term, BladeId{"blade-2"}, IpAddress{}, {}}; }

/// A blade that holds the role in this stage, under term 5; none: holds nothing.
Blade in_stage(std::optional<RoleStage> stage) {
  Blade blade(BladeId{"blade-1"}, "boot");
  int now = 0;
  const auto step = [&](const Event& event) { (void)blade.step(at(++now), event); };
  if (!stage) { return blade; }
  const auto host = [&] { step(OrderArrived{link::ServeRole{spec(), Term{5}}}); };
  const auto serving = [&] {
    host();
    step(StepDone{role, Step::PrepareHost});
    step(StepDone{role, Step::OpenHostGate});
  };
  const auto mirroring = [&](Term term) {
    step(OrderArrived{mirror_order(term)});
    step(GuestHello{role, "nonce", GuestActivity::Idle});
    step(GuestPhase{role, link::MirrorPhase::Synced, "", term});
  };
  const auto activating = [&] {
    mirroring(Term{4});
    step(OrderArrived{link::Activate{role, Term{5}, link::StopEvidence::Isolated, 5000}});
  };
  const auto opening = [&] {
    activating();
    step(GuestReady{role, Term{5}, {}});
  };
  switch (*stage) {
    case RoleStage::PreparingHost:
      host();
      break;
    case RoleStage::OpeningHost:
      host();
      step(StepDone{role, Step::PrepareHost});
      break;
    case RoleStage::ServingHost:
      serving();
      break;
    case RoleStage::HandingOver:
      serving();
      step(OrderArrived{link::HandOver{role, Term{6}, 3000}});
      break;
    case RoleStage::ClosingHost:
      step(OrderArrived{link::ServeRole{spec(), Term{4}}});
      step(StepDone{role, Step::PrepareHost});
      step(OrderArrived{link::StandDown{role, Term{5}}});
      break;
    case RoleStage::StartingGuest:
      step(OrderArrived{mirror_order(Term{5})});
      break;
    case RoleStage::Mirroring:
      mirroring(Term{5});
      break;
    case RoleStage::Activating:
      activating();
      break;
    case RoleStage::OpeningMirror:
      opening();
      break;
    case RoleStage::ServingMirror:
      opening();
      step(StepDone{role, Step::OpenMirrorGate});
      break;
    case RoleStage::Moving:
      opening();
      step(StepDone{role, Step::OpenMirrorGate});
      step(OrderArrived{link::Move{role, Term{6}}});
      break;
    case RoleStage::ClosingMirror:
      mirroring(Term{4});
      step(OrderArrived{link::StandDown{role, Term{5}}});
      break;
  }
  return blade;
}

struct Row {
  std::string name;
  Event event;
};

const std::array kSteps{"PrepareHost",     "OpenHostGate",  "CloseHostGate", "StartGuest", "OpenMirrorGate",
                        "CloseMirrorGate", "StopGuest",     "AdoptHost",     "AdoptGuest", "PrepareMovement",
                        "Freeze",          "Finish",        "Commit",        "Resume",     "Rollback",
                        "Discard",         "ReleaseGuests", "UntimeGate",    "TimeGate",   "QuiesceHost",
                        "ShipLast",        "ServeOn",       "SendMarkers"};

std::vector<Row> rows() {
  const Term newer{7};
  std::vector<Row> rows{
      {"ServeRole", OrderArrived{link::ServeRole{spec(), newer}}},
      {"ServeRole, same term", OrderArrived{link::ServeRole{spec(), Term{5}}}},
      {"ServeRole, stale", OrderArrived{link::ServeRole{spec(), Term{3}}}},
      {"StandDown", OrderArrived{link::StandDown{role, newer}}},
      {"StandDown, same term", OrderArrived{link::StandDown{role, Term{5}}}},
      {"RunMirror", OrderArrived{mirror_order(newer)}},
      {"RunMirror, same term", OrderArrived{mirror_order(Term{5})}},
      {"Activate", OrderArrived{link::Activate{role, newer, link::StopEvidence::Isolated, 5000}}},
      {"Activate, stale", OrderArrived{link::Activate{role, Term{3}, link::StopEvidence::Isolated, 5000}}},
      {"Activate, no evidence", OrderArrived{link::Activate{role, newer, link::StopEvidence::None, 5000}}},
      {"Move", OrderArrived{link::Move{role, newer}}},
      {"ReleaseMirrors", OrderArrived{link::ReleaseMirrors{}}},
      {"ReleaseMirrors but this", OrderArrived{link::ReleaseMirrors{{role}}}},
      {"ArmLease", OrderArrived{link::ArmLease{role, Term{5}, 1, 2000, 2000}}},
      {"DisarmLease", OrderArrived{link::DisarmLease{role, Term{5}}}},
      {"AllowGrants", OrderArrived{link::AllowGrants{role, Term{5}}}},
      {"StopGrants", OrderArrived{link::StopGrants{role, Term{5}}}},
      {"HandOver", OrderArrived{link::HandOver{role, newer, 3000}}},
      {"GuestHello, idle", GuestHello{role, "nonce", GuestActivity::Idle}},
      {"GuestHello, other boot", GuestHello{role, "another", GuestActivity::Idle}},
      {"GuestLost", GuestLost{role, "x"}},
      {"GuestWarning", GuestWarning{role, "x"}},
      {"GuestPhase, syncing", GuestPhase{role, link::MirrorPhase::Syncing, "", {}}},
      {"GuestVote", GuestVote{role, link::Vote::Down}},
      {"GuestReady", GuestReady{role, Term{5}, {}}},
      {"GuestReady, other term", GuestReady{role, Term{4}, {}}},
      {"GuestRefused", GuestRefused{role, "x"}},
      {"GuestQuiesced", GuestQuiesced{role}},
      {"GuestNotQuiesced", GuestNotQuiesced{role, "x"}},
      {"NeedsQuiescing", ApplicationNeedsQuiescing{role}},
      {"GuestExited", GuestExited{role, "x"}},
      {"GuestsReleased", GuestsReleased{0}},
      {"ApplicationExited", ApplicationExited{role, "x"}},
      {"GrantArrived", GrantArrived{role, Term{5}, 1}},
      {"GuestStoppedGrants", GuestStoppedGrants{role, Term{5}}},
      {"HealthAnswered", HealthAnswered{role, "x"}},
      {"LinkChanged", LinkChanged{"external", false}},
      {"ApplicationUnfit", ApplicationUnfit{role, "x"}},
      {"ControlConnected", ControlConnected{}},
      {"Tick", Tick{}},
  };
  for (std::size_t i = 0; i < kSteps.size(); ++i) {
    const auto step = static_cast<Step>(i);
    rows.push_back({std::string(kSteps[i]) + " done", StepDone{role, step}});
    rows.push_back({std::string(kSteps[i]) + " failed", StepFailed{role, step, "x"}});
  }
  return rows;
}

std::string line_of(const Row& row) {
  std::string line = row.name + std::string(24 - row.name.size(), ' ');
  for (std::size_t i = 0; i <= kStages.size(); ++i) {
    auto blade = in_stage(i == 0 ? std::nullopt : std::optional(kStages[i - 1]));
    (void)blade.step(at(1000), row.event);
    line += " " + word_of(blade);
  }
  return line;
}

// clang-format off
constexpr const char* kTable = R"(
                         -- ph oh sh ho ch sg mi ac om sm mo cm
ServeRole                ph ph ph ph ph ph sg mi ac om sm mo cm
ServeRole, same term     ph ph oh sh ho ph sg mi ac om sm mo cm
ServeRole, stale         ph ph oh sh ho ch sg mi ac om sm mo cm
StandDown                -- ch ch ch ch ch cm cm cm cm cm mo cm
StandDown, same term     -- ph oh sh ho ch sg mi ac om sm mo cm
RunMirror                sg ph oh sh ho ch sg mi ac om sm mo cm
RunMirror, same term     sg ph oh sh ho ch sg mi ac om sm mo cm
Activate                 -- ph oh sh ho ch sg ac ac om sm mo cm
Activate, stale          -- ph oh sh ho ch sg mi ac om sm mo cm
Activate, no evidence    -- ph oh sh ho ch sg mi ac om sm mo cm
Move                     -- ph oh sh ho ch sg mi ac om mo mo cm
ReleaseMirrors           -- ph oh sh ho ch -- -- ac om sm mo --
ReleaseMirrors but this  -- ph oh sh ho ch sg mi ac om sm mo cm
ArmLease                 -- ph oh sh ho ch sg mi ac om sm mo cm
DisarmLease              -- ph oh sh ho ch sg mi ac om sm mo cm
AllowGrants              -- ph oh sh ho ch sg mi ac om sm mo cm
StopGrants               -- ph oh sh ho ch sg mi ac om sm mo cm
HandOver                 -- ph oh ho ho ch sg mi ac om sm mo cm
GuestHello, idle         -- ph oh sh ho ch mi mi ac om sm mo cm
GuestHello, other boot   -- ph oh sh ho ch mi mi ac om sm mo cm
GuestLost                -- ph oh sh ho ch sg mi ac om sm mo cm
GuestWarning             -- ph oh sh ho ch sg mi ac om sm mo cm
GuestPhase, syncing      -- ph oh sh ho ch sg mi ac om sm mo cm
GuestVote                -- ph oh sh ho ch sg mi ac om sm mo cm
GuestReady               -- ph oh sh ho ch sg mi om om sm mo cm
GuestReady, other term   -- ph oh sh ho ch sg mi ac om sm mo cm
GuestRefused             -- ph oh sh ho ch sg mi mi mi sm mo cm
GuestQuiesced            -- ph oh sh ho ch sg mi ac om sm mo cm
GuestNotQuiesced         -- ph oh sh ho ch sg mi ac om sm mo cm
NeedsQuiescing           -- ph oh sh ho ch sg mi ac om sm mo cm
GuestExited              -- ph oh sh ho ch sg sg sg sg sm mo cm
GuestsReleased           -- ph oh sh ho ch sg mi ac om sm mo cm
ApplicationExited        -- ph ch sh ho ch sg mi ac om sm mo cm
GrantArrived             -- ph oh sh ho ch sg mi ac om sm mo cm
GuestStoppedGrants       -- ph oh sh ho ch sg mi ac om sm mo cm
HealthAnswered           -- ph oh sh ho ch sg mi ac om sm mo cm
LinkChanged              -- ph oh sh ho ch sg mi ac om sm mo cm
ApplicationUnfit         -- ph oh sh ho ch sg mi ac om sm mo cm
ControlConnected         -- ph oh sh ho ch sg mi ac om sm mo cm
Tick                     -- ph oh sh ho ch sg mi ac om sm mo cm
PrepareHost done         -- oh oh sh ho ch sg mi ac om sm mo cm
PrepareHost failed       -- -- oh sh ho ch sg mi ac om sm mo cm
OpenHostGate done        -- ph sh sh ho ch sg mi ac om sm mo cm
OpenHostGate failed      -- ph ch sh ho ch sg mi ac om sm mo cm
CloseHostGate done       -- ph oh sh ho -- sg mi ac om sm mo cm
CloseHostGate failed     -- ph oh sh ho ch sg mi ac om sm mo cm
StartGuest done          -- ph oh sh ho ch sg mi ac om sm mo cm
StartGuest failed        -- ph oh sh ho ch sg sg sg sg sm mo cm
OpenMirrorGate done      -- ph oh sh ho ch sg mi ac sm sm mo cm
OpenMirrorGate failed    -- ph oh sh ho ch sg mi mi mi sm mo cm
CloseMirrorGate done     -- ph oh sh ho ch sg mi ac om sm mo mi
CloseMirrorGate failed   -- ph oh sh ho ch sg mi ac om sm mo cm
StopGuest done           -- ph oh sh ho ch sg mi ac om sm mo cm
StopGuest failed         -- ph oh sh ho ch sg mi ac om sm mo cm
AdoptHost done           -- ph oh sh ho ch sg mi ac om sm mo cm
AdoptHost failed         -- ph oh sh ho ch sg mi ac om sm mo cm
AdoptGuest done          -- ph oh sh ho ch sg mi ac om sm mo cm
AdoptGuest failed        -- ph oh sh ho ch sg sg sg sg sm sm cm
PrepareMovement done     -- ph oh sh ho ch sg mi ac om sm mo cm
PrepareMovement failed   -- ph oh sh ho ch sg mi ac om sm mo cm
Freeze done              -- ph oh sh ho ch sg mi ac om sm mo cm
Freeze failed            -- ph oh sh ho ch sg mi ac om sm mo cm
Finish done              -- ph oh sh ho ch sg mi ac om sm mo cm
Finish failed            -- ph oh sh ho ch sg mi ac om sm mo cm
Commit done              -- ph oh sh ho ch sg mi ac om sm mo cm
Commit failed            -- ph oh sh ho ch sg mi ac om sm mo cm
Resume done              -- ph oh sh ho ch sg mi ac om sm mo cm
Resume failed            -- ph oh sh ho ch sg mi ac om sm mo cm
Rollback done            -- ph oh sh ho ch sg mi ac om sm mo cm
Rollback failed          -- ph oh sh ho ch sg mi ac om sm mo cm
Discard done             -- ph oh sh ho ch sg mi ac om sm mo cm
Discard failed           -- ph oh sh ho ch sg mi ac om sm mo cm
ReleaseGuests done       -- ph oh sh ho ch sg mi ac om sm mo cm
ReleaseGuests failed     -- ph oh sh ho ch sg mi ac om sm mo cm
UntimeGate done          -- ph oh sh ho ch sg mi ac om sm mo cm
UntimeGate failed        -- ph oh sh ho ch sg mi ac om sm mo cm
TimeGate done            -- ph oh sh ho ch sg mi ac om sm mo cm
TimeGate failed          -- ph oh sh ho ch sg mi ac om sm mo cm
QuiesceHost done         -- ph oh sh ho ch sg mi ac om sm mo cm
QuiesceHost failed       -- ph oh sh ho ch sg mi ac om sm mo cm
ShipLast done            -- ph oh sh ho ch sg mi ac om sm mo cm
ShipLast failed          -- ph oh sh ho ch sg mi ac om sm mo cm
ServeOn done             -- ph oh sh ho ch sg mi ac om sm mo cm
ServeOn failed           -- ph oh sh ho ch sg mi ac om sm mo cm
SendMarkers done         -- ph oh sh ho ch sg mi ac om sm mo cm
SendMarkers failed       -- ph oh sh ho ch sg mi ac om sm mo cm
)";
// clang-format on

TEST(StageTable, EveryStageIsReached) {
  for (std::size_t i = 0; i < kStages.size(); ++i) { EXPECT_EQ(word_of(in_stage(kStages[i])), kWords[i]); }
}

TEST(StageTable, EveryEventInEveryStage) {
  std::istringstream table(kTable);
  std::string line;
  std::getline(table, line);
  std::getline(table, line);  // the stages' words
  std::string actual;
  for (const auto& row : rows()) {
    if (!std::getline(table, line)) { line.clear(); }
    EXPECT_EQ(line_of(row), line);
    actual += line_of(row) + "\n";
  }
  if (testing::Test::HasFailure()) { std::printf("the whole table as it is:\n%s", actual.c_str()); }
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
