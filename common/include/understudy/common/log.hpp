// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Logging for edges and main programs (cores never log). One line an event, on standard error, where
/// systemd-journald or the lab's log file picks it up.

#include <spdlog/spdlog.h>

#include <string>

#include "understudy/common/result.hpp"

namespace understudy::log {

/// Names the program in every line and sets the level from UNDERSTUDY_LOG (trace|debug|info|warn|error).
void init(const std::string& program);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

/// The sentence, then file:line, as a person at night needs it.
[[nodiscard]] std::string describe(const Error& error);

}  // namespace understudy::log
