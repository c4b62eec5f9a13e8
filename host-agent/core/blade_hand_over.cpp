// SPDX-License-Identifier: Apache-2.0
// The blade's core: an active lets go of its role in a planned switchover, or takes it back (see blade.hpp).
//
//   Quiescing ─► Shipping ─► LettingGo: the stage is ClosingHost; HandedOver is said when the gate is closed for good
//       └───────────┴─ fails, late, ordered to serve ─► TakingBack ─► OpeningHost: HandOverFailed was said before
//
// Invariants
//   - HandedOver and HandOverFailed are never both said of one order: the first needs LettingGo, from which there is no
//     way back, the second is said before that.
//   - What is taken back is served under the term that it had: nobody else was promised anything, and the mirror's copy
//     stays whole for it.
// The surprising rule: an order to serve that comes in the middle is no error, it is the way back. Who gave it knows
// that the mirror did not reach the end.
#include "core/blade.hpp"
#include "core/blade_words.hpp"

namespace understudy::host {

namespace {
constexpr auto deadline_default = std::chrono::seconds(3);
}

Effects Blade::on_order(Instant now, const link::HandOver& order) {
  auto* held = find(order.role);
  if (held == nullptr) { return holds_nothing(order.role, order.term); }
  if (order.term <= held->term) { return {stale(order.role, "hand over", order.term, held->term)}; }
  if (held->stage == RoleStage::HandingOver && held->hand_over.term == order.term) { return {}; }
  const bool serves = held->stage == RoleStage::ServingHost && held->down.empty() && !held->adopting;
  if (!serves || held->moved) {
    const std::string why = held->down.empty() ? std::string("the role is ") + to_string(held->stage) + " on this blade"
                                               : "its application does not run: " + held->down;
    return {SendReport{link::HandOverFailed{order.role, order.term, why}}};
  }
  held->stage = RoleStage::HandingOver;
  held->lease.disarm();  // durably exposed before; a gate that is timed all the same closes by itself, or is closed
  held->untime_at.reset();
  held->hand_over = {HandOver::Phase::Quiescing, order.term, now, {}};
  held->deadline = now + (order.deadline_ms != 0 ? Duration(std::chrono::milliseconds(order.deadline_ms))
                                                 : Duration(deadline_default));
  return {Remember{order.role}, Do{order.role, Step::QuiesceHost, held->term}};
}

Effects Blade::on_hand_over_step(Instant now, HeldRoleState& held, Step step, const std::string& failure) {
  using Phase = HandOver::Phase;
  const RoleId role = held.spec.id;
  auto& hand_over = held.hand_over;
  if (held.stage != RoleStage::HandingOver) { return {}; }  // a late answer of something that was decided otherwise
  const bool awaited = (step == Step::QuiesceHost && hand_over.phase == Phase::Quiescing) ||
                       (step == Step::ShipLast && hand_over.phase == Phase::Shipping) ||
                       (step == Step::ServeOn && hand_over.phase == Phase::TakingBack);
  if (!awaited) { return {}; }
  if (step == Step::ServeOn) {
    hand_over = {};
    if (!failure.empty()) { return serving_failed(held, "it cannot be taken back: " + failure); }
    held.stage = RoleStage::OpeningHost;
    return {Do{role, Step::OpenHostGate, held.term}};
  }
  if (!failure.empty()) { return take_back(held, failure); }
  hand_over.phases.push_back({step == Step::QuiesceHost ? "quiesce" : "ship", milliseconds(now - hand_over.began)});
  hand_over.began = now;
  if (step == Step::QuiesceHost) {
    hand_over.phase = Phase::Shipping;
    return {Do{role, Step::ShipLast, held.term}};
  }
  hand_over.phase = Phase::LettingGo;
  held.deadline.reset();
  held.term = hand_over.term;
  held.stage = RoleStage::ClosingHost;
  held.failed = false;
  return {Remember{role}, Do{role, Step::CloseHostGate, held.term}};
}

Effects Blade::take_back(HeldRoleState& held, const std::string& why) {
  const RoleId role = held.spec.id;
  if (held.hand_over.phase == HandOver::Phase::TakingBack) { return {}; }
  held.hand_over.phase = HandOver::Phase::TakingBack;
  held.deadline.reset();
  return {SendReport{link::HandOverFailed{role, held.hand_over.term, why}}, Do{role, Step::ServeOn, held.term}};
}

}  // namespace understudy::host
