// SPDX-License-Identifier: Apache-2.0
#include "control_api_convert.hpp"

#include <algorithm>
#include <bit>

#include "control_api_check.hpp"

namespace understudy::link {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// --- enumerators: by name, so that neither side's numbers bind the other ---

template <class Plain, class Wire>
struct Pair {
  Plain plain;
  Wire wire;
};
constexpr Pair<StopEvidence, pb::StopEvidence> kEvidence[] = {
    {StopEvidence::None, pb::STOP_EVIDENCE_NONE},
    {StopEvidence::NeverServed, pb::STOP_EVIDENCE_NEVER_SERVED},
    {StopEvidence::Isolated, pb::STOP_EVIDENCE_ISOLATED},
    {StopEvidence::PoweredOff, pb::STOP_EVIDENCE_POWERED_OFF},
    {StopEvidence::StoodDown, pb::STOP_EVIDENCE_STOOD_DOWN}};
constexpr Pair<PlaceKind, pb::PlaceKind> kPlace[] = {{PlaceKind::Host, pb::PLACE_KIND_HOST},
                                                     {PlaceKind::Mirror, pb::PLACE_KIND_MIRROR}};
constexpr Pair<MirrorPhase, pb::MirrorPhase> kPhase[] = {
    {MirrorPhase::Starting, pb::MIRROR_PHASE_STARTING}, {MirrorPhase::Connected, pb::MIRROR_PHASE_CONNECTED},
    {MirrorPhase::Syncing, pb::MIRROR_PHASE_SYNCING},   {MirrorPhase::Synced, pb::MIRROR_PHASE_SYNCED},
    {MirrorPhase::Failed, pb::MIRROR_PHASE_FAILED},     {MirrorPhase::Stopped, pb::MIRROR_PHASE_STOPPED}};
constexpr Pair<Vote, pb::Vote> kVote[] = {
    {Vote::Unknown, pb::VOTE_UNKNOWN}, {Vote::Up, pb::VOTE_UP}, {Vote::Down, pb::VOTE_DOWN}};
constexpr Pair<MovementPolicy, pb::MovementPolicy> kPolicy[] = {
    {MovementPolicy::WhenSlow, pb::MOVEMENT_POLICY_WHEN_SLOW},
    {MovementPolicy::WhenQuiet, pb::MOVEMENT_POLICY_WHEN_QUIET},
    {MovementPolicy::Always, pb::MOVEMENT_POLICY_ALWAYS},
    {MovementPolicy::Manual, pb::MOVEMENT_POLICY_MANUAL}};

template <class Plain, class Wire, std::size_t N>
Wire to_wire(const Pair<Plain, Wire> (&pairs)[N], Plain plain) {
  const auto* found = std::find_if(std::begin(pairs), std::end(pairs), [&](auto& p) { return p.plain == plain; });
  UNDERSTUDY_ASSERT(found != std::end(pairs));
  return found->wire;
}
template <class Plain, class Wire, std::size_t N>
Plain from_wire(Check& check, const Pair<Plain, Wire> (&pairs)[N], Wire wire, const char* field) {
  const auto* found = std::find_if(std::begin(pairs), std::end(pairs), [&](auto& p) { return p.wire == wire; });
  check.require(found != std::end(pairs), field, "a known enumerator, not " + std::to_string(static_cast<int>(wire)));
  return found != std::end(pairs) ? found->plain : pairs[0].plain;
}

/// Details quote consoles and other programs: what the wire or the other side's bounds would refuse is replaced or
/// cut here, so that a strange message never ends a stream.
std::string printable(std::string text) {
  if (text.size() > bounds::kTextBytes) { text.resize(bounds::kTextBytes); }
  for (auto& c : text) {
    if ((c < ' ' && c != '\n' && c != '\t') || c > '~') { c = '?'; }
  }
  return text;
}

// --- addresses ---

std::string bytes_of(const MacAddress& mac) { return {mac.bytes.begin(), mac.bytes.end()}; }
std::string bytes_of(const IpAddress& address) {
  const std::size_t size = address.family == 4 ? 4 : address.family == 6 ? 16 : 0;
  return {address.bytes.begin(), address.bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}
void fill(pb::Prefix& to, const IpPrefix& from) {
  to.set_address(bytes_of(from.address));
  to.set_length(from.length);
}

// --- the role's bundle ---

void fill(pb::RoleSpec& to, const RoleSpec& from) {
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
  }
  application.set_journal_bytes(from.application.journal_bytes);
  to.set_region_bytes(from.region_bytes);
  to.set_flow_capacity(from.flow_capacity);
  fill(*to.mutable_mirror_address(), from.mirror_address);
  to.set_mirror_mac(bytes_of(from.mirror_mac));
  to.set_mirror_memory_mib(from.mirror_memory_mib);
}

ApplicationSpec read_application(Check& check, const pb::Application& from) {
  ApplicationSpec to;
  to.name = check.optional_name(from.name(), "application.name");
  check.count(from.command_size(), "application.command", bounds::kWords);
  for (const auto& word : from.command()) { to.command.push_back(check.text(word, "application.command")); }
  to.store = check.optional_name(from.store(), "application.store");
  check.count(from.tables_size(), "application.tables", bounds::kTables);
  for (const auto& table : from.tables()) {
    to.tables.push_back(
        {check.name(table.name(), "table.name"), table.key_bytes(), table.value_bytes(), table.capacity()});
    check.require(table.key_bytes() > 0 && table.capacity() > 0, "table", "with key_bytes and capacity above 0");
  }
  to.journal_bytes = from.journal_bytes();
  check.require(from.journal_bytes() == 0 || std::has_single_bit(from.journal_bytes()), "application.journal_bytes",
                "a power of two");
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
  return to;
}

void fill(pb::RoleTerm& to, const RoleId& role, Term term) {
  to.set_role(role.value);
  to.set_term(term.value);
}
template <class Plain>
void fill_failure(pb::Failure& to, const Plain& from) {
  to.set_role(from.role.value);
  to.set_term(from.term.value);
  to.set_detail(printable(from.detail));
}
template <class Plain>
void fill_phases(pb::Phases& to, const Plain& from) {
  to.set_role(from.role.value);
  to.set_term(from.term.value);
  for (const auto& phase : from.phases) {
    auto& wire = *to.add_phases();
    wire.set_name(phase.phase);
    wire.set_ms(phase.ms);
  }
}

template <class Plain>
Result<Report> read_role_term(const char* message, const pb::RoleTerm& from) {
  Check check(message);
  return check.result<Report>(Plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term")});
}
template <class Plain>
Result<Report> read_failure(const char* message, const pb::Failure& from) {
  Check check(message);
  Plain plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
              check.text(from.detail(), "detail")};
  return check.result<Report>(std::move(plain));
}
template <class Plain>
Result<Report> read_phases(const char* message, const pb::Phases& from) {
  Check check(message);
  Plain plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"), {}};
  check.count(from.phases_size(), "phases", bounds::kPhases);
  for (const auto& phase : from.phases()) {
    plain.phases.push_back({check.text(phase.name(), "phase.name"), check.duration_ms(phase.ms(), "phase.ms")});
  }
  return check.result<Report>(std::move(plain));
}

Result<Report> read_hello(const pb::Hello& from) {
  Check check("Hello");
  Hello plain{BladeId{check.name(from.blade(), "blade")}, check.text(from.boot_id(), "boot_id"), {}};
  check.count(from.held_size(), "held", bounds::kRoles);
  for (const auto& held : from.held()) {
    plain.held.push_back({RoleId{check.name(held.role(), "held.role")}, check.term(held.term(), "held.term"),
                          from_wire(check, kPlace, held.kind(), "held.kind"), held.serving()});
  }
  return check.result<Report>(std::move(plain));
}
Result<Report> read_mirror_state(const pb::MirrorState& from) {
  Check check("MirrorState");
  MirrorState plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
                    from_wire(check, kPhase, from.phase(), "phase"), check.text(from.boot_nonce(), "boot_nonce"),
                    check.text(from.detail(), "detail")};
  return check.result<Report>(std::move(plain));
}
Result<Report> read_peer_vote(const pb::PeerVote& from) {
  Check check("PeerVote");
  PeerVote plain{RoleId{check.name(from.role(), "role")}, BladeId{check.name(from.peer(), "peer")},
                 from_wire(check, kVote, from.vote(), "vote")};
  return check.result<Report>(std::move(plain));
}

}  // namespace

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

pb::Order to_proto(const Order& order) {
  pb::Order wire;
  std::visit(Overloaded{[&](const ServeRole& o) {
                          fill(*wire.mutable_serve_role()->mutable_spec(), o.spec);
                          wire.mutable_serve_role()->set_term(o.term.value);
                        },
                        [&](const StandDown& o) { fill(*wire.mutable_stand_down(), o.role, o.term); },
                        [&](const RunMirror& o) {
                          auto& to = *wire.mutable_run_mirror();
                          fill(*to.mutable_spec(), o.spec);
                          to.set_term(o.term.value);
                          to.set_active(o.active.value);
                          to.set_active_address(bytes_of(o.active_address));
                          to.mutable_bfd()->set_interval_ms(o.bfd.interval_ms);
                          to.mutable_bfd()->set_multiplier(o.bfd.multiplier);
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
                        }},
             order);
  return wire;
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
      RunMirror plain{read_spec(check, from.spec()),
                      check.term(from.term(), "term"),
                      BladeId{check.name(from.active(), "active")},
                      check.address(from.active_address(), "active_address"),
                      {from.bfd().interval_ms(), from.bfd().multiplier()}};
      check.require(plain.bfd.interval_ms >= 1 && plain.bfd.interval_ms <= 60000, "bfd.interval_ms", "1 to 60000");
      check.require(plain.bfd.multiplier >= 1 && plain.bfd.multiplier <= 255, "bfd.multiplier", "1 to 255");
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
    case pb::Order::kAttached:
    case pb::Order::BODY_NOT_SET:
      break;
  }
  return failure("not valid on the wire: an order without a body that this version knows", Errc::BadInput);
}

pb::Report to_proto(const Report& report) {
  pb::Report wire;
  std::visit(Overloaded{[&](const Hello& r) {
                          auto& to = *wire.mutable_hello();
                          to.set_blade(r.blade.value);
                          to.set_boot_id(r.boot_id);
                          for (const auto& held : r.held) {
                            auto& one = *to.add_held();
                            one.set_role(held.role.value);
                            one.set_term(held.term.value);
                            one.set_kind(to_wire(kPlace, held.kind));
                            one.set_serving(held.serving);
                          }
                        },
                        [&](const Serving& r) { fill(*wire.mutable_serving(), r.role, r.term); },
                        [&](const ServeFailed& r) { fill_failure(*wire.mutable_serve_failed(), r); },
                        [&](const Stopped& r) { fill(*wire.mutable_stopped(), r.role, r.term); },
                        [&](const MirrorState& r) {
                          auto& to = *wire.mutable_mirror_state();
                          to.set_role(r.role.value);
                          to.set_term(r.term.value);
                          to.set_phase(to_wire(kPhase, r.phase));
                          to.set_boot_nonce(r.boot_nonce);
                          to.set_detail(printable(r.detail));
                        },
                        [&](const PeerVote& r) {
                          auto& to = *wire.mutable_peer_vote();
                          to.set_role(r.role.value);
                          to.set_peer(r.peer.value);
                          to.set_vote(to_wire(kVote, r.vote));
                        },
                        [&](const ApplicationFailed& r) { fill_failure(*wire.mutable_application_failed(), r); },
                        [&](const Activated& r) { fill_phases(*wire.mutable_activated(), r); },
                        [&](const ActivateFailed& r) { fill_failure(*wire.mutable_activate_failed(), r); },
                        [&](const Moved& r) { fill_phases(*wire.mutable_moved(), r); },
                        [&](const MoveFailed& r) { fill_failure(*wire.mutable_move_failed(), r); },
                        [&](const MirrorsReleased& r) {
                          wire.mutable_mirrors_released()->set_guests_running(r.guests_running);
                          wire.mutable_mirrors_released()->set_ms(r.ms);
                        }},
             report);
  return wire;
}

Result<Report> from_proto(const pb::Report& wire) {
  switch (wire.body_case()) {
    case pb::Report::kHello:
      return read_hello(wire.hello());
    case pb::Report::kServing:
      return read_role_term<Serving>("Serving", wire.serving());
    case pb::Report::kServeFailed:
      return read_failure<ServeFailed>("ServeFailed", wire.serve_failed());
    case pb::Report::kStopped:
      return read_role_term<Stopped>("Stopped", wire.stopped());
    case pb::Report::kMirrorState:
      return read_mirror_state(wire.mirror_state());
    case pb::Report::kPeerVote:
      return read_peer_vote(wire.peer_vote());
    case pb::Report::kApplicationFailed:
      return read_failure<ApplicationFailed>("ApplicationFailed", wire.application_failed());
    case pb::Report::kActivated:
      return read_phases<Activated>("Activated", wire.activated());
    case pb::Report::kActivateFailed:
      return read_failure<ActivateFailed>("ActivateFailed", wire.activate_failed());
    case pb::Report::kMoved:
      return read_phases<Moved>("Moved", wire.moved());
    case pb::Report::kMoveFailed:
      return read_failure<MoveFailed>("MoveFailed", wire.move_failed());
    case pb::Report::kMirrorsReleased: {
      Check check("MirrorsReleased");
      return check.result<Report>(MirrorsReleased{wire.mirrors_released().guests_running(),
                                                  check.duration_ms(wire.mirrors_released().ms(), "ms")});
    }
    case pb::Report::BODY_NOT_SET:
      break;
  }
  return failure("not valid on the wire: a report without a body that this version knows", Errc::BadInput);
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
  }
  for (const auto& blade : status.blades) {
    auto& to = *wire.add_blades();
    to.set_blade(blade.blade.value);
    to.set_agent_connected(blade.agent_connected);
    to.set_bfd(to_wire(kVote, blade.bfd));
    to.set_isolated(blade.isolated);
    to.set_standby(blade.standby);
  }
  return wire;
}

Result<GroupStatus> from_proto(const pb::GroupStatus& wire) {
  Check check("GroupStatus");
  GroupStatus status;
  status.standby = BladeId{check.optional_name(wire.standby(), "standby")};
  status.movement = from_wire(check, kPolicy, wire.movement(), "movement");
  check.count(wire.roles_size(), "roles", bounds::kRoles);
  for (const auto& from : wire.roles()) {
    status.roles.push_back({RoleId{check.name(from.role(), "role")}, check.text(from.state(), "state"),
                            Place{BladeId{from.blade()}, from_wire(check, kPlace, from.kind(), "kind")},
                            Term{from.term()}, from.protected_(), check.text(from.mirror_phase(), "mirror_phase"),
                            check.text(from.detail(), "detail")});
  }
  check.count(wire.blades_size(), "blades", bounds::kRoles);
  for (const auto& from : wire.blades()) {
    status.blades.push_back({BladeId{check.name(from.blade(), "blade")}, from.agent_connected(),
                             from_wire(check, kVote, from.bfd(), "bfd"), from.isolated(), from.standby()});
  }
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
