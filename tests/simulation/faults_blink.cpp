// SPDX-License-Identifier: Apache-2.0
/// What looks like a failure and is none, so that it accuses nobody: the maintenance network goes away for a moment,
/// with all who hang on it, and comes back; a host-agent ends in order and is back in time.
#include "faults.hpp"

namespace understudy::sim {

void Faults::inject_blink() {
  note(Fault::NetworkBlink, "of the whole maintenance network");
  count_all(Fault::NetworkBlink);
  world_.bite(Fault::NetworkBlink);
  blink(random_.between(200ms, random_.chance(0.5) ? 1s : 5s));
}

void Faults::blink(Duration lasts) {
  const auto every_path = [this](const std::function<void(Path&)>& change) {
    world_.network.before_change();
    for (unsigned from = 0; from < world_.sites(); ++from) {
      for (unsigned to = 0; to < world_.sites(); ++to) {
        if (from != to) { change(world_.network.path(from, to)); }
      }
    }
    world_.network.after_change();
  };
  every_path([](Path& path) { ++path.cuts; });
  undo_later(lasts, [every_path] { every_path([](Path& path) { path.cuts -= path.cuts > 0 ? 1 : 0; }); });
}

void Faults::inject_orderly_stop(const Plan::Item& item) {
  const unsigned site = random_.chance(0.7) ? item.role : world_.standby();
  auto& blade = *world_.blades[site];
  if (!blade.agent.runs()) { return; }
  note(Fault::OrderlyStop, "of the host-agent of " + blade.machine.name);
  if (site < world_.roles()) {
    count(Fault::OrderlyStop, site);
  } else {
    count_all(Fault::OrderlyStop);
  }
  world_.bite(Fault::OrderlyStop);
  chassis_.blades[site]->stop_in_order();
  agent_is_back(site, random_.between(200ms, 2s));
}

void Faults::agent_is_back(unsigned site, Duration after) {
  world_.scheduler.after(after, [this, site, boot = world_.blades[site]->machine.boot] {
    auto& back = *world_.blades[site];
    if (!back.machine.up || back.machine.boot != boot || back.agent.alive()) { return; }
    world_.network.before_change();
    chassis_.blades[site]->start();
    world_.network.after_change();
  });
}

}  // namespace understudy::sim
