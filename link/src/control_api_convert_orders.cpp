// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/stubs/logging.h>

#include <bit>

#include "control_api_wire.hpp"
#include "understudy/link/control_api_carries.hpp"

namespace understudy::link {
namespace {

// --- the role's bundle ---

void fill_spec(pb::RoleSpec& to, const RoleSpec& from) {
  to.set_id(from.id.value);
  to.set_number(from.number);
  to.set_version(from.version);
  for (const auto& port : from.ports) {
    auto& wire = *to.add_ports();
    wire.set_name(port.name);
    wire.set_network(port.network);
    wire.set_mac(bytes_of(port.mac));
    for (const auto& address : port.addresses) { fill(*wire.add_addresses(), address); }
  }
  for (const auto& route : from.routes) {
    auto& wire = *to.add_routes();
    fill(*wire.mutable_destination(), route.destination);
    wire.set_gateway(bytes_of(route.gateway));
  }
  for (const auto& [name, value] : from.sysctls) {
    auto& wire = *to.add_sysctls();
    wire.set_name(name);
    wire.set_value(value);
  }
  to.set_ruleset(from.ruleset);
  auto& application = *to.mutable_application();
  application.set_name(from.application.name);
  for (const auto& word : from.application.command) { application.add_command(word); }
  application.set_store(from.application.store);
  for (const auto& table : from.application.tables) {
    auto& wire = *application.add_tables();
    wire.set_name(table.name);
    wire.set_key_bytes(table.key_bytes);
    wire.set_value_bytes(table.value_bytes);
    wire.set_capacity(table.capacity);
    wire.set_kind(table.kind);
    wire.set_capacity_max(table.capacity_max);
  }
  application.set_journal_bytes(from.application.journal_bytes);
  to.set_region_bytes(from.region_bytes);
  to.set_flow_capacity(from.flow_capacity);
  fill(*to.mutable_mirror_address(), from.mirror_address);
  to.set_mirror_mac(bytes_of(from.mirror_mac));
  to.set_mirror_memory_mib(from.mirror_memory_mib);
  auto& health = *to.mutable_health();
  for (const auto& word : from.health.command) { health.add_command(word); }
  health.set_interval_ms(from.health.interval_ms);
  health.set_deadline_ms(from.health.deadline_ms);
  health.set_failures(from.health.failures);
  to.set_link_down_ms(from.link_down_ms);
  to.set_mirror_blade(from.mirror_blade.value);
}

ApplicationSpec read_application(Check& check, const pb::Application& from) {
  ApplicationSpec to;
  to.name = check.optional_name(from.name(), "application.name");
  check.count(from.command_size(), "application.command", bounds::kWords);
  for (const auto& word : from.command()) { to.command.push_back(check.text(word, "application.command")); }
  to.store = check.optional_name(from.store(), "application.store");
  check.count(from.tables_size(), "application.tables", bounds::kTables);
  for (const auto& table : from.tables()) {
    to.tables.push_back({check.name(table.name(), "table.name"), table.key_bytes(), table.value_bytes(),
                         table.capacity(), table.kind(), table.capacity_max()});
    check.require(table.key_bytes() > 0 && table.capacity() > 0, "table", "with key_bytes and capacity above 0");
  }
  to.journal_bytes = from.journal_bytes();
  check.require(from.journal_bytes() == 0 || std::has_single_bit(from.journal_bytes()), "application.journal_bytes",
                "a power of two");
  return to;
}

/// A control-server that does not know it asks nobody.
HealthSpec read_health(Check& check, const pb::Health& from) {
  HealthSpec to;
  check.count(from.command_size(), "health.command", bounds::kWords);
  for (const auto& word : from.command()) { to.command.push_back(check.text(word, "health.command")); }
  if (to.command.empty()) { return to; }
  to.interval_ms = from.interval_ms();
  to.deadline_ms = from.deadline_ms();
  to.failures = from.failures();
  check.require(to.interval_ms > 0 && to.deadline_ms > 0 && to.failures > 0, "health",
                "with interval_ms, deadline_ms and failures above 0");
  return to;
}

RoleSpec read_spec(Check& check, const pb::RoleSpec& from) {
  RoleSpec to;
  to.id = RoleId{check.name(from.id(), "id")};
  to.number = from.number();
  to.version = check.text(from.version(), "version");
  check.count(from.ports_size(), "ports", bounds::kPorts);
  for (const auto& port : from.ports()) {
    PortSpec plain{check.name(port.name(), "port.name"),
                   check.name(port.network(), "port.network"),
                   check.mac(port.mac(), "port.mac"),
                   {}};
    check.count(port.addresses_size(), "port.addresses", bounds::kAddresses);
    for (const auto& address : port.addresses()) { plain.addresses.push_back(check.prefix(address, "port.address")); }
    to.ports.push_back(std::move(plain));
  }
  check.count(from.routes_size(), "routes", bounds::kRoutes);
  for (const auto& route : from.routes()) {
    to.routes.push_back(
        {check.prefix(route.destination(), "route.destination"), check.address(route.gateway(), "route.gateway")});
  }
  check.count(from.sysctls_size(), "sysctls", bounds::kSysctls);
  for (const auto& sysctl : from.sysctls()) {
    to.sysctls.emplace_back(check.text(sysctl.name(), "sysctl.name"), check.text(sysctl.value(), "sysctl.value"));
  }
  to.ruleset = check.text(from.ruleset(), "ruleset", bounds::kRulesetBytes);
  to.application = read_application(check, from.application());
  to.region_bytes = from.region_bytes();
  check.require(std::has_single_bit(from.region_bytes()) && from.region_bytes() <= bounds::kRegionBytes, "region_bytes",
                "a power of two up to 1 TiB");
  to.flow_capacity = from.flow_capacity();
  to.mirror_address = check.prefix(from.mirror_address(), "mirror_address");
  to.mirror_mac = check.mac(from.mirror_mac(), "mirror_mac");
  to.mirror_memory_mib = from.mirror_memory_mib();
  to.health = read_health(check, from.health());
  to.link_down_ms = from.link_down_ms() != 0 ? from.link_down_ms() : kLinkDownMs;
  to.mirror_blade = BladeId{check.optional_name(from.mirror_blade(), "mirror_blade")};
  return to;
}

template <class Plain>
Result<Order> read_role_term(const char* what, const pb::RoleTerm& from) {
  Check check(what);
  return check.result<Order>(Plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term")});
}

}  // namespace

pb::Order to_proto(const Order& order) {
  pb::Order wire;
  std::visit(Overloaded{[&](const ServeRole& o) {
                          fill_spec(*wire.mutable_serve_role()->mutable_spec(), o.spec);
                          wire.mutable_serve_role()->set_term(o.term.value);
                        },
                        [&](const StandDown& o) { fill(*wire.mutable_stand_down(), o.role, o.term); },
                        [&](const RunMirror& o) {
                          auto& to = *wire.mutable_run_mirror();
                          fill_spec(*to.mutable_spec(), o.spec);
                          to.set_term(o.term.value);
                          to.set_active(o.active.value);
                          to.set_active_address(bytes_of(o.active_address));
                          fill(*to.mutable_bfd(), o.bfd);
                        },
                        [&](const Activate& o) {
                          auto& to = *wire.mutable_activate();
                          to.set_role(o.role.value);
                          to.set_term(o.term.value);
                          to.set_evidence(to_wire(kEvidence, o.evidence));
                          to.set_deadline_ms(o.deadline_ms);
                        },
                        [&](const Move& o) { fill(*wire.mutable_move(), o.role, o.term); },
                        [&](const ReleaseMirrors& o) {
                          auto& to = *wire.mutable_release_mirrors();
                          for (const auto& role : o.except) { to.add_except(role.value); }
                        },
                        [&](const ArmLease& o) {
                          auto& to = *wire.mutable_arm_lease();
                          to.set_role(o.role.value);
                          to.set_term(o.term.value);
                          to.set_id(o.id);
                          to.set_length_ms(o.length_ms);
                          to.set_element_ms(o.element_ms);
                        },
                        [&](const DisarmLease& o) { fill(*wire.mutable_disarm_lease(), o.role, o.term); },
                        [&](const AllowGrants& o) { fill(*wire.mutable_allow_grants(), o.role, o.term); },
                        [&](const StopGrants& o) { fill(*wire.mutable_stop_grants(), o.role, o.term); },
                        [&](const HandOver& o) {
                          auto& to = *wire.mutable_hand_over();
                          to.set_role(o.role.value);
                          to.set_term(o.term.value);
                          to.set_deadline_ms(o.deadline_ms);
                        }},
             order);
  return wire;
}

Status carries(const RoleSpec& spec) {
  const google::protobuf::LogSilencer silent;  // what it would say of a text is said here
  pb::Order wire;
  if (!wire.ParseFromString(to_proto(Order{ServeRole{spec, Term{1}}}).SerializeAsString())) {
    return failure("a text of it is not UTF-8", Errc::BadInput);
  }
  const auto read = from_proto(wire);
  return read ? Status{} : Status(read.error());
}

Result<Order> from_proto(const pb::Order& wire) {
  switch (wire.body_case()) {
    case pb::Order::kServeRole: {
      Check check("ServeRole");
      ServeRole plain{read_spec(check, wire.serve_role().spec()), check.term(wire.serve_role().term(), "term")};
      return check.result<Order>(std::move(plain));
    }
    case pb::Order::kStandDown: {
      Check check("StandDown");
      return check.result<Order>(StandDown{RoleId{check.name(wire.stand_down().role(), "role")},
                                           check.term(wire.stand_down().term(), "term")});
    }
    case pb::Order::kRunMirror: {
      const auto& from = wire.run_mirror();
      Check check("RunMirror");
      RunMirror plain{read_spec(check, from.spec()), check.term(from.term(), "term"),
                      BladeId{check.name(from.active(), "active")},
                      check.address(from.active_address(), "active_address"), read_bfd(check, from.bfd())};
      return check.result<Order>(std::move(plain));
    }
    case pb::Order::kActivate: {
      const auto& from = wire.activate();
      Check check("Activate");
      Activate plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
                     from_wire(check, kEvidence, from.evidence(), "evidence"), from.deadline_ms()};
      // D3: nobody is activated without proof that the old place is silent.
      check.require(plain.evidence != StopEvidence::None, "evidence", "a stop-evidence");
      return check.result<Order>(std::move(plain));
    }
    case pb::Order::kMove: {
      Check check("Move");
      return check.result<Order>(
          Move{RoleId{check.name(wire.move().role(), "role")}, check.term(wire.move().term(), "term")});
    }
    case pb::Order::kReleaseMirrors: {
      Check check("ReleaseMirrors");
      ReleaseMirrors plain;
      check.count(wire.release_mirrors().except_size(), "except", bounds::kRoles);
      for (const auto& role : wire.release_mirrors().except()) {
        plain.except.push_back(RoleId{check.name(role, "except")});
      }
      return check.result<Order>(std::move(plain));
    }
    case pb::Order::kArmLease: {
      const auto& from = wire.arm_lease();
      Check check("ArmLease");
      ArmLease plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"), from.id(),
                     from.length_ms(), from.element_ms()};
      check.require(plain.id != 0 && plain.length_ms != 0 && plain.element_ms != 0, "id, length_ms and element_ms",
                    "above 0");
      return check.result<Order>(std::move(plain));
    }
    case pb::Order::kDisarmLease:
      return read_role_term<DisarmLease>("DisarmLease", wire.disarm_lease());
    case pb::Order::kAllowGrants:
      return read_role_term<AllowGrants>("AllowGrants", wire.allow_grants());
    case pb::Order::kStopGrants:
      return read_role_term<StopGrants>("StopGrants", wire.stop_grants());
    case pb::Order::kHandOver: {
      const auto& from = wire.hand_over();
      Check check("HandOver");
      HandOver plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"), from.deadline_ms()};
      check.require(plain.deadline_ms != 0, "deadline_ms", "above 0");
      return check.result<Order>(std::move(plain));
    }
    case pb::Order::kAttached:
    case pb::Order::kNotLeader:
    case pb::Order::BODY_NOT_SET:
      break;
  }
  return failure("not valid on the wire: an order without a body that this version knows", Errc::BadInput);
}

}  // namespace understudy::link
