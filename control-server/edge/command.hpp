// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Runs an external command with a deadline: no shell, its own process group, killed as a whole when time is up.

#include <chrono>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::control {

struct CommandEnd {
  int status = 0;          ///< its exit status
  std::string output;      ///< the first 64 KiB of standard output
  std::string complaints;  ///< likewise of standard error
};

/// How the command ended, whatever its status. A failure when it cannot be started, is ended by a signal, or is killed
/// because `limit` has passed (Expired). `environment`: "NAME=value" beside what is ours. Blocks; any thread.
Result<CommandEnd> end_of_command(const std::vector<std::string>& words, const std::string& standard_input,
                                  std::chrono::milliseconds limit, const std::vector<std::string>& environment = {});

/// What the command wrote to standard output; its standard input is empty. Another status than 0 is a failure, too,
/// with the last line of its standard error.
Result<std::string> run_command(const std::vector<std::string>& words, std::chrono::milliseconds limit);

}  // namespace understudy::control
