// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Test points of the movement, for drills and tests: a command of the configuration runs at a named point while the
/// movement waits for it. What a real fault would do at exactly this instant, the command does; when it fails, the step
/// fails. Without `allow = true` in [drill] the configuration is refused.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::host {

/// Runs `command` with `role` as its last argument; output goes to `log_path`. `done` when it has ended:
/// Failed with its exit status when that is not 0. It has no deadline but the movement's own.
void run_drill(boost::asio::io_context& io, std::vector<std::string> command, const std::string& role,
               const std::string& log_path, std::function<void(Status)> done);

}  // namespace understudy::host
