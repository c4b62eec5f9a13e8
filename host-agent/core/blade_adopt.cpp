// SPDX-License-Identifier: Apache-2.0
// The blade's core: going on where a former daemon stopped (D13). What serves is left as it is: its gate is the
// kernel's.
#include <algorithm>

#include "core/blade.hpp"
#include "core/blade_words.hpp"

namespace understudy::host {

namespace {
constexpr std::uint32_t adoptions_max = 5;
constexpr Duration adoption_pause = std::chrono::seconds(1);
constexpr Duration activation_deadline = std::chrono::seconds(5);
}  // namespace

std::optional<HeldRecord> Blade::record_of(const RoleId& role) const {
  const auto found = roles_.find(role);
  if (found == roles_.end()) { return std::nullopt; }
  const auto& held = found->second;
  HeldRecord record{held.spec,  held.stage,   held.term,         {}, held.moved, held.mirror,
                    held.spent, held.spoiled, held.lease.order()};
  if (held.stage == RoleStage::Moving) { record.move_term = held.movement.host_term(); }
  record.highest = given_up_of(role).highest;
  return record;
}

GivenUp Blade::given_up_of(const RoleId& role) const {
  const auto found = highest_.find(role);
  return {role, found != highest_.end() ? found->second : Term{}};
}

void Blade::adopt(const GivenUp& former) {
  auto& highest = highest_[former.role];
  highest = std::max(highest, former.highest);
}

Effects Blade::adopt(Instant now, const HeldRecord& record, const HostFindings& found) {
  const RoleId& role = record.spec.id;
  adopt(GivenUp{role, std::max({record.highest, record.term, record.spent, record.move_term})});
  auto& held = roles_[role];
  held.spec = record.spec;
  held.term = record.term;
  held.stage = record.stage;
  held.moved = record.moved;
  held.mirror = record.mirror;
  held.spent = record.spent;
  held.spoiled = record.spoiled;
  held.tries = 1;
  held.opened = !is_mirror_stage(record.stage);
  Effects effects{HoldSpec{record.spec}};
  if (is_mirror_stage(record.stage)) {
    if (!record.mirror) {
      roles_.erase(role);
      return {Note{Severity::Alarm, role, "the record of its mirror names no order; it is not adopted"}};
    }
    effects = {HoldMirror{*record.mirror}, Do{role, Step::AdoptGuest, held.term}};
  }
  switch (record.stage) {
    case RoleStage::HandingOver:  // broken off before anybody was told: its gate may be open still, or closed
    case RoleStage::ServingHost:
      held.stage = RoleStage::ServingHost;
      if (found.gate_open) {
        if (record.lease) { held.lease.arm(now, *record.lease); }  // timed or not: the first grant makes it so
        append(effects, adopt_host(held));
        return effects;
      }
      [[fallthrough]];
    case RoleStage::PreparingHost:
    case RoleStage::OpeningHost:  // a gate opens only under a term that is confirmed now (rule 4)
      held.stage = RoleStage::PreparingHost;
      held.parked = true;
      return effects;
    case RoleStage::ClosingHost:
      effects.push_back(Do{role, Step::CloseHostGate, held.term});
      return effects;
    case RoleStage::StartingGuest:
    case RoleStage::Mirroring:
      held.stage = RoleStage::StartingGuest;
      return effects;
    case RoleStage::Activating:
    case RoleStage::OpeningMirror:  // the order came with its evidence, and nobody else is given the role meanwhile
      held.stage = RoleStage::Activating;
      held.mirrored_term = record.mirror->term;
      held.deadline = now + activation_deadline;
      return effects;
    case RoleStage::ServingMirror:
      held.phase = link::MirrorPhase::Connected;
      return effects;
    case RoleStage::ClosingMirror:
      held.spoiled = true;  // a fresh guest is never wrong
      effects.push_back(Do{role, Step::CloseMirrorGate, held.term});
      return effects;
    case RoleStage::Moving:
      held.committed = found.committed;
      held.movement = Movement(role, record.move_term, record.term, limits_, found.committed);
      return effects;
  }
  return effects;
}

Effects Blade::adopt_host(HeldRoleState& held) {
  held.application_end.clear();
  held.adopting = true;
  return {Do{held.spec.id, Step::AdoptHost, held.term}};
}

Effects Blade::on_adoption(Instant now, HeldRoleState& held, Step step, const std::string& answer) {
  const RoleId role = held.spec.id;
  // An application that became active and ended before this answer was heard.
  const std::string failure = answer.empty() && step == Step::AdoptHost ? held.application_end : answer;
  if (step == Step::AdoptHost) {
    if (held.stage != RoleStage::ServingHost || !std::exchange(held.adopting, false)) { return {}; }
    if (failure.empty()) {
      held.tries = 1;
      held.down.clear();
      return {SendReport{link::Serving{role, held.term}}};
    }
    // The kernel forwards on and the application may run: nothing is taken away by a failure that may pass.
    held.down = failure;
    if (held.tries < adoptions_max) {
      held.again_at = now + adoption_pause;
      return {
          Note{Severity::Alarm, role, "the role's application is not running under us yet, trying again: " + failure}};
    }
    return serving_failed(held, "its application, or what a former daemon served, is not ours: " + failure);
  }
  if (held.stage == RoleStage::Moving) {
    if (held.committed) { return held.movement.start(now); }  // as still as a dead one, and only forward (D10)
    if (failure.empty()) { return held.movement.give_up(now, "the host-agent was restarted in the middle of it"); }
    held.stage = RoleStage::ServingMirror;
    Effects effects{Remember{role}, SendReport{link::MoveFailed{role, held.movement.host_term(), failure}}};
    append(effects, on(now, GuestExited{role, failure}));
    return effects;
  }
  if (failure.empty()) { return {}; }
  return on(now, GuestExited{role, failure});
}

}  // namespace understudy::host
