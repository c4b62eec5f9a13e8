// SPDX-License-Identifier: Apache-2.0
/// What goes wrong where several control-servers share etcd.
#include "faults.hpp"

namespace understudy::sim {

/// Of one there is only that one, and no number is drawn for it.
unsigned Faults::some_server() {
  if (world_.servers() == 1) { return 0; }
  const auto leader = chassis_.control.leader();
  if (leader && random_.chance(0.75)) { return *leader; }
  return random_.below(world_.servers());
}

void Faults::on_activate() {
  if (!std::exchange(plan_.standby_dies_activating, false) || healing_) { return; }
  world_.scheduler.after(random_.between(0ms, 15ms), [this] {
    if (healing_ || !world_.blades[world_.standby()]->machine.up) { return; }
    note(Fault::PowerLoss, "of the standby, which is about to take over");
    count_all(Fault::PowerLoss);
    world_.bite(Fault::PowerLoss);
    accuse_site(world_.standby());
    world_.power_off(world_.standby());
    power_back(world_.standby(), random_.between(200ms, 20s));
  });
}

void Faults::leave_off(unsigned server) {
  left_off_ = server;
  control_box_off(server);
}

void Faults::cut_from_store(unsigned server, Duration lasts) {
  world_.store_cut[server] = true;
  undo_later(lasts, [this, server] { world_.store_cut[server] = false; });
}

void Faults::cut_cable(unsigned server, bool cut) {
  world_.network.before_change();
  const auto change = [cut](Path& path) {
    if (cut) {
      ++path.cuts;
    } else {
      path.cuts -= path.cuts > 0 ? 1 : 0;
    }
  };
  const unsigned site = world_.control_site(server);
  for (unsigned other = 0; other < world_.sites(); ++other) {
    if (other != site) { weather(site, other, change, true); }
  }
  world_.network.after_change();
}

void Faults::inject_servers(const Plan::Item& item) {
  const unsigned server = some_server();
  const unsigned site = world_.control_site(server);
  note(item.fault, "of server " + std::to_string(server + 1));
  count_all(item.fault);
  accuse_site(site);
  if (plan_.single) { observers_only_ = true; }
  switch (item.fault) {
    case Fault::StoreLate:
      world_.troubles.store_late = true;
      return undo_later(random_.between(500ms, 15s), [this] { world_.troubles.store_late = false; });
    case Fault::StoreLoses:
      world_.troubles.store_loses = true;
      return undo_later(random_.between(500ms, 12s), [this] { world_.troubles.store_loses = false; });
    case Fault::StorePartition:
      return cut_from_store(server, random_.between(500ms, 12s));
    case Fault::LeaderFreeze: {
      auto& machine = world_.control_machine(server);
      if (!machine.up) { return; }
      if (!machine.frozen()) { world_.bite(item.fault); }
      world_.network.before_change();
      machine.freeze();
      world_.touch();
      world_.network.after_change();
      return undo_later(random_.between(500ms, 12s), [this, server, site] {
        accuse_site(site);
        if (world_.server_on_standby(server)) { return world_.thaw(site); }
        world_.network.before_change();
        world_.control_boxes[server]->thaw();
        world_.network.after_change();
      });
    }
    default:
      return leader_stalls(server);
  }
}

/// Its clock nearly stands still, so that it believes for long that it leads; etcd has forgotten it; the host-agents
/// find the next leader, lose that one too, and ask the first once more.
void Faults::leader_stalls(unsigned server) {
  if (chassis_.control.process(server).alive()) { world_.bite(Fault::LeaderStalls); }
  if (world_.server_on_standby(server)) { return cut_from_store(server, random_.between(5s, 9s)); }
  auto& machine = *world_.control_boxes[server];
  world_.network.before_change();
  machine.set_rate(0.15);
  world_.network.after_change();
  cut_from_store(server, 14s);
  cut_cable(server, true);
  undo_later(3s, [this, server] { cut_cable(server, false); });
  undo_later(15s, [this, &machine] {
    world_.network.before_change();
    machine.set_rate(1.0);
    world_.network.after_change();
  });
  world_.scheduler.after(random_.between(7s, 9s), [this, server] {
    const auto next = chassis_.control.leader();
    if (healing_ || !next || *next == server || world_.server_on_standby(*next)) { return; }
    note(Fault::Partition, "of server " + std::to_string(*next + 1) + ", its cable");
    accuse_site(world_.control_site(*next));
    cut_cable(*next, true);
    undo_later(4s, [this, cut = *next] { cut_cable(cut, false); });
  });
}

}  // namespace understudy::sim
