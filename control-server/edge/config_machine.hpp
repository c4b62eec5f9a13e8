// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What this machine must have to serve by a group.toml, told with the line that asks for it, before anything is
/// started. Nothing is changed.

#include "edge/config_file.hpp"
#include "understudy/common/config.hpp"

namespace understudy::control {

void check_machine_control(ConfigTable& control, const ServerConfig& config);
void check_machine_switch(ConfigTable& the_switch, const ServerConfig& config);
void check_machine_power(ConfigTable& power, const ServerConfig& config);
/// When all blades have been read. `root`: the whole file. Passwords are hidden from the agent's arguments
/// (fence_agent.hpp).
void check_machine_fencing(ConfigTable& root, ServerConfig& config);
void check_machine_blade(ConfigTable& table, const ServerConfig& config, const BladeConfig& blade);

}  // namespace understudy::control
