// SPDX-License-Identifier: Apache-2.0
#include "edge/config_file.hpp"

#include <algorithm>

#include "edge/config_etcd.hpp"
#include "edge/config_machine.hpp"
#include "edge/config_power.hpp"
#include "edge/config_role.hpp"
#include "edge/config_values.hpp"
#include "edge/config_witness.hpp"
#include "understudy/common/config_checks.hpp"
#include "understudy/link/bfd_key_file.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {
namespace {

/// Reads one file. Getters and problem() of the ConfigTable keep the first problem, so this is straight-line code.
class GroupFile {
 public:
  GroupFile(std::string path, Checks checks) : path_(std::move(path)), checks_(checks), reader_(path_) {}

  Result<ServerConfig> read() {
    auto root = reader_.root();
    read_control(root);
    config_.tls = link::tls::read_settings(root, link::tls::Whose::ControlServer, "", on_this_machine());
    read_detection(root);
    read_hold_out(root);
    read_leases(root);
    read_movement(root);
    read_switch(root);
    read_power(root);
    for (auto& blade : root.tables("blade")) { read_blade(blade); }
    if (on_this_machine()) { check_machine_fencing(root, config_); }
    check_standby(root);
    check_leases(root);
    // The control-server may be on a blade; nobody else has its address.
    claims_.share("address", config_.listen_address.to_string(), "[control] listen");
    read_witnesses(root, path_, checks_, claims_, config_);
    auto& roles = config_.group.roles;
    for (auto& role : root.tables("role")) {
      roles.push_back(read_role(role, path_, config_.group, link_down_ms_, claims_));
    }
    if (roles.empty()) { root.problem("role", "there is no [[role]]; a group serves at least one"); }
    if (auto done = reader_.finish(); !done) { return done.error(); }
    return config_;
  }

 private:
  [[nodiscard]] bool on_this_machine() const { return checks_ != Checks::File; }

  void read_control(ConfigTable& root) {
    auto table = root.table("control");
    config_.listen = table.string("listen", "where host-agents attach, e.g. \"192.168.1.250:7400\"");
    const auto endpoint = parse_endpoint(config_.listen);
    if (endpoint) {
      config_.listen_address = endpoint->address;
      check_host(table, "listen", endpoint->address);
    } else {
      table.problem("listen",
                    "\"" + config_.listen +
                        "\" is no ADDRESS:PORT with a port from 1 to 65535; write e.g. \"192.168.1.250:7400\"");
    }
    read_state(table, checks_, config_);
    config_.on_blade = table.string_or("blade", "", "the blade that this control-server runs on, e.g. \"blade-4\"");
    config_.run_dir = table.string_or("run_dir", config_.run_dir, "a directory on a tmpfs, e.g. \"/run/understudy\"");
    if (on_this_machine()) { check_machine_control(table, config_); }
  }

  void read_detection(ConfigTable& root) {
    auto table = root.table("detection");
    auto& group = config_.group;
    group.bfd.interval_ms = static_cast<std::uint32_t>(
        table.integer_or("bfd_interval_ms", group.bfd.interval_ms, "the BFD interval in ms", 1, 10'000));
    group.bfd.multiplier = static_cast<std::uint32_t>(
        table.integer_or("bfd_multiplier", group.bfd.multiplier, "lost packets that mean silence", 1, 255));
    group.timings.bfd_interval = std::chrono::milliseconds(group.bfd.interval_ms);
    group.timings.detection = group.timings.bfd_interval * group.bfd.multiplier;
    group.timings.agent_restart = std::chrono::milliseconds(table.integer_or(
        "agent_restart_ms", std::chrono::duration_cast<std::chrono::milliseconds>(group.timings.agent_restart).count(),
        "ms within which a host-agent that ended is back", 500, 600'000));
    link_down_ms_ = static_cast<std::uint32_t>(
        table.integer_or("link_down_ms", link::kLinkDownMs, "ms without carrier that mean a link is down", 0, 60'000));
    auto bfd = root.table("bfd");
    const auto keys = on_this_machine() ? link::bfd::KeyFile::Read : link::bfd::KeyFile::Ignore;
    config_.bfd_authentication = link::bfd::read_authentication(bfd, path_, keys);
    group.bfd.authentication = config_.bfd_authentication.type;
    group.bfd.key_id = config_.bfd_authentication.key_id;
  }

  void read_hold_out(ConfigTable& root) {
    auto table = root.table("hold_out");
    auto& hold_out = config_.group.hold_out;
    hold_out.failures = static_cast<unsigned>(
        table.integer_or("failures", 3, "failures after which a blade gets no mirrors; 0: never", 0, 100));
    hold_out.within = std::chrono::seconds(table.integer_or("within_s", 600, "within so many seconds", 1, 86'400));
    hold_out.lasts = std::chrono::seconds(
        table.integer_or("for_s", 3600, "seconds after the last failure; 0: until a person lets it back", 0, 604'800));
  }

  void read_leases(ConfigTable& root) {
    auto table = root.table("leases");
    config_.group.leases = table.boolean_or("enabled", false);
  }

  /// Told when the blades are known.
  void check_leases(ConfigTable& root) {
    // Of several control-servers the one on the standby may lead: then no lease is armed, and those that were are let
    // go.
    const auto& group = config_.group;
    const auto used =
        std::find_if(group.blades.begin(), group.blades.end(), [](const auto& one) { return one.standby; });
    const bool shares = used != group.blades.end() && group.control_shares(used->id);
    if (!group.leases || !shares || config_.etcd) { return; }
    root.problem("leases",
                 "a lease counts nothing where the control-server runs on the standby blade, since one failure would "
                 "end both; write enabled = false in [leases], or run the control-server elsewhere");
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
      const auto ms = table.integer_or("deadline_ms", 5000, "how long one call may take, in ms", 100, 600'000);
      config_.switch_limit = std::chrono::milliseconds(ms);
    } else if (!driver.empty()) {
      table.problem("driver", "\"" + driver + "\" is no switch driver; write \"linux-bridge\" or \"command\"");
    }
    refuse_others_keys(table, "switch", driver, {{"linux-bridge", {"netns"}}, {"command", {"command", "deadline_ms"}}});
    if (on_this_machine()) { check_machine_switch(table, config_); }
  }

  void read_power(ConfigTable& root) {
    auto table = root.table("power");
    fence_defaults_ = control::read_power(table, path_, checks_, config_);
    if (on_this_machine()) { check_machine_power(table, config_); }
  }

  void read_blade(ConfigTable& table) {
    BladeConfig blade;
    blade.id = BladeId{read_name(table, "name", "the blade's name, e.g. \"blade-1\"")};
    const auto address = table.string("address", "its maintenance address, e.g. \"192.168.1.1\"");
    blade.address = parse_value<IpAddress>(table, "address", address);
    blade.switch_ports = table.strings("switch_ports", "every port to service networks, e.g. [\"b1-ext\", \"b1-int\"]");
    blade.standby = table.boolean_or("standby", false);
    check_host(table, "address", blade.address);
    claims_.claim(table, "name", "blade", blade.id.value,
                  "[[blade]] " + std::to_string(config_.group.blades.size() + 1));
    claims_.claim(table, "address", "address", blade.address.family != 0 ? blade.address.to_string() : "",
                  blade.id.value);
    for (const auto& port : blade.switch_ports) {
      claims_.claim(table, "switch_ports", "switch port", port, blade.id.value);
    }
    if (blade.address.family != 0 && config_.listen_address.family != 0 &&
        blade.address.family != config_.listen_address.family) {
      table.problem("address", "BFD needs an address of the family of [control] listen, not " + address +
                                   "; write both IPv4, or both IPv6");
    }
    read_blade_power(table, blade.id.value, fence_defaults_, path_, checks_, config_);
    if (on_this_machine()) { check_machine_blade(table, config_, blade); }
    config_.group.blades.push_back(std::move(blade));
  }

  /// Of several standbys the first one in the file is used.
  void check_standby(ConfigTable& root) {
    const auto& blades = config_.group.blades;
    for (const auto& blade : blades) {
      const bool ours = blade.address == config_.listen_address || blade.id.value == config_.on_blade;
      if (ours) { config_.group.control_blade = blade.id; }
    }
    const bool known = std::any_of(blades.begin(), blades.end(),
                                   [&](const BladeConfig& blade) { return blade.id.value == config_.on_blade; });
    if (!config_.on_blade.empty() && !known) {
      root.table("control").problem("blade", "there is no blade \"" + config_.on_blade +
                                                 "\"; write one that is a [[blade]], or nothing where it is none");
    }
    if (std::any_of(blades.begin(), blades.end(), [](const BladeConfig& blade) { return blade.standby; })) { return; }
    root.problem("blade",
                 "no [[blade]] has standby = true; write it for the blade that stands by, and for its spares after it");
  }

  std::string path_;
  Checks checks_;
  ConfigReader reader_;
  ServerConfig config_;
  std::uint32_t link_down_ms_ = link::kLinkDownMs;  ///< of every role
  Claims claims_;
  FenceDefaults fence_defaults_;
};

}  // namespace

Result<ServerConfig> read_config(const std::string& path, Checks checks) { return GroupFile(path, checks).read(); }

}  // namespace understudy::control
