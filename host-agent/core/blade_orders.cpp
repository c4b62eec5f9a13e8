// SPDX-License-Identifier: Apache-2.0
// The blade's core: orders of the control-server (see blade.hpp).
#include <algorithm>
#include <utility>

#include "core/blade.hpp"
#include "core/blade_words.hpp"

namespace understudy::host {

Effects Blade::on(Instant now, const OrderArrived& event) {
  return std::visit([&](const auto& order) { return on_order(now, order); }, event.order);
}

Effects Blade::on_order(Instant, const link::ServeRole& order) {
  if (auto* held = find(order.spec.id)) {
    if (order.term < held->term) { return {stale(order.spec.id, "serve", order.term, held->term)}; }
    if (held->stage == RoleStage::ServingHost && held->term == order.term) {
      Effects effects;
      if (std::exchange(held->spec.mirror_blade, order.spec.mirror_blade) != order.spec.mirror_blade) {
        effects = {HoldSpec{held->spec}, Remember{order.spec.id}};  // another standby's mirror is to follow
      }
      if (held->adopting || held->again_at) { return effects; }  // its own answer comes
      if (held->down.empty()) {
        effects.push_back(SendReport{link::Serving{order.spec.id, order.term}});
        return effects;
      }
      held->tries = 1;
      append(effects, adopt_host(*held));
      return effects;
    }
    if (held->stage == RoleStage::HandingOver && held->term == order.term) {
      return take_back(*held, "it was told to serve on");
    }
    if ((held->stage == RoleStage::PreparingHost || held->stage == RoleStage::OpeningHost) && !held->parked) {
      if (held->term == order.term) { return {}; }
    }
    if (is_mirror_stage(held->stage)) {
      return {Note{Severity::Alarm, order.spec.id, "told to serve on the host while its mirror is here; refused"},
              SendReport{link::ServeFailed{order.spec.id, order.term, "a mirror of this role runs on this blade"}}};
    }
  }
  if (const auto gone = let_go_.find(order.spec.id); gone != let_go_.end() && order.term < gone->second) {
    const std::string why = "this blade has let go of the role under term " + std::to_string(gone->second.value);
    return {stale(order.spec.id, "serve", order.term, gone->second),
            SendReport{link::ServeFailed{order.spec.id, order.term, why}}};
  }
  auto& held = roles_[order.spec.id];
  held.spec = order.spec;
  held.term = order.term;
  held.stage = RoleStage::PreparingHost;
  held.parked = false;
  held.application_end.clear();
  held.down.clear();
  held.adopting = false;
  held.again_at.reset();
  held.lease.disarm();
  held.untime_at.reset();
  held.hand_over = {};
  held.deadline.reset();
  return {HoldSpec{order.spec}, Remember{order.spec.id}, Do{order.spec.id, Step::PrepareHost, order.term}};
}

Effects Blade::on_order(Instant, const link::StandDown& order) {
  auto* held = find(order.role);
  if (held == nullptr) { return holds_nothing(order.role, order.term); }
  // Repeated because no answer came: the gate did not close.
  if (order.term == held->term && held->stage == RoleStage::ClosingMirror) {
    return {Do{order.role, Step::CloseMirrorGate, order.term}};
  }
  if (order.term == held->term && held->stage == RoleStage::ClosingHost) {
    return {Do{order.role, Step::CloseHostGate, order.term}};
  }
  // Done long ago, and answered when nobody could use the answer: it is given again.
  const bool stopped = held->stage == RoleStage::StartingGuest || held->stage == RoleStage::Mirroring;
  if (order.term == held->term && stopped && !held->refused) {
    return {SendReport{link::Stopped{order.role, order.term}}};
  }
  if (order.term <= held->term) { return {stale(order.role, "stand down", order.term, held->term)}; }
  if (held->stage == RoleStage::Moving) {
    return {Note{Severity::Alarm, order.role, "told to stand down in the middle of a movement, which ends by itself"}};
  }
  // A guest that was about to be started again waits for an order then.
  held->given_up = held->given_up || (is_mirror_stage(held->stage) && held->again_at);
  held->again_at.reset();
  held->deadline.reset();
  held->term = order.term;
  if (is_mirror_stage(held->stage)) {
    held->spoiled = held->stage == RoleStage::Activating || held->stage == RoleStage::OpeningMirror ||
                    held->stage == RoleStage::ServingMirror || held->spoiled;
    held->stage = RoleStage::ClosingMirror;
    if (held->phase == link::MirrorPhase::Synced) { held->phase = link::MirrorPhase::Connected; }  // not to this term
    return {Remember{order.role}, Do{order.role, Step::CloseMirrorGate, order.term}};
  }
  held->stage = RoleStage::ClosingHost;
  held->failed = false;
  held->hand_over = {};
  return {Remember{order.role}, Do{order.role, Step::CloseHostGate, order.term}};
}

Effects Blade::on_order(Instant, const link::RunMirror& order) {
  const RoleId& role = order.spec.id;
  if (auto* held = find(role)) {
    if (order.term < held->term) { return {stale(role, "run mirror", order.term, held->term)}; }
    if (!is_mirror_stage(held->stage)) {
      return {Note{Severity::Alarm, role, "told to mirror a role that is served by this very host; refused"}};
    }
    if (held->stage != RoleStage::StartingGuest && held->stage != RoleStage::Mirroring) { return {}; }
    const bool news = held->mirror != order;
    held->whole_copy = held->whole_copy && held->mirror && held->mirror->term == order.term;
    // Synced is said by the guest, and of the term that it follows.
    const bool other_term = held->term != order.term;
    if (other_term && held->phase == link::MirrorPhase::Synced) { held->phase = link::MirrorPhase::Connected; }
    held->term = order.term;
    held->spec = order.spec;
    held->mirror = order;
    if (other_term && std::exchange(held->spoiled, false)) {
      held->stage = RoleStage::StartingGuest;  // when its exit is heard
      return {HoldMirror{order}, Remember{role}, Do{role, Step::StopGuest, order.term}};
    }
    Effects effects{HoldMirror{order}};
    if (news) { effects.push_back(Remember{role}); }
    if (held->stage == RoleStage::Mirroring) {
      effects.push_back(TellGuest{role, GuestOrder::Configure, order.term});
      append(effects, mirror_state(role));
      effects.push_back(SendReport{link::PeerVote{role, BladeId{}, held->vote}});
    } else if (std::exchange(held->given_up, false)) {
      held->tries = 1;  // asked again by a person, a newer term or the control-server: a fresh row of tries
      effects.push_back(Do{role, Step::StartGuest, order.term});
    }
    return effects;
  }
  auto& held = roles_[role];
  held.spec = order.spec;
  held.term = order.term;
  held.stage = RoleStage::StartingGuest;
  held.mirror = order;
  held.tries = 1;
  return {HoldMirror{order}, Remember{role}, Do{role, Step::StartGuest, order.term}};
}

Effects Blade::on_order(Instant now, const link::Activate& order) {
  auto* held = find(order.role);
  if (held == nullptr) {
    return {SendReport{link::ActivateFailed{order.role, order.term, "no mirror of this role here"}}};
  }
  if (held->stage == RoleStage::ServingMirror && held->term == order.term) {
    return {SendReport{link::Activated{order.role, order.term, held->phases}}};
  }
  const bool under_way = held->stage == RoleStage::Activating || held->stage == RoleStage::OpeningMirror;
  if (under_way && held->term == order.term) { return {}; }
  if (order.term <= held->term) { return {stale(order.role, "activate", order.term, held->term)}; }
  if (held->stage != RoleStage::Mirroring || !held->whole_copy) {
    Effects effects{SendReport{link::ActivateFailed{order.role, order.term, "the mirror has no complete copy"}}};
    // Its guest could not be configured, and may have a whole copy all the same: it is tried again before the next
    // order.
    const bool unconfigured = held->stage == RoleStage::Mirroring && held->phase == link::MirrorPhase::Failed;
    if (unconfigured) { effects.push_back(TellGuest{order.role, GuestOrder::Configure, held->term}); }
    return effects;
  }
  if (order.evidence == link::StopEvidence::None) {
    return {SendReport{link::ActivateFailed{order.role, order.term, "no stop-evidence for the old place"}}};
  }
  held->stage = RoleStage::Activating;
  held->refused.reset();
  held->mirrored_term = held->term;
  held->term = order.term;
  held->deadline = now + std::chrono::milliseconds(order.deadline_ms != 0 ? order.deadline_ms : 5000);
  return {Remember{order.role}, TellGuest{order.role, GuestOrder::Activate, order.term}};
}

Effects Blade::on_order(Instant now, const link::Move& order) {
  auto* held = find(order.role);
  if (held != nullptr && held->stage == RoleStage::ServingHost && held->term == order.term) {
    return {SendReport{link::Moved{order.role, order.term, held->phases}}};
  }
  if (held != nullptr && held->stage == RoleStage::Moving) {
    if (order.term > held->movement.host_term()) { held->move_asked = std::max(held->move_asked, order.term); }
    return {};
  }
  if (held == nullptr || held->stage != RoleStage::ServingMirror || order.term <= held->term) {
    return {SendReport{link::MoveFailed{order.role, order.term, "the role is not served by a mirror of this blade"}}};
  }
  held->stage = RoleStage::Moving;
  held->move_asked = {};
  held->movement = Movement(order.role, order.term, held->term, limits_, held->phase == link::MirrorPhase::Failed);
  Effects effects{Remember{order.role}};
  append(effects, held->movement.start(now));
  return effects;
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
    const bool goes = is_mirror_stage(entry.second.stage) &&
                      std::find(order.except.begin(), order.except.end(), entry.first) == order.except.end();
    if (goes) { releasing_.push_back(entry.first); }
    return goes;
  });
  return {Do{RoleId{}, Step::ReleaseGuests, Term{}}};
}

}  // namespace understudy::host
