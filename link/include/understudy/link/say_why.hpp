// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Why an operator orders something: it goes into the event log behind who and what. What stops or moves a role, or
/// switches a power, is not done without.

#include <string>

namespace understudy::link {

inline constexpr const char* kSayWhy =
    "say why: what stops or moves a role is not done without a reason, which is written into the event log; add "
    "--reason \"...\"";

/// No word of a reason is in it.
inline bool is_blank(const std::string& reason) { return reason.find_first_not_of(" \t\r\n") == std::string::npos; }

}  // namespace understudy::link
