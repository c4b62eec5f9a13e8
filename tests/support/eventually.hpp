// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The one way in which a test waits: for a condition, with a deadline that only a failure ever reaches.

#include <chrono>
#include <thread>

namespace understudy::test {

/// Polls until `condition` holds; false when `deadline` passed first. Nothing is concluded from how long it took.
template <class Condition>
[[nodiscard]] bool eventually(const Condition& condition,
                              std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
  const auto give_up = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) { return false; }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace understudy::test
