// SPDX-License-Identifier: Apache-2.0
// The blade's core: what the edge and the guests answer (see blade.hpp).
#include <algorithm>
#include <utility>

#include "core/blade.hpp"
#include "core/blade_words.hpp"

namespace understudy::host {

namespace {
constexpr Duration guest_restart_delay = std::chrono::seconds(2);
constexpr Duration application_restart_delay = std::chrono::seconds(1);
}  // namespace

Effects Blade::on(Instant now, const StepDone& event) {
  auto* held = find(event.role);
  if (held == nullptr) { return {}; }
  if (event.step == Step::AdoptHost || event.step == Step::AdoptGuest) {
    return on_adoption(now, *held, event.step, {});
  }
  if (held->stage == RoleStage::Moving) {
    return settle_movement(event.role, held->movement.on_step_done(now, event.step));
  }
  if (event.step == Step::TimeGate || event.step == Step::UntimeGate) {
    return on_lease_step(now, *held, event.step, {});
  }
  if (event.step == Step::QuiesceHost || event.step == Step::ShipLast || event.step == Step::ServeOn) {
    return on_hand_over_step(now, *held, event.step, {});
  }
  if (event.step == Step::PrepareHost && held->stage == RoleStage::PreparingHost) {
    // It had become active and ended before this answer was heard.
    if (!held->application_end.empty()) { return serving_failed(*held, held->application_end); }
    held->stage = RoleStage::OpeningHost;
    held->opened = true;
    return {Do{event.role, Step::OpenHostGate, held->term}};
  }
  if (event.step == Step::OpenHostGate && held->stage == RoleStage::OpeningHost) {
    held->stage = RoleStage::ServingHost;
    return {Remember{event.role}, SendReport{link::Serving{event.role, held->term}}};
  }
  if (event.step == Step::CloseHostGate && held->stage == RoleStage::ClosingHost) { return host_closed(*held); }
  if (event.step == Step::CloseMirrorGate && held->refused) {
    Effects effects{SendReport{*std::exchange(held->refused, std::nullopt)}};
    append(effects, mirror_state(event.role));  // was kept back: the gate was not closed yet
    return effects;
  }
  if (event.step == Step::CloseMirrorGate && held->stage == RoleStage::ClosingMirror) {
    Effects effects{SendReport{link::Stopped{event.role, held->term}}};
    const bool spoiled = std::exchange(held->spoiled, false);
    held->stage = spoiled || held->boot_nonce.empty() ? RoleStage::StartingGuest : RoleStage::Mirroring;
    if (spoiled) { effects.push_back(Do{event.role, Step::StopGuest, held->term}); }
    effects.push_back(Remember{event.role});
    return effects;
  }
  if (event.step == Step::OpenMirrorGate && held->stage == RoleStage::OpeningMirror) {
    held->stage = RoleStage::ServingMirror;
    held->deadline.reset();
    return {Remember{event.role}, TellGuest{event.role, GuestOrder::Announce, held->term},
            SendReport{link::Activated{event.role, held->term, held->phases}}};
  }
  return {};
}

Effects Blade::on(Instant now, const StepFailed& event) {
  auto* held = find(event.role);
  if (held == nullptr) { return {Note{Severity::Alarm, event.role, event.detail}}; }
  if (event.step == Step::AdoptHost || event.step == Step::AdoptGuest) {
    return on_adoption(now, *held, event.step, event.detail);
  }
  if (held->stage == RoleStage::Moving) {
    return settle_movement(event.role, held->movement.on_step_failed(now, event.step, event.detail));
  }
  if (event.step == Step::TimeGate || event.step == Step::UntimeGate) {
    return on_lease_step(now, *held, event.step, event.detail.empty() ? "failed" : event.detail);
  }
  if (event.step == Step::QuiesceHost || event.step == Step::ShipLast || event.step == Step::ServeOn) {
    return on_hand_over_step(now, *held, event.step, event.detail.empty() ? "failed" : event.detail);
  }
  if (event.step == Step::StartGuest) { return on(now, GuestExited{event.role, event.detail}); }
  if (event.step == Step::OpenMirrorGate) { return activation_failed(event.role, event.detail); }
  if (event.step == Step::CloseHostGate || event.step == Step::CloseMirrorGate) {
    return {Note{Severity::Alarm, event.role, "the gate does not close: " + event.detail, "gate"}};
  }
  if (event.step == Step::StopGuest) { return {Note{Severity::Alarm, event.role, event.detail}}; }
  const bool prepares = event.step == Step::PrepareHost && held->stage == RoleStage::PreparingHost;
  const bool opens = event.step == Step::OpenHostGate && held->stage == RoleStage::OpeningHost;
  // A late answer, of a movement that was rolled back: whoever serves the role now goes on.
  if (!prepares && !opens) { return {Note{Severity::Alarm, event.role, event.detail}}; }
  return serving_failed(*held, event.detail);
}

Effects Blade::serving_failed(HeldRoleState& held, const std::string& detail) {
  const RoleId role = held.spec.id;
  const SendReport report{link::ServeFailed{role, held.term, detail}};
  held.again_at.reset();
  held.adopting = false;
  held.down.clear();
  if (held.opened) {
    held.stage = RoleStage::ClosingHost;
    held.failed = true;
    return {Remember{role}, Do{role, Step::CloseHostGate, held.term}, report};
  }
  if (held.moved) {  // only the namespace that a movement made can serve it here: that must not be forgotten
    held.stage = RoleStage::PreparingHost;
    held.parked = true;
  } else {
    roles_.erase(role);
  }
  return {Remember{role}, report};
}

Effects Blade::host_closed(HeldRoleState& held) {
  const RoleId role = held.spec.id;
  SendReport report{link::Stopped{role, held.term}};
  if (held.hand_over.phase == HandOver::Phase::LettingGo) {
    report = {link::HandedOver{role, held.term, held.hand_over.phases}};
  }
  held.opened = false;
  if (held.failed && held.moved) {
    held.stage = RoleStage::PreparingHost;
    held.parked = true;
  } else {
    let_go(role, held.term);
    roles_.erase(role);
  }
  return {Remember{role}, report};
}

/// Whoever is told so may give the role to another. An order to serve that crossed these words comes after them.
void Blade::let_go(const RoleId& role, Term term) { let_go_[role] = std::max(let_go_[role], term); }

Effects Blade::holds_nothing(const RoleId& role, Term term) {
  let_go(role, term);
  return {SendReport{link::Stopped{role, term}}};
}

Effects Blade::on(Instant, const GuestHello& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  const bool new_boot = held->boot_nonce != event.boot_nonce;
  held->boot_nonce = event.boot_nonce;
  const bool serves = event.activity == GuestActivity::Serving || event.activity == GuestActivity::Activating;
  switch (held->stage) {
    case RoleStage::StartingGuest:
    case RoleStage::Mirroring:
      held->stage = RoleStage::Mirroring;
      // For all that its agent knows: it ignores what a mirror is told, and only a new guest will follow the next term.
      held->spoiled = held->spoiled || serves;
      if (new_boot) {
        held->phase = link::MirrorPhase::Connected;
        held->whole_copy = false;
      }
      if (held->stop_grants) {
        return {TellGuest{event.role, GuestOrder::Configure, held->term},
                TellGuest{event.role, GuestOrder::StopGrants, *held->stop_grants}};
      }
      return {TellGuest{event.role, GuestOrder::Configure, held->term}};
    case RoleStage::Activating: {
      // One of the two agents was restarted meanwhile. Both orders are idempotent; a guest that has lost its
      // configuration refuses the second.
      Effects effects;
      if (!serves) { effects.push_back(TellGuest{event.role, GuestOrder::Configure, held->term}); }
      effects.push_back(TellGuest{event.role, GuestOrder::Activate, held->term});
      return effects;
    }
    case RoleStage::ServingMirror:
      if (serves) {
        return {Note{Severity::Info, event.role, "the guest-agent of the serving mirror said hello again"}};
      }
      if (event.activity == GuestActivity::Quiescing) {
        return {TellGuest{event.role, GuestOrder::Resume, held->term}};
      }
      return {Note{Severity::Alarm, event.role, "the mirror that serves this role says that it does not"}};
    default:
      return {};
  }
}

Effects Blade::on(Instant, const GuestLost& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Mirroring) { return {}; }
  // Its vote may be an old one by now; its copy stays what it is.
  held->vote = link::Vote::Unknown;
  held->phase = link::MirrorPhase::Connected;
  auto effects = mirror_state(event.role, event.detail);
  effects.push_back(SendReport{link::PeerVote{event.role, BladeId{}, held->vote}});
  return effects;
}

Effects Blade::on(Instant, const GuestWarning& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  return {Note{Severity::Info, event.role, event.detail},  // the report is what a person reads
          SendReport{link::MirrorWarning{event.role, held->term, event.detail}}};
}

Effects Blade::on(Instant, const GuestPhase& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  // Of an order that the guest has not heard yet, nothing is whole.
  held->whole_copy = event.whole_under.value != 0 && held->mirror && held->mirror->term == event.whole_under;
  held->phase = event.phase;
  if (event.phase == link::MirrorPhase::Synced && !held->whole_copy) { held->phase = link::MirrorPhase::Connected; }
  return mirror_state(event.role, event.detail);
}

Effects Blade::on(Instant, const GuestVote& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Mirroring) { return {}; }
  held->vote = event.vote;
  return {SendReport{link::PeerVote{event.role, BladeId{}, event.vote}}};
}

Effects Blade::on(Instant, const GuestReady& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Activating || event.term != held->term) { return {}; }
  held->phases = event.phases;
  held->stage = RoleStage::OpeningMirror;
  return {Do{event.role, Step::OpenMirrorGate, held->term}};
}

Effects Blade::on(Instant, const GuestRefused& event) {
  return activation_failed(event.role, event.detail, ItsGuest::HasGivenUp);
}

Effects Blade::activation_failed(const RoleId& role, const std::string& detail, ItsGuest guest) {
  auto* held = find(role);
  if (held == nullptr || (held->stage != RoleStage::Activating && held->stage != RoleStage::OpeningMirror)) {
    return {};
  }
  const Term refused = std::exchange(held->term, held->mirrored_term);
  held->spent = std::max(held->spent, refused);
  if (guest == ItsGuest::GoesOn) { held->spoiled = true; }
  held->stage = RoleStage::Mirroring;
  held->deadline.reset();
  // Told when the gate has closed: the role may be given back on this word.
  held->refused = link::ActivateFailed{role, refused, detail};
  return {Do{role, Step::CloseMirrorGate, refused}, Remember{role}};
}

Effects Blade::on(Instant now, const GuestQuiesced& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Moving) { return {}; }
  return settle_movement(event.role, held->movement.on_guest_quiesced(now, event.unmarked));
}

Effects Blade::on(Instant now, const GuestNotQuiesced& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Moving) { return {}; }
  return settle_movement(event.role, held->movement.on_guest_not_quiesced(now, event.detail));
}

Effects Blade::on(Instant, const ApplicationNeedsQuiescing& event) {
  auto* held = find(event.role);
  if (held != nullptr && held->stage == RoleStage::Moving) { held->movement.must_quiesce(); }
  return {};
}

Effects Blade::on(Instant now, const GuestExited& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  if (held->stage == RoleStage::Moving) {
    held->phase = link::MirrorPhase::Failed;
    held->whole_copy = false;
    return settle_movement(event.role, held->movement.on_guest_exited(now, event.detail));
  }
  held->phase = link::MirrorPhase::Failed;
  held->whole_copy = false;
  held->vote = link::Vote::Unknown;
  auto effects = mirror_state(event.role, event.detail);
  // One that was only about to serve is a mirror that failed: nothing else would ever start it again.
  append(effects, activation_failed(event.role, event.detail, ItsGuest::HasGivenUp));
  if (held->stage == RoleStage::ServingMirror) {
    effects.push_back(Note{Severity::Alarm, event.role, "the mirror that served this role died: " + event.detail});
    return effects;  // the control-server orders the movement: the region outlives its guest (rule 15)
  }
  held->boot_nonce.clear();
  held->spoiled = false;
  if (held->stage != RoleStage::ClosingMirror) { held->stage = RoleStage::StartingGuest; }
  if (held->tries < guest_starts_max) {
    held->again_at = now + guest_restart_delay;
  } else {
    held->given_up = true;
    effects.push_back(Note{Severity::Alarm, event.role,
                           "the mirror was started " + std::to_string(guest_starts_max) +
                               " times and does not stay up; the role is exposed"});
  }
  return effects;
}

Effects Blade::on(Instant now, const GuestsReleased& event) {
  const Instant began = release_began_.value_or(now);
  release_began_.reset();
  Effects effects;
  for (const auto& role : std::exchange(releasing_, {})) { effects.push_back(Remember{role}); }
  effects.push_back(SendReport{link::MirrorsReleased{event.running, milliseconds(now - began)}});
  return effects;
}

Effects Blade::on(Instant now, const ApplicationExited& event) {
  auto* held = find(event.role);
  if (held == nullptr) { return {}; }
  switch (held->stage) {
    case RoleStage::PreparingHost:  // the step under way has its own answer
      held->application_end = event.detail;
      return {};
    case RoleStage::OpeningHost:
      return serving_failed(*held, "the application ended: " + event.detail);
    case RoleStage::ServingHost:
      held->application_end = event.detail;
      held->down = event.detail;
      // No mirror follows a role that was moved here. Any other may be taken over: the control-server says what next.
      if (held->moved && !held->adopting) { held->again_at = now + application_restart_delay; }
      return {SendReport{link::ApplicationFailed{event.role, held->term, event.detail}}};
    case RoleStage::Moving:
      return settle_movement(event.role, held->movement.on_application_exited(now, event.detail));
    case RoleStage::ClosingHost:    // what is wanted
    case RoleStage::HandingOver:    // all that it has committed is in its region; taken back, it is missed
    case RoleStage::StartingGuest:  // of a movement that was rolled back: the guest has the role
    case RoleStage::Mirroring:
    case RoleStage::Activating:
    case RoleStage::OpeningMirror:
    case RoleStage::ServingMirror:
    case RoleStage::ClosingMirror:
      break;
  }
  return {};
}

}  // namespace understudy::host
