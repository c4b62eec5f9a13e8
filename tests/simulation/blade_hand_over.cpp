// SPDX-License-Identifier: Apache-2.0
/// A simulated host-agent's part of a planned switchover: what host-agent/edge/agent_hand_over.cpp does.
#include "blade_edge.hpp"

namespace understudy::sim {

namespace {
constexpr Duration quiesce_limit = 1s;
constexpr Duration ship_limit = 1500ms;
constexpr Duration poll = 2ms;
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
  if (found == served.end() || !found->second.replicating) { return done("no mirror can follow this role"); }
  if (const auto missing = gate_there(moved(role))) { return done(missing); }
  if (trouble()) { return done("the gate does not close"); }
  world.close_host_gate(site, role);
  found->second.sender = ++senders;
  look_whether_shipped(role, senders, process.machine().clock() + ship_limit, done);
}

void BladeNode::Impl::look_whether_shipped(unsigned role, std::uint64_t attempt, Instant until, const Done& done) {
  const auto found = served.find(role);
  // A sender that was stopped answers nobody.
  if (found == served.end() || !found->second.replicating || found->second.sender != attempt) { return; }
  if (world.has(Bug::HandOverUnshipped) || chassis.guests[role]->has_applied_all()) {
    const auto& region = blade.regions[role];
    if (!region) { return done("its region is gone"); }
    const auto term = link::replication::term_at(region->history, Sequence{region->committed});
    if (term) { world.promise(role, {*term, region->committed}); }  // all of it, whoever had been told so
    found->second.replicating.reset();
    return done({});
  }
  if (process.machine().clock() >= until) {
    found->second.replicating.reset();
    return done("the mirror has not applied all that was committed");
  }
  process.post(poll, [this, role, attempt, until, done] { look_whether_shipped(role, attempt, until, done); });
}

void BladeNode::Impl::serve_on(unsigned role, Term term) {
  const auto done = answer(role, host::Step::ServeOn);
  const auto found = served.find(role);
  if (found == served.end()) { return done("the role is not served by this daemon"); }
  found->second.replicating.reset();
  found->second.sender = 0;
  if (trouble()) { return done("the collector does not begin"); }
  if (!world.begin_writing(site, role, term, PlaceKind::Host)) { return done("the region has a newer writer"); }
  activate_application(role, term, done);
}

}  // namespace understudy::sim
