// SPDX-License-Identifier: Apache-2.0
#include "edge/config_file.hpp"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "understudy/common/config.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

namespace {

constexpr std::int64_t mib = 1 << 20;
constexpr std::size_t interface_name_max = 15;

/// What must be unique in the whole group, with who has it.
class Unique {
 public:
  void claim(ConfigTable& table, const std::string& key, const std::string& what, const std::string& value,
             const std::string& owner) {
    const auto [found, fresh] = owners_.emplace(what + " " + value, owner);
    if (!fresh) {
      table.problem(key,
                    what + " " + value + " of " + owner + " belongs to " + found->second + " already; write another");
    }
  }

 private:
  std::map<std::string, std::string> owners_;
};

template <class T>
T parsed(ConfigTable& table, const std::string& key, const std::string& text) {
  auto value = T::parse(text);
  if (!value && !text.empty()) { table.problem(key, value.error().message); }
  return value ? *value : T{};
}

void read_blades(ConfigTable& root, GroupConfig& group, Unique& unique) {
  std::size_t standbys = 0;
  for (auto& table : root.tables("blade")) {
    BladeConfig blade;
    blade.id = BladeId{table.string("name", "the blade's name, e.g. \"blade-1\"")};
    blade.address =
        parsed<IpAddress>(table, "address", table.string("address", "its maintenance address, e.g. \"192.168.1.1\""));
    blade.switch_ports = table.strings("switch_ports", "the switch's ports that lead to its service networks");
    blade.standby = table.boolean_or("standby", false);
    unique.claim(table, "name", "the name", blade.id.value, "blade " + blade.id.value);
    unique.claim(table, "address", "the address", blade.address.to_string(), "blade " + blade.id.value);
    for (const auto& port : blade.switch_ports) {
      unique.claim(table, "switch_ports", "the switch port", port, "blade " + blade.id.value);
      if (port.size() > interface_name_max) {
        table.problem("switch_ports", "\"" + port + "\" is longer than 15 letters");
      }
    }
    standbys += blade.standby ? 1 : 0;
    group.blades.push_back(blade);
  }
  if (group.blades.empty()) {
    root.problem("blade", "there is no [[blade]]; write one for each active and one with standby = true");
  }
  if (standbys != 1) {
    root.problem("blade", std::to_string(standbys) + " blades have standby = true; write it for exactly one");
  }
}

void read_ports(ConfigTable& table, link::RoleSpec& spec, Unique& unique) {
  for (auto& port_table : table.tables("port")) {
    link::PortSpec port;
    port.name = port_table.string("name", "a logical port, e.g. \"ext\"");
    if (port.name.size() > 10) { port_table.problem("name", "\"" + port.name + "\" is longer than 10 letters"); }
    port.network = port_table.string("network", "a network of the blades' [networks], e.g. \"external\"");
    port.mac =
        parsed<MacAddress>(port_table, "mac", port_table.string("mac", "its service MAC, e.g. \"02:e0:00:00:00:01\""));
    unique.claim(port_table, "mac", "the MAC", port.mac.to_string(), "role " + spec.id.value);
    for (const auto& text :
         port_table.strings("addresses", "addresses with prefix lengths, e.g. [\"10.23.4.121/24\"]")) {
      const auto address = parsed<IpPrefix>(port_table, "addresses", text);
      if (!address.address.is_link_local()) {
        unique.claim(port_table, "addresses", "the address", address.address.to_string(), "role " + spec.id.value);
      }
      port.addresses.push_back(address);
    }
    spec.ports.push_back(std::move(port));
  }
  if (spec.ports.empty()) {
    table.problem("name", "role " + spec.id.value + " has no [[role.port]]; write at least one");
  }
}

void read_application(ConfigTable table, link::ApplicationSpec& application) {
  application.name = table.string_or("name", "", "the application's name");
  application.command = table.strings_or_empty("command");
  application.store = table.string_or("store", "", "the name of its store, e.g. \"sessions\"");
  const auto journal_kib =
      table.integer_or("journal_kib", 1024, "the size of its journal in KiB, a power of two", 64, 1 << 20);
  application.journal_bytes = static_cast<std::uint64_t>(journal_kib) * 1024;
  if (!std::has_single_bit(application.journal_bytes)) {
    table.problem("journal_kib", "journal_kib " + std::to_string(journal_kib) + " is no power of two; write e.g. 1024");
  }
  for (auto& each : table.tables("table")) {
    link::TableSpec spec;
    spec.name = each.string("name", "the table's name");
    spec.key_bytes = static_cast<std::uint32_t>(each.integer("key_bytes", "bytes of a key", 1, 256));
    spec.value_bytes = static_cast<std::uint32_t>(each.integer("value_bytes", "bytes of a value", 1, 4096));
    spec.capacity = static_cast<std::uint64_t>(each.integer("capacity", "records", 1, std::int64_t{1} << 32));
    application.tables.push_back(spec);
  }
}

std::string version_of(const link::RoleSpec& spec, const std::string& file_text) {
  std::ostringstream digest;
  digest << std::hex << std::hash<std::string>{}(file_text + spec.id.value + spec.ruleset);
  return digest.str();
}

void read_role(ConfigTable& table, RoleConfig& role, Unique& unique, const std::filesystem::path& directory) {
  auto& spec = role.spec;
  spec.id = RoleId{table.string("name", "the role's name, e.g. \"role-1\"")};
  unique.claim(table, "name", "the name", spec.id.value, "role " + spec.id.value);
  spec.number = static_cast<std::uint32_t>(table.integer("number", "the role's number", 1, 999));
  unique.claim(table, "number", "the number", std::to_string(spec.number), "role " + spec.id.value);
  role.active = BladeId{table.string("active", "the blade that serves it, e.g. \"blade-1\"")};
  unique.claim(table, "active", "the blade", role.active.value, "role " + spec.id.value);
  const auto region_mib = table.integer("region_mib", "the region's size in MiB, a power of two", 1, 1 << 20);
  if (!std::has_single_bit(static_cast<std::uint64_t>(region_mib))) {
    table.problem("region_mib", "region_mib " + std::to_string(region_mib) + " is no power of two; write " +
                                    std::to_string(std::bit_ceil(static_cast<std::uint64_t>(region_mib))));
  }
  spec.region_bytes = static_cast<std::uint64_t>(region_mib) * mib;
  spec.flow_capacity = static_cast<std::uint64_t>(
      table.integer_or("flow_capacity", 16384, "the largest number of flows", 16, std::int64_t{1} << 32));
  spec.mirror_address =
      parsed<IpPrefix>(table, "mirror_address",
                       table.string("mirror_address", "the mirror's maintenance address, e.g. \"192.168.1.41/24\""));
  unique.claim(table, "mirror_address", "the address", spec.mirror_address.address.to_string(),
               "mirror of " + spec.id.value);
  spec.mirror_mac = parsed<MacAddress>(table, "mirror_mac", table.string("mirror_mac", "the mirror's maintenance MAC"));
  unique.claim(table, "mirror_mac", "the MAC", spec.mirror_mac.to_string(), "mirror of " + spec.id.value);
  spec.mirror_memory_mib =
      static_cast<std::uint32_t>(table.integer_or("mirror_memory_mib", 192, "the mirror's memory in MiB", 96, 1 << 20));
  const auto ruleset = table.string_or("ruleset_file", "", "the path of an nftables file");
  if (!ruleset.empty()) {
    std::ifstream file(directory / ruleset);
    if (!file) {
      table.problem("ruleset_file", "\"" + ruleset + "\" cannot be read; write the path of an nftables file");
    }
    spec.ruleset.assign(std::istreambuf_iterator<char>(file), {});
  }
  spec.sysctls = table.string_pairs("sysctls");
  read_ports(table, spec, unique);
  for (auto& route : table.tables("route")) {
    spec.routes.push_back({parsed<IpPrefix>(route, "destination", route.string("destination", "e.g. \"10.60.0.0/16\"")),
                           parsed<IpAddress>(route, "gateway", route.string("gateway", "e.g. \"10.23.4.1\""))});
  }
  read_application(table.table("application"), spec.application);
}

void read_movement(ConfigTable table, GroupConfig& group) {
  const auto policy = table.string_or("policy", "when-slow", "\"always\", \"when-slow\", \"when-quiet\" or \"manual\"");
  auto parsed_policy = link::parse_movement_policy(policy);
  if (parsed_policy) {
    group.movement = *parsed_policy;
  } else {
    table.problem("policy", parsed_policy.error().message);
  }
  const auto fallback = std::chrono::duration_cast<std::chrono::milliseconds>(group.timings.movement_delay).count();
  group.timings.movement_delay = std::chrono::milliseconds(
      table.integer_or("delay_ms", fallback, "milliseconds on the mirror before the movement", 0, 86'400'000));
}

void read_drivers(ConfigTable& root, ServerConfig& config) {
  auto switching = root.table("switch");
  config.switching.driver = switching.string_or("driver", "linux-bridge", "\"linux-bridge\" or \"command\"");
  const auto netns = switching.string_or("netns", "", "the bridge's network namespace");
  if (!netns.empty()) {
    config.switching.network_namespace = netns.front() == '/' ? netns : "/run/netns/" + netns;
    if (!std::filesystem::exists(config.switching.network_namespace)) {
      switching.problem("netns", "network namespace \"" + netns + "\" does not exist");
    }
  }
  config.switching.command = switching.strings_or_empty("command");
  if (config.switching.driver != "linux-bridge" && config.switching.driver != "command") {
    switching.problem("driver", "switch driver \"" + config.switching.driver +
                                    "\" is unknown; write \"linux-bridge\" or \"command\"");
  }
  if (config.switching.driver == "command" && config.switching.command.empty()) {
    switching.problem("command", "the switch driver \"command\" needs command = [\"/path/of/program\"]");
  }
  auto power = root.table("power");
  config.power.driver = power.string_or("driver", "none", "\"none\" or \"command\"");
  config.power.command = power.strings_or_empty("command");
  if (config.power.driver != "none" && config.power.driver != "command") {
    power.problem("driver", "power driver \"" + config.power.driver + "\" is unknown; write \"none\" or \"command\"");
  }
  if (config.power.driver == "command" && config.power.command.empty()) {
    power.problem("command", "the power driver \"command\" needs command = [\"/path/of/program\"]");
  }
  config.group.has_power = config.power.driver != "none";
}

}  // namespace

Result<ServerConfig> read_server_config(const std::string& path) {
  ConfigReader reader(path);
  auto root = reader.root();
  ServerConfig config;
  auto control = root.table("control");
  config.listen = control.string("listen", "address:port, e.g. \"192.168.1.250:7400\"");
  config.state_path = control.string("state", "the path of the state store, e.g. \"/var/lib/understudy/control.db\"");
  auto& group = config.group;
  auto detection = root.table("detection");
  group.bfd.interval_ms =
      static_cast<std::uint32_t>(detection.integer_or("bfd_interval_ms", 50, "milliseconds", 3, 10000));
  group.bfd.multiplier = static_cast<std::uint32_t>(detection.integer_or("bfd_multiplier", 3, "a count", 1, 50));
  group.timings.detection = std::chrono::milliseconds(group.bfd.interval_ms * group.bfd.multiplier);
  read_movement(root.table("movement"), group);
  read_drivers(root, config);
  Unique unique;
  read_blades(root, group, unique);
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  for (auto& table : root.tables("role")) {
    RoleConfig role;
    read_role(table, role, unique, std::filesystem::path(path).parent_path());
    const auto blade = std::find_if(group.blades.begin(), group.blades.end(),
                                    [&](const BladeConfig& each) { return each.id == role.active; });
    if (blade == group.blades.end() || blade->standby) {
      table.problem("active",
                    "\"" + role.active.value + "\" is no [[blade]] that can be active; write the name of one");
    }
    role.spec.version = version_of(role.spec, text);
    group.roles.push_back(std::move(role));
  }
  if (group.roles.empty()) { root.problem("role", "there is no [[role]]; write one for each active blade"); }
  if (auto finished = reader.finish(); !finished) { return finished.error(); }
  return config;
}

}  // namespace understudy::control
