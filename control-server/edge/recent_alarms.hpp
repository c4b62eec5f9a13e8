// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What happened to the group within the last hour and a person should know of, shortly: the newest few, and how many
/// more there were. The event log has them all.

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "understudy/common/types.hpp"

namespace understudy::control {

class RecentAlarms {
 public:
  static constexpr Duration kShown = std::chrono::hours(1);
  static constexpr std::size_t kLines = 3;
  static constexpr std::size_t kKept = 32;

  /// The same text again is one line, of its last time.
  void tell(const std::string& text, Instant now) {
    std::erase_if(told_, [&](const auto& one) { return one.first == text || now - one.second > kShown; });
    if (told_.size() >= kKept) { told_.erase(told_.begin()); }
    told_.emplace_back(text, now);
  }

  [[nodiscard]] std::vector<std::string> lines(Instant now) const {
    std::vector<std::string> lines;
    std::size_t more = 0;
    for (auto one = told_.rbegin(); one != told_.rend() && now - one->second <= kShown; ++one) {
      if (lines.size() == kLines) {
        ++more;
        continue;
      }
      const auto ago = std::chrono::duration_cast<std::chrono::minutes>(now - one->second).count();
      lines.push_back(one->first + " (" + (ago == 0 ? "just now" : std::to_string(ago) + " min ago") + ")");
    }
    if (more != 0) {
      lines.push_back(std::to_string(more) + " more within the hour: understudy events --severity warning");
    }
    return lines;
  }

 private:
  std::vector<std::pair<std::string, Instant>> told_;  ///< oldest first
};

}  // namespace understudy::control
