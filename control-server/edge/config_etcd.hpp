// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where the group's state is: `state` of [control], a file, or [control.etcd], shared by several control-servers.

#include "edge/config_file.hpp"
#include "understudy/common/config.hpp"

namespace understudy::control {

void read_state(ConfigTable& control, Checks checks, ServerConfig& config);

/// A sentence for each of etcd's certificates that has at most `warn_days` left at `now` (seconds since 1970), or
/// cannot be used.
std::vector<std::string> etcd_certificate_alarms(const EtcdSettings& settings, int warn_days, std::int64_t now);

}  // namespace understudy::control
