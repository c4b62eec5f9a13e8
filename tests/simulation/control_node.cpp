// SPDX-License-Identifier: Apache-2.0
#include "control_node.hpp"

#include "control_edge.hpp"

namespace understudy::sim {

using namespace control;

ControlServers::ControlServers(World& the_world) : world(the_world), etcd(the_world) {
  for (unsigned index = 0; index < world.servers(); ++index) {
    servers.push_back(std::make_unique<ControlServer>(*this, index));
  }
}

std::optional<unsigned> ControlServers::leader() const {
  std::optional<unsigned> found;
  for (unsigned index = 0; index < servers.size(); ++index) {
    const auto& one = *servers[index];
    if (!one.process.alive() || !one.group) { continue; }
    if (!found || servers[*found]->token < one.token) { found = index; }
  }
  return found;
}

void ControlServers::tell_what_is_held() {
  for (unsigned role = 0; role < world.roles(); ++role) {
    const auto found = disk.store.find(world.role_id(role));
    world.store_holds(role, found == disk.store.end() ? Term{} : found->second.highest());
  }
}

ControlNode::ControlNode(World& world) : impl_(std::make_unique<ControlServers>(world)) {}
ControlNode::~ControlNode() = default;
void ControlNode::start(unsigned server) { impl_->servers[server]->start(); }
void ControlNode::crash(unsigned server) { impl_->servers[server]->crash(); }
void ControlNode::power_lost(unsigned server) { impl_->servers[server]->power_lost(); }
Process& ControlNode::process(unsigned server) { return impl_->servers[server]->process; }
std::optional<unsigned> ControlNode::leader() const { return impl_->leader(); }
void ControlNode::on_activate(std::function<void(unsigned, Term)> callback) {
  impl_->on_activate = std::move(callback);
}
void ControlNode::on_takeover(std::function<void(unsigned)> callback) { impl_->on_takeover = std::move(callback); }
void ControlNode::on_state(std::function<void(unsigned, unsigned)> callback) { impl_->on_state = std::move(callback); }
void ControlNode::on_watchdog(std::function<void(unsigned)> callback) { impl_->on_watchdog = std::move(callback); }
unsigned ControlNode::state(unsigned role) const { return impl_->states[role]; }

bool ControlNode::lose_store() {
  const bool had_any = !impl_->disk.store.empty();
  impl_->disk = {};
  impl_->held_now.clear();
  impl_->tell_what_is_held();
  return had_any;
}
bool ControlNode::tear_store(unsigned writes) {
  auto& disk = impl_->disk;
  disk.ghost = nullptr;
  const bool had_any = !disk.former.empty();
  for (; writes > 0 && !disk.former.empty(); --writes) {
    disk.store = disk.former.back();
    disk.former.pop_back();
  }
  impl_->tell_what_is_held();
  return had_any;
}

RoleView ControlNode::view(unsigned role) const {
  RoleView view;
  const auto leader = impl_->leader();
  if (!leader) { return view; }
  const auto* machine = impl_->servers[*leader]->group->find(impl_->world.role_id(role));
  const auto status = machine->status();
  view.state = static_cast<unsigned>(machine->state());
  view.name = status.state;
  view.place = status.place;
  view.term = status.term;
  view.detail = status.detail;
  view.lease = status.lease;
  view.frozen = machine->decisions_stopped();
  return view;
}

bool ControlNode::operator_move(unsigned role) {
  const auto leader = impl_->leader();
  if (!leader) { return false; }
  auto& server = *impl_->servers[*leader];
  if (!server.process.runs() || server.process.hangs() || !server.group->check_move(impl_->world.role_id(role))) {
    return false;
  }
  server.step(OperatorMove{impl_->world.role_id(role)});
  return true;
}
bool ControlNode::operator_switchover(unsigned role, bool force) {
  const auto leader = impl_->leader();
  if (!leader) { return false; }
  auto& server = *impl_->servers[*leader];
  const auto& id = impl_->world.role_id(role);
  if (!server.process.runs() || server.process.hangs() || !server.group->check_switchover(id, force)) { return false; }
  server.step(OperatorSwitchover{id, force});
  return true;
}
bool ControlNode::operator_policy(bool always) {
  const auto leader = impl_->leader();
  if (!leader) { return false; }
  auto& server = *impl_->servers[*leader];
  if (!server.process.runs() || server.process.hangs()) { return false; }
  const auto policy = always ? link::MovementPolicy::Always : link::MovementPolicy::Manual;
  if (impl_->several()) { impl_->etcd.state.policy = policy; }
  server.step(OperatorPolicy{policy});
  return true;
}

bool ControlNode::decides(unsigned server) const {
  const auto& one = *impl_->servers[server];
  return one.group.has_value() && one.leads();
}
std::uint64_t ControlNode::token(unsigned server) const { return impl_->servers[server]->token; }
std::optional<unsigned> ControlNode::whom_it_follows(unsigned server) const {
  const auto& follows = impl_->servers[server]->follows;
  return follows && *follows != server ? follows : std::nullopt;
}
ControlNode::SessionId ControlNode::attach(unsigned server, std::function<bool(const link::Order&)> say,
                                           std::function<void()> close) {
  return impl_->servers[server]->attach({std::move(say), std::move(close)});
}
void ControlNode::report(unsigned server, SessionId session, const link::Report& report) {
  impl_->servers[server]->report(session, report);
}
void ControlNode::detached(unsigned server, SessionId session) { impl_->servers[server]->detached(session); }

}  // namespace understudy::sim
