// SPDX-License-Identifier: Apache-2.0
/// A simulated host-agent's part of a planned switchover: what host-agent/edge/agent_hand_over.cpp does.
#include "blade_edge.hpp"

namespace understudy::sim {

namespace {
constexpr Duration quiesce_limit = 1s;
constexpr Duration ship_limit = 1500ms;
}  // namespace

void BladeNode::Impl::quiesce_host(unsigned role) {
  const auto done = answer(role, host::Step::QuiesceHost);
  if (!served.contains(role)) { return done("the role is not served by this daemon"); }
  if (trouble()) {
    process.post(quiesce_limit, [done] { done("the application is not quiesced in time"); });
    return;
  }
  process.post(world.random.between(1ms, 120ms), [this, role, done] {
    if (!place(role).app_running) { return done("the application has ended"); }
    if (core->roles().contains(world.role_id(role)) &&
        core->roles().at(world.role_id(role)).stage == host::RoleStage::HandingOver) {
      place(role).app_active.reset();
      world.touch();
    }
    done({});
  });
}

void BladeNode::Impl::ship_last(unsigned role) {
  const auto done = answer(role, host::Step::ShipLast);
  const auto found = served.find(role);
  if (found == served.end() || !found->second.sender) { return done("no mirror can follow this role"); }
  if (const auto missing = gate_there(moved(role))) { return done(missing); }
  if (trouble()) { return done("the gate does not close"); }
  world.close_host_gate(site, role);
  const auto sender = found->second.sender;
  const auto shipped = [this, role, done, of = std::weak_ptr(sender)](bool all) {
    const auto after = served.find(role);
    if (after != served.end() && after->second.sender == of.lock()) { after->second.sender.reset(); }
    done(all ? Outcome() : Outcome("the mirror has not applied all that was committed"));
  };
  if (world.has(Bug::HandOverUnshipped)) {
    if (const auto& region = blade.regions[role]) {
      for (unsigned store = 0; store < kStores; ++store) {
        world.promise(role, *region, store, region->store(store).committed());
      }
    }
    sender->stop();
    return shipped(true);
  }
  sender->finish(ship_limit, shipped);
}

void BladeNode::Impl::serve_on(unsigned role, Term term) {
  const auto done = answer(role, host::Step::ServeOn);
  const auto found = served.find(role);
  if (found == served.end()) { return done("the role is not served by this daemon"); }
  stop_replication(role);
  if (trouble()) { return done("the collector does not begin"); }
  if (!world.begin_writing(site, role, term, PlaceKind::Host)) { return done("the region has a newer writer"); }
  activate_application(role, term, done);
}

}  // namespace understudy::sim
