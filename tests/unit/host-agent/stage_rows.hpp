// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The events that the tables of a role on a blade meet in each stage (docs/tables/blade*.txt), how a stage is reached,
/// and the words for what is done then.

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "blade_sample.hpp"
#include "support/documented_table.hpp"

namespace understudy::host {

inline constexpr std::array kStages{RoleStage::PreparingHost, RoleStage::OpeningHost, RoleStage::ServingHost,
                                    RoleStage::HandingOver,   RoleStage::ClosingHost, RoleStage::StartingGuest,
                                    RoleStage::Mirroring,     RoleStage::Activating,  RoleStage::OpeningMirror,
                                    RoleStage::ServingMirror, RoleStage::Moving,      RoleStage::ClosingMirror};
static_assert(kStages.size() == static_cast<std::size_t>(RoleStage::Moving) + 1);
inline constexpr std::array kWords{"preparing-host", "opening-host",   "serving-host", "handing-over",
                                   "closing-host",   "starting-guest", "mirroring",    "activating",
                                   "opening-mirror", "serving-mirror", "moving",       "closing-mirror"};

inline std::string word_of(const Blade& blade) {
  const auto found = blade.roles().find(role);
  if (found == blade.roles().end()) { return "nothing held"; }
  for (std::size_t i = 0; i < kStages.size(); ++i) {
    if (kStages[i] == found->second.stage) { return kWords[i]; }
  }
  return "??";
}

inline link::RunMirror mirror_order(Term term) { return {spec(), term, BladeId{"blade-2"}, IpAddress{}, {}}; }

/// A blade that holds the role in this stage, under term 5; none: holds nothing.
inline Blade in_stage(std::optional<RoleStage> stage) {
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
  Instant at{std::chrono::seconds(1)};
};

inline const std::array kGuestOrders{"Configure", "Activate",    "Announce",  "Quiesce",
                                     "Resume",    "AllowGrants", "StopGrants"};
inline const std::array kSteps{"PrepareHost",     "OpenHostGate",  "CloseHostGate", "StartGuest", "OpenMirrorGate",
                               "CloseMirrorGate", "StopGuest",     "AdoptHost",     "AdoptGuest", "PrepareMovement",
                               "Freeze",          "Finish",        "Commit",        "Resume",     "Rollback",
                               "Discard",         "ReleaseGuests", "UntimeGate",    "TimeGate",   "QuiesceHost",
                               "ShipLast",        "ServeOn",       "SendMarkers"};

inline std::vector<Row> rows() {
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
      {"GuestHello, serving", GuestHello{role, "nonce", GuestActivity::Serving}},
      {"GuestLost", GuestLost{role, "x"}},
      {"GuestWarning", GuestWarning{role, "x"}},
      {"GuestPhase, syncing", GuestPhase{role, link::MirrorPhase::Syncing, "", {}}},
      {"GuestPhase, synced", GuestPhase{role, link::MirrorPhase::Synced, "", Term{5}}},
      {"GuestPhase, failed", GuestPhase{role, link::MirrorPhase::Failed, "x", {}}},
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
      {"Tick, past every deadline", Tick{}, Instant{std::chrono::hours(1)}},
  };
  for (std::size_t i = 0; i < kSteps.size(); ++i) {
    const auto step = static_cast<Step>(i);
    rows.push_back({std::string(kSteps.at(i)) + " done", StepDone{role, step}});
    rows.push_back({std::string(kSteps.at(i)) + " failed", StepFailed{role, step, "x"}});
  }
  return rows;
}

inline constexpr std::array kVotes{"unknown", "up", "down"};
inline constexpr std::array kPhases{"starting", "connected", "syncing", "synced", "failed", "stopped"};

inline std::string words_of(const link::Report& report) {
  return std::visit(
      [](const auto& one) {
        std::string text = "report " + documented::type_word<std::decay_t<decltype(one)>>();
        if constexpr (requires { one.vote; }) {
          text += std::string(" ") + kVotes.at(static_cast<std::size_t>(one.vote));
        }
        if constexpr (requires { one.boot_nonce; }) {
          text += std::string(" ") + kPhases.at(static_cast<std::size_t>(one.phase)) + (one.whole ? " whole" : "");
        }
        if constexpr (requires { one.term; }) { text += " " + std::to_string(one.term.value); }
        if constexpr (requires { one.id; }) { text += one.id == 0 ? ", untimed" : ", timed"; }
        return text;
      },
      report);
}

inline std::string words_of(const Effect& effect) {
  const auto under = [](const auto& one) { return " " + std::to_string(one.term.value); };
  if (const auto* begun = std::get_if<Do>(&effect)) {
    return std::string(kSteps.at(static_cast<std::size_t>(begun->step))) + under(*begun);
  }
  if (const auto* told = std::get_if<TellGuest>(&effect)) {
    return std::string("tell guest ") + kGuestOrders.at(static_cast<std::size_t>(told->order)) + under(*told);
  }
  if (const auto* ask = std::get_if<AskGrant>(&effect)) { return "ask for a grant" + under(*ask); }
  if (const auto* gate = std::get_if<TimeGate>(&effect)) {
    return (gate->how == TimedHow::Open ? "open the gate for a time" : "refresh the gate") + under(*gate);
  }
  if (const auto* report = std::get_if<SendReport>(&effect)) { return words_of(report->report); }
  if (const auto* note = std::get_if<Note>(&effect)) { return note->severity == Severity::Alarm ? "alarm" : "info"; }
  if (std::holds_alternative<HoldSpec>(effect)) { return "hold bundle"; }
  if (std::holds_alternative<HoldMirror>(effect)) { return "hold mirror's order"; }
  if (std::holds_alternative<Remember>(effect)) { return "remember"; }
  return "check health";
}

}  // namespace understudy::host
