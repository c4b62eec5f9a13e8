// SPDX-License-Identifier: Apache-2.0
/// The movement as the control-server sees it: reserve a term for the standby's host, order, wait, store (D10). The
/// host-agent alone decides whether it commits or rolls back; nothing here is asked while nobody serves.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::MovementPolicy;

void RoleMachine::consider_movement(StepContext& context, const Neighbours& neighbours) {
  if (due(Timer::Move, context.now)) { move_due_ = true; }
  if (state_ != RoleState::OnMirror || pending_) { return; }
  if (!context.blades.at(standby_).connected) { return; }
  if (!operator_move_ && !urgent_move_ && move_tries_ >= kMovementTries) { return; }
  if (!operator_move_ && !urgent_move_) {
    if (context.policy != MovementPolicy::Always || !move_due_) { return; }
    if (!neighbours.other_on_mirror.empty()) {  // nothing is moved that would stop another served role
      if (!std::exchange(stays_noted_, true)) {
        note(context, link::Severity::Warning, "state", standby_,
             "stays on its mirror: " + neighbours.other_on_mirror.value + " is served by a mirror of " +
                 standby_.value + " too");
      }
      return;
    }
  }
  if (urgent_move_ && !operator_move_ && !move_due_ && move_tries_ > 0) { return; }  // between two tries
  if (operator_move_) { move_tries_ = 0; }
  operator_move_ = false;
  move_due_ = false;
  clear(context, "movement");
  become(context, RoleState::Moving,
         "to the host of " + standby_.value + " under term " + std::to_string(next_term().value));
  Ownership next = own_;
  next.reserved = next_term();
  persist(context, next, AfterStore::Move);
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::Moved& report) {
  if (context.blades.is_standby(blade) && report.term > own_.highest()) {
    return serves_under_a_forgotten_term(context, blade, {id(), report.term, PlaceKind::Host, true});
  }
  const bool ours = blade == standby_ && own_.place.kind == PlaceKind::Mirror && report.term > own_.term &&
                    report.term <= own_.reserved && !pending_;
  if (!ours) {
    ignore(context, blade, "moved", report.term);
    return;
  }
  note_phases(context, blade, report.phases);
  persist_moved(context, report.term);
}

void RoleMachine::persist_moved(StepContext& context, Term term) {
  Ownership next{id(), term, {standby_, PlaceKind::Host}, link::StopEvidence::StoodDown, Term{}};
  if (own_.reserved > term) { next.reserved = own_.reserved; }  // an older try succeeded: the newer number stays used
  persist(context, next, AfterStore::Moved);
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::MoveFailed& report) {
  if (blade != standby_ || state_ != RoleState::Moving || report.term != own_.reserved || pending_ || frozen_) {
    ignore(context, blade, "failed movement", report.term);
    return;
  }
  ++move_tries_;
  step_ = Step::None;
  disarm(Timer::MoveDeadline);
  clear(context, "movement");
  const bool again = urgent_move_ || move_tries_ < kMovementTries;  // behind a dead guest nobody serves
  const std::string why = "the movement rolled back: " + report.detail;
  become(context, RoleState::OnMirror, why);
  if (again) {
    note(context, link::Severity::Warning, "movement", blade, why);
    arm(Timer::Move, context.now + context.config.timings.movement_retry * (1U << std::min(move_tries_ - 1, 2U)));
  } else {
    raise(context, "movement",
          "stays on its mirror after " + std::to_string(move_tries_) + " movements that rolled back: " + report.detail);
  }
}

void RoleMachine::movement_deadline(StepContext& context) {
  if (!due(Timer::MoveDeadline, context.now) || state_ != RoleState::Moving) { return; }
  raise(context, "movement", "the movement takes unusually long; only " + standby_.value + " can end it");
}

}  // namespace understudy::control
