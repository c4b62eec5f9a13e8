// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Every call of the region's library that meets bytes which somebody else may have written (D6), over a region with
/// every kind of table and an arena. For the tests that scribble and for the fuzzer.
///
///   make_good() ──► a good image, and what its sender shipped after it
///   somebody writes whatever he likes into the image, before a call or while it runs
///   calls()     ──► each answers with an error or with a value that fits the schema, and writes into nothing but the
///                   room that it was given; else abort(), with a word
///
/// What the schema says is taken from the region itself, as a program would: a description may be foreign, too.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "understudy/shm/region.hpp"

namespace understudy::shm::hostile {

inline constexpr std::uint64_t region_bytes = 1 << 20;
inline constexpr std::uint64_t used_bytes = 480 << 10;  ///< of the good image, and a little more

/// Stores "state" (a table of each kind and size of record, three of which may grow) and "heap" (with an arena).
RegionSchema schema();

/// Journal entries of "state" and "heap", which follow the good image.
struct Shipped {
  std::vector<std::byte> state;
  std::vector<std::byte> heap;
};

/// Makes the file at `path`.
Shipped make_good(const std::string& path);

struct Call {
  const char* name;
  Access access;
  void (*run)(const Region& region, const Shipped& shipped);
  bool may_wait = false;  ///< some hundred milliseconds, when a foreign word asks for it
};
[[nodiscard]] std::span<const Call> calls();

/// Opens the file as it is now; where that is refused there is nothing to call.
void open_and(const Call& call, const std::string& path, const Shipped& shipped);

}  // namespace understudy::shm::hostile
