// SPDX-License-Identifier: Apache-2.0
/// Every prefix of a writer, and of a mirror, whose journal goes round its ring again and again: what wraps is a put,
/// an erase, a transaction, a blob's entry or what came from a sender, at every place of it, and exactly at the ring's
/// end.
///
///   ring   |... in flight   e-n | e-n+1 ...     newest e |     the next one overwrites e-n: who stands there is told
///                               ^ readers stand here
///
/// The next writer of each image goes on in the same place. Covers: shared-mem/src/journal.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

#include "store_points.hpp"
#include "wide_schema.hpp"
#include "wrapping_ring.hpp"

namespace understudy::shm::crash {
namespace {

/// A mirror of this writer: everything comes by its journal, in as many transactions as are written before it is read.
void bring_from(WrappingRing& to, WideSender& sender) {
  to.arrive = [&](const std::vector<Edits>& transactions) -> Status {
    auto looks = std::exchange(points::on_store, nullptr);
    for (const Edits& edits : transactions) {
      if (auto done = write(sender.writer, edits); !done) { return done; }
    }
    const auto chunk = sender.journal.read(1 << 20);
    if (!chunk) { return chunk.error(); }
    points::on_store = std::move(looks);
    const auto applied = to.sut.writer().apply(chunk->bytes);
    return applied ? Status() : Status(applied.error());
  };
}

TEST(EveryPrefixOfAWrappingRing, APutAndAnEraseThatWrapAnywhere) {
  WrappingRing at({});
  at.skip({at.put_small(0)});
  for (std::uint64_t left = 0; left <= small_entry; left += 8) {
    at.steer_to(left);
    at.run({{at.put_small(0)}});
    at.run({{at.put_small(1)}});
    at.steer_to(std::min<std::uint64_t>(left, 32));
    at.run({{at.erase(small, 0)}});
    at.run({{at.put_small(0)}});
    at.skip({at.erase(small, 1)});
  }
  at.expect_good(2 * small_entry / 8);
}

Edits over_all_tables(WrappingRing& at, bool first) {
  Edits edits{at.put_small(2), at.put(flows, 0, 200), at.put(blobs, 4, 333)};
  if (first) {
    edits.push_back(at.put(flows, 1, 200));
    edits.push_back(at.put_small(3));
  } else {
    edits.push_back(at.erase(flows, 1));
    edits.push_back(at.erase(small, 3));
  }
  return edits;
}

std::uint64_t entry_bytes_of(const Edits& edits) {
  std::uint64_t bytes = 0;
  for (const Edit& edit : edits) { bytes += layout::entry_bytes(edit.key.size(), edit.value ? edit.value->size() : 0); }
  return bytes;
}

TEST(EveryPrefixOfAWrappingRing, ATransactionOfSeveralTablesThatWrapsAnywhere) {
  WrappingRing at({.payload_step = amount(7, 2)});
  bool first = true;
  std::uint64_t laps = 0;
  for (std::uint64_t left = 0; left <= entry_bytes_of(over_all_tables(at, first)); left += amount(104, 16)) {
    at.steer_to(left);
    at.run({over_all_tables(at, first)});
    first = !first;
    ++laps;
  }
  const Edits last = over_all_tables(at, first);
  at.steer_to(entry_bytes_of(last));  // to the very end
  at.run({last});
  at.run({{at.put_small(5)}});
  at.expect_good(laps);
}

TEST(EveryPrefixOfAWrappingRing, ABlobsEntryThatWrapsAnywhere) {
  WrappingRing at({.payload_step = amount(29, 3)});
  const std::uint64_t bytes = layout::entry_bytes(8, blob_max);
  std::vector<std::uint64_t> places{0, 8, 16, 24, 32, 40, bytes - 8, bytes};
  for (std::uint64_t place = 512; place < bytes; place += amount(1024, 256)) { places.push_back(place); }
  for (const std::uint64_t left : places) {
    at.steer_to(left);
    at.run({{at.put(blobs, 5, blob_max)}});
    at.run({{at.put_small(6)}});
  }
  at.expect_good(places.size());
}

TEST(EveryPrefixOfAWrappingRing, ATransactionThatWrapsWhoseNextWriterDiesWhileItTakesOver) {
  WrappingRing at({.payload_step = amount(31, 5), .deep = true});
  bool first = true;
  for (std::uint64_t left = 56; left <= 800; left += amount(400, 120)) {
    at.steer_to(left);
    at.run({over_all_tables(at, first)});
    first = !first;
  }
  EXPECT_TRUE(at.sut.violations.empty()) << first_of(at.sut.violations);
}

/// As they come, without a plan: several laps, each store of them.
TEST(EveryPrefixOfAWrappingRing, WhateverIsWritten) {
  WrappingRing at({.payload_step = amount(199, 1)});
  std::mt19937_64 random(5);
  const auto bytes_of = [](TableIndex table, std::uint64_t seed) -> std::size_t {
    return table == blobs ? seed % (blob_max + 1) : table == small ? 24 : 200;
  };
  while (at.sut.model().end() < 3 * ring && at.sut.violations.empty()) {
    at.sut.stand_here(2);
    at.sut.run(random_edits(random, at.sut.model(), at.sut.pools, 10, {24, 6, 12}, bytes_of));
  }
  at.expect_good(3);
}

/// Transactions that come together: a run of puts, and a group of several tables.
TEST(EveryPrefixOfAWrappingRing, WhatCameFromASenderThatWrapsAnywhere) {
  WideSender sender(ring_schema(), ring_region_bytes);
  WrappingRing at({.payload_step = amount(11, 3)});
  ASSERT_TRUE(sender.writer.rebuild(small).ok());
  ASSERT_TRUE(at.sut.writer().rebuild(small).ok());  // one that could have to grow takes one transaction at a time
  bring_from(at, sender);
  bool first = true;
  for (std::uint64_t left = 0; left <= 9 * small_entry; left += amount(72, 8)) {
    at.steer_to(left);
    std::vector<Edits> run;
    for (std::size_t i = 0; i < 9; ++i) { run.push_back({at.put_small(10 + i % 7)}); }
    at.run(run);
    at.steer_to(left);
    at.run({{at.put_small(20)}, over_all_tables(at, first), {at.put_small(20)}});
    first = !first;
  }
  at.expect_good(9 * small_entry / amount(72, 8));
}

}  // namespace
}  // namespace understudy::shm::crash
