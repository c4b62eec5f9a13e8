// SPDX-License-Identifier: Apache-2.0
// The agent's steps of a planned switchover (see agent.hpp and core/blade_hand_over.cpp). The application is quiesced
// while the gate is still open, so that it answers what it has begun; forwarded traffic stands still only from the
// closing of the gate on.
#include "edge/agent.hpp"

namespace understudy::host {

namespace {
constexpr auto quiesce_limit = std::chrono::milliseconds(1000);
constexpr auto ship_limit = std::chrono::milliseconds(1500);
}  // namespace

void Agent::quiesce_host(const RoleId& role) {
  const auto done = answer(role, Step::QuiesceHost);
  const auto served = served_.find(role);
  if (served == served_.end()) { return done(failure("the role is not served by this daemon")); }
  auto* application = served->second->place().application();
  if (application == nullptr || !application->status().running) { return done({}); }
  application->quiesce(quiesce_limit, done);
}

void Agent::ship_last(const RoleId& role) {
  const auto done = answer(role, Step::ShipLast);
  const auto served = served_.find(role);
  if (served == served_.end()) { return done(failure("the role is not served by this daemon")); }
  const auto& held = blade_.roles().at(role);
  auto gate = gate_of(held.spec, held.moved);
  if (!gate) { return done(gate.error()); }
  for (const auto& port : gate->ports) {
    if (auto closed = gate->gate->close(port); !closed) { return done(closed); }
  }
  served->second->place().run_dry();
  served->second->place().stop_writing();
  served->second->ship_last(ship_limit, done);
}

void Agent::serve_on(const RoleId& role, Term term) {
  const auto done = answer(role, Step::ServeOn);
  const auto served = served_.find(role);
  if (served == served_.end()) { return done(failure("the role is not served by this daemon")); }
  served->second->stop_replicating();  // whatever was still to be shipped; the mirror follows again behind the gate
  if (auto writing = served->second->place().begin_writing(term); !writing) { return done(writing); }
  served->second->place().activate(term, done);
}

}  // namespace understudy::host
