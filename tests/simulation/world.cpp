// SPDX-License-Identifier: Apache-2.0
#include "world.hpp"

#include <cstdio>

namespace understudy::sim {

namespace {
/// Timings::hello_wait
constexpr Duration standby_waited_for = 10s;
}  // namespace

World::World(const Settings& with)
    : settings(with),
      random(with.seed),
      lease_random(with.seed ^ 0x1ea5eU),
      content_random(with.seed ^ 0xc0de0fU),
      replication_random(with.seed ^ 0x5eaf00dU),
      network(scheduler, random),
      control_bfd(with.servers),
      store_cut(with.servers, false),
      unhealthy(with.actives, false),
      unfit(with.actives, false),
      outages_(with.actives, false),
      promised_(with.actives),
      ledgers_(with.actives),
      heard_leader_(with.actives + 1, 0),
      highest_stored_(with.actives),
      highest_spoken_(with.actives),
      term_users_(with.actives) {
  network.on_bite = [this](Fault fault) { bite(fault); };
  network.bfd_on_loops = has(Bug::BfdOnTheLoop);
  for (unsigned witness = 0; witness < settings.witnesses; ++witness) {
    witnesses.push_back(std::make_unique<Witness>(scheduler, "witness-" + std::to_string(witness + 1)));
  }
  for (unsigned site = 0; site <= settings.actives; ++site) {
    blade_ids_.push_back(BladeId{"blade-" + std::to_string(site + 1)});
    blades.push_back(std::make_unique<Blade>(scheduler, blade_ids_.back().value, settings.actives));
    for (auto& pairs : control_bfd) { pairs.push_back(std::make_unique<BfdPair>(network, random)); }
  }
  for (unsigned role = 0; role < settings.actives; ++role) {
    role_ids_.push_back(RoleId{"role-" + std::to_string(role + 1)});
    guests.push_back(
        std::make_unique<Guest>(scheduler, blades[standby()]->machine, "mirror-" + std::to_string(role + 1)));
    mirror_bfd.push_back(std::make_unique<BfdPair>(network, random));
  }
  for (unsigned server = 0; server < settings.servers; ++server) {
    const auto number = settings.servers == 1 ? "" : "-" + std::to_string(server + 1);
    control_boxes.push_back(std::make_unique<Machine>(scheduler, "control" + number));
  }
}

unsigned World::site_of(const BladeId& id) const { return static_cast<unsigned>(id.value.back() - '1'); }
unsigned World::role_of(const RoleId& id) const { return static_cast<unsigned>(id.value.back() - '1'); }

// --- what daemons do ---

void World::open_host_gate(unsigned site, unsigned role) {
  auto& place = blades[site]->places[role];
  place.gate_open = true;
  place.gate_timer = 0;
  if (place.moved && blades[site]->regions[role] && place.installed != blades[site]->regions[role]->committed()) {
    violate(Invariant::InstalledFirst, blade_ids_[site].value + " opens the moved role's gate with " +
                                           std::to_string(place.installed) + " of " +
                                           std::to_string(blades[site]->regions[role]->committed()) + " installed");
  }
  touch();
}
/// The element is the kernel's: it runs out whether or not anybody lives to see it.
bool World::time_host_gate(unsigned site, unsigned role, bool refresh, Duration element) {
  auto& place = blades[site]->places[role];
  if (refresh && !place.gate_open) { return false; }
  place.gate_open = true;
  place.gate_timer = ++gate_timers_;
  scheduler.after(blades[site]->machine.real(element), [this, site, role, mine = place.gate_timer] {
    auto& timed = blades[site]->places[role];
    if (timed.gate_timer != mine || !timed.gate_open) { return; }
    trace(blade_ids_[site].value, "its gate closes by itself");
    timed.gate_open = false;
    touch();
  });
  touch();
  return true;
}

void World::close_host_gate(unsigned site, unsigned role) {
  blades[site]->places[role].gate_open = false;
  touch();
}
void World::open_tap(unsigned role) {
  guests[role]->tap_open = true;
  touch();
}
void World::close_tap(unsigned role) {
  guests[role]->tap_open = false;
  touch();
}
void World::set_port(unsigned site, unsigned segment, bool open) {
  blades[site]->ports_open[segment] = open;
  touch();
}

RoleRegion& World::create_region(unsigned site, unsigned role) {
  auto& region = blades[site]->regions[role];
  region = std::make_shared<RoleRegion>(++copies_);
  touch();
  return *region;
}

bool World::begin_writing(unsigned site, unsigned role, Term term, PlaceKind kind) {
  auto& region = blades[site]->regions[role];
  if (!region || region->writer() > term) { return false; }
  const auto where =
      "where term " + std::to_string(term.value) + " serves, " + blade_ids_[site].value + "/" + to_string(kind) + ",";
  if (region->syncing()) {
    violate(Invariant::WholeCopy, role_ids_[role].value + ": the copy " + where + " is an unfinished snapshot");
  }
  if (const auto begun = region->begin_writing(term); !begun) {
    trace(blade_ids_[site].value, "cannot write the region: " + begun.error().message);
    return false;
  }
  const TermUser user{site, kind, region->id};
  auto [found, first] = term_users_[role].emplace(term, user);
  if (store_damaged_ && !remembered(role, found->second.copy)) { found->second = user; }
  const auto& known = found->second;
  if (!first && (known.site != site || known.kind != kind || known.copy != user.copy)) {
    violate(Invariant::TermOnce, role_ids_[role].value + ": term " + std::to_string(term.value) + " was used by " +
                                     blade_ids_[known.site].value + "/" + to_string(known.kind) + " (region " +
                                     std::to_string(known.copy) + ") and is used by " + blade_ids_[site].value + "/" +
                                     to_string(kind) + " (region " + std::to_string(user.copy) + ")");
  }
  check_whole(role, *region, where);
  check_promised(site, role, kind, term);
  touch();
  return true;
}

void World::check_promised(unsigned site, unsigned role, PlaceKind kind, Term term) {
  const auto& region = *blades[site]->regions[role];
  if (something_promised(role) && holds_promised(region, role)) {
    // The new place has it all; what a former one still holds is of the past.
    for (auto& blade : blades) {
      auto& other = blade->regions[role];
      if (other && other->id != region.id) { other->trusted = false; }
    }
  }
  for (unsigned store = 0; store < kStores; ++store) {
    auto& promise = promised_[role][store];
    if (promise.sequence == 0 || holds(region, store, promise)) { continue; }
    const bool excused = store_damaged_ || troubles.steps_fail;  // see docs/SIMULATION.md
    for (const auto& blade : blades) {
      const auto& other = blade->regions[role];
      if (excused || !blade->machine.up || !other || !other->trusted || other->id == region.id) { continue; }
      if (!holds(*other, store, promise)) { continue; }
      violate(Invariant::MirroredKept,
              role_ids_[role].value + ": record " + std::to_string(promise.sequence) + " of term " +
                  std::to_string(promise.term.value) + " in store " + region.store(store).schema().name +
                  " was acknowledged as mirrored, is whole on " + blade->machine.name + ", and is not where term " +
                  std::to_string(term.value) + " serves, " + blade_ids_[site].value + "/" + to_string(kind) +
                  " (up to " + std::to_string(region.store(store).committed().value) + ")");
      break;
    }
    promise = {};  // every copy of it is lost
  }
}

void World::standby_heard(bool heard) {
  if (heard) {
    standby_away_.reset();
  } else {
    standby_away_ = control_machine(leading).clock();
  }
}

void World::starts_anew(unsigned role) {
  auto& region = blades[standby()]->regions[role];
  const auto& own = blades[role]->regions[role];
  if (!standby_away_ || control_machine(leading).clock() - *standby_away_ < standby_waited_for) { return; }
  if (!region || !region->trusted || !something_promised(role) || !holds_promised(*region, role)) { return; }
  if (own && holds_promised(*own, role)) { return; }
  region->trusted = false;
  ++left_behind_;
}

bool World::remembered(unsigned role, std::uint64_t copy) const {
  return std::any_of(blades.begin(), blades.end(),
                     [&](const auto& blade) { return blade->regions[role] && blade->regions[role]->id == copy; });
}
Term World::highest_remembered(unsigned role) const {
  Term highest;
  for (const auto& blade : blades) {
    if (blade->regions[role]) { highest = std::max(highest, blade->regions[role]->writer()); }
  }
  return highest;
}

void World::heard_leader(unsigned site, std::uint64_t token) {
  heard_leader_[site] = std::max(heard_leader_[site], token);
}
void World::obeyed(unsigned site, std::uint64_t token) {
  if (token >= heard_leader_[site]) { return; }
  violate(Invariant::OneLeader, blade_ids_[site].value + " obeys an order of the leader under token " +
                                    std::to_string(token) + " and has heard one under token " +
                                    std::to_string(heard_leader_[site]));
}

void World::kill_guest(unsigned role) {
  network.before_change();
  auto& guest = *guests[role];
  guest.machine.power_off();
  guest.configured = guest.app_running = false;
  guest.app_active.reset();
  guest.serving_mark.reset();
  guest.tried_mark.reset();
  guest.whole_mark.reset();
  guest.mirror.reset();
  guest.installed = 0;
  touch();
  network.after_change();
}

void World::announce_from_guest(unsigned role) {
  const auto& guest = *guests[role];
  const auto& region = blades[standby()]->regions[role];
  if (region && guest.installed < region->committed() && guest.app_active != region->writer()) {
    violate(Invariant::InstalledFirst, guest.machine.name + " announces before its application is active");
  }
}

// --- what faults do ---

void World::forget_blade(unsigned site) {
  auto& blade = *blades[site];
  blade.bridges = blade.host_gate = false;
  for (auto& place : blade.places) { place = HostPlace{}; }
  for (auto& region : blade.regions) { region.reset(); }
  blade.commits.clear();
  heard_leader_[site] = 0;
  if (site == standby()) {
    for (auto& guest : guests) {
      guest->tap_open = guest->configured = guest->app_running = false;
      guest->app_active.reset();
      guest->serving_mark.reset();
      guest->tried_mark.reset();
      guest->whole_mark.reset();
      guest->mirror.reset();
    }
  }
}

void World::power_off(unsigned site) {
  if (!blades[site]->machine.up) { return; }
  network.before_change();
  trace(blade_ids_[site].value, "power is off");
  blades[site]->machine.power_off();
  blades[site]->agent.stop();
  forget_blade(site);
  on_power_off(site);
  touch();
  network.after_change();
}

void World::power_on(unsigned site) {
  if (blades[site]->machine.up) { return; }
  network.before_change();
  trace(blade_ids_[site].value, "power is on");
  blades[site]->machine.power_on();
  touch();
  network.after_change();
}

void World::freeze(unsigned site) {
  network.before_change();
  trace(blade_ids_[site].value, "stands still");
  blades[site]->machine.freeze();
  touch();
  network.after_change();
}

void World::thaw(unsigned site) {
  if (!blades[site]->machine.frozen()) { return; }
  network.before_change();
  trace(blade_ids_[site].value, "goes on");
  blades[site]->machine.thaw();
  touch();
  network.after_change();
}

void World::kill(Process& process) {
  network.before_change();
  process.stop();
  network.after_change();
}

// --- trace ---

std::string show(Instant at) {
  char text[32];
  std::snprintf(text, sizeof text, "%9.3f", static_cast<double>((at.since_boot - Duration(1h)).count()) / 1e9);
  return text;
}

void World::trace(const std::string& who, const std::string& what) const {
  if (!settings.trace) { return; }
  std::string line = show(scheduler.now()) + "  " + who;
  line.resize(std::max<std::size_t>(line.size() + 1, 22), ' ');
  line += what;
  if (line.size() > 100) { line = line.substr(0, 97) + "..."; }
  std::printf("%s\n", line.c_str());
}

bool World::dies(Daemon daemon, unsigned which) {
  for (auto doom = dooms.begin(); doom != dooms.end(); ++doom) {
    if (doom->daemon != daemon || doom->which != which) { continue; }
    if (doom->effects_left-- > 0) { return false; }
    const Doom now = *doom;
    dooms.erase(doom);
    on_doom(now);
    return true;
  }
  return false;
}

}  // namespace understudy::sim
