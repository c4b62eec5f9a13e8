// SPDX-License-Identifier: Apache-2.0
/// A simulated host-agent's steps: what host-agent/edge/agent_steps.cpp and agent_adopt.cpp do.
#include "blade_edge.hpp"

namespace understudy::sim {

void BladeNode::Impl::perform(const host::Do& effect) {
  const unsigned role = effect.role.empty() ? 0 : world.role_of(effect.role);
  const auto done = answer(role, effect.step);
  switch (effect.step) {
    case host::Step::PrepareHost:
      return prepare_host(role, effect.term);
    case host::Step::OpenHostGate:
      return done(open_host_gate(role));
    case host::Step::CloseHostGate:
      return done(close_host_gate(role));
    case host::Step::StartGuest:
      return start_guest(role);
    case host::Step::OpenMirrorGate: {
      if (mirror_at(role, "open the gate") == nullptr) { return; }
      if (trouble()) { return done("the gate does not open"); }
      world.open_tap(role);
      return done({});
    }
    case host::Step::CloseMirrorGate:
      if (movements.contains(role)) { return movement_step(role, effect.step, effect.term); }
      if (mirror_at(role, "close the gate") == nullptr) { return; }
      world.close_tap(role);
      return done({});
    case host::Step::StopGuest:
      return stop_guest(role);
    case host::Step::AdoptHost:
      return adopt_host(role, effect.term);
    case host::Step::AdoptGuest:
      return adopt_guest(role);
    case host::Step::ReleaseGuests:
      return release_all();
    case host::Step::UntimeGate:
      world.open_host_gate(site, role);
      return done({});
    case host::Step::TimeGate:  // an effect of its own
      return;
    case host::Step::QuiesceHost:
      return quiesce_host(role);
    case host::Step::ShipLast:
      return ship_last(role);
    case host::Step::ServeOn:
      return serve_on(role, effect.term);
    case host::Step::PrepareMovement:
    case host::Step::SendMarkers:
    case host::Step::Freeze:
    case host::Step::Finish:
    case host::Step::Commit:
    case host::Step::Resume:
    case host::Step::Rollback:
    case host::Step::Discard:
      return movement_step(role, effect.step, effect.term);
  }
}

/// The daemon asks its map for a mirror that must be there: none would end it.
BladeNode::Impl::Mirror* BladeNode::Impl::mirror_at(unsigned role, const char* why) {
  const auto found = mirrors.find(role);
  if (found != mirrors.end()) { return &found->second; }
  world.violate(Invariant::EdgeHolds, name() + ": told to " + why + " of " + world.role_id(role).value +
                                          ", which has no mirror place here: the daemon ends");
  return nullptr;
}

bool BladeNode::Impl::moved(unsigned role) const { return core->roles().at(world.role_id(role)).moved; }

Outcome BladeNode::Impl::gate_there(bool moved_role) const {
  if (moved_role) { return blade.bridges ? std::nullopt : Outcome("its bridges are gone"); }
  return blade.host_gate ? std::nullopt : Outcome("the service interfaces are uplinks of bridges");
}

// --- a role on this host ---

void BladeNode::Impl::start_application(unsigned role, const Done& done) {
  if (place(role).app_running) {
    process.post(world.random.between(1ms, 5ms), [done] { done({}); });
    return;
  }
  process.post(world.random.between(20ms, 200ms), [this, role, done, failed = trouble(), place_no = discarded[role]] {
    if (place_no != discarded[role]) { return; }
    if (failed) { return done("the application does not become ready"); }
    place(role).app_running = true;
    place(role).app_active.reset();
    world.touch();
    done({});
  });
}

void BladeNode::Impl::activate_application(unsigned role, Term term, const Done& done) {
  process.post(world.random.between(1ms, 5ms), [this, role, term, done] {
    if (!place(role).app_running) { return done("the application has ended"); }
    place(role).app_active = term;
    world.touch();
    done({});
    hear_application(role);
  });
}

void BladeNode::Impl::stop_application(unsigned role, const Action& done) {
  process.post(world.random.between(5ms, 50ms), [this, role, done] {
    place(role).app_running = false;
    place(role).app_active.reset();
    world.touch();
    done();
  });
}

void BladeNode::Impl::prepare_host(unsigned role, Term term) {
  const auto done = answer(role, host::Step::PrepareHost);
  if (const auto missing = gate_there(moved(role))) { return done(missing); }
  if (trouble()) { return done("the interface cannot be configured"); }
  stop_replication(role);
  served.erase(role);
  place(role).configured = true;
  if (!blade.regions[role]) { world.create_region(site, role); }
  world.touch();
  served[role].supervises = true;
  start_application(role, [this, role, term, done](const Outcome& failed) {
    if (failed) { return done(failed); }
    if (!world.begin_writing(site, role, term, PlaceKind::Host)) { return done("the region has a newer writer"); }
    activate_application(role, term, done);
  });
}

Outcome BladeNode::Impl::open_host_gate(unsigned role) {
  const bool moved_role = moved(role);
  if (auto missing = gate_there(moved_role)) { return missing; }
  if (trouble()) { return "the gate does not open"; }
  world.open_host_gate(site, role);
  if (!moved_role) { let_mirror_follow(role, core->roles().at(world.role_id(role)).term); }
  return {};
}

void BladeNode::Impl::let_mirror_follow(unsigned role, Term term) {
  stop_replication(role);
  SenderNode::Handlers handlers;
  handlers.on_grant = [this, role, term](std::uint64_t nonce) { chassis.blades[site]->granted(role, term, nonce); };
  handlers.on_phase = [this] { process.post(0ns, [this] { tell_progress(); }); };
  auto sender = std::make_shared<SenderNode>(world, site, role, term, std::move(handlers));
  if (sender->start()) { served[role].sender = std::move(sender); }
  if (site == role) { world.mirror_bfd[role]->answer(process, site); }
}

void BladeNode::Impl::stop_replication(unsigned role) {
  const auto found = served.find(role);
  if (found == served.end() || !found->second.sender) { return; }
  std::exchange(found->second.sender, nullptr)->stop();
}

/// What host-agent/edge/agent_progress.cpp does.
void BladeNode::Impl::watch_progress() {
  tell_progress();
  process.post(250ms, [this] { watch_progress(); });
}

void BladeNode::Impl::tell_progress() {
  std::erase_if(progress, [this](const auto& one) { return !served.contains(one.first); });
  if (!connected || !stream) { return; }
  for (const auto& [role, of] : served) {
    if (!of.sender) { continue; }
    const auto told = of.sender->progress();
    if (!progress[role].tells(process.machine().clock(), told)) { continue; }
    stream->send(0, [this, at = server, to = session, told] { chassis.control.report(at, to, told); });
  }
}

Outcome BladeNode::Impl::close_host_gate(unsigned role) {
  if (auto missing = gate_there(moved(role))) { return missing; }
  if (!world.has(Bug::GateKeptAtStandDown)) { world.close_host_gate(site, role); }
  stop_replication(role);
  const bool ours = served.contains(role);
  if (ours) { served[role].supervises = false; }
  if (ours || place(role).app_running) {
    stop_application(role, [this, role] {
      const auto anew = served.find(role);  // ordered to serve meanwhile, and took the application for its own
      if (anew == served.end() || !anew->second.supervises) { return; }
      handle(host::ApplicationExited{world.role_id(role), "it was told to stop"});
    });
  }
  return {};
}

// --- after a restart ---

void BladeNode::Impl::adopt_roles() {
  const auto found = records;
  const auto life = process.life();
  for (const auto& [id, left] : given_up) { core->adopt(left); }
  for (const auto& [id, record] : found) {
    const unsigned role = world.role_of(id);
    host::HostFindings findings;
    if (record.stage == host::RoleStage::ServingHost || record.stage == host::RoleStage::HandingOver) {
      findings.gate_open = !gate_there(record.moved) && place(role).gate_open;
    }
    if (record.stage == host::RoleStage::Moving) {
      const auto committed = blade.commits.find(role);
      findings.committed = committed != blade.commits.end() && committed->second == record.move_term;
    }
    world.trace(name(), "adopts " + id.value + ", " + host::to_string(record.stage));
    perform_all(core->adopt(process.machine().clock(), record, findings));
    if (process.life() != life) { return; }
  }
  arm_timer();
}

void BladeNode::Impl::adopt_host(unsigned role, Term term) {
  const auto done = answer(role, host::Step::AdoptHost);
  stop_replication(role);
  served.erase(role);
  served[role].supervises = true;
  if (!blade.regions[role]) { return done("its region is gone"); }
  if (!world.begin_writing(site, role, term, PlaceKind::Host)) { return done("the region has a newer writer"); }
  if (!moved(role)) { let_mirror_follow(role, term); }
  start_application(role, [this, role, term, done](const Outcome& failed) {
    if (failed) { return done(failed); }
    activate_application(role, term, done);
  });
}

void BladeNode::Impl::adopt_guest(unsigned role) {
  const auto done = answer(role, host::Step::AdoptGuest);
  auto& mirror = mirrors[role];
  mirror = Mirror{};
  if (!world.guests[role]->machine.up) { return done("no mirror of this role runs"); }
  mirror.has_guest = true;
  if (!world.has(Bug::NeverIdentify)) { chassis.guests[role]->identify(); }
  process.post(world.random.between(1ms, 10ms), [done] { done({}); });
}

// --- mirrors ---

void BladeNode::Impl::start_guest(unsigned role) {
  process.post(world.random.between(1ms, 20ms), [this, role] {
    if (!core->roles().contains(world.role_id(role))) { return; }
    const auto done = answer(role, host::Step::StartGuest);
    blade.bridges = true;
    blade.host_gate = false;
    mirrors[role] = Mirror{};
    if (trouble()) { return done("QEMU does not start"); }
    world.create_region(site, role).trusted = false;
    auto& guest = *world.guests[role];
    if (guest.machine.up) { return done("a mirror of this role runs already"); }
    mirrors[role].has_guest = true;
    chassis.guests[role]->power_on();
    done({});
  });
}

void BladeNode::Impl::kill_guest(unsigned role, const Action& done) {
  // The signal is sent now, whatever becomes of this daemon; it hears of the end itself.
  world.scheduler.after(world.random.between(1ms, 8ms),
                        [this, role, life = process.life(), boot = world.guests[role]->machine.boot, done] {
                          auto& guest = *world.guests[role];
                          if (guest.machine.up && guest.machine.boot == boot) { chassis.guests[role]->end(); }
                          if (process.life() == life && life != 0) { process.deliver(done); }
                        });
}

void BladeNode::Impl::stop_guest(unsigned role) {
  const auto found = mirrors.find(role);
  if (found == mirrors.end() || !found->second.has_guest) { return; }
  kill_guest(role, [] {});
}

void BladeNode::Impl::tell_guest(unsigned role, const link::guest::GuestOrder& order) {
  const auto& mirror = mirrors.at(role);
  if (!mirror.has_guest || mirror.instance.empty()) { return; }
  chassis.guests[role]->order(mirror.instance, order);
}

void BladeNode::Impl::release_all() {
  std::vector<unsigned> going;
  for (const auto& [role, mirror] : mirrors) {
    if (!core->roles().contains(world.role_id(role)) || world.has(Bug::ReleaseEverything)) { going.push_back(role); }
  }
  Duration last{0};
  for (const unsigned role : going) {
    const bool has_guest = mirrors.at(role).has_guest;
    mirrors.erase(role);
    const auto takes = has_guest ? world.random.between(100ms, 2s) : 0ms;
    last = std::max(last, Duration(takes));
    process.post(takes, [this, role] {
      if (world.guests[role]->machine.up) { chassis.guests[role]->end(); }
      world.close_tap(role);
      blade.regions[role].reset();
    });
  }
  process.post(last + 1ms, [this] { handle(host::GuestsReleased{0}); });
}

}  // namespace understudy::sim
