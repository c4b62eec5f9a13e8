// SPDX-License-Identifier: Apache-2.0
#pragma once
/// [[role]] of group.toml.

#include "core/config.hpp"
#include "edge/config_values.hpp"

namespace understudy::control {

/// `path`: the file, beside which rule sets are. `group`: what was read so far, all blades among it.
RoleConfig read_role(ConfigTable& table, const std::string& path, const GroupConfig& group, std::uint32_t link_down_ms,
                     Claims& claims);

}  // namespace understudy::control
