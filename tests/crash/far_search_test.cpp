// SPDX-License-Identifier: Apache-2.0
/// Tables in which the search for a key passes nearly all slots, as programs before this one left them or as foreign
/// bytes make them: what a writer's changes cost all together. Covers: shared-mem/src/commit.cpp,
/// shared-mem/src/table.cpp
#include <gtest/gtest.h>

#include "hostile_image.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t slots = 1 << 14;
constexpr std::uint64_t room = 10'000;  // of so many slots
constexpr std::uint64_t changes = 1000;
constexpr std::uint64_t foreign = std::uint64_t{1} << 40;

class AFarSearch : public AHostileImage, public testing::WithParamInterface<std::uint32_t> {
 protected:
  AFarSearch()
      : AHostileImage("far", 8 << 20, {{{"state", {{"records", 8, GetParam(), room}}, std::uint64_t{256} << 10}}}) {}
  void SetUp() override {
    ASSERT_EQ(plan.tables[0].slot_count, slots);
    writer.emplace(store.become_writer(Term{1}).value());
    ASSERT_TRUE(put(foreign).ok());
  }
  std::uint64_t* slot(std::uint64_t index) {
    return words + plan.tables[0].slots_offset / sizeof *words + index * layout::slot_words(8, GetParam());
  }
  /// No slot is Empty any more: the Empty ones are no key's.
  void leave_no_empty_slot() {
    for (std::uint64_t n = 0; n < slots; ++n) {
      if (*slot(n) == 0) { *slot(n) = layout::head_free; }
    }
  }
  /// Every slot has a record, each of a key that nobody asks for, and so many of them are erased ones.
  void fill_with_foreign_keys(std::uint64_t erased) {
    for (std::uint64_t n = 0; n < slots; ++n) {
      const bool live = n % (slots / erased) != 0;
      *slot(n) = layout::head_of(1, layout::kind_free, live ? layout::kind_live : layout::kind_erased, 0);
      slot(n)[1] = foreign + n;
    }
  }
  Result<Sequence> put(std::uint64_t id) {
    const std::vector<std::byte> value(GetParam());
    return writer->put(0, as_bytes_of(Key{id}), value);
  }
  /// Loads of `change` for each of so many keys.
  template <class Change>
  std::uint64_t loads_of(const Change& change) {
    std::uint64_t loads = 0;
    points::on_load = [&](const std::uint64_t*) { ++loads; };
    for (std::uint64_t id = 1; id <= changes; ++id) { change(id); }
    points::on_load = nullptr;
    return loads;
  }

  std::optional<StoreWriter> writer;
  static constexpr std::uint64_t each_alone = changes * slots;  ///< passes so many slots
  static constexpr std::uint64_t all_together = 16 * slots;
  /// In a table that fills up to its last slot a search passes about as many slots as the root of them all; by where
  /// the keys' homes are, twice as many.
  static constexpr std::uint64_t while_it_fills_up = 2 * 128 * slots;
};

TEST_P(AFarSearch, OfPutsIsNoneAfterTheFirst) {
  leave_no_empty_slot();
  EXPECT_LT(loads_of([&](std::uint64_t id) { EXPECT_TRUE(put(id).ok()); }), all_together);
  EXPECT_EQ(store.count(0), changes + 1);
  leave_no_empty_slot();  // and so once more, whenever it is
  EXPECT_LT(loads_of([&](std::uint64_t id) { EXPECT_TRUE(put(changes + id).ok()); }), all_together);
}

TEST_P(AFarSearch, OfWhatIsNotThereToBeErasedIsNoneAfterTheFirst) {
  leave_no_empty_slot();
  const auto erase = [&](std::uint64_t id) {
    EXPECT_EQ(writer->erase(0, as_bytes_of(Key{id})).error().code, Errc::NotFound);
  };
  EXPECT_LT(loads_of(erase), all_together);
}

/// A mirror that was away until nearly all keys were others, more than once.
TEST_P(AFarSearch, OfASnapshotOfOtherRecordsIsNoneHoweverOftenTheyAreOthers) {
  const std::vector<std::byte> value(GetParam());
  constexpr std::uint64_t records = room - 1000;
  constexpr std::uint64_t snapshots = 12;
  std::uint64_t all_loads = 0;
  for (std::uint64_t others = 1; others <= snapshots; ++others) {
    const std::uint64_t from = others * 2 * room;
    points::on_load = [&](const std::uint64_t*) { ++all_loads; };
    ASSERT_TRUE(writer->begin_sync(true).ok());
    for (std::uint64_t id = from; id < from + records; ++id) {
      ASSERT_TRUE(writer->apply_snapshot_record(0, as_bytes_of(Key{id}), value, Sequence{id}).ok());
    }
    ASSERT_TRUE(writer->end_sync(Sequence{from + records}, store.history(), Sequence{from}).ok());
    points::on_load = nullptr;
    EXPECT_EQ(store.count(0), records);
  }
  EXPECT_LT(all_loads, snapshots * while_it_fills_up);
}

TEST_P(AFarSearch, OfErasesIsNoneAfterTheFirst) {
  for (std::uint64_t id = 1; id <= changes; ++id) { ASSERT_TRUE(put(id).ok()); }
  leave_no_empty_slot();
  const auto erase = [&](std::uint64_t id) { EXPECT_TRUE(writer->erase(0, as_bytes_of(Key{id})).ok()); };
  EXPECT_LT(loads_of(erase), all_together);
  EXPECT_EQ(store.count(0), 1U);
}

TEST_P(AFarSearch, OfTransactionsIsNoneAfterTheFirst) {
  leave_no_empty_slot();
  const auto loads = loads_of([&](std::uint64_t id) {
    if (!writer->in_transaction()) { ASSERT_TRUE(writer->begin().ok()); }
    EXPECT_TRUE(put(id).ok());
    if (id % 10 == 0) { EXPECT_TRUE(writer->commit().ok()); }
  });
  EXPECT_LT(loads, all_together);
  EXPECT_EQ(store.count(0), changes + 1);
}

TEST_P(AFarSearch, OfAMirrorsPutsIsNoneAfterTheFirst) {
  ImageFile other("sender");
  const auto sender = Region::create(other.path(), 8 << 20, region.schema()).value().store("state").value();
  auto sending = sender.become_writer(Term{1}).value();
  const std::vector<std::byte> value(GetParam());
  ASSERT_TRUE(sending.put(0, as_bytes_of(Key{foreign}), value).ok());
  leave_no_empty_slot();
  JournalReader journal(sender, sending.committed());
  const auto loads = loads_of([&](std::uint64_t id) {
    ASSERT_TRUE(sending.put(0, as_bytes_of(Key{id}), value).ok());
    if (id % 10 != 0) { return; }
    const auto chunk = journal.read(256 << 10);
    ASSERT_TRUE(chunk.ok());
    ASSERT_TRUE(writer->apply(chunk->bytes).ok());
  });
  EXPECT_LT(loads, 2 * all_together);
  EXPECT_EQ(store.count(0), changes + 1);
}

/// Where it is no help, it costs little beside what it was to help. Each erase went twice around the table.
TEST_P(AFarSearch, InATableThatIsFullOfForeignKeysIsLookedIntoAFewTimesOnly) {
  fill_with_foreign_keys(2 * changes);
  const auto loads = loads_of([&](std::uint64_t id) { (void)put(id); });
  EXPECT_LT(loads, each_alone + each_alone / 10 + all_together);
  fill_with_foreign_keys(2 * changes);
  const auto erase = [&](std::uint64_t id) {
    const std::uint64_t at = id * (slots / changes) + 1;
    (void)writer->erase(0, as_bytes_of(Key{foreign + at}));
  };
  EXPECT_LT(loads_of(erase), 2 * each_alone + all_together);
}

INSTANTIATE_TEST_SUITE_P(OfSmallAndOtherRecords, AFarSearch, testing::Values(24U, 20U));

}  // namespace
}  // namespace understudy::shm::crash
