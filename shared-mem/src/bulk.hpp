// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Many bytes into shared memory at once, past the caches: a journal's ring and the slabs of a table are larger than
/// those, and a line that is written whole needs not be fetched first.
///
///   invalidate(guard)  ──  fence  ──  lines in any order, each whole  ──  fence  ──  publish(guard)
///
/// Between the two fences nothing is promised of the order. So it is for bytes that nobody trusts meanwhile, whatever
/// part of them is there: behind `reserved_end`, or in a slab whose sequence is 0.

#include <cstddef>
#include <cstdint>
#include <span>

#include "words.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace understudy::shm::words {

/// Fewer are better off in the caches.
inline constexpr std::size_t bulk_bytes_min = 2048;

/// Whole words; the last one is padded with zeros.
inline void store_bulk(Word* at, std::span<const std::byte> bytes) {
#if defined(__x86_64__) && !defined(UNDERSTUDY_SHM_POINTS) && !defined(__SANITIZE_THREAD__)
  constexpr std::size_t line_bytes = 64;
  if (bytes.size() >= bulk_bytes_min) {
    const std::size_t before = (line_bytes - reinterpret_cast<std::uintptr_t>(at) % line_bytes) % line_bytes;
    store_bytes(at, bytes.first(before));
    at += before / sizeof(Word);
    bytes = bytes.subspan(before);
    _mm_sfence();
    for (; bytes.size() >= line_bytes; bytes = bytes.subspan(line_bytes), at += line_bytes / sizeof(Word)) {
      const auto* from = reinterpret_cast<const __m128i*>(bytes.data());
      auto* to = reinterpret_cast<__m128i*>(at);
      const __m128i a = _mm_loadu_si128(from);
      const __m128i b = _mm_loadu_si128(from + 1);
      const __m128i c = _mm_loadu_si128(from + 2);
      const __m128i d = _mm_loadu_si128(from + 3);
      _mm_stream_si128(to, a);
      _mm_stream_si128(to + 1, b);
      _mm_stream_si128(to + 2, c);
      _mm_stream_si128(to + 3, d);
    }
    _mm_sfence();
  }
#endif
  store_bytes(at, bytes);
}

}  // namespace understudy::shm::words
