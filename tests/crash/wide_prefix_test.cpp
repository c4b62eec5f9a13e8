// SPDX-License-Identifier: Apache-2.0
/// Every prefix of workloads as an appliance has them (wide_schema.hpp): keys of several words in slots that are used
/// again, values of many lines, blobs of a page and of 64 KiB, several tables in one transaction, rebuilds in the
/// middle. Covers: shared-mem/src/rebuild.cpp, shared-mem/src/slabs.cpp
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "prefixes.hpp"
#include "understudy/shm/layout.hpp"
#include "wide_schema.hpp"

namespace understudy::shm::crash {
namespace {

Edits random_wide(std::mt19937_64& random, const Prefixes& sut, std::size_t most, bool rebuilt) {
  return random_edits(random, sut.model(), sut.pools, most, rebuilt ? wide_room_rebuilt : wide_room, wide_value_bytes);
}

TEST(EveryPrefixOfAWideStore, IsTheStateBeforeOrAfterAndTheNextWriterGoesOn) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = amount(61, 1)});
  sut.pools = wide_pools(sut.path());
  std::mt19937_64 random(1);
  const int changes = static_cast<int>(amount(60, 120));
  for (int i = 0; i < changes && sut.violations.empty(); ++i) {
    for (const TableIndex table : {addresses, flows6, flows4, rules}) {
      if (i == changes / 2 + static_cast<int>(table)) { sut.rebuild(table); }
    }
    sut.stand_here(1);
    sut.run(random_wide(random, sut, 8, i > changes / 2 + static_cast<int>(rules)));
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images(), 500U);
  EXPECT_GT(sut.model().end(), wide_schema().stores[0].journal_bytes) << "it goes round its ring too";
}

TEST(EveryPrefixOfAWideStore, HoldsAlsoWhenTheNextWriterDiesWhileItTakesOver) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = amount(149, 29), .deep = true});
  sut.pools = wide_pools(sut.path());
  std::mt19937_64 random(2);
  for (int i = 0; i < 20; ++i) { sut.skip(random_wide(random, sut, 8, false)); }
  for (int i = 0; i < static_cast<int>(amount(3, 20)) && sut.violations.empty(); ++i) {
    sut.run(random_wide(random, sut, 6, false));
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images(), 100U);
}

/// One key after the other in the one run of slots that all of them share, each erased before the next one comes.
TEST(EveryPrefixOfAWideStore, HoldsWhereSlotsOfKeysOfSeveralWordsAreUsedAgain) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = amount(5, 1)});
  sut.pools = wide_pools(sut.path());
  std::mt19937_64 random(3);
  for (const TableIndex table : {flows6, flows4, rules}) {
    const auto put = [&](const Octets& key) {
      return Edit{table, key, value_bytes(table == rules ? 20 : wide_value_bytes(table, 0), random())};
    };
    const auto& pool = sut.pools[table];
    for (std::size_t i = 0; i < 4; ++i) { sut.skip({put(pool[i])}); }
    for (std::size_t i = 4; i < pool.size() && sut.violations.empty(); ++i) {
      const std::size_t gone = i - 4 + random() % 2;  // in the middle of the run: its slot stays a deletion's
      if (!sut.model().tables[table].contains(pool[gone])) { continue; }
      sut.skip({{table, pool[gone], std::nullopt}});
      sut.run({put(pool[i])});
    }
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
}

/// A table as a program leaves it that makes too few slots Empty: the next erase empties what it can of all of it.
TEST(EveryPrefixOfAWideStore, HoldsWhereATableWithoutEmptySlotsGetsThemBack) {
  Prefixes sut(wide_schema(), wide_region_bytes, {});
  sut.pools = wide_pools(sut.path());
  const auto& pool = sut.pools[flows4];
  for (std::size_t i = 0; i < 10; ++i) { sut.skip({{flows4, pool[i], value_bytes(40, i)}}); }
  auto* const words = const_cast<std::uint64_t*>(mapped_at(sut.path()));
  layout::RegionHeader header;
  std::memcpy(&header, words, sizeof header);
  const auto& table = header.stores[0].tables[flows4];
  std::uint64_t* const heads = words + table.slots_offset / sizeof *words;
  const std::uint64_t slot_words = layout::slot_words(table.key_bytes, table.value_bytes);
  for (std::uint64_t n = 0; n < table.slot_count; ++n) {
    if (heads[n * slot_words] == 0) { heads[n * slot_words] = layout::head_free; }
  }
  sut.run({{flows4, pool[4], std::nullopt}});
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  std::uint64_t empty = 0;
  for (std::uint64_t n = 0; n < table.slot_count; ++n) { empty += heads[n * slot_words] == 0 ? 1U : 0U; }
  EXPECT_GT(empty, table.slot_count / 2);
  EXPECT_GT(sut.images(), table.slot_count / 2);
}

TEST(EveryPrefixOfAWideMirror, IsTheStateBeforeOrAfterAllThatCameTogether) {
  WideSender sender;
  for (const TableIndex table : {addresses, flows6, flows4, rules}) { ASSERT_TRUE(sender.writer.rebuild(table).ok()); }
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = amount(61, 3)});
  sut.pools = wide_pools(sut.path());
  std::mt19937_64 random(4);
  const int rounds = static_cast<int>(amount(40, 80));
  for (int i = 0; i < rounds && sut.violations.empty(); ++i) {
    // First more than the mirror has room for as it was created: it grows by itself, and as long as it could have to,
    // goes on one transaction at a time.
    if (i == rounds / 2) {
      for (const TableIndex table : {addresses, flows6, flows4, rules}) {
        ASSERT_TRUE(sut.writer().rebuild(table).ok());
      }
    }
    Edits together;
    Model sent = sut.model();
    for (int transactions = i < rounds / 2 ? 1 : 3; transactions > 0; --transactions) {
      const auto edits = random_edits(random, sent, sut.pools, 4, wide_room_rebuilt, wide_value_bytes);
      ASSERT_TRUE(write(sender.writer, edits).ok());
      sent = sent.after(edits);
      together.insert(together.end(), edits.begin(), edits.end());
    }
    const auto chunk = sender.journal.read(1 << 20).value();
    sut.run(together, [&]() -> Status {
      const auto applied = sut.writer().apply(chunk.bytes);
      return applied ? Status() : Status(applied.error());
    });
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.model().end(), wide_schema().stores[0].journal_bytes) << "it goes round its ring too";
}

/// The largest values that there are, of which the ring holds three.
TEST(EveryPrefixOfTheLargestBlobs, IsTheStateBeforeOrAfter) {
  constexpr std::uint32_t bytes = 64 << 10;
  constexpr std::uint64_t slabs_used = 8;
  const RegionSchema schema{{{"state", {{"sessions", 16, bytes, 2, TableKind::Blob}}, 256 << 10}}};
  constexpr std::uint64_t front = (20 + 4 + 256 + 16) << 10;
  Prefixes sut(schema, 8 << 20, {.payload_step = amount(811, 7)}, front + slabs_used * (bytes + 64));
  sut.pools[0] = neighbours(sut.path(), 0, 4, address_key);
  const auto& keys = sut.pools[0];
  const auto put = [](const Octets& key, std::size_t size, std::uint64_t seed) {
    return Edit{0, key, value_bytes(size, seed)};
  };
  sut.run({put(keys[0], bytes, 1)});
  sut.run({put(keys[0], bytes - 3, 2)});
  sut.run({put(keys[0], bytes, 3)});
  sut.run({put(keys[0], 0, 4), put(keys[1], bytes, 5)});
  sut.run({{0, keys[0], std::nullopt}, put(keys[2], 4096, 6)});
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.model().end(), schema.stores[0].journal_bytes);
}

}  // namespace
}  // namespace understudy::shm::crash
