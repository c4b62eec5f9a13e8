// SPDX-License-Identifier: Apache-2.0
#include "edge/config_role.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "understudy/common/config_checks.hpp"
#include "understudy/link/control_api_carries.hpp"
#include "understudy/link/region_schema.hpp"
#include "understudy/net/nft.hpp"
#include "understudy/net/records.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::control {
namespace {

/// A mirror's memory and region are addresses of one emulated machine: 64 GiB of each fit into every processor's.
constexpr std::int64_t kMaxMib = 1 << 16;

/// Tells two configurations apart (D15); not a protection against anybody.
std::string digest(const link::RoleSpec& spec) {
  std::ostringstream text;
  text << spec.id.value << spec.number << spec.ruleset << spec.region_bytes << spec.flow_capacity
       << spec.mirror_address.to_string() << spec.mirror_mac.to_string() << spec.mirror_memory_mib
       << spec.mirror_blade.value;
  for (const auto& port : spec.ports) {
    text << '|' << port.name << '|' << port.network << '|' << port.mac.to_string();
    for (const auto& address : port.addresses) { text << '|' << address.to_string(); }
  }
  for (const auto& route : spec.routes) { text << '|' << route.destination.to_string() << route.gateway.to_string(); }
  for (const auto& [key, value] : spec.sysctls) { text << '|' << key << '=' << value; }
  text << '|' << spec.application.name << '|' << spec.application.store << spec.application.journal_bytes;
  for (const auto& word : spec.application.command) { text << '|' << word; }
  for (const auto& table : spec.application.tables) {
    text << '|' << table.name << ',' << table.key_bytes << ',' << table.value_bytes << ',' << table.capacity << ','
         << table.kind << ',' << table.capacity_max;
  }
  for (const auto& word : spec.health.command) { text << "|health " << word; }
  text << '|' << spec.health.interval_ms << ',' << spec.health.deadline_ms << ',' << spec.health.failures << ','
       << spec.link_down_ms;
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char c : text.str()) { hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U; }
  std::ostringstream hex;
  hex << std::hex << hash;
  return hex.str();
}

/// Problems stay in the table, so that this is straight-line code.
class RoleReader {
 public:
  RoleReader(const std::string& path, const GroupConfig& group, std::uint32_t link_down_ms, Claims& claims)
      : path_(path), group_(group), link_down_ms_(link_down_ms), claims_(claims) {}

  RoleConfig read(ConfigTable& table) {
    RoleConfig role;
    auto& spec = role.spec;
    spec.id = RoleId{read_name(table, "name", "the role's name, e.g. \"role-1\"")};
    const std::string self = spec.id.value;
    claims_.claim(table, "name", "role", self, "[[role]] " + std::to_string(group_.roles.size() + 1));
    spec.number = static_cast<std::uint32_t>(table.integer("number", "the role's number", 1, 250));
    claims_.claim(table, "number", "number", std::to_string(spec.number), self);
    for (const auto& blade : group_.blades) {
      if (blade.standby && spec.mirror_blade.empty()) { spec.mirror_blade = blade.id; }
    }
    role.active = BladeId{table.string("active", "the blade that serves it, e.g. \"blade-1\"")};
    check_active(table, role);
    role.priority = static_cast<std::uint32_t>(
        table.integer_or("priority", kPriorityDefault, "which role comes first, the higher one", 1, kPriorityMax));
    const auto mib = table.integer("region_mib", "the region's size in MiB, a power of two", 1, kMaxMib);
    spec.region_bytes = static_cast<std::uint64_t>(mib) << 20;
    if (!std::has_single_bit(static_cast<std::uint64_t>(mib))) {
      table.problem("region_mib", "region_mib = " + std::to_string(mib) + " is no power of two; write " +
                                      std::to_string(std::bit_ceil(static_cast<std::uint64_t>(mib))));
    }
    const auto flows = table.integer("flow_capacity", "sessions to mirror", 1, std::int64_t{1} << 32);
    spec.flow_capacity = static_cast<std::uint64_t>(flows);
    const auto mirror = table.string("mirror_address", "its mirror's address, e.g. \"192.168.1.41/24\"");
    spec.mirror_address = parse_value<IpPrefix>(table, "mirror_address", mirror);
    check_mirror_family(table, spec.mirror_address.address);
    claim_address(table, "mirror_address", spec.mirror_address, self + "'s mirror");
    const auto mac = table.string("mirror_mac", "its mirror's MAC, e.g. \"02:e2:00:00:00:01\"");
    spec.mirror_mac = parse_value<MacAddress>(table, "mirror_mac", mac);
    claim_mac(table, "mirror_mac", spec.mirror_mac, self + "'s mirror");
    const auto memory = table.integer_or("mirror_memory_mib", 192, "the mirror's memory in MiB", 64, kMaxMib);
    spec.mirror_memory_mib = static_cast<std::uint32_t>(memory);
    read_ruleset(table, spec);
    for (auto& port : table.tables("port")) { read_port(port, spec); }
    if (spec.ports.empty()) { table.problem("port", self + " has no [[role.port]]; a role serves on at least one"); }
    for (auto& route : table.tables("route")) { read_route(route, spec); }
    spec.sysctls = table.string_pairs("sysctls");
    if (table.has("application")) { read_application(table, spec); }
    if (table.has("health")) { spec.health = read_health(table.table("health")); }
    spec.link_down_ms = link_down_ms_;
    check_region(table, spec);
    spec.version = digest(spec);
    check_carried(table, spec);
    return role;
  }

 private:
  /// Told here, before anything is started, what the blades would refuse when they make the region.
  static void check_region(ConfigTable& table, const link::RoleSpec& spec) {
    const auto needed = shm::Region::size_needed(link::region_schema(spec, net::net_store_schema(spec.flow_capacity)));
    if (!needed) {
      const auto* key = table.has("application") ? "application" : "flow_capacity";
      table.problem(key, "no region holds what " + spec.id.value + " asks for: " + needed.error().message);
    } else if (needed.value() > spec.region_bytes) {
      constexpr std::uint64_t mib = std::uint64_t{1} << 20;
      table.problem("region_mib", "region_mib = " + std::to_string(spec.region_bytes / mib) + " is too small for " +
                                      std::to_string(spec.flow_capacity) +
                                      " flows and the application's store; write " +
                                      std::to_string((needed.value() + mib - 1) / mib) + ", or hold less");
    }
  }

  /// As before; a text that is no UTF-8 can only be the rule set, TOML's own are checked.
  static void check_carried(ConfigTable& table, const link::RoleSpec& spec) {
    if (const auto carried = link::carries(spec); !carried) {
      table.problem(table.has("ruleset_file") ? "ruleset_file" : "name",
                    "no blade can be told of " + spec.id.value + ": " + carried.error().message);
    }
  }

  void check_mirror_family(ConfigTable& table, const IpAddress& mirror) const {
    for (const auto& blade : group_.blades) {
      if (blade.address.family == mirror.family) { continue; }
      table.problem("mirror_address", "a mirror watches its blade by BFD, and " + mirror.to_string() + " and " +
                                          blade.address.to_string() +
                                          " are of different families; write both IPv4, or both IPv6");
    }
  }

  void check_active(ConfigTable& table, const RoleConfig& role) {
    if (role.active.empty()) { return; }
    claims_.claim(table, "active", "active", role.active.value, role.spec.id.value);  // no single fault stops two roles
    for (const auto& blade : group_.blades) {
      if (blade.id != role.active) { continue; }
      if (blade.standby) {
        table.problem("active", role.active.value + " is a standby; it serves no role of its own, write another blade");
      }
      return;
    }
    table.problem("active", "there is no [[blade]] named \"" + role.active.value + "\"; write the name of one");
  }

  void claim_mac(ConfigTable& table, const std::string& key, const MacAddress& mac, const std::string& owner) {
    check_host(table, key, mac);
    claims_.claim(table, key, "MAC", mac.to_string(), owner);
  }

  void claim_address(ConfigTable& table, const std::string& key, const IpPrefix& prefix, const std::string& owner) {
    check_host(table, key, prefix);
    // A link-local address is unique on its own network only: every role has its fe80::1.
    if (prefix.address.family == 0 || prefix.address.is_link_local()) { return; }
    claims_.claim(table, key, "address", prefix.address.to_string(), owner);
  }

  void read_ruleset(ConfigTable& table, link::RoleSpec& spec) {
    const auto file = table.string_or("ruleset_file", "", "a file of nftables text");
    if (file.empty()) { return; }
    const auto at = std::filesystem::path(path_).parent_path() / file;  // an absolute one stays as it is
    if (!is_readable_file(at)) {
      table.problem("ruleset_file", "cannot read the rule set " + at.string() + "; write the path of a readable file");
      return;
    }
    std::ifstream stream(at);
    std::ostringstream text;
    text << stream.rdbuf();
    spec.ruleset = text.str();
    if (spec.ruleset.size() > (std::size_t{1} << 20)) {
      table.problem("ruleset_file", at.string() + " is larger than 1 MiB; write a shorter rule set");
    } else if (spec.ruleset.find('\0') != std::string::npos) {
      table.problem("ruleset_file", at.string() + " is no text; write the path of a file of nftables text");
    } else if (const auto checked = net::check_ruleset(std::filesystem::absolute(at)); !checked) {
      table.problem("ruleset_file", "nftables refuses " + checked.error().message +
                                        "; change it until `nft -c -f` takes it in an empty network namespace");
    }
  }

  void read_port(ConfigTable& table, link::RoleSpec& spec) {
    link::PortSpec port;
    port.name = read_name(table, "name", "a logical name, e.g. \"ext\"");
    port.network = read_name(table, "network", "the network it is on, e.g. \"external\"");
    const std::string self = spec.id.value + " port " + port.name;
    claims_.claim(table, "name", "port of " + spec.id.value, port.name, self);
    claims_.claim(table, "network", "network of " + spec.id.value, port.network, self);
    const auto mac = table.string("mac", "its service MAC, e.g. \"02:e0:00:00:00:01\"");
    port.mac = parse_value<MacAddress>(table, "mac", mac);
    claim_mac(table, "mac", port.mac, self);
    for (const auto& text : table.strings("addresses", "[\"10.0.0.1/24\", ...]")) {
      port.addresses.push_back(parse_value<IpPrefix>(table, "addresses", text));
      claim_address(table, "addresses", port.addresses.back(), self);
    }
    spec.ports.push_back(std::move(port));
  }

  void read_route(ConfigTable& table, link::RoleSpec& spec) {
    const auto destination = table.string("destination", "a prefix, e.g. \"0.0.0.0/0\"");
    const auto gateway = table.string("gateway", "an address, e.g. \"10.23.4.1\"");
    link::RouteSpec route{parse_value<IpPrefix>(table, "destination", destination),
                          parse_value<IpAddress>(table, "gateway", gateway)};
    if (route.destination.address.family != route.gateway.family) {
      table.problem("gateway", "destination " + destination + " and gateway " + gateway +
                                   " are of different families; write both IPv4, or both IPv6");
    }
    spec.routes.push_back(route);
  }

  /// The program is each blade's own: whether it is there, only the blades can say, and its absence is a failure.
  static link::HealthSpec read_health(ConfigTable table) {
    link::HealthSpec health;
    health.command = table.strings("command", "[\"/usr/bin/check\", ...]");
    if (!health.command.empty() && !health.command.front().starts_with('/')) {
      table.problem("command", "\"" + health.command.front() + "\" is not an absolute path; write the program's path");
    }
    const auto number = [&](const char* key, std::uint32_t otherwise, const char* what, std::int64_t least,
                            std::int64_t most) {
      return static_cast<std::uint32_t>(table.integer_or(key, otherwise, what, least, most));
    };
    health.interval_ms = number("interval_ms", health.interval_ms, "ms from one check to the next", 100, 3'600'000);
    health.deadline_ms = number("deadline_ms", health.deadline_ms, "ms that one check may take", 10, 600'000);
    health.failures = number("failures", health.failures, "failures in a row that make the blade unfit", 1, 1000);
    return health;
  }

  static std::uint32_t read_kind(ConfigTable& table) {
    static constexpr std::array kinds{"hashed", "blob", "dense"};
    const auto kind = table.string_or("kind", "hashed", "hashed, blob or dense");
    const auto found = std::find(kinds.begin(), kinds.end(), kind);
    if (found == kinds.end()) {
      table.problem("kind", "kind = \"" + kind + "\" is none; write \"hashed\", \"blob\" or \"dense\"");
      return 0;
    }
    return static_cast<std::uint32_t>(found - kinds.begin());
  }

  void read_application(ConfigTable& role, link::RoleSpec& spec) {
    auto table = role.table("application");
    auto& application = spec.application;
    application.name = read_name(table, "name", "the application's name");
    application.command = table.strings("command", "[\"/usr/bin/program\", ...]");
    application.store = table.string_or("store", "", "the name of its store in the region");
    const auto kib = table.integer_or("journal_kib", 1024, "its journal in KiB, a power of two", 4, 1 << 20);
    if (!std::has_single_bit(static_cast<std::uint64_t>(kib))) {
      table.problem("journal_kib", "journal_kib = " + std::to_string(kib) + " is no power of two; write " +
                                       std::to_string(std::bit_ceil(static_cast<std::uint64_t>(kib))));
    }
    application.journal_bytes = static_cast<std::uint64_t>(kib) << 10;
    for (auto& one : table.tables("table")) {
      link::TableSpec spec_of_table;
      spec_of_table.name = read_name(one, "name", "the table's name");
      spec_of_table.key_bytes = static_cast<std::uint32_t>(one.integer("key_bytes", "the size of a key", 1, 4096));
      spec_of_table.value_bytes =
          static_cast<std::uint32_t>(one.integer("value_bytes", "the size of a value", 0, 1 << 20));
      spec_of_table.capacity =
          static_cast<std::uint64_t>(one.integer("capacity", "the most records", 1, std::int64_t{1} << 40));
      spec_of_table.capacity_max = static_cast<std::uint64_t>(
          one.integer_or("capacity_max", 0, "the most records after a rebuild", 0, std::int64_t{1} << 40));
      spec_of_table.kind = read_kind(one);
      application.tables.push_back(std::move(spec_of_table));
    }
    if (application.store.empty() && !application.tables.empty()) {
      table.problem("table", "tables without a store; name the application's \"store\"");
    }
  }

  const std::string& path_;
  const GroupConfig& group_;
  std::uint32_t link_down_ms_;
  Claims& claims_;
};

}  // namespace

RoleConfig read_role(ConfigTable& table, const std::string& path, const GroupConfig& group, std::uint32_t link_down_ms,
                     Claims& claims) {
  return RoleReader(path, group, link_down_ms, claims).read(table);
}

}  // namespace understudy::control
