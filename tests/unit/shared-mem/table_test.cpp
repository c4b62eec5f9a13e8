// SPDX-License-Identifier: Apache-2.0
/// The writer's side of a table in plain memory, where every slot can be looked at: what is found, what is reused,
/// and what a reader of an older commit point sees meanwhile.
#include "table_writing.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <vector>

namespace understudy::shm {
namespace {

constexpr std::uint64_t slot_count = 8;
constexpr std::uint64_t newest = layout::sequence_max;

class TableTest : public testing::Test {
 protected:
  static KeyWords key(std::uint64_t id) { return KeyWords(std::as_bytes(std::span(&id, 1))); }
  static std::span<const std::byte> value(const std::uint64_t& seed) { return std::as_bytes(std::span(&seed, 1)); }

  void insert(std::uint64_t id, std::uint64_t sequence, std::uint64_t seed, std::uint64_t reusable_up_to = 0) {
    const auto place = table.locate(key(id), reusable_up_to);
    ASSERT_EQ(place.match, nullptr);
    ASSERT_NE(place.vacant, nullptr);
    table.occupy(place.vacant, key(id), sequence, value(seed));
  }
  void change(std::uint64_t id, std::uint64_t sequence, std::uint64_t kind, std::span<const std::byte> to) const {
    table.write_copy(table.locate(key(id), 0), sequence, kind, to);
  }
  Word* slot_of(std::uint64_t id) const { return table.locate(key(id), 0).match; }
  std::optional<std::uint64_t> get(std::uint64_t id, std::uint64_t limit = newest) const {
    std::uint64_t seed = 0;
    const auto seen = table.get(key(id), limit, std::as_writable_bytes(std::span(&seed, 1)));
    EXPECT_NE(seen, Seen::Changed);
    return seen == Seen::Present || seen == Seen::Older ? std::optional(seed) : std::nullopt;
  }
  Seen look(std::uint64_t id, std::uint64_t limit) const {
    std::uint64_t seed = 0;
    return table.get(key(id), limit, std::as_writable_bytes(std::span(&seed, 1)));
  }
  /// Keys with one home slot, so that they stand one behind the other.
  std::vector<std::uint64_t> neighbours(std::size_t count) const {
    std::vector<std::uint64_t> ids;
    for (std::uint64_t id = 1; ids.size() < count; ++id) {
      if ((table.home(key(id)) & (slot_count - 1)) == slot_count - 2) { ids.push_back(id); }
    }
    return ids;
  }
  std::size_t empty_slots() const {
    std::size_t empty = 0;
    for (std::uint64_t i = 0; i < slot_count; ++i) { empty += Table::head(table.slot(i)).is_empty() ? 1U : 0U; }
    return empty;
  }

  std::vector<Word> memory = std::vector<Word>(slot_count * layout::slot_words(8, 8));
  Table table{memory.data(), slot_count, 8, 8, 4711};
};

TEST_F(TableTest, AnEmptyTableHasNothingAndPlaceForAnything) {
  EXPECT_EQ(get(1), std::nullopt);
  EXPECT_EQ(slot_of(1), nullptr);
  EXPECT_EQ(table.locate(key(1), 0).vacant, table.slot(table.home(key(1))));
}

TEST_F(TableTest, KeysOfOneHomeAreAllFoundAlsoAroundTheEndOfTheSlots) {
  const auto ids = neighbours(4);
  for (std::size_t i = 0; i < ids.size(); ++i) { insert(ids[i], i + 1, 10 * i); }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(get(ids[i]), 10 * i);
    EXPECT_EQ(table.index_of(slot_of(ids[i])), (slot_count - 2 + i) % slot_count);
  }
}

TEST_F(TableTest, AFullTableHasNoVacantSlotAndSearchingEnds) {
  for (std::uint64_t id = 0; id < slot_count; ++id) { insert(id, id + 1, id); }
  const auto place = table.locate(key(99), newest);
  EXPECT_EQ(place.match, nullptr);
  EXPECT_EQ(place.vacant, nullptr);
  EXPECT_EQ(get(99), std::nullopt);
  for (std::uint64_t id = 0; id < slot_count; ++id) { EXPECT_EQ(get(id), id); }
}

TEST_F(TableTest, TheOlderCopyStaysReadableWhileTheNewerIsNotCommitted) {
  insert(1, 5, 50);
  change(1, 6, layout::kind_live, value(60));
  EXPECT_EQ(get(1, 5), 50U);
  EXPECT_EQ(look(1, 5), Seen::Older) << "true only while 6 is not committed";
  EXPECT_EQ(get(1, 6), 60U);
  change(1, 7, layout::kind_live, value(70));
  EXPECT_EQ(get(1, 6), 60U) << "the older of the two copies is the one that is overwritten";
  EXPECT_EQ(get(1, 7), 70U);
  EXPECT_EQ(look(1, 7), Seen::Present);
}

TEST_F(TableTest, WhatIsTakenBackWasNeverThereAndTheOlderCopyHolds) {
  insert(1, 5, 50);
  change(1, 6, layout::kind_erased, value(0));
  EXPECT_EQ(get(1), std::nullopt);
  for (int twice = 0; twice < 2; ++twice) { table.take_back(slot_of(1), 6, 5); }
  EXPECT_EQ(get(1), 50U);
  EXPECT_EQ(look(1, 5), Seen::Present);
  table.take_back(slot_of(1), 4711, 5);
  EXPECT_EQ(get(1), 50U) << "a sequence that the slot does not have";
  auto* slot = slot_of(1);
  table.take_back(slot, 5, 4);
  EXPECT_EQ(get(1), std::nullopt);
  EXPECT_FALSE(Table::head(slot).is_empty()) << "probing must not stop here";
}

TEST_F(TableTest, ADeletionIsReusedOnlyOnceItIsCommitted) {
  const auto ids = neighbours(3);
  insert(ids[0], 1, 1);
  insert(ids[1], 2, 2);
  auto* erased = slot_of(ids[0]);
  change(ids[0], 3, layout::kind_erased, value(0));
  EXPECT_NE(table.locate(key(ids[2]), 2).vacant, erased);
  EXPECT_EQ(table.locate(key(ids[2]), 3).vacant, erased);
  insert(ids[2], 4, 40, 3);
  EXPECT_EQ(slot_of(ids[2]), erased);
  EXPECT_EQ(get(ids[2]), 40U);
  EXPECT_EQ(get(ids[1]), 2U) << "the key behind it is still found";
  EXPECT_EQ(get(ids[0]), std::nullopt);
  EXPECT_EQ(get(ids[2], 3), std::nullopt) << "nothing of the old record comes to light under the new key";
}

TEST_F(TableTest, AKeyThatComesBackFindsItsOwnDeletionAndNotAnEarlierVacantSlot) {
  const auto ids = neighbours(2);
  insert(ids[0], 1, 1);
  insert(ids[1], 2, 2);
  auto* second = slot_of(ids[1]);
  change(ids[0], 3, layout::kind_erased, value(0));
  change(ids[1], 4, layout::kind_erased, value(0));
  EXPECT_EQ(table.locate(key(ids[1]), 4).match, second) << "else the key would stand in two slots";
}

TEST_F(TableTest, DeletionsBeforeAnEmptySlotBecomeEmptyAgainButNoneThatIsNotCommitted) {
  const auto ids = neighbours(3);
  for (std::size_t i = 0; i < 3; ++i) { insert(ids[i], i + 1, i); }
  std::vector<Word*> slots;
  for (const auto id : ids) { slots.push_back(slot_of(id)); }
  for (std::size_t i = 0; i < 3; ++i) { change(ids[i], 10 + i, layout::kind_erased, value(0)); }
  EXPECT_EQ(empty_slots(), slot_count - 3);
  table.shorten_probing(slots[0], 12);
  EXPECT_EQ(empty_slots(), slot_count - 3) << "the next slot is not empty: others are found across this one";
  table.shorten_probing(slots[2], 11);
  EXPECT_EQ(empty_slots(), slot_count - 3) << "12 is not committed yet";
  table.shorten_probing(slots[2], 12);
  EXPECT_EQ(empty_slots(), slot_count);
}

TEST_F(TableTest, ShorteningStopsAtALiveRecord) {
  const auto ids = neighbours(3);
  for (std::size_t i = 0; i < 3; ++i) { insert(ids[i], i + 1, i); }
  auto* last = slot_of(ids[2]);
  change(ids[0], 10, layout::kind_erased, value(0));
  change(ids[2], 11, layout::kind_erased, value(0));
  table.shorten_probing(last, 11);
  EXPECT_EQ(empty_slots(), slot_count - 2);
  EXPECT_EQ(get(ids[1]), 1U);
}

TEST_F(TableTest, ADeletionInTheMiddleOfARunBecomesEmptyOnceNoSearchPassesIt) {
  const auto ids = neighbours(3);
  for (std::size_t i = 0; i < 3; ++i) { insert(ids[i], i + 1, i); }
  auto* middle = slot_of(ids[1]);
  change(ids[1], 10, layout::kind_erased, value(0));
  table.shorten_probing(middle, 10);
  EXPECT_FALSE(Table::head(middle).is_empty()) << "the third is found across it";
  EXPECT_FALSE(Table::head(middle).has_sequence()) << "no key's: one that comes back must not stand in two slots";
  EXPECT_EQ(get(ids[2]), 2U);
  std::uint64_t other = 1;  // at home behind the third
  while ((table.home(key(other)) & (slot_count - 1)) != 1) { ++other; }
  insert(other, 11, 110);
  auto* third = slot_of(ids[2]);
  change(ids[2], 12, layout::kind_erased, value(0));
  table.shorten_probing(third, 12);
  EXPECT_TRUE(Table::head(third).is_empty()) << "before a live record that is at home";
  EXPECT_TRUE(Table::head(middle).is_empty()) << "nor does anybody's search pass this one now";
  EXPECT_EQ(get(ids[0]), 0U);
  EXPECT_EQ(get(other), 110U);
}

/// As a program leaves it that makes too few of them Empty.
TEST_F(TableTest, ATableWithoutAnyEmptySlotGetsThemBackByAnErase) {
  const auto ids = neighbours(3);
  for (std::size_t i = 0; i < 3; ++i) { insert(ids[i], i + 1, i); }
  change(ids[1], 10, layout::kind_erased, value(0));
  for (std::uint64_t i = 0; i < slot_count; ++i) {
    if (Table::head(table.slot(i)).is_empty()) { table.free_slot(table.slot(i)); }
  }
  ASSERT_EQ(empty_slots(), 0U);
  auto* erased = slot_of(ids[1]);
  ASSERT_FALSE(table.shorten_probing(erased, 10)) << "it cannot do it by itself";
  EXPECT_EQ(table.empty_what_is_vacant(10), slot_count - 3);
  EXPECT_EQ(empty_slots(), slot_count - 3) << "all but the live ones and the one between them";
  EXPECT_FALSE(Table::head(erased).has_sequence());
  EXPECT_EQ(get(ids[0]), 0U);
  EXPECT_EQ(get(ids[1]), std::nullopt);
  EXPECT_EQ(get(ids[2]), 2U);
}

TEST_F(TableTest, KeysThatDifferInTheLastByteOnlyAreTwo) {
  std::vector<Word> slots(slot_count * layout::slot_words(17, 8));
  const Table wide(slots.data(), slot_count, 17, 8, 4711);
  std::array<std::byte, 17> one{};
  auto other = one;
  other.back() = std::byte{1};
  const std::uint64_t seed = 7;
  wide.occupy(wide.locate(KeyWords(one), 0).vacant, KeyWords(one), 1, value(seed));
  EXPECT_NE(wide.locate(KeyWords(one), 0).match, nullptr);
  EXPECT_EQ(wide.locate(KeyWords(other), 0).match, nullptr);
}

TEST_F(TableTest, TheHomeOfAKeyDependsOnTheSeed) {
  const Table other(memory.data(), slot_count, 8, 8, 4712);
  std::size_t equal = 0;
  for (std::uint64_t id = 0; id < 100; ++id) { equal += table.home(key(id)) == other.home(key(id)) ? 1U : 0U; }
  EXPECT_LT(equal, 2U);
}

}  // namespace
}  // namespace understudy::shm
