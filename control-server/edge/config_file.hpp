// SPDX-License-Identifier: Apache-2.0
#pragma once
/// group.toml: the group's make-up as an operator writes it, checked for meaning before anything starts.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "edge/etcd_client.hpp"
#include "edge/fence_agent.hpp"
#include "understudy/common/result.hpp"
#include "understudy/link/bfd_authentication.hpp"
#include "understudy/link/tls_settings.hpp"

namespace understudy::control {

struct ServerConfig {
  GroupConfig group;
  std::string listen;                            ///< "address:port"
  IpAddress listen_address;                      ///< of it; BFD speaks from there
  std::string state_path;                        ///< empty: the state is in etcd
  std::optional<EtcdSettings> etcd;              ///< several control-servers
  std::vector<std::string> servers;              ///< all of them, "address:port", with etcd
  std::string on_blade;                          ///< the blade that this control-server runs on, when it says so
  std::string run_dir = "/run/understudy";       ///< on a tmpfs: what outlives the daemon, not the host
  link::bfd::Authentication bfd_authentication;  ///< group.bfd tells type and key id; without a key by Checks::File
  std::map<std::string, link::bfd::Authentication> witness_authentication;  ///< of witnesses by BFD, by name
  link::tls::Settings tls;
  enum class Switch { LinuxBridge, Command } switch_driver = Switch::LinuxBridge;
  std::string switch_netns;
  std::vector<std::string> switch_command;
  std::chrono::milliseconds switch_limit{5000};  ///< for one call of the command
  enum class Power { None, Command, FenceAgent } power_driver = Power::None;
  std::vector<std::string> power_command;
  std::string fence_agent;                           ///< a program
  std::map<std::string, FenceOptions> fence_blades;  ///< each blade's, by its name; without secrets by Checks::File
  std::chrono::milliseconds power_limit{5000};       ///< for one call of the command; for all of a fence agent's action
};

/// For a person: "none", "command", or the fence agent's name.
std::string power_name(const ServerConfig& config);

/// The driver of [power]; null: there is none.
std::unique_ptr<PowerDriver> open_power(const ServerConfig& config);

/// What is checked: the file alone (anywhere), or also that this machine can serve by it, or can switch power by it:
/// that needs no etcd.
enum class Checks { File, FileAndMachine, FileAndPower };

/// The first problem, as one line with file and line number.
Result<ServerConfig> read_config(const std::string& path, Checks checks = Checks::File);

}  // namespace understudy::control
