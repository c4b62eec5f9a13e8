// SPDX-License-Identifier: Apache-2.0
#pragma once
/// [power] of group.toml, and the power of each [[blade]].

#include "edge/config_file.hpp"
#include "understudy/common/config.hpp"

namespace understudy::control {

/// What a fence agent is told of every blade.
struct FenceDefaults {
  FenceOptions options;
  bool off_by_choice = false;  ///< driver = "none" is written: what else is there waits for another day
};

/// `path`: the file, beside which secrets are.
FenceDefaults read_power(ConfigTable& power, const std::string& path, Checks checks, ServerConfig& config);
void read_blade_power(ConfigTable& blade, const std::string& name, const FenceDefaults& defaults,
                      const std::string& path, Checks checks, ServerConfig& config);

}  // namespace understudy::control
