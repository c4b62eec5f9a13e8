// SPDX-License-Identifier: Apache-2.0
#include "core/blade.hpp"

#include <algorithm>
#include <utility>

#include "core/blade_words.hpp"

namespace understudy::host {

namespace {
/// Its active's changes reach the mirror.
bool receives(link::MirrorPhase phase) {
  return phase == link::MirrorPhase::Synced || phase == link::MirrorPhase::Syncing;
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
    case RoleStage::HandingOver:
      return "handing-over";
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
    case RoleStage::ClosingMirror:
      return "closing-mirror";
    case RoleStage::Moving:
      return "moving";
  }
  return "?";
}

Blade::Blade(BladeId blade, std::string boot_id, MovementLimits limits)
    : blade_(std::move(blade)), boot_id_(std::move(boot_id)), limits_(limits) {}

Effects Blade::step(Instant now, const Event& event) {
  auto effects = std::visit([&](const auto& concrete) { return on(now, concrete); }, event);
  append(effects, settle_fitness(now));
  append(effects, look_at_copies(now));
  note_terms();
  return effects;
}

/// After each step: whoever decides next, maybe after a long time, must not take an older copy for the last one.
Effects Blade::look_at_copies(Instant now) {
  Effects effects;
  for (auto& [role, held] : roles_) {
    if (held.stage != RoleStage::Mirroring) { continue; }  // nothing overwrites it while it is activated
    const bool away = held.whole_copy && !receives(held.phase);
    if (!held.copy_age.look(now, away, held.vote == link::Vote::Up)) { continue; }
    append(effects, mirror_state(role, "its active is heard and nothing comes: the copy is an older one by now"));
  }
  return effects;
}

/// After each step: whatever was written under a term, by this host or a guest of it, was held here when a step ended.
void Blade::note_terms() {
  for (const auto& [role, held] : roles_) {
    const Term moving = held.stage == RoleStage::Moving ? held.movement.host_term() : Term{};
    auto& highest = highest_[role];
    highest = std::max({highest, held.term, held.spent, moving});
  }
}

HeldRoleState* Blade::find(const RoleId& role) {
  const auto found = roles_.find(role);
  return found != roles_.end() ? &found->second : nullptr;
}

Effects Blade::on(Instant now, const ControlConnected& event) {
  link::Hello hello{blade_, boot_id_, {}, event.state_before};
  let_go_.clear();  // what was ordered before it has ended with its stream
  Effects mirrors;
  for (const auto& [role, held] : roles_) {
    const bool mirror = is_mirror_stage(held.stage);
    const bool serving = held.stage == RoleStage::ServingHost || held.stage == RoleStage::ServingMirror ||
                         held.stage == RoleStage::Moving;
    const Term highest = serving ? held.term : std::max(held.term, held.spent);
    hello.held.push_back({role, highest, mirror ? PlaceKind::Mirror : PlaceKind::Host, serving});
    // A report may have been lost with the connection, and a role whose application is dead looks served.
    if (held.stage == RoleStage::ServingHost && !held.down.empty()) {
      mirrors.push_back(SendReport{link::ApplicationFailed{role, held.term, held.down}});
    }
    if (held.lease.armed()) { append(mirrors, lease_state(held)); }
    if (!mirror || held.stage == RoleStage::Moving) { continue; }
    append(mirrors, mirror_state(role));
    if (held.stage == RoleStage::Mirroring) {
      mirrors.push_back(SendReport{link::PeerVote{role, BladeId{}, held.vote}});
    }
  }
  for (const auto& [role, term] : highest_) { hello.known.push_back({role, term}); }
  Effects effects{SendReport{hello}};
  fitness_.tell_again();
  append(effects, settle_fitness(now));  // before what makes a takeover possible
  append(effects, std::move(mirrors));
  return effects;
}

Effects Blade::on(Instant now, const Tick&) {
  Effects effects;
  std::vector<RoleId> late;
  for (auto& [role, held] : roles_) {
    if (held.stage == RoleStage::Moving) { append(effects, settle_movement(role, held.movement.on_tick(now))); }
    if (held.lease.armed() || held.untime_at) { append(effects, ask_for_grant(now, held)); }
    if (held.stage == RoleStage::HandingOver) {
      if (held.deadline && *held.deadline <= now) {
        append(effects, take_back(held, "the mirror has not applied all that was committed by the deadline"));
      }
      continue;
    }
    if (held.deadline && *held.deadline <= now) { late.push_back(role); }
    if (held.again_at && *held.again_at <= now) {
      held.again_at.reset();
      ++held.tries;
      if (is_mirror_stage(held.stage)) {
        effects.push_back(Do{role, Step::StartGuest, held.term});
      } else if (held.stage == RoleStage::ServingHost) {
        append(effects, adopt_host(held));
      }
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
    held->moved = true;
    held->opened = true;
    held->application_end.clear();
    held->down.clear();
    held->mirror.reset();
  } else if (held->movement.state() == MovementState::Failed) {
    held->stage = RoleStage::ServingMirror;
    const Term asked = std::exchange(held->move_asked, Term{});
    if (asked > held->movement.host_term()) {
      effects.push_back(SendReport{link::MoveFailed{role, asked, "an earlier movement was rolling back"}});
    }
    // Past a commit the guest must never run again: only another movement brings the role back.
    if (std::exchange(held->committed, false)) { held->phase = link::MirrorPhase::Failed; }
    // Whoever waits for a reason to move would wait for ever behind a dead guest.
    if (held->phase == link::MirrorPhase::Failed) { append(effects, mirror_state(role, "the guest is dead")); }
  } else {
    return effects;
  }
  effects.insert(effects.begin(), Remember{role});
  return effects;
}

Effects Blade::mirror_state(const RoleId& role, const std::string& detail) const {
  const auto& held = roles_.at(role);
  // Its gate may be open still, and what it said would pass for the word of a mirror that follows.
  if (held.stage == RoleStage::ClosingMirror || held.refused) { return {}; }
  const bool whole = held.whole_copy && held.mirror && held.mirror->term == held.term;
  const bool older = whole && held.copy_age.older() && !receives(held.phase);
  return {SendReport{link::MirrorState{role, held.term, held.phase, held.boot_nonce, detail, whole, older}}};
}

std::optional<Instant> Blade::next_deadline() const {
  std::optional<Instant> next = fitness_.next_deadline();
  const auto consider = [&](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) { next = at; }
  };
  for (const auto& [role, held] : roles_) {
    consider(held.deadline);
    consider(held.again_at);
    consider(held.lease.next_deadline());
    consider(held.untime_at);
    if (held.stage == RoleStage::Mirroring) { consider(held.copy_age.next_deadline()); }
    if (held.stage == RoleStage::Moving) { consider(held.movement.next_deadline()); }
  }
  return next;
}

}  // namespace understudy::host
