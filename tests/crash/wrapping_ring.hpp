// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A writer that is brought to any place of its journal's ring, and then frozen after every store of a change there.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "prefixes.hpp"
#include "understudy/shm/layout.hpp"
#include "wide_schema.hpp"

namespace understudy::shm::crash {

inline constexpr std::uint64_t ring = layout::journal_bytes_min;
inline constexpr TableIndex small = 0;
inline constexpr TableIndex blobs = 1;
inline constexpr TableIndex flows = 2;
inline constexpr std::uint64_t blob_max = 2048;
inline constexpr std::uint64_t small_entry = layout::entry_bytes(8, 24);

inline RegionSchema ring_schema() {
  return {{{"state",
            {{"small", 8, 24, 24, TableKind::Hashed, 60},
             {"blobs", 8, blob_max, 6, TableKind::Blob},
             {"flows", 37, 200, 12, TableKind::Hashed}},
            ring}}};
}
inline constexpr std::uint64_t ring_region_bytes = 1 << 20;

/// How a change gets into the store under test: by its own writer, or from a sender.
using Arrive = std::function<Status(const std::vector<Edits>&)>;

class WrappingRing {
 public:
  explicit WrappingRing(Prefixes::Options options) : sut(ring_schema(), ring_region_bytes, options) {
    sut.pools[small] = neighbours(sut.path(), small, 48, octets_of);
    sut.pools[blobs] = neighbours(sut.path(), blobs, 8, octets_of);
    sut.pools[flows] = neighbours(sut.path(), flows, 24, flow6_key);
    arrive = [this](const std::vector<Edits>& transactions) -> Status {
      for (const Edits& edits : transactions) {
        if (auto done = write(sut.writer(), edits); !done) { return done; }
      }
      return {};
    };
  }

  [[nodiscard]] Edit put(TableIndex table, std::size_t key, std::size_t bytes) {
    return {table, sut.pools[table][key], value_bytes(bytes, ++seed_)};
  }
  [[nodiscard]] Edit put_small(std::size_t key) { return put(small, key, 24); }
  [[nodiscard]] Edit erase(TableIndex table, std::size_t key) const { return {table, sut.pools[table][key], {}}; }

  void skip(const Edits& edits) {
    sut.skip(edits, [&] { return arrive({edits}); });
  }
  /// Every store is looked at; what comes together is one commit only at a mirror, so that a writer is given one.
  void run(const std::vector<Edits>& transactions) {
    Edits all;
    for (const Edits& edits : transactions) { all.insert(all.end(), edits.begin(), edits.end()); }
    sut.stand_here(readers_each);
    sut.run(all, [&] { return arrive(transactions); });
  }
  /// Writes until so many bytes are left to the ring's end, by values whose sizes are chosen.
  void steer_to(std::uint64_t distance) {
    constexpr std::uint64_t least = layout::entry_bytes(8, 0);
    constexpr std::uint64_t most = layout::entry_bytes(8, blob_max);
    std::uint64_t left = (2 * ring - distance - sut.model().end() % ring) % ring;
    if (left < least) { left += ring; }
    sut.stand_here(readers_each);
    while (left != 0) {
      std::uint64_t take = std::min(left, most);
      if (left != take && left - take < least) { take -= least; }
      skip({put(blobs, seed_ % 4, take - least)});
      left -= take;
      if (left < 2 * most) { sut.stand_here(readers_each); }
    }
    ASSERT_EQ((sut.model().end() + distance) % ring, 0U);
  }
  void expect_good(std::uint64_t laps) {
    EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
    EXPECT_GE(sut.model().end(), laps * ring);
    EXPECT_GT(sut.lapped(), 0U) << "nobody stood where it came round";
    EXPECT_GT(sut.not_yet_lapped(), 0U) << "nobody was there before it came round";
  }

  Prefixes sut;
  Arrive arrive;
  static constexpr std::size_t readers_each = 12;

 private:
  std::uint64_t seed_ = 0;
};

}  // namespace understudy::shm::crash
