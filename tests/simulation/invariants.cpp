// SPDX-License-Identifier: Apache-2.0
/// What must be true after each step (see world.hpp).
#include "world.hpp"

namespace understudy::sim {

bool World::host_speaks(unsigned site, unsigned role, unsigned segment) const {
  const auto& blade = *blades[site];
  const auto& place = blade.places[role];
  return blade.machine.runs() && place.configured && place.gate_open && blade.ports_open[segment] &&
         blade.links[segment];
}

bool World::mirror_speaks(unsigned role, unsigned segment) const {
  const auto& guest = *guests[role];
  return guest.machine.runs() && guest.configured && guest.tap_open && blades[standby()]->ports_open[segment] &&
         blades[standby()]->links[segment];
}

bool World::served(unsigned role) const {
  for (unsigned site = 0; site < blades.size(); ++site) {
    const auto& place = blades[site]->places[role];
    if (place.app_running && place.app_active && host_speaks(site, role, 0) && host_speaks(site, role, 1)) {
      return true;
    }
  }
  const auto& guest = *guests[role];
  return guest.app_running && guest.app_active && mirror_speaks(role, 0) && mirror_speaks(role, 1);
}

void World::violate(Invariant invariant, const std::string& text) {
  if (violation_) { return; }
  violation_ = Violation{invariant, scheduler.now(), text};
  trace("INVARIANT", std::string(to_string(invariant)) + ": " + text);
}

void World::speaks_under(unsigned role, PlaceKind kind, Term term) {
  auto& highest = highest_spoken_[role];
  if (term < highest && store_damaged_) { highest = std::min(highest, highest_remembered(role)); }
  if (term < highest) {
    violate(Invariant::OldPlaceSilent, role_ids_[role].value + ": a " + to_string(kind) + " speaks under term " +
                                           std::to_string(term.value) + " after term " + std::to_string(highest.value) +
                                           " has spoken");
  }
  highest = std::max(highest, term);
}

void World::check_owners(unsigned role) {
  for (unsigned segment = 0; segment < kSegments; ++segment) {
    unsigned count = mirror_speaks(role, segment) ? 1 : 0;
    for (unsigned site = 0; site < blades.size(); ++site) { count += host_speaks(site, role, segment) ? 1U : 0U; }
    if (count < 2) { continue; }
    std::string speakers;
    for (unsigned site = 0; site < blades.size(); ++site) {
      if (host_speaks(site, role, segment)) { speakers += blade_ids_[site].value + "/host "; }
    }
    violate(Invariant::OneOwner, role_ids_[role].value + " is spoken for by " + speakers +
                                     (mirror_speaks(role, segment) ? "and its mirror" : "") + " on segment " +
                                     std::to_string(segment));
    return;
  }
}

void World::check_speakers(unsigned role) {
  for (unsigned segment = 0; segment < kSegments; ++segment) {
    for (unsigned site = 0; site < blades.size(); ++site) {
      if (!host_speaks(site, role, segment)) { continue; }
      const auto& region = blades[site]->regions[role];
      speaks_under(role, PlaceKind::Host, region ? region->writer() : Term{});
    }
    if (!mirror_speaks(role, segment)) { continue; }
    const auto& region = blades[standby()]->regions[role];
    const auto& guest = *guests[role];
    if (region && guest.installed < region->committed()) {
      violate(Invariant::InstalledFirst, guest.machine.name + " speaks with " + std::to_string(guest.installed) +
                                             " of " + std::to_string(region->committed()) + " changes installed");
    }
    if (!guest.app_active) {
      violate(Invariant::InstalledFirst, guest.machine.name + " speaks and its application is not active");
    }
    speaks_under(role, PlaceKind::Mirror, guest.app_active.value_or(Term{}));
  }
}

void World::check() {
  if (!std::exchange(dirty_, false)) { return; }
  for (unsigned role = 0; role < roles(); ++role) {
    check_owners(role);
    check_speakers(role);
  }
  if (watching_) { check_outages(); }
}

void World::check_outages() {
  unsigned stopped = 0;
  std::string who;
  for (unsigned role = 0; role < roles(); ++role) {
    if (was_served_[role] && !outages_[role] && !served(role)) {
      outages_[role] = true;
      trace(role_ids_[role].value, "is not served");
    }
    if (!outages_[role]) { continue; }
    ++stopped;
    who += (who.empty() ? "" : " and ") + role_ids_[role].value;
  }
  if (stopped > 1) { violate(Invariant::OneRole, "one fault stopped " + who); }
}

void World::watch_outages(bool on) {
  watching_ = on;
  outages_.assign(roles(), false);
  was_served_.assign(roles(), false);
  for (unsigned role = 0; role < roles(); ++role) { was_served_[role] = served(role); }
}

void World::store_holds(unsigned role, Term term) {
  highest_stored_[role] = term;
  store_damaged_ = true;
}

void World::stored(unsigned role, Term term) {
  auto& highest = highest_stored_[role];
  if (term < highest) {
    violate(Invariant::TermOnce, role_ids_[role].value + ": the store goes back from term " +
                                     std::to_string(highest.value) + " to " + std::to_string(term.value));
  }
  highest = std::max(highest, term);
}

void World::ordered(unsigned role, Term term, const char* order) {
  if (term > highest_stored_[role]) {
    violate(Invariant::StoredFirst, role_ids_[role].value + ": " + order + " under term " + std::to_string(term.value) +
                                        ", and only " + std::to_string(highest_stored_[role].value) + " is stored");
  }
}

}  // namespace understudy::sim
