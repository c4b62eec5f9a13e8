// SPDX-License-Identifier: Apache-2.0
#pragma once
/// group.toml: the whole group, read once and checked against itself. Every mistake is one line with file, line and
/// what to write instead.

#include <string>
#include <vector>

#include "core/config.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

struct SwitchConfig {
  std::string driver = "linux-bridge";  ///< or "command"
  std::string network_namespace;        ///< path of the bridge's namespace; empty: our own
  std::vector<std::string> command;     ///< called as: command... isolate|readmit|status PORT...
};

struct PowerConfig {
  std::string driver = "none";       ///< or "command"
  std::vector<std::string> command;  ///< called as: command... off|on|status BLADE
};

struct ServerConfig {
  std::string listen;
  std::string state_path;
  GroupConfig group;
  SwitchConfig switching;
  PowerConfig power;
};

Result<ServerConfig> read_server_config(const std::string& path);

}  // namespace understudy::control
