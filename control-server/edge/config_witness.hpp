// SPDX-License-Identifier: Apache-2.0
#pragma once
/// [[witness]] of group.toml:
///
///   [[witness]]
///   name = "switch-a"
///   address = "192.168.1.254"     # beyond the cable of the control-server, on the way to the blades
///   method = "icmp"               # or "bfd": a router that speaks it with this control-server
///   interval_ms = 50              # default: as [detection]; longer than two thirds of the detection time less one
///   count = 3                     # interval: its word takes 3 s
///   auth = ..., key_id, key_file  # of "bfd" only, as in [bfd]

#include "edge/config_file.hpp"
#include "edge/config_values.hpp"

namespace understudy::control {

inline constexpr std::size_t kWitnessesMax = 16;

/// After [control] and [detection].
void read_witnesses(ConfigTable& root, const std::string& path, Checks checks, Claims& claims, ServerConfig& config);

}  // namespace understudy::control
