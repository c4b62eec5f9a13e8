// SPDX-License-Identifier: Apache-2.0
#include "core/blade.hpp"

#include <algorithm>

namespace understudy::host {

namespace {
constexpr std::uint32_t guest_starts_max = 5;
constexpr Duration guest_restart_delay = std::chrono::seconds(2);

bool is_mirror_stage(RoleStage stage) {
  return stage == RoleStage::StartingGuest || stage == RoleStage::Mirroring || stage == RoleStage::Activating ||
         stage == RoleStage::OpeningMirror || stage == RoleStage::ServingMirror || stage == RoleStage::Moving;
}

void append(Effects& effects, Effects more) {
  effects.insert(effects.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Note stale(const RoleId& role, const char* order, Term given, Term known) {
  return Note{Severity::Info, role,
              std::string(order) + " under the stale term " + std::to_string(given.value) + " refused; term " +
                  std::to_string(known.value) + " is known here"};
}
}  // namespace

const char* to_string(RoleStage stage) {
  switch (stage) {
    case RoleStage::PreparingHost:
      return "preparing-host";
    case RoleStage::OpeningHost:
      return "opening-host";
    case RoleStage::ServingHost:
      return "serving-host";
    case RoleStage::ClosingHost:
      return "closing-host";
    case RoleStage::StartingGuest:
      return "starting-guest";
    case RoleStage::Mirroring:
      return "mirroring";
    case RoleStage::Activating:
      return "activating";
    case RoleStage::OpeningMirror:
      return "opening-mirror";
    case RoleStage::ServingMirror:
      return "serving-mirror";
    case RoleStage::Moving:
      return "moving";
  }
  return "?";
}

Blade::Blade(BladeId blade, std::string boot_id, MovementLimits limits)
    : blade_(std::move(blade)), boot_id_(std::move(boot_id)), limits_(limits) {}

Effects Blade::step(Instant now, const Event& event) {
  return std::visit([&](const auto& concrete) { return on(now, concrete); }, event);
}

HeldRoleState* Blade::find(const RoleId& role) {
  const auto found = roles_.find(role);
  return found != roles_.end() ? &found->second : nullptr;
}

void Blade::adopt(const link::RoleSpec& spec, RoleStage stage, Term term) {
  auto& held = roles_[spec.id];
  held.spec = spec;
  held.stage = stage;
  held.term = term;
  held.guest_starts = is_mirror_stage(stage) ? 1 : 0;
}

// --- orders of the control-server ---

Effects Blade::on(Instant now, const OrderArrived& event) {
  return std::visit([&](const auto& order) { return on_order(now, order); }, event.order);
}

Effects Blade::on_order(Instant, const link::ServeRole& order) {
  if (auto* held = find(order.spec.id)) {
    if (order.term < held->term) { return {stale(order.spec.id, "serve", order.term, held->term)}; }
    if (held->stage == RoleStage::ServingHost && held->term == order.term) {
      return {SendReport{link::Serving{order.spec.id, order.term}}};
    }
    if (held->stage == RoleStage::PreparingHost || held->stage == RoleStage::OpeningHost) {
      if (held->term == order.term) { return {}; }
    }
    if (is_mirror_stage(held->stage)) {
      return {Note{Severity::Alarm, order.spec.id, "told to serve on the host while its mirror is here; refused"},
              SendReport{link::ServeFailed{order.spec.id, order.term, "a mirror of this role runs on this blade"}}};
    }
  }
  auto& held = roles_[order.spec.id];
  held.spec = order.spec;
  held.term = order.term;
  held.stage = RoleStage::PreparingHost;
  return {HoldSpec{order.spec}, Do{order.spec.id, Step::PrepareHost, order.term}};
}

Effects Blade::on_order(Instant, const link::StandDown& order) {
  auto* held = find(order.role);
  if (held == nullptr) { return {SendReport{link::Stopped{order.role, order.term}}}; }
  if (order.term <= held->term) { return {stale(order.role, "stand down", order.term, held->term)}; }
  if (is_mirror_stage(held->stage)) {
    return {Do{order.role, Step::CloseMirrorGate, order.term}, SendReport{link::Stopped{order.role, order.term}}};
  }
  held->stage = RoleStage::ClosingHost;
  held->term = order.term;
  return {Do{order.role, Step::CloseHostGate, order.term}};
}

Effects Blade::on_order(Instant, const link::RunMirror& order) {
  const RoleId& role = order.spec.id;
  if (auto* held = find(role)) {
    if (order.term < held->term) { return {stale(role, "run mirror", order.term, held->term)}; }
    if (!is_mirror_stage(held->stage)) {
      return {Note{Severity::Alarm, role, "told to mirror a role that is served by this very host; refused"}};
    }
    if (held->stage != RoleStage::StartingGuest && held->stage != RoleStage::Mirroring) { return {}; }
    held->whole_copy = held->whole_copy && held->term == order.term;
    held->term = order.term;
    held->spec = order.spec;
    Effects effects{HoldMirror{order}};
    if (held->stage == RoleStage::Mirroring) {
      effects.push_back(TellGuest{role, GuestOrder::Configure, order.term});
      append(effects, mirror_state(role));
    } else if (held->guest_starts >= guest_starts_max) {
      held->guest_starts = 1;  // asked again by a person or a newer term: a fresh row of tries
      effects.push_back(Do{role, Step::StartGuest, order.term});
    }
    return effects;
  }
  auto& held = roles_[role];
  held.spec = order.spec;
  held.term = order.term;
  held.stage = RoleStage::StartingGuest;
  held.guest_starts = 1;
  return {HoldMirror{order}, Do{role, Step::StartGuest, order.term}};
}

Effects Blade::on_order(Instant now, const link::Activate& order) {
  auto* held = find(order.role);
  if (held == nullptr) {
    return {SendReport{link::ActivateFailed{order.role, order.term, "no mirror of this role here"}}};
  }
  if (held->stage == RoleStage::ServingMirror && held->term == order.term) {
    return {SendReport{link::Activated{order.role, order.term, held->phases}}};
  }
  if (order.term <= held->term) { return {stale(order.role, "activate", order.term, held->term)}; }
  if (held->stage != RoleStage::Mirroring || !held->whole_copy) {
    return {SendReport{link::ActivateFailed{order.role, order.term, "the mirror has no complete copy"}}};
  }
  if (order.evidence == link::StopEvidence::None) {
    return {SendReport{link::ActivateFailed{order.role, order.term, "no stop-evidence for the old place"}}};
  }
  held->stage = RoleStage::Activating;
  held->mirrored_term = held->term;
  held->term = order.term;
  held->deadline = now + std::chrono::milliseconds(order.deadline_ms != 0 ? order.deadline_ms : 5000);
  return {TellGuest{order.role, GuestOrder::Activate, order.term}};
}

Effects Blade::on_order(Instant now, const link::Move& order) {
  auto* held = find(order.role);
  if (held != nullptr && held->stage == RoleStage::ServingHost && held->term == order.term) {
    return {SendReport{link::Moved{order.role, order.term, held->phases}}};
  }
  if (held != nullptr && held->stage == RoleStage::Moving) { return {}; }
  if (held == nullptr || held->stage != RoleStage::ServingMirror || order.term <= held->term) {
    return {SendReport{link::MoveFailed{order.role, order.term, "the role is not served by a mirror of this blade"}}};
  }
  held->stage = RoleStage::Moving;
  held->movement = Movement(order.role, order.term, held->term, limits_, held->phase == link::MirrorPhase::Failed);
  return held->movement.start(now);
}

Effects Blade::on_order(Instant now, const link::ReleaseMirrors& order) {
  for (auto& [role, held] : roles_) {
    const bool kept = std::find(order.except.begin(), order.except.end(), role) != order.except.end();
    const bool serves = held.stage == RoleStage::Activating || held.stage == RoleStage::OpeningMirror ||
                        held.stage == RoleStage::ServingMirror || held.stage == RoleStage::Moving;
    if (!kept && serves) {
      return {Note{Severity::Alarm, role, "the release would stop this role, which its mirror serves; refused"}};
    }
  }
  if (release_began_) { return {}; }
  release_began_ = now;
  std::erase_if(roles_, [&](const auto& entry) {
    return is_mirror_stage(entry.second.stage) &&
           std::find(order.except.begin(), order.except.end(), entry.first) == order.except.end();
  });
  return {Do{RoleId{}, Step::ReleaseGuests, Term{}}};
}

// --- what the edge and the guests answer ---

Effects Blade::on(Instant now, const StepDone& event) {
  auto* held = find(event.role);
  if (held == nullptr) { return {}; }
  if (held->stage == RoleStage::Moving) {
    return settle_movement(event.role, held->movement.on_step_done(now, event.step));
  }
  if (event.step == Step::PrepareHost && held->stage == RoleStage::PreparingHost) {
    held->stage = RoleStage::OpeningHost;
    return {Do{event.role, Step::OpenHostGate, held->term}};
  }
  if (event.step == Step::OpenHostGate && held->stage == RoleStage::OpeningHost) {
    held->stage = RoleStage::ServingHost;
    return {SendReport{link::Serving{event.role, held->term}}};
  }
  if (event.step == Step::CloseHostGate && held->stage == RoleStage::ClosingHost) {
    const Term term = held->term;
    roles_.erase(event.role);
    return {SendReport{link::Stopped{event.role, term}}};
  }
  if (event.step == Step::OpenMirrorGate && held->stage == RoleStage::OpeningMirror) {
    held->stage = RoleStage::ServingMirror;
    held->deadline.reset();
    return {TellGuest{event.role, GuestOrder::Announce, held->term},
            SendReport{link::Activated{event.role, held->term, held->phases}}};
  }
  return {};
}

Effects Blade::on(Instant now, const StepFailed& event) {
  auto* held = find(event.role);
  if (held == nullptr) { return {Note{Severity::Alarm, event.role, event.detail}}; }
  if (held->stage == RoleStage::Moving) {
    return settle_movement(event.role, held->movement.on_step_failed(now, event.step, event.detail));
  }
  if (event.step == Step::StartGuest) { return on(now, GuestExited{event.role, event.detail}); }
  if (event.step == Step::OpenMirrorGate) { return activation_failed(event.role, event.detail); }
  if (event.step == Step::CloseHostGate) {
    return {Note{Severity::Alarm, event.role, "the gate does not close: " + event.detail}};
  }
  const Term term = held->term;
  roles_.erase(event.role);
  return {SendReport{link::ServeFailed{event.role, term, event.detail}}};
}

Effects Blade::on(Instant, const GuestHello& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  const bool new_boot = held->boot_nonce != event.boot_nonce;
  held->boot_nonce = event.boot_nonce;
  if (held->stage == RoleStage::StartingGuest || held->stage == RoleStage::Mirroring) {
    held->stage = RoleStage::Mirroring;
    if (new_boot) {
      held->phase = link::MirrorPhase::Connected;
      held->whole_copy = false;
    }
    return {TellGuest{event.role, GuestOrder::Configure, held->term}};
  }
  return {Note{Severity::Info, event.role, "the guest-agent of the serving mirror said hello again"}};
}

Effects Blade::on(Instant, const GuestPhase& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  held->phase = event.phase;
  if (event.phase == link::MirrorPhase::Synced) { held->whole_copy = true; }
  const bool keeps = event.phase == link::MirrorPhase::Synced || event.phase == link::MirrorPhase::Connected;
  if (!keeps) { held->whole_copy = false; }
  return mirror_state(event.role, event.detail);
}

Effects Blade::on(Instant, const GuestVote& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Mirroring) { return {}; }
  return {SendReport{link::PeerVote{event.role, BladeId{}, event.vote}}};
}

Effects Blade::on(Instant, const GuestReady& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Activating || event.term != held->term) { return {}; }
  held->phases = event.phases;
  held->stage = RoleStage::OpeningMirror;
  return {Do{event.role, Step::OpenMirrorGate, held->term}};
}

Effects Blade::on(Instant, const GuestRefused& event) { return activation_failed(event.role, event.detail); }

Effects Blade::activation_failed(const RoleId& role, const std::string& detail) {
  auto* held = find(role);
  if (held == nullptr || (held->stage != RoleStage::Activating && held->stage != RoleStage::OpeningMirror)) {
    return {};
  }
  const Term refused = std::exchange(held->term, held->mirrored_term);
  held->stage = RoleStage::Mirroring;
  held->deadline.reset();
  return {Do{role, Step::CloseMirrorGate, refused}, SendReport{link::ActivateFailed{role, refused, detail}}};
}

Effects Blade::on(Instant now, const GuestQuiesced& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::Moving) { return {}; }
  return settle_movement(event.role, held->movement.on_guest_quiesced(now));
}

Effects Blade::on(Instant now, const GuestExited& event) {
  auto* held = find(event.role);
  if (held == nullptr || !is_mirror_stage(held->stage)) { return {}; }
  if (held->stage == RoleStage::Moving) {
    return settle_movement(event.role, held->movement.on_guest_exited(now, event.detail));
  }
  const bool served = held->stage == RoleStage::ServingMirror || held->stage == RoleStage::Activating ||
                      held->stage == RoleStage::OpeningMirror;
  held->phase = link::MirrorPhase::Failed;
  held->whole_copy = false;
  auto effects = mirror_state(event.role, event.detail);
  if (served) {
    effects.push_back(Note{Severity::Alarm, event.role, "the mirror that served this role died: " + event.detail});
    return effects;  // the control-server orders the movement: the region outlives its guest (rule 15)
  }
  held->stage = RoleStage::StartingGuest;
  held->boot_nonce.clear();
  if (held->guest_starts < guest_starts_max) {
    held->restart_at = now + guest_restart_delay;
  } else {
    effects.push_back(Note{Severity::Alarm, event.role,
                           "the mirror was started " + std::to_string(guest_starts_max) +
                               " times and does not stay up; the role is exposed"});
  }
  return effects;
}

Effects Blade::on(Instant now, const GuestsReleased& event) {
  const Instant began = release_began_.value_or(now);
  release_began_.reset();
  return {SendReport{link::MirrorsReleased{event.running, milliseconds(now - began)}}};
}

Effects Blade::on(Instant, const ApplicationExited& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::ServingHost) { return {}; }
  return {SendReport{link::ApplicationFailed{event.role, held->term, event.detail}}};
}

Effects Blade::on(Instant, const ControlConnected&) {
  link::Hello hello{blade_, boot_id_, {}};
  Effects mirrors;
  for (const auto& [role, held] : roles_) {
    const bool mirror = is_mirror_stage(held.stage);
    const bool serving = held.stage == RoleStage::ServingHost || held.stage == RoleStage::ServingMirror ||
                         held.stage == RoleStage::Moving;
    hello.held.push_back({role, held.term, mirror ? PlaceKind::Mirror : PlaceKind::Host, serving});
    if (mirror && !serving) { append(mirrors, mirror_state(role)); }
  }
  Effects effects{SendReport{hello}};
  append(effects, std::move(mirrors));
  return effects;
}

Effects Blade::on(Instant now, const Tick&) {
  Effects effects;
  std::vector<RoleId> late;
  for (auto& [role, held] : roles_) {
    if (held.stage == RoleStage::Moving) { append(effects, settle_movement(role, held.movement.on_tick(now))); }
    if (held.deadline && *held.deadline <= now) { late.push_back(role); }
    if (held.restart_at && *held.restart_at <= now) {
      held.restart_at.reset();
      ++held.guest_starts;
      effects.push_back(Do{role, Step::StartGuest, held.term});
    }
  }
  for (const auto& role : late) { append(effects, activation_failed(role, "the activation passed its deadline")); }
  return effects;
}

Effects Blade::settle_movement(const RoleId& role, Effects effects) {
  auto* held = find(role);
  if (held->movement.state() == MovementState::Done) {
    held->stage = RoleStage::ServingHost;
    held->term = held->movement.host_term();
  } else if (held->movement.state() == MovementState::Failed) {
    held->stage = RoleStage::ServingMirror;
  }
  return effects;
}

Effects Blade::mirror_state(const RoleId& role, const std::string& detail) const {
  const auto& held = roles_.at(role);
  return {SendReport{link::MirrorState{role, held.term, held.phase, held.boot_nonce, detail}}};
}

std::optional<Instant> Blade::next_deadline() const {
  std::optional<Instant> next;
  const auto consider = [&](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) { next = at; }
  };
  for (const auto& [role, held] : roles_) {
    consider(held.deadline);
    consider(held.restart_at);
    if (held.stage == RoleStage::Moving) { consider(held.movement.next_deadline()); }
  }
  return next;
}

}  // namespace understudy::host
