// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Every load from and every store to shared memory goes through here: whole aligned 8-byte words, always atomic.
///
///   writer                                     reader
///     invalidate(guard), or fence_release  --(a)  load_acquire(guard)     pairs with publish, (b)
///     store_words(payload)                        load_words(payload)
///     publish(guard)                       --(b)  unchanged(guard)        pairs with (a)
///
/// (a) a reader that saw any word of the new payload also sees, when it looks again, what was stored before (a).
/// (b) a reader that saw the published guard sees the whole payload.
///
/// A frozen or killed writer leaves a prefix of these stores behind, in program order: the two fences and the release
/// keep the compiler to it. Built with UNDERSTUDY_SHM_POINTS (tests only) each store calls points::on_store, which
/// sees every such prefix, and each acquiring load points::on_load, which may be another processor that works against
/// it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#ifdef UNDERSTUDY_SHM_POINTS
#include "store_points.hpp"
#endif

namespace understudy::shm {

using Word = std::uint64_t;
static_assert(std::atomic_ref<Word>::is_always_lock_free && sizeof(Word) == 8);

/// Always inlined: most are one instruction, and the compiler does not see that by itself.
namespace words {

#if defined(__SANITIZE_THREAD__)  // the thread sanitizer knows no fences: the payload itself carries the order there
inline constexpr auto payload_store = std::memory_order_release;
inline constexpr auto payload_load = std::memory_order_acquire;
inline void fence_release() {}
inline void fence_acquire() {}
#else
inline constexpr auto payload_store = std::memory_order_relaxed;
inline constexpr auto payload_load = std::memory_order_relaxed;
inline void fence_release() { std::atomic_thread_fence(std::memory_order_release); }
inline void fence_acquire() { std::atomic_thread_fence(std::memory_order_acquire); }
#endif

/// Loads work on read-only mappings too: an aligned 8-byte load is a plain one on every supported processor.
[[gnu::always_inline]] inline std::atomic_ref<Word> ref(const Word* at) {
  return std::atomic_ref<Word>(*const_cast<Word*>(at));
}

[[gnu::always_inline]] inline Word load_acquire(const Word* at) {
#ifdef UNDERSTUDY_SHM_POINTS
  points::loading(at);
#endif
  return ref(at).load(std::memory_order_acquire);
}
[[gnu::always_inline]] inline Word load(const Word* at) { return ref(at).load(payload_load); }

/// Has `at` still the value it had before the payload was read? What is loaded after this was loaded after the payload.
[[gnu::always_inline]] inline bool unchanged(const Word* at, Word before) {
  fence_acquire();
  return ref(at).load(std::memory_order_relaxed) == before;
}

[[gnu::always_inline]] inline void store(Word* at, Word value) {
#ifdef UNDERSTUDY_SHM_POINTS
  if (points::hold_back(at, value)) { return; }
#endif
  ref(at).store(value, payload_store);
#ifdef UNDERSTUDY_SHM_POINTS
  points::stored();
#endif
}

[[gnu::always_inline]] inline void publish(Word* at, Word value) {
#ifdef UNDERSTUDY_SHM_POINTS
  if (points::hold_back(at, value)) { return; }
#endif
  ref(at).store(value, std::memory_order_release);
#ifdef UNDERSTUDY_SHM_POINTS
  points::published(at);
#endif
}

/// Says "do not trust what follows" before it is overwritten.
[[gnu::always_inline]] inline void invalidate(Word* at, Word value) {
#ifdef UNDERSTUDY_SHM_POINTS
  if (points::invalidated(at, value)) { return; }
#endif
  ref(at).store(value, std::memory_order_relaxed);
  fence_release();
}

/// The word number `i` of bytes in the caller's memory.
[[gnu::always_inline]] inline Word at(const std::byte* from, std::size_t i) {
  Word word;
  std::memcpy(&word, from + i * sizeof word, sizeof word);
  return word;
}

/// Bytes as a word padded with zeros. Sizes are mostly multiples of 8, so this beats a call of memcpy.
inline Word padded(const std::byte* from, std::size_t bytes) {
  Word word = 0;
  for (std::size_t i = 0; i < bytes; ++i) { word |= std::to_integer<Word>(from[i]) << (8 * i); }
  return word;
}

/// Calls `each(index, word)` for the bytes as words, the last one padded with zeros.
template <class Each>
inline void for_words(std::span<const std::byte> bytes, const Each& each) {
  const std::byte* from = bytes.data();
  const std::size_t whole = bytes.size() / 8;
  for (std::size_t i = 0; i < whole; ++i) {
    Word word;
    std::memcpy(&word, from + 8 * i, 8);
    each(i, word);
  }
  if (bytes.size() % 8 != 0) { each(whole, padded(from + 8 * whole, bytes.size() % 8)); }
}

inline void store_bytes(Word* at, std::span<const std::byte> bytes) {
  for_words(bytes, [at](std::size_t i, Word word) { store(at + i, word); });
}

inline void load_bytes(std::span<std::byte> bytes, const Word* at) {
  std::byte* to = bytes.data();
  const std::size_t whole = bytes.size() / 8;
  for (std::size_t i = 0; i < whole; ++i) {
    const Word word = load(at + i);
    std::memcpy(to + 8 * i, &word, 8);
  }
  if (bytes.size() % 8 == 0) { return; }
  const Word word = load(at + whole);
  for (std::size_t i = 0; i < bytes.size() % 8; ++i) { to[8 * whole + i] = static_cast<std::byte>(word >> (8 * i)); }
}

}  // namespace words
}  // namespace understudy::shm
