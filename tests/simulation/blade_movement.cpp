// SPDX-License-Identifier: Apache-2.0
/// A simulated host-agent's movement: what movement_unit.cpp and transfer_unit.cpp do.
#include "blade_edge.hpp"

namespace understudy::sim {

namespace {
constexpr Duration qmp_deadline = 1s;
}

bool BladeNode::Impl::same_movement(unsigned role, std::uint64_t id) const {
  const auto found = movements.find(role);
  return found != movements.end() && found->second.id == id;
}
bool BladeNode::Impl::same_attempt(unsigned role, std::uint64_t id, std::uint64_t attempt) const {
  return same_movement(role, id) && movements.at(role).attempt == attempt;
}

void BladeNode::Impl::movement_step(unsigned role, host::Step step, Term term) {
  const bool undoes = step == host::Step::Rollback || step == host::Step::Discard;
  if (step == host::Step::PrepareMovement || (undoes && !movements.contains(role))) {
    if (mirror_at(role, "move the role") == nullptr) { return; }
    movements[role] = Movement{};
    movements[role].id = ++movement_ids;
    movements[role].frozen = step == host::Step::Rollback;
  }
  const auto plain = answer(role, step);
  if (!movements.contains(role)) { return plain("no movement is under way"); }
  const Done done = [this, role, step, plain, life = process.life()](const Outcome& failed) {
    if (process.life() != life) { return; }
    if (!failed && step == host::Step::Resume) {
      process.post(0ns, [this, role] { resumed(role); });
      return;
    }
    if (!failed && (step == host::Step::Rollback || step == host::Step::Discard)) {
      process.post(0ns, [this, role] { movements.erase(role); });
    }
    plain(failed);
  };
  switch (step) {
    case host::Step::PrepareMovement:
      return prepare_movement(role, done);
    case host::Step::CloseMirrorGate:
      if (trouble()) { return done("the gate does not close"); }
      world.close_tap(role);
      return done({});
    case host::Step::SendMarkers:
      return send_markers(role, done);
    case host::Step::Freeze:
      return freeze(role, done);
    case host::Step::Finish:
      if (trouble()) { return done("the kernel refuses the last records"); }
      if (blade.regions[role]) { place(role).installed = blade.regions[role]->committed(); }
      return done({});
    case host::Step::Commit:
      return commit(role, term, done);
    case host::Step::Resume:
      return take_over(role, term, done);
    case host::Step::Rollback:
      return roll_back(role, done);
    case host::Step::Discard:
      return discard(role, {}, done);
    default:
      return done("a step that is no part of a movement");
  }
}

void BladeNode::Impl::prepare_movement(unsigned role, const Done& done) {
  auto& movement = movements.at(role);
  const auto id = movement.id;
  const auto attempt = ++movement.attempt;
  const auto make = [this, role, id, attempt, done] {
    if (!same_attempt(role, id, attempt)) { return; }
    if (trouble()) { return done("the namespace cannot be made"); }
    auto& mine = movements.at(role);
    place(role) = HostPlace{};
    place(role).moved = true;
    place(role).configured = true;
    if (!blade.regions[role]) { return done("there is no region"); }
    place(role).installed = blade.regions[role]->committed();
    mine.place = mine.supervises = true;
    world.touch();
    start_application(role, [this, role, id, attempt, done](const Outcome& failed) {
      if (same_attempt(role, id, attempt)) { done(failed); }
    });
  };
  if (!place(role).app_running) { return make(); }
  stop_application(role, make);  // of an earlier try
}

/// Back in a moment, or one is lost. A guest that stands still returns none.
void BladeNode::Impl::send_markers(unsigned role, const Done& done) {
  const bool lost = !world.guests[role]->machine.up || trouble();
  const auto took = lost ? Duration(40ms) : world.random.between(500us, 20ms);
  process.post(took, [this, role, id = movements.at(role).id, lost, done] {
    if (same_movement(role, id)) { done(lost ? Outcome("no marker came back") : std::nullopt); }
  });
}

void BladeNode::Impl::freeze(unsigned role, const Done& done) {
  auto& movement = movements.at(role);
  auto& guest = *world.guests[role];
  const bool before = std::exchange(movement.frozen, true);
  if (!mirrors.at(role).has_guest || !guest.machine.up) {
    movement.frozen = before;
    return done("QEMU's monitor is closed");
  }
  const bool fails = world.fails(world.troubles.freeze_fails, Fault::FailedFreeze);
  const bool stops = !fails || world.random.chance(0.5);
  const auto stop_after = fails ? world.random.between(1ms, 3s) : world.random.between(300us, 2ms);
  if (stops) {
    monitor_busy[role] = world.scheduler.now() + stop_after;  // what is asked of it later happens later
    world.scheduler.after(stop_after, [this, role, boot = guest.machine.boot] {
      auto& stopped = *world.guests[role];
      if (!stopped.machine.up || stopped.machine.boot != boot) { return; }
      world.network.before_change();
      stopped.machine.freeze();
      world.touch();
      world.network.after_change();
    });
  }
  process.post(fails ? qmp_deadline : stop_after + 50us, [this, role, id = movement.id, fails, done] {
    if (same_movement(role, id)) { done(fails ? Outcome("QEMU does not answer") : std::nullopt); }
  });
}

void BladeNode::Impl::commit(unsigned role, Term term, const Done& done) {
  if (trouble()) { return done("/run is full"); }
  blade.commits[role] = term;
  world.ownership_leaves(role, term);
  const auto id = movements.at(role).id;
  if (!mirrors.at(role).has_guest) { return done({}); }
  if (world.has(Bug::ContAfterCommit)) {
    process.post(1ms, [this, role] {
      world.guests[role]->machine.thaw();
      world.open_tap(role);
    });
    return done({});
  }
  kill_guest(role, [this, role, id, done] {
    if (same_movement(role, id)) { done({}); }
  });
}

void BladeNode::Impl::take_over(unsigned role, Term term, const Done& done) {
  auto& movement = movements.at(role);
  const auto id = movement.id;
  const auto attempt = ++movement.attempt;
  if (trouble()) { return done("the region cannot be opened"); }
  if (!blade.regions[role] || !world.begin_writing(site, role, term, PlaceKind::Host)) {
    return done("the region has a newer writer");
  }
  start_application(role, [this, role, term, id, attempt, done](const Outcome& ended) {
    if (!same_attempt(role, id, attempt)) { return; }
    if (ended) { return done(ended); }
    activate_application(role, term, [this, role, id, attempt, done](const Outcome& failed) {
      if (!same_attempt(role, id, attempt)) { return; }
      if (failed) { return done(failed); }
      world.open_host_gate(site, role);
      done({});
    });
  });
}

void BladeNode::Impl::roll_back(unsigned role, const Done& done) {
  auto& movement = movements.at(role);
  const auto id = movement.id;
  auto& guest = *world.guests[role];
  if (!movement.frozen || !mirrors.at(role).has_guest || !guest.machine.up) {
    world.open_tap(role);
    return discard(role, {}, done);
  }
  const auto now = world.scheduler.now();
  const auto at = std::max(now, monitor_busy[role]) + world.random.between(200us, 2ms);
  const bool asked_to_fail = world.fails(world.troubles.cont_fails, Fault::FailedCont);
  const bool fails = asked_to_fail || at > now + qmp_deadline;
  const bool goes_on = !asked_to_fail || world.random.chance(0.3);
  if (goes_on) {
    world.scheduler.at(at, [this, role, boot = guest.machine.boot] {
      auto& thawed = *world.guests[role];
      if (!thawed.machine.up || thawed.machine.boot != boot) { return; }
      world.network.before_change();
      thawed.machine.thaw();
      world.touch();
      world.network.after_change();
    });
  }
  process.post(fails ? qmp_deadline : at - now + 50us, [this, role, id, fails, done] {
    if (!same_movement(role, id)) { return; }
    if (!fails) { world.open_tap(role); }
    discard(role, fails ? Outcome("QEMU does not answer") : std::nullopt, done);
  });
}

void BladeNode::Impl::discard(unsigned role, const Outcome& opened, const Done& done) {
  auto& movement = movements.at(role);
  const auto id = movement.id;
  const auto attempt = ++movement.attempt;
  ++discarded[role];
  movement.supervises = false;
  const auto clean = [this, role, id, attempt, opened, done] {
    if (!same_attempt(role, id, attempt)) { return; }
    movements.at(role).place = false;
    place(role) = HostPlace{};
    world.touch();
    done(opened);
  };
  if (!place(role).app_running) { return clean(); }
  stop_application(role, clean);
}

void BladeNode::Impl::resumed(unsigned role) {
  handle(host::StepDone{world.role_id(role), host::Step::Resume});
  if (!process.alive()) { return; }
  const auto held = core->roles().find(world.role_id(role));
  if (held == core->roles().end() || held->second.stage != host::RoleStage::ServingHost) { return; }
  stop_replication(role);
  served[role] = Served{};
  served[role].supervises = true;
  if (!world.has(Bug::ContAfterCommit)) { world.close_tap(role); }
  movements.erase(role);
  mirrors.erase(role);
}

}  // namespace understudy::sim
