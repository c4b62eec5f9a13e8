// SPDX-License-Identifier: Apache-2.0
// The blade's core: whether this blade is a good place for the roles that it holds (see fitness.hpp).
#include "core/blade.hpp"
#include "core/blade_words.hpp"

namespace understudy::host {

namespace {
FitnessOf fitness_of(const HeldRoleState& held) { return {held.spec, held.stage, held.term, held.down.empty()}; }
}  // namespace

Effects Blade::on(Instant, const HealthAnswered& event) {
  if (const auto* held = find(event.role)) {
    fitness_.health_answered(fitness_of(*held), event.failure);
  } else {
    fitness_.health_answered(event.role);
  }
  return {};
}

Effects Blade::on(Instant, const LinkChanged& event) {
  fitness_.link_changed(event.network, event.up);
  return {};
}

Effects Blade::on(Instant now, const ApplicationUnfit& event) {
  if (find(event.role) != nullptr) { fitness_.application_said(now, event.role, event.detail); }
  return {};
}

/// After every event: what it has changed is compared with what was told.
Effects Blade::settle_fitness(Instant now) {
  Effects effects;
  std::set<RoleId> held_roles;
  for (const auto& [role, held] : roles_) {
    held_roles.insert(role);
    fitness_.settle(now, fitness_of(held), effects);
  }
  fitness_.keep_only(held_roles);
  return effects;
}

}  // namespace understudy::host
