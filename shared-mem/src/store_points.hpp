// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Test variant only (target understudy_shm_points): every store to shared memory is a point at which a writer could
/// be frozen for ever. Never part of the product's library.

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace understudy::shm::points {

/// Called after each store; what lies in memory then is what a freeze at this instant would leave.
inline std::function<void()> on_store;

/// Breaks the protocol on purpose: payload stores for which this says true are done only after the next publication.
/// A crash test that does not notice this proves nothing.
inline std::function<bool(const std::uint64_t*)> publish_before;

inline std::vector<std::pair<std::uint64_t*, std::uint64_t>> held_back;

inline void stored() {
  if (on_store) { on_store(); }
}

inline bool hold_back(std::uint64_t* at, std::uint64_t value) {
  if (!publish_before || !publish_before(at)) { return false; }
  held_back.emplace_back(at, value);
  return true;
}

inline void release_held_back() {
  for (const auto& [at, value] : std::exchange(held_back, {})) {
    *at = value;
    stored();
  }
}

}  // namespace understudy::shm::points
