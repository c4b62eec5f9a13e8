// SPDX-License-Identifier: Apache-2.0
#include "edge/config_file.hpp"

#include <unistd.h>

#include <bit>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "understudy/common/config.hpp"
#include "understudy/common/own_address.hpp"
#include "understudy/link/control_api_status.hpp"
#include "understudy/link/region_schema.hpp"
#include "understudy/net/records.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::control {
namespace {

/// Reads one file. Getters and problem() of the ConfigTable keep the first problem, so this is straight-line code.
class GroupFile {
 public:
  GroupFile(std::string path, Checks checks) : path_(std::move(path)), checks_(checks), reader_(path_) {}

  Result<ServerConfig> read() {
    auto root = reader_.root();
    read_control(root);
    read_detection(root);
    read_movement(root);
    read_switch(root);
    read_power(root);
    for (auto& blade : root.tables("blade")) { read_blade(blade); }
    check_standby(root);
    for (auto& role : root.tables("role")) { read_role(role); }
    if (config_.group.roles.empty()) { root.problem("role", "there is no [[role]]; a group serves at least one"); }
    if (auto done = reader_.finish(); !done) { return done.error(); }
    return config_;
  }

 private:
  // --- values ---
  template <class Value>
  Value parse(ConfigTable& table, const std::string& key, const std::string& text) {
    const auto parsed = Value::parse(text);
    if (!parsed) {
      if (!text.empty()) { table.problem(key, "\"" + key + "\": " + parsed.error().message); }
      return {};
    }
    return parsed.value();
  }
  std::string name(ConfigTable& table, const std::string& key, const std::string& expected) {
    const auto text = table.string(key, expected);
    const bool fits = text.size() <= 64 &&
                      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                          std::string::npos;
    if (!fits) { table.problem(key, "\"" + text + "\" is no name; use up to 64 letters, digits, '.', '_', '-'"); }
    return text;
  }
  /// Remembers who uses a value that must be unique in the file.
  void claim(ConfigTable& table, const std::string& key, const std::string& kind, const std::string& value,
             const std::string& owner) {
    if (value.empty()) { return; }
    const auto [at, fresh] = claims_.emplace(kind + " " + value, owner);
    if (!fresh) { table.problem(key, kind + " " + value + " is used twice: by " + at->second + " and by " + owner); }
  }

  // --- tables ---
  void read_control(ConfigTable& root) {
    auto table = root.table("control");
    config_.listen = table.string("listen", "where host-agents attach, e.g. \"192.168.1.250:7400\"");
    const auto colon = config_.listen.rfind(':');
    auto host = config_.listen.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') { host = host.substr(1, host.size() - 2); }
    const bool has_port = colon != std::string::npos && colon + 1 < config_.listen.size() &&
                          config_.listen.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    const auto address = IpAddress::parse(host);
    if (!config_.listen.empty() && (!has_port || !address)) {
      table.problem("listen", "\"" + config_.listen + "\" is no ADDRESS:PORT; write e.g. \"192.168.1.250:7400\"");
    }
    if (address) { config_.listen_address = address.value(); }
    config_.state_path = table.string("state", "the state store's file, e.g. \"/var/lib/understudy/control.db\"");
    if (checks_ == Checks::FileAndMachine) { check_machine(table); }
  }

  /// What this machine must have, told before anything is started.
  void check_machine(ConfigTable& table) const {
    if (config_.state_path.empty()) { return; }  // missing, and told
    const auto folder = std::filesystem::absolute(config_.state_path).parent_path();
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored)) {
      table.problem("state", "there is no directory " + folder.string() + "; make it, or write a path in another one");
    } else if (access(folder.c_str(), W_OK | X_OK) != 0) {
      table.problem("state", "this user may not write into " + folder.string() +
                                 "; start as its owner, or write a path in another directory");
    }
    if (config_.listen_address.family != 0 && !is_own_address(config_.listen_address)) {
      table.problem("listen", "this machine has no address " + config_.listen_address.to_string() +
                                  "; write one that `ip address` shows");
    }
  }

  void read_detection(ConfigTable& root) {
    auto table = root.table("detection");
    auto& group = config_.group;
    group.bfd.interval_ms = static_cast<std::uint32_t>(
        table.integer_or("bfd_interval_ms", group.bfd.interval_ms, "the BFD interval in ms", 1, 10'000));
    group.bfd.multiplier = static_cast<std::uint32_t>(
        table.integer_or("bfd_multiplier", group.bfd.multiplier, "lost packets that mean silence", 1, 255));
    group.timings.detection = std::chrono::milliseconds(group.bfd.interval_ms) * group.bfd.multiplier;
  }

  void read_movement(ConfigTable& root) {
    auto table = root.table("movement");
    const std::string expected = "\"always\", \"when-slow\", \"when-quiet\" or \"manual\"";
    const auto policy = link::parse_movement_policy(table.string_or("policy", "when-slow", expected));
    if (policy) {
      config_.group.movement = policy.value();
    } else {
      table.problem("policy", policy.error().message);
    }
    const auto delay = table.integer_or("delay_ms", 3000, "ms on the mirror before it moves", 0, 86'400'000);
    config_.group.timings.movement_delay = std::chrono::milliseconds(delay);
  }

  void read_switch(ConfigTable& root) {
    auto table = root.table("switch");
    const auto driver = table.string("driver", "\"linux-bridge\" or \"command\"");
    if (driver == "linux-bridge") {
      config_.switch_netns = table.string_or("netns", "", "the network namespace of the bridges");
    } else if (driver == "command") {
      config_.switch_driver = ServerConfig::Switch::Command;
      config_.switch_command = table.strings("command", "[\"/path/to/command\", ...]");
    } else if (!driver.empty()) {
      table.problem("driver", "\"" + driver + "\" is no switch driver; write \"linux-bridge\" or \"command\"");
    }
    (void)table.has("netns");  // lab files name both; only the driver's own is used
    (void)table.has("command");
  }

  void read_power(ConfigTable& root) {
    auto table = root.table("power");
    const auto driver = table.string_or("driver", "none", "\"none\" or \"command\"");
    if (driver == "command") {
      config_.power_command = table.strings("command", "[\"/path/to/command\", ...]");
    } else if (driver != "none") {
      table.problem("driver", "\"" + driver + "\" is no power driver; write \"none\" or \"command\"");
    }
    (void)table.has("command");
    config_.group.has_power = !config_.power_command.empty();
  }

  void read_blade(ConfigTable& table) {
    BladeConfig blade;
    blade.id = BladeId{name(table, "name", "the blade's name, e.g. \"blade-1\"")};
    const auto address = table.string("address", "its maintenance address, e.g. \"192.168.1.1\"");
    blade.address = parse<IpAddress>(table, "address", address);
    blade.switch_ports = table.strings("switch_ports", "every port to service networks, e.g. [\"b1-ext\", \"b1-int\"]");
    blade.standby = table.boolean_or("standby", false);
    claim(table, "name", "blade", blade.id.value, "[[blade]] " + std::to_string(config_.group.blades.size() + 1));
    claim(table, "address", "address", blade.address.family != 0 ? blade.address.to_string() : "", blade.id.value);
    for (const auto& port : blade.switch_ports) { claim(table, "switch_ports", "switch port", port, blade.id.value); }
    if (blade.address.family != 0 && config_.listen_address.family != 0 &&
        blade.address.family != config_.listen_address.family) {
      table.problem("address", "BFD needs an address of the family of [control] listen: " + address);
    }
    config_.group.blades.push_back(std::move(blade));
  }

  void check_standby(ConfigTable& root) {
    std::string standbys;
    int count = 0;
    for (const auto& blade : config_.group.blades) {
      if (!blade.standby) { continue; }
      standbys += (++count > 1 ? ", " : "") + blade.id.value;
      config_.group.control_shares_standby_blade = blade.address == config_.listen_address;
    }
    if (count == 1) { return; }
    root.problem("blade", count == 0 ? "no [[blade]] has standby = true; exactly one must"
                                     : "several blades have standby = true (" + standbys + "); exactly one must");
  }

  void read_role(ConfigTable& table) {
    RoleConfig role;
    auto& spec = role.spec;
    spec.id = RoleId{name(table, "name", "the role's name, e.g. \"role-1\"")};
    const std::string self = spec.id.value;
    claim(table, "name", "role", self, "[[role]] " + std::to_string(config_.group.roles.size() + 1));
    spec.number = static_cast<std::uint32_t>(table.integer("number", "the role's number", 1, 250));
    claim(table, "number", "number", std::to_string(spec.number), self);
    role.active = BladeId{table.string("active", "the blade that serves it, e.g. \"blade-1\"")};
    check_active(table, role);
    const auto mib = table.integer("region_mib", "the region's size in MiB, a power of two", 1, 1 << 20);
    spec.region_bytes = static_cast<std::uint64_t>(mib) << 20;
    if (!std::has_single_bit(static_cast<std::uint64_t>(mib))) {
      table.problem("region_mib", "region_mib = " + std::to_string(mib) + " is no power of two; write " +
                                      std::to_string(std::bit_ceil(static_cast<std::uint64_t>(mib))));
    }
    const auto flows = table.integer("flow_capacity", "sessions to mirror", 1, std::int64_t{1} << 32);
    spec.flow_capacity = static_cast<std::uint64_t>(flows);
    const auto mirror = table.string("mirror_address", "its mirror's address, e.g. \"192.168.1.41/24\"");
    spec.mirror_address = parse<IpPrefix>(table, "mirror_address", mirror);
    claim_address(table, "mirror_address", spec.mirror_address, self + "'s mirror");
    const auto mac = table.string("mirror_mac", "its mirror's MAC, e.g. \"02:e2:00:00:00:01\"");
    spec.mirror_mac = parse<MacAddress>(table, "mirror_mac", mac);
    claim(table, "mirror_mac", "MAC", mac, self + "'s mirror");
    const auto memory = table.integer_or("mirror_memory_mib", 192, "the mirror's memory in MiB", 64, 1 << 20);
    spec.mirror_memory_mib = static_cast<std::uint32_t>(memory);
    read_ruleset(table, spec);
    for (auto& port : table.tables("port")) { read_port(port, spec); }
    if (spec.ports.empty()) { table.problem("port", self + " has no [[role.port]]; a role serves on at least one"); }
    for (auto& route : table.tables("route")) { read_route(route, spec); }
    spec.sysctls = table.string_pairs("sysctls");
    if (table.has("application")) { read_application(table, spec); }
    check_region(table, spec);
    spec.version = digest(spec);
    config_.group.roles.push_back(std::move(role));
  }

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

  void check_active(ConfigTable& table, const RoleConfig& role) {
    if (role.active.empty()) { return; }
    claim(table, "active", "active", role.active.value, role.spec.id.value);  // no single fault stops two roles
    for (const auto& blade : config_.group.blades) {
      if (blade.id != role.active) { continue; }
      if (blade.standby) {
        table.problem("active", role.active.value + " is the standby; it serves no role of its own");
      }
      return;
    }
    table.problem("active", "there is no [[blade]] named \"" + role.active.value + "\"");
  }

  void claim_address(ConfigTable& table, const std::string& key, const IpPrefix& prefix, const std::string& owner) {
    // A link-local address is unique on its own network only: every role has its fe80::1.
    if (prefix.address.family == 0 || prefix.address.is_link_local()) { return; }
    claim(table, key, "address", prefix.address.to_string(), owner);
  }

  void read_ruleset(ConfigTable& table, link::RoleSpec& spec) {
    const auto file = table.string_or("ruleset_file", "", "a file of nftables text");
    if (file.empty()) { return; }
    const auto at = std::filesystem::path(path_).parent_path() / file;  // an absolute one stays as it is
    std::ifstream stream(at);
    std::ostringstream text;
    text << stream.rdbuf();
    spec.ruleset = text.str();
    if (!stream.good() || std::filesystem::is_directory(at)) {
      table.problem("ruleset_file", "cannot read the rule set " + at.string());
    } else if (spec.ruleset.size() > (std::size_t{1} << 20)) {
      table.problem("ruleset_file", at.string() + " is larger than 1 MiB");
    }
  }

  void read_port(ConfigTable& table, link::RoleSpec& spec) {
    link::PortSpec port;
    port.name = name(table, "name", "a logical name, e.g. \"ext\"");
    port.network = name(table, "network", "the network it is on, e.g. \"external\"");
    const std::string self = spec.id.value + " port " + port.name;
    claim(table, "name", "port of " + spec.id.value, port.name, self);
    const auto mac = table.string("mac", "its service MAC, e.g. \"02:e0:00:00:00:01\"");
    port.mac = parse<MacAddress>(table, "mac", mac);
    claim(table, "mac", "MAC", mac, self);
    for (const auto& text : table.strings("addresses", "[\"10.0.0.1/24\", ...]")) {
      port.addresses.push_back(parse<IpPrefix>(table, "addresses", text));
      claim_address(table, "addresses", port.addresses.back(), self);
    }
    spec.ports.push_back(std::move(port));
  }

  void read_route(ConfigTable& table, link::RoleSpec& spec) {
    const auto destination = table.string("destination", "a prefix, e.g. \"0.0.0.0/0\"");
    const auto gateway = table.string("gateway", "an address, e.g. \"10.23.4.1\"");
    link::RouteSpec route{parse<IpPrefix>(table, "destination", destination),
                          parse<IpAddress>(table, "gateway", gateway)};
    if (route.destination.address.family != route.gateway.family) {
      table.problem("gateway", "destination " + destination + " and gateway " + gateway + " are of different families");
    }
    spec.routes.push_back(route);
  }

  void read_application(ConfigTable& role, link::RoleSpec& spec) {
    auto table = role.table("application");
    auto& application = spec.application;
    application.name = name(table, "name", "the application's name");
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
      spec_of_table.name = name(one, "name", "the table's name");
      spec_of_table.key_bytes = static_cast<std::uint32_t>(one.integer("key_bytes", "the size of a key", 1, 4096));
      spec_of_table.value_bytes =
          static_cast<std::uint32_t>(one.integer("value_bytes", "the size of a value", 0, 1 << 20));
      spec_of_table.capacity =
          static_cast<std::uint64_t>(one.integer("capacity", "the most records", 1, std::int64_t{1} << 40));
      application.tables.push_back(std::move(spec_of_table));
    }
    if (application.store.empty() && !application.tables.empty()) {
      table.problem("table", "tables without a store; name the application's \"store\"");
    }
  }

  /// Tells two configurations apart (D15); not a protection against anybody.
  static std::string digest(const link::RoleSpec& spec) {
    std::ostringstream text;
    text << spec.id.value << spec.number << spec.ruleset << spec.region_bytes << spec.flow_capacity
         << spec.mirror_address.to_string() << spec.mirror_mac.to_string() << spec.mirror_memory_mib;
    for (const auto& port : spec.ports) {
      text << '|' << port.name << '|' << port.network << '|' << port.mac.to_string();
      for (const auto& address : port.addresses) { text << '|' << address.to_string(); }
    }
    for (const auto& route : spec.routes) { text << '|' << route.destination.to_string() << route.gateway.to_string(); }
    for (const auto& [key, value] : spec.sysctls) { text << '|' << key << '=' << value; }
    text << '|' << spec.application.name << '|' << spec.application.store << spec.application.journal_bytes;
    for (const auto& word : spec.application.command) { text << '|' << word; }
    for (const auto& table : spec.application.tables) {
      text << '|' << table.name << ',' << table.key_bytes << ',' << table.value_bytes << ',' << table.capacity;
    }
    std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
    for (const char c : text.str()) { hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U; }
    std::ostringstream hex;
    hex << std::hex << hash;
    return hex.str();
  }

  std::string path_;
  Checks checks_;
  ConfigReader reader_;
  ServerConfig config_;
  std::map<std::string, std::string> claims_;
};

}  // namespace

Result<ServerConfig> read_config(const std::string& path, Checks checks) { return GroupFile(path, checks).read(); }

}  // namespace understudy::control
