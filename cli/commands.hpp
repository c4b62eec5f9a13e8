// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the operator's command does once its words are understood. Each returns the exit status: 0, or 1 with one
/// clear line on standard error.

#include <cstdint>
#include <string>

namespace understudy::cli {

int show_status(const std::string& control, bool json);
int show_events(const std::string& control, std::uint64_t since, bool follow, bool json);
/// A live table until ctrl-c. Goes on, and says so, while the control-server cannot be reached.
int watch(const std::string& control);
int move_role(const std::string& control, const std::string& role);
int let_back(const std::string& control, const std::string& blade);
int set_policy(const std::string& control, const std::string& policy);

}  // namespace understudy::cli
