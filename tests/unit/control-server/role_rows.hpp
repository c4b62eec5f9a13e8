// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The events that the tables of a role meet in each of its states (docs/tables/role*.txt), and the words for what is
/// done then.

#include "chassis.hpp"
#include "support/documented_table.hpp"

namespace understudy::control::test {

struct Row {
  const char* event;
  std::function<void(Chassis&)> act;
};

inline const RoleId kRole{"role-1"};
inline const BladeId kActive{"blade-1"};

inline std::vector<Row> rows() {
  const auto from = [](const char* blade, link::Report report) {
    return [blade = BladeId{blade}, report = std::move(report)](Chassis& chassis) { chassis.report(blade, report); };
  };
  const auto current = [](const Chassis& chassis) { return chassis.own(1).term; };
  return {
      {"own vote down, settled",
       [](Chassis& chassis) {
         chassis.own_vote(kActive, Vote::Down);
         chassis.pass(1s);
       }},
      {"both votes down", [](Chassis& chassis) { chassis.silence(1); }},
      {"application failed under the current term",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::ApplicationFailed{kRole, current(chassis), "x"});
       }},
      {"application failed under an old term", from("blade-1", link::ApplicationFailed{kRole, Term{60}, "x"})},
      {"the mirror is synced", [](Chassis& chassis) { chassis.mirror_state(1, MirrorPhase::Synced); }},
      {"a warning about the mirror",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::MirrorWarning{kRole, current(chassis), "its region is slow"});
       }},
      {"the mirror is syncing", [](Chassis& chassis) { chassis.mirror_state(1, MirrorPhase::Syncing); }},
      {"the mirror failed", [](Chassis& chassis) { chassis.mirror_state(1, MirrorPhase::Failed); }},
      {"serving under the current term",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::Serving{kRole, current(chassis)});
       }},
      {"activated under the current term",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::Activated{kRole, current(chassis), {}});
       }},
      {"activation failed",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::ActivateFailed{kRole, current(chassis), "x"});
       }},
      {"moved under the reserved term",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::Moved{kRole, std::max(Term{1}, chassis.own(1).reserved), {}});
       }},
      {"movement failed",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::MoveFailed{kRole, std::max(Term{1}, chassis.own(1).reserved), "x"});
       }},
      {"an operator's move", [](Chassis& chassis) { chassis.step(OperatorMove{kRole}); }},
      {"the active's host-agent is lost", [](Chassis& chassis) { chassis.step(AgentLost{kActive}); }},
      {"the standby's host-agent is lost, for long",
       [](Chassis& chassis) {
         chassis.step(AgentLost{chassis.standby()});
         chassis.pass(4100ms);
       }},
      {"the standby dies",
       [](Chassis& chassis) {
         chassis.own_vote(chassis.standby(), Vote::Down);
         chassis.step(AgentLost{chassis.standby()});
         chassis.pass(2100ms);
       }},
      {"the active comes back without the role", [](Chassis& chassis) { chassis.hello(kActive); }},
      {"the standby comes back without the role", [](Chassis& chassis) { chassis.hello(chassis.standby()); }},
      {"the switch isolated the active", [](Chassis& chassis) { chassis.step(IsolateDone{kActive}); }},
      {"the switch refused",
       [](Chassis& chassis) {
         chassis.step(IsolateFailed{kActive, "x"});
       }},
      {"the active is powered off", [](Chassis& chassis) { chassis.step(PowerDone{kActive}); }},
      {"an operator's switchover, and the active is silent about it",
       [](Chassis& chassis) {
         chassis.step(OperatorSwitchover{kRole, true});
       }},
      {"the active has handed over",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::HandedOver{kRole, current(chassis).next(), {}});
       }},
      {"the active cannot hand over",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::HandOverFailed{kRole, current(chassis).next(), "x"});
       }},
      {"the active cannot serve",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::ServeFailed{kRole, current(chassis), "x"});
       }},
      {"the active says that it is unfit",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleUnfit{kRole, current(chassis), link::UnfitCause::Health, {}, "x"});
       }},
      {"the active says that it lacks a link, for a second",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleUnfit{kRole, current(chassis), link::UnfitCause::Link, {"external"}, "x"});
         chassis.pass(1s);
       }},
      {"the active says that it is fit",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleFit{kRole, current(chassis), link::UnfitCause::Health});
       }},
      {"the active tells a person something of the role",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::RoleAlarm{kRole, current(chassis), "table-0", "table \"flows\" is full"});
       }},
      {"the active has stood down",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::Stopped{kRole, current(chassis)});
       }},
      {"the mirror's vote is down, settled",
       [](Chassis& chassis) {
         chassis.mirror_vote(1, Vote::Down);
         chassis.pass(1s);
       }},
      {"the state of the active's lease",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::LeaseState{kRole, current(chassis), 1});
       }},
      {"the mirror grants no more",
       [=](Chassis& chassis) {
         chassis.report(chassis.standby(), link::GrantsStopped{kRole, current(chassis)});
       }},
      {"guests were released",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::MirrorsReleased{0, 1});
       }},
      {"the active tells what is acknowledged",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::SyncProgress{kRole, current(chassis), link::SyncStream::Synced, {}});
       }},
      {"the active tells that nothing is acknowledged, and nothing else for the grace",
       [=](Chassis& chassis) {
         chassis.report(kActive, link::SyncProgress{kRole, current(chassis), link::SyncStream::Stalled, {}});
         chassis.pass(chassis.config.timings.sync_grace);
       }},
      {"an answer of the store that nobody waits for",
       [](Chassis& chassis) {
         chassis.step(StoreDone{kRole, Term{99}});
         chassis.step(StoreFailed{kRole, Term{99}, true, "x"});
       }},
      {"the active is readmitted, or not",
       [](Chassis& chassis) {
         chassis.step(ReadmitFailed{kActive, "x"});
         chassis.step(ReadmitDone{kActive});
       }},
      {"the active's ports are seen closed",
       [](Chassis& chassis) {
         chassis.step(PortsSeen{kActive, true});
       }},
      {"the active cannot be powered off",
       [](Chassis& chassis) {
         chassis.step(PowerFailed{kActive, "x"});
       }},
      {"an operator lets the standby back", [](Chassis& chassis) { chassis.step(OperatorLetBack{chassis.standby()}); }},
      {"a witness is lost",
       [](Chassis& chassis) {
         chassis.step(WitnessSeen{"switch-a", Vote::Down, {}});
       }},
      {"an operator's policy: always, for a minute",
       [](Chassis& chassis) {
         chassis.step(OperatorPolicy{link::MovementPolicy::Always});
         chassis.pass(60s);
       }},
      {"nothing for a minute", [](Chassis& chassis) { chassis.pass(60s); }},
  };
}

/// Role-1's blades by what they are for it; all else by name.
inline std::string who(const Chassis& chassis, const BladeId& blade) {
  return blade == kActive ? "active" : blade == chassis.standby() ? "standby" : blade.value;
}

/// Of role-1 relative to the term before the event.
inline std::string term_words(Term term, Term before) {
  if (term.value == 0) { return "none"; }
  const auto more = static_cast<std::int64_t>(term.value) - static_cast<std::int64_t>(before.value);
  return more == 0 ? "T" : (more > 0 ? "T+" : "T") + std::to_string(more);
}

inline std::string order_words(const link::Order& order, Term before) {
  return std::visit(
      [&](const auto& one) {
        std::string text = documented::type_word<std::decay_t<decltype(one)>>();
        RoleId role = kRole;
        if constexpr (requires { one.role; }) { role = one.role; }
        if constexpr (requires { one.spec; }) { role = one.spec.id; }
        if constexpr (requires { one.except; }) { text += one.except.empty() ? "" : " but some"; }
        if (role != kRole) { return text + " of " + role.value; }
        if constexpr (requires { one.term; }) { text += " " + term_words(one.term, before); }
        if constexpr (requires { one.evidence; }) { text += std::string(", ") + link::to_string(one.evidence); }
        return text;
      },
      order);
}

inline std::string effect_words(const Chassis& chassis, const Effect& effect, Term before) {
  const auto about = [](const RoleId& role) { return role == kRole || role.empty() ? "" : " of " + role.value; };
  if (const auto* persist = std::get_if<Persist>(&effect)) {
    const auto& next = persist->next;
    if (next.role != kRole) { return "store" + about(next.role); }
    return "store " + term_words(next.term, before) + " at " + who(chassis, next.place.blade) + "/" +
           to_string(next.place.kind) + ", " + link::to_string(next.evidence) +
           (next.reserved.value == 0 ? "" : ", reserved " + term_words(next.reserved, before)) +
           (next.leased ? ", leased" : "");
  }
  if (const auto* note = std::get_if<Note>(&effect)) {
    return std::string(link::to_string(note->event.severity)) + " " + note->event.kind +
           (note->event.phase.empty() ? "" : " " + note->event.phase) + about(note->event.role);
  }
  if (const auto* keep = std::get_if<KeepProtection>(&effect)) {
    return std::string("keep ") + (keep->is ? "protected" : "exposed") + about(keep->role);
  }
  if (const auto* send = std::get_if<Send>(&effect)) {
    return "tell " + who(chassis, send->blade) + " " + order_words(send->order, before);
  }
  return std::visit(
      [&](const auto& one) {
        std::string text = documented::type_word<std::decay_t<decltype(one)>>();
        if constexpr (requires { one.blade; }) { text += " " + who(chassis, one.blade); }
        return text;
      },
      effect);
}

}  // namespace understudy::control::test
