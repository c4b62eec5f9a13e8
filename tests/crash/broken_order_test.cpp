// SPDX-License-Identifier: Apache-2.0
/// The steps of a commit (shared-mem/DESIGN.md, Publication) broken on purpose, one at a time (broken_order.hpp). Steps
/// that only a reader which was held up can tell from their opposite: held_reader_test.cpp.
#include "broken_order.hpp"
#include "table.hpp"
#include "wrapping_ring.hpp"

namespace understudy::shm::crash {
namespace {

INSTANTIATE_TEST_SUITE_P(Of, AnOrder, testing::Values(Broken::Not, Broken::Yes),
                         [](const auto& is) { return is.param == Broken::Yes ? "Broken" : "Whole"; });

/// 1 before 2: the bytes of the oldest entries are written before their readers can know it.
TEST_P(AnOrder, ReservedEndBeforeTheEntry) {
  WrappingRing at({});
  at.skip({at.put_small(0)});
  const Parts parts(at.sut.path());
  for (std::uint64_t left = 0; left <= small_entry && at.sut.violations.empty(); left += 8) {
    at.steer_to(left);
    breaks({.hold = {}, .late = only(parts.reserved_end())});
    at.run({{at.put_small(0)}});
    points::swap = {};
    points::held_back.clear();
  }
  expect_noticed(at.sut.violations);
  if (broken()) { EXPECT_NE(first_of(at.sut.violations).find("a follower"), std::string::npos); }
}

/// A workload in whose slots other keys come again and again.
void use_slots_again(Prefixes& sut, TableIndex table) {
  sut.pools = wide_pools(sut.path());
  const auto swap = std::exchange(points::swap, {});
  const auto& pool = sut.pools[table];
  const auto put = [&](std::size_t key) {
    return Edit{table, pool[key], value_bytes(table == rules ? 20 : wide_value_bytes(table, 0), key)};
  };
  for (std::size_t i = 0; i < 4; ++i) { sut.skip({put(i)}); }
  for (std::size_t i = 4; i < pool.size() && sut.violations.empty(); ++i) {
    sut.skip({{table, pool[i - 4], std::nullopt}});
    points::swap = swap;
    sut.run({put(i)});
    points::swap = {};
    points::held_back.clear();
  }
}

/// 3: of several words, too.
TEST_P(AnOrder, KeyBeforeTheHead) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = 7U});
  const Parts parts(sut.path());
  breaks({.hold = [=](const std::uint64_t* at) {
    const auto word = parts.word_of_slot(flows6, at);
    return word && *word >= 1 && *word <= parts.key_words(flows6);
  }});
  use_slots_again(sut, flows6);
  expect_noticed(sut.violations);
}

TEST_P(AnOrder, ValueOfSeveralLinesBeforeTheHead) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = 7U});
  const Parts parts(sut.path());
  // Committed before the value is there: a head above the commit point is believed by nobody.
  breaks({.hold =
              [=](const std::uint64_t* at) {
                const auto word = parts.word_of_slot(flows6, at);
                return word && *word > parts.key_words(flows6);
              },
          .until = parts.committed()});
  use_slots_again(sut, flows6);
  expect_noticed(sut.violations);
}

/// 3: a slot is free before it gets another key of several words, or half of that key and half of the former one is a
/// third one's, which is found there as erased.
TEST_P(AnOrder, FreeBeforeAnotherKeysWords) {
  const RegionSchema schema{{{"state", {{"pairs", 16, 24, 24}}, 64 << 10}}};
  Prefixes sut(schema, 1 << 20, {});
  const Parts parts(sut.path());
  const Table table(nullptr, parts.table(0).slot_count, 16, 24, parts.header.hash_seed);
  const auto key = [](std::uint64_t first, std::uint64_t second) {
    Octets bytes(16);
    std::memcpy(bytes.data(), &first, 8);
    std::memcpy(bytes.data() + 8, &second, 8);
    return bytes;
  };
  const auto home = [&](const Octets& of) { return table.home(KeyWords(of)) & (parts.table(0).slot_count - 1); };
  const Octets gone = key(1, 1);
  std::uint64_t word = 2;
  while (home(key(word, 1)) != home(gone)) { ++word; }
  const Octets third = key(word, 1);
  std::uint64_t other = 2;
  while (home(key(word, other)) != home(gone)) { ++other; }
  sut.pools[0] = {gone, third, key(word, other)};
  sut.skip({{0, gone, value_bytes(24, 1)}});
  sut.skip({{0, third, value_bytes(24, 2)}});
  // Its writer dies when that is committed: the slot is still the erased key's.
  const points::Swap heads_stay{.hold = {},
                                .lost = [=](const std::uint64_t* at) { return parts.word_of_slot(0, at) == 0; }};
  points::swap = heads_stay;
  sut.skip({{0, gone, std::nullopt}});
  points::swap = {};
  breaks(heads_stay);
  sut.run({{0, key(word, other), value_bytes(24, 3)}});
  expect_noticed(sut.violations);
}

/// 6 before 7: the slot of an erased key becomes Empty only when that is committed.
TEST_P(AnOrder, CommitBeforeAnErasedSlotIsEmpty) {
  Prefixes sut(wide_schema(), wide_region_bytes, {});
  sut.pools = wide_pools(sut.path());
  const Parts parts(sut.path());
  const Octets& key = sut.pools[addresses][0];
  sut.skip({{addresses, key, value_bytes(24, 1)}});
  breaks({.hold = only(parts.committed())});
  sut.run({{addresses, key, std::nullopt}});
  expect_noticed(sut.violations);
}

/// 3 before 6: that there was a deletion is told before it counts.
TEST_P(AnOrder, PurgedBeforeTheCommit) {
  Prefixes sut(wide_schema(), wide_region_bytes, {});
  sut.pools = wide_pools(sut.path());
  const Parts parts(sut.path());
  const Octets& key = sut.pools[flows4][0];
  sut.skip({{flows4, key, value_bytes(40, 1)}});
  breaks({.hold = only(parts.purged()), .until = parts.committed()});
  sut.run({{flows4, key, std::nullopt}});
  expect_noticed(sut.violations);
}

}  // namespace
}  // namespace understudy::shm::crash
