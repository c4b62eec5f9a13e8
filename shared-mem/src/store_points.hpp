// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Test variant only (target understudy_shm_points): every store to shared memory is a point at which a writer could
/// be frozen for ever, every acquiring load one at which another processor may have stored. Never part of the product's
/// library.

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace understudy::shm::points {

/// Called after each store; what lies in memory then is what a freeze at this instant would leave.
inline std::function<void()> on_store;

/// Was that store one by which others are told (a publication, an invalidation), or only what they are told of?
inline bool at_guard = false;

/// Called before each acquiring load of that word.
inline std::function<void(const std::uint64_t*)> on_load;

/// Breaks the protocol on purpose: stores to addresses for which `hold` says true are done only after the next
/// publication, or after the publication of `until` if that is given. A crash test that does not notice this proves
/// nothing. What is not trusted any more is said before it is written: `late` holds back that word, `lost` drops it.
struct Swap {
  std::function<bool(const std::uint64_t*)> hold;
  const std::uint64_t* until = nullptr;
  std::function<bool(const std::uint64_t*)> late = {};
  std::function<bool(const std::uint64_t*)> lost = {};
};
inline Swap swap;

inline std::vector<std::pair<std::uint64_t*, std::uint64_t>> held_back;

inline void stored() {
  at_guard = false;
  if (on_store) { on_store(); }
}

inline void stored_guard() {
  at_guard = true;
  if (on_store) { on_store(); }
}

inline void loading(const std::uint64_t* at) {
  if (on_load) { on_load(at); }
}

inline bool hold_back(std::uint64_t* at, std::uint64_t value) {
  if (!swap.hold || !swap.hold(at)) { return false; }
  held_back.emplace_back(at, value);
  return true;
}

inline void published(const std::uint64_t* at) {
  stored_guard();
  if (swap.until != nullptr && swap.until != at) { return; }
  for (const auto& [late, value] : std::exchange(held_back, {})) {
    *late = value;
    stored();
  }
}

/// words::invalidate() of this variant; always true.
inline bool invalidated(std::uint64_t* at, std::uint64_t value) {
  if (swap.lost && swap.lost(at)) { return true; }
  if (swap.late && swap.late(at)) {
    held_back.emplace_back(at, value);
    return true;
  }
  std::atomic_ref(*at).store(value, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  stored_guard();
  return true;
}

}  // namespace understudy::shm::points
