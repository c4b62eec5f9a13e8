// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Runs an external program (a switch's or a power controller's) and waits for it, with a deadline.

#include <chrono>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::control {

struct CommandResult {
  int status = 0;
  std::string output;  ///< standard output and error, at most 64 KiB
};

/// Expired: killed at the deadline. Failed: it could not be started or was ended by a signal.
Result<CommandResult> run_command(const std::vector<std::string>& argv, std::chrono::milliseconds deadline);

}  // namespace understudy::control
