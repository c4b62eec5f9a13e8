// SPDX-License-Identifier: Apache-2.0
/// What stands still while the machine around it lives, so that it accuses nobody where nothing else goes wrong:
///
///   the disk of the only control-server   a write comes back seconds later, done or failed, and its loop waits for it
///                                         (control_disk.cpp); of several, etcd is written by a worker: store-late
///   the loop of a host-agent              its BFD has a thread of its own and goes on; so do the kernel's gates, and
///                                         what they close by themselves
///
/// After WatchdogSec= (10 s, in packaging/systemd) the service manager ends the daemon; the next one begins a second
/// later.
#include "faults.hpp"

namespace understudy::sim {

void Faults::inject_store_hang() {
  if (world_.servers() > 1) { return; }
  note(Fault::StoreHangs, "of the control-server");
  count_all(Fault::StoreHangs);
  if (plan_.single) { observers_only_ = true; }
  if (!plan_.its_kind_only) {
    for (unsigned role = 0; role < world_.roles(); ++role) { accuse(role, true, false); }
  }
  world_.troubles.store_hangs = true;
  undo_later(random_.between(500ms, 12s), [this] { world_.troubles.store_hangs = false; });
}

void Faults::inject_loop_hang(const Plan::Item& item) {
  const unsigned site = random_.chance(0.6) ? item.role : world_.standby();
  const Duration lasts = random_.between(500ms, random_.chance(0.5) ? 3s : 12s);
  const Duration watchdog = random_.between(9s, 10s);
  auto& agent = world_.blades[site]->agent;
  if (!agent.runs() || agent.hangs()) { return; }
  note(Fault::LoopHangs, "of the host-agent of " + world_.blades[site]->machine.name);
  world_.bite(Fault::LoopHangs);
  if (site < world_.roles()) {
    count(Fault::LoopHangs, site);
  } else {
    count_all(Fault::LoopHangs);
  }
  if (plan_.single) { observers_only_ = site == world_.standby(); }
  if (!plan_.its_kind_only) { accuse_site(site); }
  world_.network.before_change();
  agent.hang();
  const auto life = agent.life();
  undo_later(std::min(lasts, watchdog), [this, site, life, killed = lasts > watchdog] {
    auto& there = world_.blades[site]->agent;
    if (there.life() != life || life == 0) { return; }
    if (!plan_.its_kind_only) { accuse_site(site); }
    if (!killed || healing_) {
      world_.trace(world_.blades[site]->machine.name, "its host-agent goes on");
      return there.go_on();
    }
    world_.trace(world_.blades[site]->machine.name, "the watchdog ends its host-agent");
    chassis_.blades[site]->crash();
    agent_is_back(site, 1s + random_.between(20ms, 300ms));
  });
}

}  // namespace understudy::sim
