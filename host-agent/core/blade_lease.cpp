// SPDX-License-Identifier: Apache-2.0
// The blade's core: leases, as the active (see lease.hpp) and as the host of the mirror that grants.
#include "core/blade.hpp"
#include "core/blade_words.hpp"

namespace understudy::host {

namespace {
constexpr Duration untime_pause = std::chrono::milliseconds(100);
}

// --- the active ---

Effects Blade::on_order(Instant now, const link::ArmLease& order) {
  auto* held = find(order.role);
  if (held == nullptr || held->stage != RoleStage::ServingHost || held->term != order.term || held->moved) {
    return {Note{Severity::Info, order.role, "a lease of another term, or of a role that is not served here; ignored"}};
  }
  held->untime_at.reset();
  held->lease.arm(now, order);
  Effects effects{Remember{order.role}};
  if (held->lease.timed_id() != 0) { append(effects, lease_state(*held)); }
  append(effects, ask_for_grant(now, *held));
  return effects;
}

Effects Blade::on_order(Instant now, const link::DisarmLease& order) {
  auto* held = find(order.role);
  if (held == nullptr || held->stage != RoleStage::ServingHost || held->term != order.term || held->moved) {
    return {};
  }
  held->lease.disarm();
  held->untime_at = now + untime_pause;
  // Written down when it is done: whoever finds a lease written down keeps the gate open, and is disarmed again.
  return {Do{order.role, Step::UntimeGate, held->term}};
}

Effects Blade::ask_for_grant(Instant now, HeldRoleState& held) {
  if (held.stage != RoleStage::ServingHost) {
    held.lease.disarm();  // the gate closes, or has closed, by another step
    held.untime_at.reset();
    return {};
  }
  Effects effects;
  if (held.untime_at && now >= *held.untime_at) {
    held.untime_at = now + untime_pause;
    effects.push_back(Do{held.spec.id, Step::UntimeGate, held.term});
  }
  if (held.lease.starves(now)) { append(effects, lease_state(held)); }
  if (const auto nonce = held.lease.ask(now)) { effects.push_back(AskGrant{held.spec.id, held.term, *nonce}); }
  return effects;
}

Effects Blade::on(Instant now, const GrantArrived& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stage != RoleStage::ServingHost || held->term != event.term) { return {}; }
  const auto timing = held->lease.granted(now, event.nonce);
  if (!timing) { return {}; }
  const auto element = std::chrono::milliseconds(held->lease.order()->element_ms);
  return {TimeGate{event.role, held->term, timing->how, timing->until, element}};
}

Effects Blade::on_lease_step(Instant now, HeldRoleState& held, Step step, const std::string& failure) {
  if (held.stage != RoleStage::ServingHost) { return {}; }
  if (step == Step::UntimeGate) {
    if (!failure.empty()) {
      return {Note{Severity::Alarm, held.spec.id, "the gate, which closes by itself, cannot be kept open: " + failure}};
    }
    held.untime_at.reset();
    Effects effects{Remember{held.spec.id}};
    append(effects, lease_state(held));
    return effects;
  }
  if (failure.empty()) { return held.lease.done(now) ? lease_state(held) : Effects{}; }
  held.lease.failed(now);
  return {Note{Severity::Alarm, held.spec.id, "the lease's gate: " + failure}};
}

Effects Blade::lease_state(const HeldRoleState& held) const {
  return {SendReport{link::LeaseState{held.spec.id, held.term, held.lease.timed_id()}}};
}

// --- the host of the mirror ---

Effects Blade::on_order(Instant, const link::AllowGrants& order) {
  auto* held = find(order.role);
  if (held == nullptr || held->stage != RoleStage::Mirroring || !held->mirror || held->mirror->term != order.term) {
    return {};
  }
  held->stop_grants.reset();
  return {TellGuest{order.role, GuestOrder::AllowGrants, order.term}};
}

Effects Blade::on_order(Instant, const link::StopGrants& order) {
  auto* held = find(order.role);
  if (held == nullptr || held->stage != RoleStage::Mirroring || !held->mirror || held->mirror->term > order.term) {
    return {};
  }
  held->stop_grants = order.term;  // a guest-agent that is restarted is told again
  return {TellGuest{order.role, GuestOrder::StopGrants, order.term}};
}

Effects Blade::on(Instant, const GuestStoppedGrants& event) {
  auto* held = find(event.role);
  if (held == nullptr || held->stop_grants != event.term) { return {}; }
  return {SendReport{link::GrantsStopped{event.role, event.term}}};
}

}  // namespace understudy::host
