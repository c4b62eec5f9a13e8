// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Status and events as text for a person and as JSON for a program. Text has 100 columns at most; only a table whose
/// names are long is wider, since a name that is cut may look like another. Long details continue on indented lines.

#include <cstdint>
#include <string>

#include "understudy/link/control_api_status.hpp"

namespace understudy::cli {

/// `time_ns`: when it was asked for, wall clock since 1970.
[[nodiscard]] std::string status_text(const link::GroupStatus& status, std::int64_t time_ns);
[[nodiscard]] std::string status_json(const link::GroupStatus& status);

inline constexpr int kNobodyDecides = 3;  ///< the status says why
inline constexpr int kInDanger = 4;       ///< somebody decides, and the next failure, or this one, costs a role
/// The exit status of a status that was shown: 0, or one of these.
[[nodiscard]] int status_exit(const link::GroupStatus& status);

/// Which events a person asks for.
struct EventFilter {
  std::string role;                             ///< empty: of any, and of none
  link::Severity least = link::Severity::Info;  ///< and what is worse
  [[nodiscard]] bool takes_all() const { return role.empty() && least == link::Severity::Info; }
  [[nodiscard]] bool takes(const link::EventRecord& event) const {
    return (role.empty() || event.role.value == role) && event.severity >= least;
  }
};
/// "info", "warning" or "alarm"
Result<link::Severity> parse_severity(const std::string& text);

/// Events below each other: the names' column grows with what has been shown.
class EventLines {
 public:
  /// Without the last newline. Names that no column holds are followed by the text on a line of its own.
  [[nodiscard]] std::string text(const link::EventRecord& event);

 private:
  static constexpr std::size_t kNamesMax = 24;
  std::size_t names_ = 10;
};
[[nodiscard]] std::string event_json(const link::EventRecord& event);

}  // namespace understudy::cli
