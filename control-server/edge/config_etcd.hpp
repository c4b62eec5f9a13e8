// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where the group's state is: `state` of [control], a file, or [control.etcd], shared by several control-servers.

#include "edge/config_file.hpp"
#include "understudy/common/config.hpp"

namespace understudy::control {

void read_state(ConfigTable& control, Checks checks, ServerConfig& config);

}  // namespace understudy::control
