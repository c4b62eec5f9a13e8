// SPDX-License-Identifier: Apache-2.0
/// One simulated control-server: its loop, its timers, the host-agents' streams (control-server/edge/service.cpp).
#include "control_edge.hpp"
#include "trace_words.hpp"

namespace understudy::sim {

using namespace control;

GroupConfig control_config(const World& world, unsigned server) {
  GroupConfig config;
  for (unsigned site = 0; site <= world.standby(); ++site) {
    const auto number = std::to_string(site + 1);
    config.blades.push_back({world.blade_id(site),
                             IpAddress::parse("192.168.1." + number).value(),
                             {"b" + number + "-ext", "b" + number + "-int"},
                             site == world.standby()});
  }
  for (unsigned role = 0; role < world.roles(); ++role) {
    link::RoleSpec spec;
    spec.id = world.role_id(role);
    spec.number = role + 1;
    spec.version = "1";
    if (world.settings.words) {
      for (const auto* network : kNetworks) {
        link::PortSpec port;
        port.name = port.network = network;
        spec.ports.push_back(port);
      }
      spec.health.command = {"/usr/bin/check-role"};
      spec.health.interval_ms = 500;
      spec.health.failures = 2;
    }
    const auto priority = world.priority_of(role);
    config.roles.push_back({spec, world.blade_id(role), world.has(Bug::LowerFirst) ? 1000 - priority : priority});
  }
  config.movement = world.settings.always_move ? link::MovementPolicy::Always : link::MovementPolicy::Manual;
  config.has_power = true;
  for (unsigned witness = 0; witness < world.settings.witnesses; ++witness) {
    WitnessConfig one;
    one.name = "witness-" + std::to_string(witness + 1);
    one.address = IpAddress::parse("192.168.1." + std::to_string(200 + witness)).value();
    if (witness == 0) { one.interval = 20ms; }
    config.witnesses.push_back(one);
  }
  // A blade that is unfit again and again is held out too, without ever having been away.
  if (world.settings.switchovers && !world.settings.words) { config.hold_out = {kHeldOutAfter, 10min, 20s}; }
  config.leases = world.settings.leases;
  if (world.server_on_standby(server)) { config.control_blade = world.blade_id(world.standby()); }
  return config;
}

ControlServer::ControlServer(ControlServers& all, unsigned index)
    : process(all.world.scheduler, all.world.control_machine(index)),
      all_(all),
      world(all.world),
      index_(index),
      name_(all.several() ? "control-" + std::to_string(index + 1) : "control") {}

bool ControlServer::leads() const {
  return !all_.several() || (token != 0 && leading_ && leading_->holds(process.machine().clock(), token));
}

void ControlServer::start() {
  if (world.has(Bug::StoreInMemoryOnly)) { all_.disk.store = all_.disk.on_disk; }
  process.start();
  world.trace(name_, "starts");
  if (!all_.several()) { world.standby_heard(false); }
  group.reset();
  token = 0;
  follows.reset();
  ++reign_;
  unwritten_.clear();
  queue.clear();
  effects_.clear();
  stepping = waits_for_disk_ = flush_posted_ = false;
  write_.reset();
  switch_worker = {};
  power_worker = {};
  sessions.clear();
  blade_of.clear();
  session_of.clear();
  votes_.clear();
  echoes_.clear();
  store_jobs_.clear();
  store_busy_ = false;
  if (!all_.several()) {
    find_ghost();
    std::vector<Ownership> stored;
    for (const auto& [role, ownership] : all_.disk.store) { stored.push_back(ownership); }
    begin_deciding(stored, all_.disk.is_protected, all_.disk.hold_outs);
    if (process.alive()) { watch_blades(); }
    if (process.alive()) { watch_witnesses(); }
    if (process.alive() && world.settings.hangs) {
      process.post(0ns, [this] { probe_store(); });
    }
    return;
  }
  watch_blades();
  watch_witnesses();
  const Duration patience = world.server_on_standby(index_) ? Duration(1500ms) : Duration(0);
  leading_.emplace(Leading::Timings{4s, 1500ms, patience});
  round();
}

void ControlServer::begin_deciding(const std::vector<Ownership>& stored, const std::set<RoleId>& was_protected,
                                   const std::map<BladeId, KeptHoldOut>& kept) {
  std::map<BladeId, HoldOutAges> held_out;
  for (const auto& [blade, one] : kept) {
    auto& ages = held_out[blade] = one.ages;
    const Duration since = world.scheduler.now() - one.at;
    for (auto& age : ages.failures) { age += since; }
    if (ages.held) { *ages.held += since; }
  }
  group.emplace(control_config(world, index_), stored, was_protected, std::move(held_out));
  step(Started{});
  if (!process.alive()) { return; }
  for (unsigned witness = 0; witness < echoes_.size() && group; ++witness) { tell_of_witness(witness); }
  for (const auto& [blade, vote] : votes_) {
    if (vote != link::Vote::Unknown && group) { step(BfdChanged{blade, vote}); }
    if (!process.alive()) { return; }
  }
  for (unsigned site = 0; site <= world.standby() && group; ++site) { look_at_ports(site); }
}

/// control-server/edge/service_witnesses.cpp and icmp_watch.cpp: an echo at each interval, whatever became of the last.
void ControlServer::watch_witnesses() {
  echoes_.clear();
  for (const auto& witness : control_config(world, index_).witnesses) {
    echoes_.push_back({EchoRun(witness.count, witness.spacing()), witness.name, witness.interval});
  }
  for (unsigned witness = 0; witness < echoes_.size(); ++witness) { send_echo(witness); }
}

void ControlServer::send_echo(unsigned which) {
  auto& echo = echoes_[which];
  const auto number = echo.run.send(process.machine().clock());
  if (echo.run.take_changed()) { tell_of_witness(which); }
  if (!process.alive()) { return; }
  const unsigned here = world.control_site(index_);
  const unsigned there = world.witness_site(which);
  auto& witness = *world.witnesses[which];
  if (!witness.machine.up) { world.bite(Fault::WitnessLost); }
  process.post_beside(echo.interval, [this, which] { send_echo(which); });
  const bool nearby = world.network.calm(here, there) && witness.process.runs() && !world.troubles.witness_late;
  if (nearby || world.has(Bug::BlindWitness)) {
    echo.run.answered(number);  // within a millisecond: nobody could tell
    if (echo.run.take_changed()) { tell_of_witness(which); }
    return;
  }
  world.network.datagram(here, there, witness.process, [this, which, here, there, number, life = process.life()] {
    const bool late = world.fails(world.troubles.witness_late, Fault::WitnessLate);
    world.scheduler.after(late ? world.random.between(30ms, 3s) : 0ms, [this, which, here, there, number, life] {
      world.network.datagram(there, here, process, [this, which, number, life] {
        if (process.life() != life) { return; }
        echoes_[which].run.answered(number);
        if (echoes_[which].run.take_changed()) { tell_of_witness(which); }
      });
    });
  });
}

void ControlServer::tell_of_witness(unsigned which) {
  const auto& echo = echoes_[which];  // on a thread of its own
  const WitnessSeen seen{echo.name, echo.run.vote(), echo.run.answered_since()};
  process.on_loop([this, seen] {
    if (group) { step(seen); }
  });
}

void ControlServer::watch_blades() {
  for (unsigned site = 0; site <= world.standby(); ++site) {
    world.control_bfd[index_][site]->watch(process, world.control_site(index_), [this, site](link::Vote vote) {
      if (all_.several()) { votes_[world.blade_id(site)] = vote; }
      if (!group) { return; }
      step(BfdChanged{world.blade_id(site), vote});
      if (world.has(Bug::OneVoteIsEnough) && site != world.standby() && process.alive()) {
        step(AgentReport{world.blade_id(world.standby()),
                         link::PeerVote{world.role_id(site), world.blade_id(site), vote}});
      }
    });
  }
}

void ControlServer::crash() {
  if (!process.alive()) { return; }
  world.trace(name_, "is killed");
  give_up_write();
  world.kill(process);
  for (auto& pair : world.control_bfd[index_]) { pair->stop_watching(); }
  close_all();
}

void ControlServer::power_lost() {
  give_up_write();
  process.stop();
  for (auto& pair : world.control_bfd[index_]) { pair->stop_watching(); }
  sessions.clear();
}

// --- the loop ---

void ControlServer::step(const Event& event) {
  queue.push_back(event);
  if (stepping) { return; }
  stepping = true;
  steps_ = 0;
  go_on_stepping();
}

/// A write that does not come back is where it ends, in the middle of a step; what the disk does then goes on here.
void ControlServer::go_on_stepping() {
  const auto life = process.life();
  while (group) {
    while (!effects_.empty()) {
      if (world.dies(Daemon::Control, index_) || process.life() != life) { return; }
      if (!leads()) {
        effects_.clear();
        break;
      }
      const Effect effect = std::move(effects_.front());
      effects_.pop_front();
      if (world.tracing()) { world.trace(name_ + " ->", describe(effect)); }
      std::visit([this](const auto& one) { perform(one); }, effect);
      if (waits_for_disk_) { return; }
    }
    if (queue.empty() || !leads()) { break; }
    const Event next = std::move(queue.front());
    queue.pop_front();
    if (world.tracing()) { world.trace(name_ + " <-", describe(next)); }
    auto effects = group->step(process.machine().clock(), next);
    effects_.assign(std::make_move_iterator(effects.begin()), std::make_move_iterator(effects.end()));
    look_for_takeovers();
    if (++steps_ > 1000) {
      world.violate(Invariant::EdgeHolds, "the control-server's core never comes to rest");
      return;
    }
  }
  stepping = false;
  if (!group) { return; }
  if (!leads()) { return stop_deciding("its lease could not be renewed in time"); }
  arm_timer();
  look_at_states();
}

void ControlServer::arm_timer() {
  const auto deadline = group->next_deadline();
  const auto mine = ++timers;
  if (!deadline || world.has(Bug::NoTimers)) { return; }
  const auto now = process.machine().clock();
  process.post(std::max(Duration{0}, *deadline - now), [this, mine] {
    if (mine == timers && group) { step(Tick{}); }
  });
}

/// Before anybody is told: a role may pass through this state within one step of the daemon.
void ControlServer::look_for_takeovers() {
  for (unsigned role = 0; role < world.roles(); ++role) {
    const bool taking_over = group->find(world.role_id(role))->state() == RoleState::TakingOver;
    if (taking_over && all_.states[role] != static_cast<unsigned>(RoleState::TakingOver)) { all_.on_takeover(role); }
  }
}

void ControlServer::look_at_states() {
  for (unsigned role = 0; role < world.roles() && group; ++role) {
    const auto state = static_cast<unsigned>(group->find(world.role_id(role))->state());
    if (std::exchange(all_.states[role], state) != state) { all_.on_state(role, state); }
  }
}

// --- host-agents ---

ControlServer::SessionId ControlServer::attach(Session session) {
  const auto id = ++last_session;
  sessions[id] = std::move(session);
  return id;
}

void ControlServer::report(SessionId session, const link::Report& report) {
  if (!sessions.contains(session) || !group) { return; }
  const auto* hello = std::get_if<link::Hello>(&report);
  if (hello != nullptr && !on_hello(session, *hello)) { return; }
  const auto found = blade_of.find(session);
  if (found == blade_of.end()) { return; }
  const bool of_application =
      std::holds_alternative<link::ApplicationFailed>(report) || std::holds_alternative<link::ServeFailed>(report);
  if (of_application) { ++all_.failures[found->second]; }
  step(AgentReport{found->second, report});
}

bool ControlServer::on_hello(SessionId session, const link::Hello& hello) {
  const auto older = session_of.find(hello.blade);
  if (older != session_of.end() && older->second != session) {
    const auto stale = older->second;
    blade_of.erase(stale);
    close(stale);
  }
  ++all_.failures[hello.blade];
  blade_of[session] = hello.blade;
  session_of[hello.blade] = session;
  if (hello.blade == world.blade_id(world.standby()) && index_ == world.leading) { world.standby_heard(true); }
  return true;
}

void ControlServer::close(SessionId session) {
  const auto found = sessions.find(session);
  if (found == sessions.end()) { return; }
  const auto closing = found->second.close;
  sessions.erase(found);
  closing();
}

void ControlServer::close_all() {
  auto closing = std::exchange(sessions, {});
  for (auto& [id, session] : closing) { session.close(); }
}

void ControlServer::detached(SessionId session) {
  sessions.erase(session);
  const auto found = blade_of.find(session);
  if (found == blade_of.end()) { return; }
  const BladeId blade = found->second;
  blade_of.erase(found);
  session_of.erase(blade);
  if (blade == world.blade_id(world.standby()) && index_ == world.leading) { world.standby_heard(false); }
  if (group) { step(AgentLost{blade}); }
}

}  // namespace understudy::sim
