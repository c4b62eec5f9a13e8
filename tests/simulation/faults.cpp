// SPDX-License-Identifier: Apache-2.0
#include "faults.hpp"

namespace understudy::sim {

namespace {
constexpr Duration kSuspicion = 20s;
constexpr unsigned kStarting = 0;
constexpr unsigned kExposed = 1;
constexpr unsigned kProtected = 2;
constexpr unsigned kTakingOver = 3;
constexpr unsigned kOnMirror = 4;
constexpr unsigned kMoving = 5;
constexpr unsigned kOnHost = 6;
constexpr unsigned kLost = 7;
}  // namespace

// --- the plan ---

Plan make_plan(World& world, Random& random, Instant from) {
  Plan plan;
  const unsigned role = random.below(world.roles());
  const auto add = [&](Fault fault, unsigned of, Duration after, std::optional<unsigned> state = std::nullopt,
                       Duration wait = 0ns) {
    plan.items.push_back({fault, of, state, from + after, wait, false});
  };
  const bool several = world.servers() > 1;
  const auto some_fault = [&] {
    if (world.settings.words && random.chance(0.7)) {
      constexpr unsigned long words = kFaultsBeforeBlinks - kFaultsBeforeWords;
      auto fault = static_cast<Fault>(kFaultsBeforeWords + random.below(words));
      const bool of_witness = fault <= Fault::WitnessBack;
      if (of_witness && world.settings.witnesses == 0) { fault = Fault::LinkLost; }
      return fault;
    }
    if (several && random.chance(0.45)) {
      return static_cast<Fault>(kFaultsBeforeServers + random.below(kFaultsBeforeWords - kFaultsBeforeServers));
    }
    if (several) {  // etcd's disks are on a majority: they are not lost, nor torn
      auto fault = Fault::StoreLost;
      while (fault == Fault::StoreLost || fault == Fault::StoreTorn || fault == Fault::StoreRefuses) {
        fault = static_cast<Fault>(random.below(kFaultsBeforeSwitchovers));
      }
      return fault;
    }
    const auto faults = world.settings.switchovers ? kFaultsBeforeServers : kFaultsBeforeSwitchovers;
    return static_cast<Fault>(random.below(static_cast<unsigned>(faults)));
  };
  const auto blink = [&] { return random.chance(0.6) ? Fault::NetworkBlink : Fault::OrderlyStop; };
  const auto blow = [&] {  // whatever makes the standby take over
    const Fault faults[] = {Fault::PowerLoss, Fault::ApplicationDeath, Fault::Freeze, Fault::PowerLoss};
    return faults[random.below(4)];
  };
  const auto hang = [&] { return !several && random.chance(0.5) ? Fault::StoreHangs : Fault::LoopHangs; };
  const auto of_its_kind = [&] {
    return world.settings.hangs ? hang() : world.settings.filters ? Fault::BfdFiltered : blink();
  };
  if (world.settings.blinks || world.settings.filters || world.settings.hangs) {
    plan.its_kind_only = random.chance(0.5);
    const unsigned times = 1 + random.below(3);
    for (unsigned i = 0; i < times; ++i) { add(of_its_kind(), role, random.between(0s, 20s)); }
    plan.single = world.settings.hangs && plan.its_kind_only && times == 1;
    if (plan.its_kind_only) { return plan; }
    for (unsigned state = 0; state < kStates; ++state) {
      add(of_its_kind(), role, 0s, state, random.between(0ms, 300ms));
    }
  } else if (random.chance(0.3)) {
    plan.single = true;
    add(some_fault(), role, random.between(0s, 3s));
    return plan;
  }
  // One role is led to a state, and there the fault strikes.
  const unsigned state = random.below(kStates);
  // Some states last for milliseconds only.
  const auto quick = random.between(0ms, state == kTakingOver ? 15ms : state == kMoving ? 150ms : 1s);
  const auto begin = random.between(0s, 2s);
  switch (state) {
    case kStarting:
      add(several || random.chance(0.5) ? Fault::ControlCrash : Fault::StoreLost, role, begin);
      break;
    case kExposed:
      add(Fault::QemuDeath, role, begin);
      break;
    case kTakingOver:
    case kOnMirror:
      add(blow(), role, begin);
      break;
    case kMoving:
    case kOnHost:
      add(blow(), role, begin);
      add(Fault::OperatorMove, role, 0s, kOnMirror, random.between(10ms, 2s));
      break;
    case kLost:
      add(Fault::QemuDeath, role, begin);
      add(Fault::PowerLoss, role, 0s, kExposed, random.between(1ms, 500ms));
      break;
    default:
      break;
  }
  add(some_fault(), role, 0s, state, quick);
  if (world.settings.leases && random.chance(0.7)) {  // what a lease is for: neither switch nor power obeys
    const auto at = random.between(0s, 2s);
    const Fault blows[] = {Fault::Partition, Fault::Freeze, Fault::HostAgentCrash};
    add(Fault::SwitchFails, role, at);
    add(Fault::FenceFails, role, at);
    add(blows[random.below(3)], role, at + 10ms);
  }
  if (world.settings.switchovers) {  // an operator who always means well, at moments that are always wrong
    add(Fault::OperatorSwitchover, random.below(world.roles()), random.between(0s, 6s));
    add(Fault::OperatorSwitchover, role, 0s, kProtected, random.between(0ms, 300ms));
    add(some_fault(), role, 0s, kTakingOver, random.between(0ms, 40ms));
    if (random.chance(0.2)) {  // a standby that flaps, and a control-server that must not forget it
      for (const auto at : {0s, 7s, 14s}) { add(Fault::PowerLoss, world.standby(), at + random.between(0ms, 500ms)); }
      add(Fault::ControlCrash, role, random.between(11s, 20s));
    }
    if (random.chance(0.3)) {  // two at once
      const auto at = random.between(0s, 4s);
      add(blow(), role, at);
      add(blow(), (role + 1) % world.roles(), at + random.between(0ms, 300ms));
    }
  }
  plan.standby_dies_activating = several && random.chance(0.1);
  const unsigned more = random.below(5);
  for (unsigned i = 0; i < more; ++i) {
    const unsigned other = random.below(world.roles());
    if (random.chance(0.4)) {
      add(some_fault(), other, 0s, random.below(kStates), random.between(0ms, 1s));
    } else {
      add(some_fault(), other, random.between(0s, 20s));
    }
  }
  bool lies = false;
  for (const auto& item : plan.items) { lies = lies || item.fault == Fault::FenceLies; }
  if (lies) {
    std::erase_if(plan.items, [](const auto& item) {
      return item.fault == Fault::SwitchFails || item.fault == Fault::SwitchHangs;
    });
  }
  return plan;
}

Faults::Faults(Chassis& chassis, Plan plan)
    : chassis_(chassis),
      world_(chassis.world),
      random_(chassis.world.settings.seed ^ 0x5eedU),
      plan_(std::move(plan)),
      filtered_until_(chassis.world.roles()),
      accused_(chassis.world.roles()),
      decided_in_doubt_(chassis.world.roles()) {}

void Faults::start() {
  world_.on_doom = [this](const World::Doom& doom) { on_doom(doom); };
  chassis_.control.on_watchdog([this](unsigned server) { restart_control(server, 1s + random_.between(20ms, 300ms)); });
  chassis_.control.on_state([this](unsigned role, unsigned state) {
    on_state_(role, state);
    on_state(role, state);
  });
  chassis_.control.on_takeover(
      [this](unsigned role) { decided_in_doubt_[role] = decided_in_doubt_[role] || doubted(role); });
  for (auto& item : plan_.items) {
    if (item.state) { continue; }
    item.done = true;
    world_.scheduler.at(item.not_before, [this, &item] { strike(item); });
  }
  // A state that is there already counts as come into.
  world_.scheduler.at(plan_.items.empty() ? Instant{} : plan_.items.front().not_before, [this] {
    for (unsigned role = 0; role < world_.roles(); ++role) { on_state(role, chassis_.control.state(role)); }
  });
}

/// That its application has ended, or its blade has lost it, may be long ago: it is told when it can be.
bool Faults::doubted(unsigned role) const {
  const auto& blade = *world_.blades[role];
  const bool unfit = world_.unhealthy[role] || world_.unfit[role] || !blade.links[0] || !blade.links[1];
  return !blade.places[role].app_running || unfit || suspect(role);
}

void Faults::on_state(unsigned role, unsigned state) {
  const bool settled = state != kStarting && state != kTakingOver && state != kLost;
  decided_in_doubt_[role] = !settled && (decided_in_doubt_[role] || (state == kTakingOver && doubted(role)));
  for (auto& item : plan_.items) {
    if (item.done || !item.state || *item.state != state || item.role != role) { continue; }
    if (world_.scheduler.now() < item.not_before) { continue; }
    item.done = true;
    world_.scheduler.after(item.wait, [this, &item] { strike(item); });
  }
}

void Faults::strike(Plan::Item& item) {
  if (healing_) { return; }
  if (plan_.single) {
    world_.watch_outages(true);
    world_.touch();
  }
  inject(item);
}

void Faults::inject(const Plan::Item& item) {
  switch (item.fault) {
    case Fault::Loss:
    case Fault::Delay:
    case Fault::Duplicate:
    case Fault::Reorder:
    case Fault::Partition:
    case Fault::OneWayPartition:
      return inject_network(item);
    case Fault::ControlCrash:
    case Fault::ControlPowerLoss:
    case Fault::HostAgentCrash:
    case Fault::GuestAgentCrash:
    case Fault::StoreLost:
    case Fault::StoreTorn:
      return inject_daemon(item);
    case Fault::PowerLoss:
    case Fault::Freeze:
    case Fault::SlowClock:
    case Fault::ClockJump:
      return inject_machine(item);
    case Fault::StoreRefuses:
    case Fault::FailedFreeze:
    case Fault::FailedCont:
    case Fault::FenceFails:
    case Fault::FenceLies:
    case Fault::FenceHangs:
    case Fault::SwitchFails:
    case Fault::SwitchHangs:
    case Fault::FailedStep:
    case Fault::SlowGuest:
      return inject_trouble(item);
    case Fault::QemuDeath:
    case Fault::ApplicationDeath:
    case Fault::OperatorMove:
    case Fault::OperatorPolicy:
    case Fault::OperatorSwitchover:
      return inject_other(item);
    case Fault::StoreLate:
    case Fault::StoreLoses:
    case Fault::StorePartition:
    case Fault::LeaderFreeze:
    case Fault::LeaderStalls:
      return inject_servers(item);
    case Fault::WitnessLost:
    case Fault::WitnessLate:
    case Fault::WitnessBack:
      return inject_witness(item);
    case Fault::HealthFails:
    case Fault::ApplicationUnfit:
    case Fault::LinkLost:
    case Fault::StandbyLacks:
      return inject_words(item);
    case Fault::NetworkBlink:
      return inject_blink();
    case Fault::OrderlyStop:
      return inject_orderly_stop(item);
    case Fault::BfdFiltered:
      return inject_filter(item);
    case Fault::StoreHangs:
      return inject_store_hang();
    case Fault::LoopHangs:
      return inject_loop_hang(item);
  }
}

// --- bookkeeping ---

void Faults::count(Fault fault, unsigned role) {
  ++met_[static_cast<std::size_t>(fault)][chassis_.control.state(role)];
}
void Faults::count_all(Fault fault) {
  for (unsigned role = 0; role < world_.roles(); ++role) { count(fault, role); }
}

void Faults::accuse(unsigned role, bool control, bool mirror) {
  if (control) { accused_[role][0] = world_.scheduler.now(); }
  if (mirror) { accused_[role][1] = world_.scheduler.now(); }
}

/// Whatever happens at a site: an active is suspect itself, the others make one of the observers so.
void Faults::accuse_site(unsigned site) {
  for (unsigned role = 0; role < world_.roles(); ++role) {
    accuse(role, world_.is_control_site(site) || site == role, site == world_.standby() || site == role);
  }
}

bool Faults::suspect(unsigned role) const {
  const auto now = world_.scheduler.now();
  if (decided_in_doubt_[role]) { return true; }  // what stops the old place may take long to prove
  const auto& with = world_.settings;            // a fault lasts for 25 s there
  const auto suspicion =
      with.switchovers || with.leases || with.words || with.servers > 1 ? 2 * kSuspicion : kSuspicion;
  return now - accused_[role][0] < suspicion && now - accused_[role][1] < suspicion;
}

void Faults::note(Fault fault, const std::string& whom) {
  ++injected_[static_cast<std::size_t>(fault)];
  world_.trace("FAULT", std::string(to_string(fault)) + " " + whom);
}

void Faults::undo_later(Duration after, Action undo) {
  undo_.push_back(std::move(undo));
  world_.scheduler.after(after, [this, index = undo_.size() - 1] {
    if (undo_[index]) { std::exchange(undo_[index], nullptr)(); }
  });
}

unsigned Faults::some_site() { return random_.below(world_.standby() + 1); }

void Faults::accuse_active(unsigned role) {
  observers_only_ = false;
  accuse(role, true, true);
}

void Faults::leave_dead(unsigned site, bool frozen) {
  left_dead_.insert(site);
  observers_only_ = false;
  accuse_site(site);
  if (frozen) { return world_.freeze(site); }
  world_.power_off(site);
}

void Faults::bring_back(unsigned site) {
  left_dead_.erase(site);
  accuse_site(site);
  power_back(site, 0s);
}

void Faults::heal() {
  healing_ = true;
  world_.trace("HEAL", "everything that was broken is mended");
  world_.dooms.clear();
  for (std::size_t i = 0; i < undo_.size(); ++i) {
    if (undo_[i]) { std::exchange(undo_[i], nullptr)(); }
  }
  world_.troubles = {};
  for (auto& witness : world_.witnesses) {
    if (!witness->machine.up) { witness->machine.power_on(); }
    witness->process.start();
  }
  for (unsigned site = 0; site <= world_.standby(); ++site) {
    world_.thaw(site);
    if (!world_.blades[site]->machine.up) {
      power_back(site, random_.between(0s, 1s));
    } else if (!world_.blades[site]->agent.alive()) {
      restart_agent(site, random_.between(0s, 1s));
    }
  }
  // What was asked of a fence agent before may still come to pass. Once more, and not for ever: a blade that the
  // control-server goes on to cut the power of does not come back.
  world_.scheduler.after(12s, [this] {
    for (unsigned site = 0; site <= world_.standby(); ++site) { power_back(site, 0s); }
  });
  for (unsigned server = 0; server < world_.servers(); ++server) {
    if (!world_.server_on_standby(server)) { world_.control_boxes[server]->thaw(); }
    if (!chassis_.control.process(server).alive()) { restart_control(server, random_.between(0s, 1s)); }
  }
}

}  // namespace understudy::sim
