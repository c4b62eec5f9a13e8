// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Runs an external command with a deadline: no shell, its own process group, killed as a whole when time is up.

#include <chrono>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::control {

/// What the command wrote to standard output (the first 64 KiB). A failure when it cannot be started, ends with another
/// status than 0 (with the last line of its standard error), or is killed because `limit` has passed (Expired).
/// Blocks; any thread.
Result<std::string> run_command(const std::vector<std::string>& words, std::chrono::milliseconds limit);

}  // namespace understudy::control
