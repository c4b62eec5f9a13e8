// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the readers of configurations ask about a single value.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"

namespace understudy {

/// Up to 64 letters, digits, '.', '_' and '-': fit for file names, too, so neither "." nor "..".
bool is_config_name(const std::string& text);

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
};
/// "192.168.1.250:7400" or "[fd00:1::250]:7400", port 1 to 65535.
std::optional<Endpoint> parse_endpoint(const std::string& text);

/// A regular file that this user may read.
bool is_readable_file(const std::string& path);

/// A regular file that this user may execute: a path, or a name that is found in PATH.
bool is_program(const std::string& program);

/// Those of the capabilities (CAP_NET_ADMIN, ...) that this thread lacks, by number.
std::vector<int> missing_capabilities(const std::vector<int>& wanted);

}  // namespace understudy
