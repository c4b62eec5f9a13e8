// SPDX-License-Identifier: Apache-2.0
#include "edge/config_machine.hpp"

#include <net/if.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "edge/drivers.hpp"
#include "understudy/common/config_checks.hpp"
#include "understudy/common/log.hpp"
#include "understudy/common/own_address.hpp"
#include "understudy/net/namespace.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::control {
namespace {

/// An empty file becomes a store, as one does that is not there.
bool may_be_store(const std::string& path) {
  constexpr std::string_view magic("SQLite format 3\0", 16);
  std::ifstream file(path, std::ios::binary);
  std::string begin(magic.size(), '\0');
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  return file.gcount() == 0 || begin == magic;
}

void check_state(ConfigTable& table, const std::string& path) {
  const auto folder = std::filesystem::absolute(path).parent_path();
  std::error_code ignored;
  const auto file = std::filesystem::status(path, ignored);
  if (!std::filesystem::is_directory(folder, ignored)) {
    table.problem("state", "there is no directory " + folder.string() + "; make it, or write a path in another one");
  } else if (access(folder.c_str(), W_OK | X_OK) != 0) {
    table.problem("state", "this user may not write into " + folder.string() +
                               "; start as its owner, or write a path in another directory");
  } else if (!std::filesystem::exists(file)) {
    return;
  } else if (!std::filesystem::is_regular_file(file)) {
    table.problem("state", path + (std::filesystem::is_directory(file) ? " is a directory" : " is no regular file") +
                               "; write the path of the store's file");
  } else if (access(path.c_str(), R_OK | W_OK) != 0) {
    table.problem("state", "this user may not read and write " + path + "; start as its owner, or write another path");
  } else if (!may_be_store(path)) {
    table.problem("state", path + " is no state store; write the path of one, or of a file that is not there yet");
  }
}

void check_command(ConfigTable& table, const std::vector<std::string>& command) {
  if (command.empty() || is_program(command.front())) { return; }  // missing, and told
  table.problem("command", "\"" + command.front() +
                               "\" is no program that this user may run; write the path of an executable file");
}

}  // namespace

void check_machine_control(ConfigTable& control, const ServerConfig& config) {
  if (config.listen_address.family != 0 && !is_own_address(config.listen_address)) {
    control.problem("listen", "this machine has no address " + config.listen_address.to_string() +
                                  "; write one that `ip address` shows");
  }
  if (!config.state_path.empty()) { check_state(control, config.state_path); }
}

void check_machine_switch(ConfigTable& the_switch, const ServerConfig& config) {
  if (config.switch_driver == ServerConfig::Switch::Command) {
    check_command(the_switch, config.switch_command);
    return;
  }
  const auto path = network_namespace_path(config.switch_netns);
  const std::string needs = ", and start as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN";
  const auto entered = net::NamespaceScope::enter(path);
  if (!entered) {
    const bool absent = entered.error().code == Errc::NotFound;
    the_switch.problem("netns", absent ? entered.error().message + "; write one that `ip netns` shows"
                                       : path + ": " + entered.error().message + "; write a network namespace" + needs);
    return;
  }
  auto nft = net::Nft::open();
  if (!nft || !nft.value().list_json("list tables")) {
    the_switch.problem("netns",
                       "this user may not use nftables in the switch's network namespace; write another one" + needs);
  }
}

void check_machine_power(ConfigTable& power, const ServerConfig& config) {
  if (config.power_driver != ServerConfig::Power::FenceAgent) {
    check_command(power, config.power_command);
  } else if (!config.fence_agent.empty() && !is_program(config.fence_agent)) {
    power.problem("agent", "\"" + config.fence_agent +
                               "\" is no program that this user may run; install fence-agents, " +
                               "or write the path of an agent");
  }
}

namespace {
/// A program of ours, installed where this one is.
std::string beside_us(const std::string& program) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (error ? std::filesystem::path("/usr/bin") : self.parent_path()) / program;
}

/// Of a group in etcd nobody knows it before etcd was asked.
bool was_there_before(const ServerConfig& config) {
  return config.etcd.has_value() || std::filesystem::exists(config.state_path);
}
}  // namespace

void check_machine_fencing(ConfigTable& root, ServerConfig& config) {
  if (config.power_driver != ServerConfig::Power::FenceAgent || !is_program(config.fence_agent)) { return; }
  // A group that was there before needs its control-server more than its power switch.
  const auto tell = [&](const std::string& what) {
    if (was_there_before(config)) {
      log::warn("power: {}: no blade can be powered off before this is mended", what);
    } else {
      root.problem("power", what);
    }
  };
  const auto metadata = fence_metadata(config.fence_agent, config.power_limit);
  if (!metadata) {
    tell(metadata.error().message + "; write the path of a fence agent in agent");
    return;
  }
  for (auto& [blade, options] : config.fence_blades) {
    const auto fit = check_fence_options(metadata.value(), options);
    if (!fit) { tell(config.fence_agent + " for " + blade + ": " + fit.error().message); }
    hide_password(metadata.value(), beside_us("understudy-ipmitool"), options);
  }
}

void check_machine_blade(ConfigTable& table, const ServerConfig& config, const BladeConfig& blade) {
  if (config.switch_driver != ServerConfig::Switch::LinuxBridge) { return; }
  const auto entered = net::NamespaceScope::enter(network_namespace_path(config.switch_netns));
  if (!entered) { return; }  // told at [switch]
  for (const auto& port : blade.switch_ports) {
    if (if_nametoindex(port.c_str()) != 0) { continue; }
    const std::string what = "the switch has no port \"" + port + "\"";
    // A group that was there before may have lost the port with its blade, and needs its control-server now: such a
    // port is no evidence of isolation, and said so then.
    if (was_there_before(config)) {
      log::warn("{}: {}: is {} off, or is its name in switch_ports wrong?", blade.id.value, what, blade.id.value);
      continue;
    }
    table.problem("switch_ports", what + "; write names that `ip link` shows in its network namespace");
  }
}

}  // namespace understudy::control
