// SPDX-License-Identifier: Apache-2.0
#include "control_api_wire.hpp"

namespace understudy::link {

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

pb::MovementPolicy to_proto(MovementPolicy policy) { return to_wire(kPolicy, policy); }

Result<MovementPolicy> from_proto(pb::MovementPolicy policy) {
  Check check("SetMovementPolicy");
  const auto plain = from_wire(check, kPolicy, policy, "policy");
  return check.result<MovementPolicy>(plain);
}

pb::GroupStatus to_proto(const GroupStatus& status) {
  pb::GroupStatus wire;
  wire.set_standby(status.standby.value);
  wire.set_movement(to_proto(status.movement));
  fill(*wire.mutable_bfd(), status.bfd);
  for (const auto& role : status.roles) {
    auto& to = *wire.add_roles();
    to.set_role(role.role.value);
    to.set_state(role.state);
    to.set_blade(role.place.blade.value);
    to.set_kind(to_wire(kPlace, role.place.kind));
    to.set_term(role.term.value);
    to.set_protected_(role.is_protected);
    to.set_mirror_phase(role.mirror_phase);
    to.set_detail(printable(role.detail));
    to.set_lease(role.lease);
    to.set_priority(role.priority);
    auto& sync = *to.mutable_sync();
    sync.set_standby(role.sync.standby.value);
    sync.set_stream(role.sync.stream);
    for (const auto& store : role.sync.stores) { fill(*sync.add_stores(), store); }
    sync.set_behind_ms(role.sync.behind_ms);
  }
  for (const auto& blade : status.blades) {
    auto& to = *wire.add_blades();
    to.set_blade(blade.blade.value);
    to.set_agent_connected(blade.agent_connected);
    to.set_bfd(to_wire(kVote, blade.bfd));
    to.set_isolated(blade.isolated);
    to.set_standby(blade.standby);
    to.set_detail(printable(blade.detail));
    to.set_agent(blade.agent);
    to.set_ports(blade.ports);
    to.set_spare(blade.spare);
  }
  wire.set_plain_text(status.plain_text);
  for (const auto& server : status.control_servers) {
    auto& to = *wire.add_control_servers();
    to.set_address(server.address);
    to.set_state(server.state);
    to.set_since_ns(server.since_ns);
  }
  wire.set_control_alarm(printable(status.control_alarm));
  for (const auto& witness : status.witnesses) {
    auto& to = *wire.add_witnesses();
    to.set_name(witness.name);
    to.set_address(witness.address);
    to.set_by(witness.by);
    to.set_vote(to_wire(kVote, witness.vote));
  }
  wire.set_store_plain_text(status.store_plain_text);
  wire.set_power(status.power);
  for (const auto& alarm : status.alarms) { wire.add_alarms(printable(alarm)); }
  return wire;
}

Result<GroupStatus> from_proto(const pb::GroupStatus& wire) {
  Check check("GroupStatus");
  GroupStatus status;
  status.standby = BladeId{check.optional_name(wire.standby(), "standby")};
  status.movement = from_wire(check, kPolicy, wire.movement(), "movement");
  status.bfd = read_bfd(check, wire.bfd());
  check.count(wire.roles_size(), "roles", bounds::kRoles);
  for (const auto& from : wire.roles()) {
    status.roles.push_back(
        {RoleId{check.name(from.role(), "role")}, check.text(from.state(), "state"),
         Place{BladeId{check.optional_name(from.blade(), "blade")}, from_wire(check, kPlace, from.kind(), "kind")},
         Term{from.term()}, from.protected_(), check.text(from.mirror_phase(), "mirror_phase"),
         check.text(from.detail(), "detail"), check.text(from.lease(), "lease"), from.priority(),
         SyncStatus{BladeId{check.optional_name(from.sync().standby(), "sync.standby")},
                    check.text(from.sync().stream(), "sync.stream"), read_progress(check, from.sync().stores()),
                    from.sync().behind_ms()}});
  }
  check.count(wire.blades_size(), "blades", bounds::kRoles);
  for (const auto& from : wire.blades()) {
    status.blades.push_back({BladeId{check.name(from.blade(), "blade")}, from.agent_connected(),
                             from_wire(check, kVote, from.bfd(), "bfd"), from.isolated(), from.standby(),
                             check.text(from.detail(), "detail"), from.spare(), check.text(from.agent(), "agent"),
                             check.text(from.ports(), "ports")});
  }
  status.plain_text = wire.plain_text();
  check.count(wire.control_servers_size(), "control_servers", bounds::kRoles);
  for (const auto& from : wire.control_servers()) {
    status.control_servers.push_back(
        {check.text(from.address(), "address"), check.text(from.state(), "state"), from.since_ns()});
  }
  status.control_alarm = check.text(wire.control_alarm(), "control_alarm");
  check.count(wire.witnesses_size(), "witnesses", bounds::kRoles);
  for (const auto& from : wire.witnesses()) {
    status.witnesses.push_back({check.text(from.name(), "name"), check.text(from.address(), "address"),
                                check.text(from.by(), "by"), from_wire(check, kVote, from.vote(), "vote")});
  }
  status.store_plain_text = wire.store_plain_text();
  status.power = check.text(wire.power(), "power");
  check.count(wire.alarms_size(), "alarms", bounds::kRoles);
  for (const auto& alarm : wire.alarms()) { status.alarms.push_back(check.text(alarm, "alarms")); }
  return check.result<GroupStatus>(std::move(status));
}

pb::Event to_proto(const EventRecord& event) {
  pb::Event wire;
  wire.set_id(event.id);
  wire.set_time_ns(event.time_ns);
  wire.set_severity(static_cast<std::uint32_t>(event.severity));
  wire.set_kind(event.kind);
  wire.set_role(event.role.value);
  wire.set_blade(event.blade.value);
  wire.set_phase(event.phase);
  wire.set_ms(event.ms);
  wire.set_text(printable(event.text));
  return wire;
}

Result<EventRecord> from_proto(const pb::Event& wire) {
  Check check("Event");
  check.require(wire.severity() <= 2, "severity", "0, 1 or 2");
  check.require(std::isfinite(wire.ms()), "ms", "a number");
  EventRecord event{wire.id(),
                    wire.time_ns(),
                    static_cast<Severity>(wire.severity()),
                    check.text(wire.kind(), "kind"),
                    RoleId{check.text(wire.role(), "role")},
                    BladeId{check.text(wire.blade(), "blade")},
                    check.text(wire.phase(), "phase"),
                    wire.ms(),
                    check.text(wire.text(), "text")};
  return check.result<EventRecord>(std::move(event));
}

}  // namespace understudy::link
