// SPDX-License-Identifier: Apache-2.0
/// What goes wrong with witnesses, and what a blade says of itself as a place for its role.
#include "faults.hpp"

namespace understudy::sim {

void Faults::inject_words(const Plan::Item& item) {
  const unsigned role = item.role;
  note(item.fault, "of role " + std::to_string(role + 1));
  const auto lasts = random_.between(300ms, random_.chance(0.5) ? 3s : 15s);
  if (item.fault == Fault::StandbyLacks) {  // it accuses nobody
    if (plan_.single) { observers_only_ = true; }
    count_all(item.fault);
    return lose_link(world_.standby(), lasts);
  }
  count(item.fault, role);
  accuse(role, true, true);
  switch (item.fault) {
    case Fault::HealthFails:
      world_.unhealthy[role] = true;
      return undo_later(lasts, [this, role] {
        accuse(role, true, true);
        world_.unhealthy[role] = false;
      });
    case Fault::ApplicationUnfit:
      world_.unfit[role] = true;
      chassis_.blades[role]->application_said(role);
      return undo_later(lasts, [this, role] {
        accuse(role, true, true);
        world_.unfit[role] = false;
        chassis_.blades[role]->application_said(role);
      });
    default:
      return lose_link(role, lasts);
  }
}

/// One of its service interfaces, or both.
void Faults::lose_link(unsigned site, Duration lasts) {
  const unsigned first = random_.below(kSegments);
  const bool both = random_.chance(0.3);
  const auto set = [this, site, first, both](bool up) {
    for (unsigned segment = 0; segment < kSegments; ++segment) {
      if (segment == first || both) { world_.blades[site]->links[segment] = up; }
    }
    world_.touch();
    if (site < world_.roles()) { accuse(site, true, true); }
    chassis_.blades[site]->links_changed();
  };
  set(false);
  undo_later(lasts, [set] { set(true); });
}

void Faults::inject_witness(const Plan::Item& item) {
  if (world_.witnesses.empty()) { return; }
  const unsigned which = random_.below(static_cast<unsigned>(world_.witnesses.size()));
  auto& witness = *world_.witnesses[which];
  note(item.fault, witness.machine.name);
  count_all(item.fault);
  if (plan_.single) { observers_only_ = true; }
  if (item.fault == Fault::WitnessLate) {
    world_.troubles.witness_late = true;
    return undo_later(random_.between(500ms, 9s), [this] { world_.troubles.witness_late = false; });
  }
  const auto back = [&witness] {
    if (witness.machine.up) { return; }
    witness.machine.power_on();
    witness.process.start();
  };
  if (witness.machine.up) { witness.machine.power_off(); }
  if (item.fault == Fault::WitnessLost) { return undo_later(random_.between(100ms, 9s), back); }
  // It comes back, and with it, or a moment before or after, the observers' own cable goes.
  const unsigned server = some_server();
  const auto gone = random_.between(3200ms, 6s);
  undo_later(gone, [this, back] {
    world_.bite(Fault::WitnessBack);
    back();
  });
  world_.scheduler.after(gone + random_.between(-200ms, 200ms), [this, server] {
    if (healing_) { return; }
    cut_cable(server, true);
    undo_later(random_.between(100ms, 4s), [this, server] { cut_cable(server, false); });
  });
}

}  // namespace understudy::sim
