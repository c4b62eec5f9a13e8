// SPDX-License-Identifier: Apache-2.0
#include "simulation.hpp"

#include "last_act.hpp"

#include <cstdio>
#include <set>

namespace understudy::sim {

namespace {

constexpr Duration write_interval = 100ms;
constexpr Duration kSettled = 5s;  ///< longer than any movement waits to be due, by a clock at 0.75 too
constexpr unsigned long steps_max = 3'000'000;

class Run {
 public:
  Run(const Settings& settings)
      : random_(settings.seed * 7919 + 1),
        chassis_(settings),
        world_(chassis_.world),
        early_(random_.chance(0.1)),
        faults_at_(world_.scheduler.now() + (early_ ? Duration(random_.between(0s, 5s)) : Duration(8s))),
        faults_(chassis_, make_plan(world_, random_, faults_at_)),
        activated_(world_.roles()),
        on_mirror_since_(world_.roles()) {
    if (world_.settings.leases) {
      world_.lost_grants = !faults_.single() && world_.lease_random.chance(0.3) ? 0.6 : 0.05;
      world_.late_grants = !faults_.single() && world_.lease_random.chance(0.3) ? 0.4 : 0.03;
    }
  }

  Report run() {
    come_up();
    faults_.start();
    const Instant mended = faults_at_ + random_.between(12s, 32s);
    if (!until(mended)) { return report(); }
    faults_.heal();
    world_.lost_grants = world_.late_grants = 0;
    const Instant healed = world_.scheduler.now();
    for (Instant at = healed + 2s; at <= healed + kWayBack; at = at + 1s) {
      if (!until(at)) { return report(); }
      const bool back = is_back(nullptr);
      steady_ = back ? steady_ + 1 : 0;
      if (steady_ == 3) { break; }
    }
    report_.way_back = world_.scheduler.now() - healed;
    std::string why;
    if (steady_ < 3 && !is_back(&why)) {
      world_.violate(Invariant::WayBack, "a minute after everything was mended: " + why);
    }
    if (world_.settings.last_act && !world_.violation()) { last_act(); }
    return report();
  }

 private:
  void last_act() {
    act_.emplace(chassis_, faults_);
    auto& act = *act_;
    const Instant until_armed = world_.scheduler.now() + 10s;
    while (world_.settings.leases && world_.scheduler.now() < until_armed) {
      if (!until(world_.scheduler.now() + 1s)) { return; }
    }
    if (!act.begin()) { return; }
    ++report_.last_acts.at(act.kind_number());
    const Instant at = world_.scheduler.now() + 4s;
    RoleView view;
    while (world_.scheduler.now() < at + act.waited() + act.bound()) {
      if (!until(world_.scheduler.now() + 1s)) { return; }
      if (world_.scheduler.now() < at + act.waited()) { continue; }
      if (act.is_moved_standby()) {
        if (act.step([this](unsigned role, const RoleView& of) { return serves(role, of); })) { return; }
        continue;
      }
      view = chassis_.control.view(act.role());
      if (view.place.blade == world_.blade_id(act.site()) && serves(act.role(), view)) { return; }
    }
    if (act.is_moved_standby()) {
      world_.violate(Invariant::WayBack, act.waits_for());
      return;
    }
    world_.violate(Invariant::WayBack, world_.role_id(act.role()).value + ", whose blade has died " + act.kind() +
                                           ", is " + view.name + " at " + to_string(view.place) +
                                           " and not served by " + world_.blade_id(act.site()).value + "; " +
                                           view.detail);
  }

  void come_up() {
    world_.scheduler.after(0ns, [this] {
      for (unsigned site = 0; site <= world_.standby(); ++site) {
        world_.power_on(site);
        world_.scheduler.after(random_.between(0s, 300ms), [this, site] {
          if (world_.blades[site]->machine.up && !world_.blades[site]->agent.alive()) {
            chassis_.blades[site]->start();
          }
        });
      }
      for (auto& witness : world_.witnesses) {
        witness->machine.power_on();
        witness->process.start();
      }
      for (unsigned server = 0; server < world_.servers(); ++server) {
        if (!world_.server_on_standby(server)) { world_.control_boxes[server]->power_on(); }
        world_.scheduler.after(random_.between(0s, 300ms), [this, server] {
          if (world_.control_machine(server).up && !chassis_.control.process(server).alive()) {
            chassis_.control.start(server);
          }
        });
      }
      write();
    });
    faults_.watch_states([this](unsigned role, unsigned state) { on_state(role, state); });
    chassis_.control.on_activate([this](unsigned role, Term term) { on_activate(role, term); });
  }

  void write() {
    for (unsigned role = 0; role < world_.roles(); ++role) { world_.write(role); }
    world_.scheduler.after(random_.between(write_interval / 2, write_interval * 3 / 2), [this] { write(); });
  }

  /// One that has been on its mirror for long enough, and was not tried yet, goes before any lower one.
  void on_state(unsigned role, unsigned state) {
    constexpr unsigned on_mirror = 4;
    constexpr unsigned moving = 5;
    on_mirror_since_[role].reset();
    if (state == on_mirror && last_state_.contains(role) && last_state_[role] != moving) {
      on_mirror_since_[role] = world_.scheduler.now();
    }
    last_state_[role] = state;
    if (state != moving || !world_.settings.always_move || faults_.operator_moved()) { return; }
    for (unsigned other = 0; other < world_.roles(); ++other) {
      if (world_.priority_of(other) <= world_.priority_of(role) || !on_mirror_since_[other]) { continue; }
      if (world_.scheduler.now() < *on_mirror_since_[other] + kSettled) { continue; }
      world_.violate(Invariant::HigherFirst, world_.role_id(other).value + " is on its mirror and waits, and " +
                                                 world_.role_id(role).value + ", which comes later, moves");
    }
  }

  void on_activate(unsigned role, Term term) {
    faults_.on_activate();
    if (act_) { act_->on_activate(role); }
    if (!activated_[role].insert(term).second) { return; }
    ++report_.takeovers;
    // A store that has lost its last writes may take a copy that was given back for one that nobody else has.
    const bool older_store = world_.settings.switchovers && faults_.store_was_damaged();
    if (!faults_.suspect(role) && !older_store) {
      world_.violate(Invariant::StandbyKept,
                     world_.role_id(role).value + " is taken over and its active has had nothing that both could see");
    } else if (faults_.single() && faults_.observers_only()) {
      world_.violate(Invariant::StandbyKept,
                     world_.role_id(role).value + " is taken over and only an observer has failed");
    }
  }

  /// False: something that must be true is not.
  bool until(Instant end) {
    while (!world_.violation() && world_.scheduler.run_one(end)) {
      world_.check();
      if (world_.scheduler.steps() > steps_max) {
        world_.violate(Invariant::EdgeHolds, "this run never comes to an end: somebody spins");
      }
    }
    return !world_.violation();
  }

  bool is_back(std::string* why) {
    report_.asked_a_person = report_.stayed_on_host = 0;
    for (unsigned role = 0; role < world_.roles(); ++role) {
      const auto view = chassis_.control.view(role);
      report_.stayed_on_host += view.place == Place{world_.blade_id(world_.standby()), PlaceKind::Host} ? 1U : 0U;
    }
    const bool standby_free = report_.stayed_on_host == 0;
    for (unsigned role = 0; role < world_.roles(); ++role) {
      const auto view = chassis_.control.view(role);
      if (view.frozen && faults_.store_was_damaged()) {
        ++report_.asked_a_person;
        continue;
      }
      const bool own = view.place == Place{world_.blade_id(role), PlaceKind::Host};
      const bool settled =
          view.name == "exposed" || view.name == "protected" || view.name == "on-mirror" || view.name == "on-host";
      const bool protection = !own || !standby_free || (view.name == "protected" && mirror_whole(role));
      if (settled && serves(role, view) && protection) { continue; }
      if (why != nullptr) {
        *why = world_.role_id(role).value + " is " + view.name + " at " + to_string(view.place) + " under term " +
               std::to_string(view.term.value) + (world_.served(role) ? ", served" : ", not served") +
               (mirror_whole(role) ? ", mirror whole" : ", mirror not whole") + "; " + view.detail;
      }
      return false;
    }
    return true;
  }
  bool mirror_whole(unsigned role) {
    const auto& copy = world_.blades[world_.standby()]->regions[role];
    return world_.guests[role]->machine.runs() && copy && !copy->syncing() && copy->committed() > 0;
  }
  bool serves(unsigned role, const RoleView& view) {
    if (!world_.served(role)) { return false; }
    const unsigned site = world_.site_of(view.place.blade);
    const auto& region = world_.blades[site]->regions[role];
    const bool speaks =
        view.place.kind == PlaceKind::Host ? world_.host_speaks(site, role, 0) : world_.mirror_speaks(role, 0);
    return speaks && region && region->writer() == view.term;
  }

  Report report() {
    report_.violation = world_.violation();
    report_.met = faults_.met();
    report_.injected = faults_.injected();
    report_.bites = world_.bites;
    report_.exercised = world_.exercised;
    report_.left_behind = world_.left_behind();
    report_.evidence = world_.evidence;
    report_.steps = world_.scheduler.steps();
    report_.simulated = world_.scheduler.now() - Instant{1h};
    return report_;
  }

  Random random_;
  Chassis chassis_;
  World& world_;
  bool early_;
  Instant faults_at_;
  Faults faults_;
  std::optional<LastAct> act_;
  Report report_;
  unsigned steady_ = 0;
  std::vector<std::set<Term>> activated_;
  std::vector<std::optional<Instant>> on_mirror_since_;
  std::map<unsigned, unsigned> last_state_;
};

Settings settings_of(std::uint64_t seed, bool trace, Bug bug) {
  Random random(seed ^ 0xc0ffeeU);
  Settings settings;
  settings.seed = seed;
  settings.actives = 2 + random.below(3);
  if (random.chance(0.1)) { settings.actives = 1; }
  settings.always_move = random.chance(0.4);
  settings.control_on_standby = random.chance(0.15);
  settings.last_act = seed >= kFirstLastActSeed;
  settings.switchovers = seed >= kFirstSwitchoverSeed && !settings.last_act;
  if (seed >= kFirstServersSeed) {
    settings.servers = 2 + random.below(2);
    settings.last_act = random.chance(0.6);
    settings.control_on_standby = random.chance(0.3);
  }
  if (seed >= kFirstWordsSeed) {
    settings.words = true;
    settings.witnesses = random.below(3);
    settings.servers = random.chance(0.3) ? 2 + random.below(2) : 1;
    settings.last_act = random.chance(0.4);
    settings.switchovers = !settings.last_act && settings.servers == 1 && random.chance(0.3);
    settings.pages = random.chance(0.5);
  }
  settings.hangs = seed >= kFirstHangSeed;
  settings.filters = seed >= kFirstFilterSeed && !settings.hangs;
  settings.blinks = seed >= kFirstBlinkSeed && !settings.filters && !settings.hangs;
  settings.leases = seed >= kFirstLeaseSeed;
  if (settings.switchovers) { settings.leases = random.chance(0.3); }
  if (settings.last_act) { settings.leases = random.chance(0.5); }
  if (settings.words) { settings.leases = random.chance(0.3); }
  settings.priorities = settings.switchovers && random.chance(0.7);
  settings.trace = trace;
  settings.bug = bug;
  return settings;
}

}  // namespace

Chassis::Chassis(const Settings& settings) : world(settings), control(world) {
  for (unsigned site = 0; site <= world.standby(); ++site) {
    blades.push_back(std::make_unique<BladeNode>(*this, site));
  }
  for (unsigned role = 0; role < world.roles(); ++role) { guests.push_back(std::make_unique<GuestNode>(*this, role)); }
  world.on_power_off = [this](unsigned site) {
    blades[site]->on_power_lost();
    if (site == world.standby() && world.settings.control_on_standby) { control.power_lost(world.servers() - 1); }
  };
}

Report run_seed(std::uint64_t seed, bool trace, Bug bug) {
  const auto settings = settings_of(seed, trace, bug);
  if (trace) {
    std::printf("seed %llu: %u actives, movement %s, %u control-server(s), the last %s\n",
                static_cast<unsigned long long>(seed), settings.actives, settings.always_move ? "always" : "manual",
                settings.servers, settings.control_on_standby ? "on the standby" : "on a box of its own");
  }
  Run run(settings);
  return run.run();
}

}  // namespace understudy::sim
