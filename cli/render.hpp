// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Status and events as text for a person (100 columns at most) and as JSON for a program. No line of a table is ever
/// wider; long details continue on indented lines.

#include <string>

#include "understudy/link/control_api_status.hpp"

namespace understudy::cli {

[[nodiscard]] std::string status_text(const link::GroupStatus& status);
[[nodiscard]] std::string status_json(const link::GroupStatus& status);
/// One line without a newline.
[[nodiscard]] std::string event_text(const link::EventRecord& event);
[[nodiscard]] std::string event_json(const link::EventRecord& event);

}  // namespace understudy::cli
