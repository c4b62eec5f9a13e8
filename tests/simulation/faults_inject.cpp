// SPDX-License-Identifier: Apache-2.0
/// How each fault is done to the chassis.
#include "faults.hpp"

namespace understudy::sim {

// --- the network ---

void Faults::weather(unsigned a, unsigned b, const std::function<void(Path&)>& change, bool both) {
  if (a == b) { return; }
  change(world_.network.path(a, b));
  if (both) { change(world_.network.path(b, a)); }
  for (unsigned role = 0; role < world_.roles(); ++role) {
    const bool touched = a == role || b == role;
    accuse(role, touched && (world_.is_control_site(a) || world_.is_control_site(b)),
           touched && (a == world_.standby() || b == world_.standby()));
  }
}

void Faults::inject_network(const Plan::Item& item) {
  const unsigned sites = world_.sites();
  const bool cable = random_.chance(0.5);
  const unsigned centre = random_.chance(0.4) ? item.role : random_.below(sites);
  const unsigned peer = (centre + 1 + random_.below(sites - 1)) % sites;
  const bool both = item.fault != Fault::OneWayPartition;
  const bool outward = random_.chance(0.5);
  const auto amount = random_.unit();
  std::function<void(Path&)> change;
  std::function<void(Path&)> undo;
  switch (item.fault) {
    case Fault::Loss:
      change = [amount](Path& path) { path.loss = 0.05 + 0.6 * amount; };
      undo = [](Path& path) { path.loss = 0; };
      break;
    case Fault::Delay:
      change = [amount](Path& path) {
        path.delay = Duration(5ms) + Duration(static_cast<Duration::rep>(4e8 * amount));
      };
      undo = [](Path& path) { path.delay = 0ns; };
      break;
    case Fault::Duplicate:
      change = [](Path& path) { path.twice = 0.2; };
      undo = [](Path& path) { path.twice = 0; };
      break;
    case Fault::Reorder:
      change = [amount](Path& path) { path.spread = Duration(static_cast<Duration::rep>(1.5e8 * amount)); };
      undo = [](Path& path) { path.spread = 0ns; };
      break;
    default:
      change = [](Path& path) { ++path.cuts; };
      undo = [](Path& path) { path.cuts -= path.cuts > 0 ? 1 : 0; };
      break;
  }
  const auto apply = [this, cable, centre, peer, both, outward, sites](const std::function<void(Path&)>& what) {
    world_.network.before_change();
    for (unsigned other = 0; other < sites; ++other) {
      if (other == centre || (!cable && other != peer)) { continue; }
      if (outward) {
        weather(centre, other, what, both);
      } else {
        weather(other, centre, what, both);
      }
    }
    world_.network.after_change();
  };
  note(item.fault,
       "of site " + std::to_string(centre + 1) + (cable ? ", its cable" : ", to " + std::to_string(peer + 1)));
  // Two observers on one cable that loses packets are one vote: what they tell may look like a dead active to the last
  // packet. Only a control-server elsewhere tells them apart (docs/SIMULATION.md).
  const bool one_vote = item.fault == Fault::Loss && centre == world_.standby() &&
                        world_.control_site(world_.leading) == world_.standby();
  if (plan_.single) { observers_only_ = cable && centre >= world_.standby() && !one_vote; }
  if (centre < world_.roles()) {
    count(item.fault, centre);
  } else {
    count_all(item.fault);
  }
  apply(change);
  undo_later(random_.between(50ms, random_.chance(0.4)      ? 400ms
                                   : world_.settings.leases ? 25s
                                                            : 9s),
             [apply, undo] { apply(undo); });
}

// --- daemons ---

void Faults::restart_control(unsigned server, Duration after) {
  world_.scheduler.after(after, [this, server] {
    auto& machine = world_.control_machine(server);
    if (chassis_.control.process(server).alive() || left_off_ == server) { return; }
    if (!machine.up) {
      if (world_.server_on_standby(server)) { return; }  // its blade's start brings it back
      machine.power_on();
      world_.network.after_change();
    }
    chassis_.control.start(server);
  });
}

void Faults::control_box_off(unsigned server) {
  if (world_.server_on_standby(server)) { return chassis_.control.crash(server); }
  world_.network.before_change();
  world_.trace(world_.control_boxes[server]->name, "its machine loses its power");
  world_.control_boxes[server]->power_off();
  chassis_.control.power_lost(server);
  world_.network.after_change();
}

void Faults::restart_agent(unsigned site, Duration after) {
  world_.scheduler.after(after, [this, site, boot = world_.blades[site]->machine.boot] {
    auto& blade = *world_.blades[site];
    if (!blade.machine.up || blade.machine.boot != boot || blade.agent.alive()) { return; }
    world_.network.before_change();
    chassis_.blades[site]->start();
    world_.network.after_change();
    accuse_site(site);  // whatever a blade has lost shows when it is back
  });
}

void Faults::on_doom(const World::Doom& doom) {
  switch (doom.daemon) {
    case Daemon::Control:
      if (chassis_.control.process(doom.which).alive()) { world_.bite(Fault::ControlCrash); }
      count_all(Fault::ControlCrash);
      note(Fault::ControlCrash, "between two effects");
      accuse_site(world_.control_site(doom.which));
      chassis_.control.crash(doom.which);
      restart_control(doom.which, random_.between(50ms, 8s));
      return;
    case Daemon::Host:
      for (unsigned role = 0; role < world_.roles(); ++role) {
        if (role == doom.which || doom.which == world_.standby()) { count(Fault::HostAgentCrash, role); }
      }
      if (world_.blades[doom.which]->agent.alive()) { world_.bite(Fault::HostAgentCrash); }
      note(Fault::HostAgentCrash, "of site " + std::to_string(doom.which + 1) + " between two effects");
      accuse_site(doom.which);
      chassis_.blades[doom.which]->crash();
      restart_agent(doom.which, random_.between(20ms, random_.chance(0.7) ? 1500ms : 8s));
      return;
    case Daemon::Guest:
      if (world_.guests[doom.which]->agent.alive()) { world_.bite(Fault::GuestAgentCrash); }
      count(Fault::GuestAgentCrash, doom.which);
      note(Fault::GuestAgentCrash, "of role " + std::to_string(doom.which + 1) + " between two effects");
      accuse_site(world_.standby());
      chassis_.guests[doom.which]->agent_crash();
      return;
  }
}

void Faults::inject_daemon(const Plan::Item& item) {
  const auto doom = [this](Daemon daemon, unsigned which) {
    const World::Doom planned{daemon, which, random_.below(10)};
    world_.dooms.push_back(planned);
    // A daemon that has nothing to do dies all the same.
    world_.scheduler.after(random_.between(100ms, 3s), [this, daemon, which] {
      const auto found = std::find_if(world_.dooms.begin(), world_.dooms.end(),
                                      [&](const auto& one) { return one.daemon == daemon && one.which == which; });
      if (found == world_.dooms.end()) { return; }
      const auto now = *found;
      world_.dooms.erase(found);
      on_doom(now);
    });
  };
  switch (item.fault) {
    case Fault::ControlCrash:
      if (plan_.single) { observers_only_ = true; }
      return doom(Daemon::Control, some_server());
    case Fault::HostAgentCrash:
      return doom(Daemon::Host, random_.chance(0.5) ? item.role : world_.standby());
    case Fault::GuestAgentCrash:
      return doom(Daemon::Guest, item.role);
    default:
      break;
  }
  note(item.fault, "");
  count_all(item.fault);
  const unsigned server = some_server();
  accuse_site(world_.control_site(server));
  if (plan_.single) { observers_only_ = true; }
  if (item.fault == Fault::ControlPowerLoss) {
    if (chassis_.control.process(server).alive()) { world_.bite(item.fault); }
    control_box_off(server);
  } else if (item.fault == Fault::StoreLost) {
    chassis_.control.crash(server);
    if (chassis_.control.lose_store()) { world_.bite(item.fault); }
    store_damaged_ = true;
  } else {
    control_box_off(server);
    if (chassis_.control.tear_store(1 + random_.below(2))) { world_.bite(item.fault); }
    store_damaged_ = true;
  }
  restart_control(server, random_.between(100ms, 8s));
}

// --- machines ---

void Faults::power_back(unsigned site, Duration after) {
  world_.scheduler.after(after, [this, site] {
    if (world_.blades[site]->machine.up || left_dead_.contains(site)) { return; }
    world_.power_on(site);
    restart_agent(site, random_.between(1s, 4s));
    if (site == world_.standby() && world_.settings.control_on_standby) {
      restart_control(world_.servers() - 1, random_.between(1s, 4s));
    }
  });
}

void Faults::inject_machine(const Plan::Item& item) {
  const unsigned server = some_server();
  const bool control = item.fault != Fault::PowerLoss && !world_.server_on_standby(server) && random_.chance(0.2);
  const unsigned site = random_.chance(0.6) ? item.role : random_.chance(0.6) ? world_.standby() : some_site();
  auto& machine = control ? *world_.control_boxes[server] : world_.blades[site]->machine;
  if (!machine.up) { return; }
  note(item.fault, "of " + machine.name);
  if (plan_.single) { observers_only_ = control || site == world_.standby(); }
  if (control || site == world_.standby()) {
    count_all(item.fault);
  } else {
    count(item.fault, site);
  }
  accuse_site(control ? world_.control_site(server) : site);
  if (item.fault != Fault::Freeze || !machine.frozen()) { world_.bite(item.fault); }
  switch (item.fault) {
    case Fault::PowerLoss:
      world_.power_off(site);
      if (random_.chance(0.7)) {
        const bool flaps = world_.settings.switchovers && site == world_.standby();
        power_back(site, random_.between(200ms, flaps ? 3s : 20s));
      }
      return;
    case Fault::Freeze:
      world_.network.before_change();
      machine.freeze();
      world_.touch();
      world_.network.after_change();
      undo_later(random_.between(20ms, random_.chance(0.5) ? 500ms : 12s), [this, control, site, server] {
        accuse_site(control ? world_.control_site(server) : site);
        if (!control) { return world_.thaw(site); }
        world_.network.before_change();
        world_.control_boxes[server]->thaw();
        world_.network.after_change();
      });
      return;
    case Fault::SlowClock:
      world_.network.before_change();
      machine.set_rate(random_.chance(0.7) ? 0.75 + 0.2 * random_.unit() : 1.05 + 0.2 * random_.unit());
      world_.network.after_change();
      undo_later(random_.between(1s, 20s), [this, &machine] {
        world_.network.before_change();
        machine.set_rate(1.0);
        world_.network.after_change();
      });
      return;
    default:
      world_.network.before_change();
      machine.jump(random_.between(20ms, random_.chance(0.5) ? 2s : 40s));
      world_.network.after_change();
      return;
  }
}

// --- what fails when it is asked for ---

void Faults::inject_trouble(const Plan::Item& item) {
  note(item.fault, "");
  count_all(item.fault);
  auto& troubles = world_.troubles;
  bool* flag = nullptr;
  switch (item.fault) {
    case Fault::StoreRefuses:
      flag = &troubles.store_refuses;
      break;
    case Fault::FailedFreeze:
      flag = &troubles.freeze_fails;
      break;
    case Fault::FailedCont:
      flag = &troubles.cont_fails;
      troubles.freeze_fails = true;  // something must be rolled back
      break;
    case Fault::FenceFails:
      flag = &troubles.fence_fails;
      break;
    case Fault::FenceLies:
      flag = &troubles.fence_lies;
      break;
    case Fault::FenceHangs:
      flag = &troubles.fence_hangs;
      break;
    case Fault::SwitchFails:
      flag = &troubles.switch_fails;
      break;
    case Fault::SwitchHangs:
      flag = &troubles.switch_hangs;
      break;
    case Fault::FailedStep:
      flag = &troubles.steps_fail;
      for (unsigned role = 0; role < world_.roles(); ++role) { accuse(role, true, true); }
      break;
    default:
      flag = &troubles.slow_guests;
      break;
  }
  *flag = true;
  undo_later(random_.between(500ms, world_.settings.leases ? 30s : 15s), [this, flag] {
    *flag = false;
    world_.troubles.freeze_fails = false;
  });
}

void Faults::inject_other(const Plan::Item& item) {
  note(item.fault, "of role " + std::to_string(item.role + 1));
  count(item.fault, item.role);
  switch (item.fault) {
    case Fault::QemuDeath:
      accuse(item.role, false, true);
      if (world_.guests[item.role]->machine.up) { world_.bite(item.fault); }
      chassis_.guests[item.role]->end();
      return;
    case Fault::ApplicationDeath:
      accuse(item.role, true, true);
      for (unsigned site = 0; site <= world_.standby(); ++site) {
        auto& place = world_.blades[site]->places[item.role];
        if (!world_.blades[site]->machine.up || !place.app_running) { continue; }
        place.app_running = false;
        world_.bite(item.fault);
        world_.touch();
        auto& agent = world_.blades[site]->agent;
        agent.post(random_.between(50us, 1ms),
                   [this, site, role = item.role] { chassis_.blades[site]->application_died(role); });
      }
      if (random_.chance(0.5)) { chassis_.guests[item.role]->application_died(); }
      return;
    case Fault::OperatorSwitchover:
      accuse(item.role, true, true);
      if (chassis_.control.operator_switchover(item.role, random_.chance(0.3))) { world_.bite(item.fault); }
      return;
    case Fault::OperatorMove:
      operator_moved_ = true;
      if (chassis_.control.operator_move(item.role)) { world_.bite(item.fault); }
      return;
    default:
      operator_moved_ = true;
      if (chassis_.control.operator_policy(random_.chance(0.5))) { world_.bite(item.fault); }
      return;
  }
}

}  // namespace understudy::sim
