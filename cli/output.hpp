// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How the operator's command shows things: text in 100 columns, colours on a terminal only, or JSON.

#include <string>

#include "understudy/link/control_api_status.hpp"

namespace understudy::cli {

std::string to_json(const link::GroupStatus& status);
std::string to_json(const link::EventRecord& event);  ///< one line
std::string to_text(const link::GroupStatus& status, bool colour);
std::string to_text(const link::EventRecord& event, bool colour);  ///< one line

}  // namespace understudy::cli
