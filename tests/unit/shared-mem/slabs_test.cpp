// SPDX-License-Identifier: Apache-2.0
/// Blob tables: values of any length in slabs, the slabs used again, the way to a mirror, and slots that lie.
#include "slabs.hpp"

#include <gtest/gtest.h>

#include "raw_region.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint32_t largest = 64 << 10;
constexpr std::uint64_t region_bytes = 32 << 20;

RegionSchema blob_schema(std::uint32_t value_bytes = largest, std::uint64_t capacity = 40) {
  return {{{"state", {{"blobs", 8, value_bytes, capacity, TableKind::Blob}, {"flows", 8, 24, 100}}, 4 << 20}}};
}

std::vector<std::byte> blob(std::uint64_t seed, std::size_t bytes) {
  std::vector<std::byte> value(bytes);
  for (std::size_t i = 0; i < bytes; ++i) { value[i] = static_cast<std::byte>((seed * 31 + i * 7) >> (i % 5)); }
  return value;
}

struct Blobs {
  explicit Blobs(const RegionSchema& schema = blob_schema())
      : region(Region::create(file.path(), region_bytes, schema).value()),
        store(region.store("state").value()),
        writer(store.become_writer(Term{1}).value()) {}
  Status put(std::uint64_t id, Bytes value) {
    const auto done = writer.put(0, as_bytes_of(Key{id}), value);
    return done ? Status() : Status(done.error());
  }
  RegionFile file;
  Region region;
  Store store;
  StoreWriter writer;
};

std::optional<std::vector<std::byte>> get_blob(const Store& store, std::uint64_t id) {
  std::vector<std::byte> value(store.schema().tables[0].value_bytes);
  const auto got = store.get_blob(0, as_bytes_of(Key{id}), value);
  if (!got) {
    EXPECT_EQ(got.error().code, Errc::NotFound) << got.error().message;
    return std::nullopt;
  }
  value.resize(*got);
  return value;
}

TEST(ABlobTable, KeepsEveryLengthUpToTheLargest) {
  Blobs sut;
  const std::vector<std::size_t> lengths{0, 1, 7, 8, 9, 63, 64, 4096, 4097, largest - 1, largest};
  for (const auto length : lengths) { ASSERT_TRUE(sut.put(length, blob(length, length)).ok()) << length; }
  for (const auto length : lengths) { EXPECT_EQ(get_blob(sut.store, length), blob(length, length)) << length; }
  EXPECT_EQ(sut.store.count(0), lengths.size());
  EXPECT_EQ(sut.put(1000, blob(1, largest + 1)).error().code, Errc::BadInput);
  EXPECT_EQ(get_blob(sut.store, 1000), std::nullopt);
}

TEST(ABlobTable, UpdatesErasesAndScansLikeAnyTable) {
  Blobs sut;
  ASSERT_TRUE(sut.put(1, blob(1, 100)).ok());
  ASSERT_TRUE(sut.put(2, blob(2, 200)).ok());
  ASSERT_TRUE(sut.put(1, blob(3, 5000)).ok());
  ASSERT_TRUE(sut.writer.erase(0, as_bytes_of(Key{2})).ok());
  std::map<std::uint64_t, std::vector<std::byte>> found;
  ASSERT_TRUE(sut.store
                  .scan(0, {},
                        [&](const Store::Record& record) {
                          std::uint64_t id = 0;
                          std::memcpy(&id, record.key.data(), 8);
                          found[id].assign(record.value.begin(), record.value.end());
                          EXPECT_EQ(record.sequence, Sequence{3});
                          return true;
                        })
                  .ok());
  EXPECT_EQ(found, (std::map<std::uint64_t, std::vector<std::byte>>{{1, blob(3, 5000)}}));
}

TEST(ABlobTable, IsFullAtItsCapacityAndSaysSoAndGoesOnAfterAnErase) {
  Blobs sut(blob_schema(1000, 20));
  for (std::uint64_t id = 0; id < 20; ++id) { ASSERT_TRUE(sut.put(id, blob(id, 900)).ok()); }
  const auto full = sut.put(20, blob(20, 900));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, Errc::Full);
  EXPECT_EQ(full.error().message, "table \"blobs\" is full: it holds 20 of 20 records");
  EXPECT_EQ(sut.store.refused_full(0), 1U);
  for (std::uint64_t id = 0; id < 20; ++id) { EXPECT_EQ(get_blob(sut.store, id), blob(id, 900)) << "nothing lost"; }
  ASSERT_TRUE(sut.writer.erase(0, as_bytes_of(Key{3})).ok());
  EXPECT_TRUE(sut.put(20, blob(20, 900)).ok());
}

TEST(ABlobTable, UsesItsSlabsAgainForEver) {
  Blobs sut(blob_schema(256, 20));
  std::map<std::uint64_t, std::uint64_t> held;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const std::uint64_t id = i * 7919 % 40;
    if (held.contains(id) && i % 3 == 0) {
      ASSERT_TRUE(sut.writer.erase(0, as_bytes_of(Key{id})).ok());
      held.erase(id);
    } else if (held.contains(id) || held.size() < 20) {
      ASSERT_TRUE(sut.put(id, blob(i, i % 257)).ok()) << i;
      held[id] = i;
    }
  }
  for (std::uint64_t id = 0; id < 40; ++id) {
    const auto wanted = held.find(id);
    EXPECT_EQ(get_blob(sut.store, id),
              wanted == held.end() ? std::nullopt : std::optional(blob(wanted->second, wanted->second % 257)));
  }
}

TEST(ABlobTable, TakesPartInTransactions) {
  Blobs sut;
  ASSERT_TRUE(sut.writer.begin().ok());
  for (std::uint64_t id = 0; id < 10; ++id) { ASSERT_TRUE(sut.put(id, blob(id, largest)).ok()); }
  ASSERT_TRUE(sut.writer.put(1, as_bytes_of(Key{5}), as_bytes_of(value_of(5))).ok());
  EXPECT_EQ(get_blob(sut.store, 0), std::nullopt);
  ASSERT_TRUE(sut.writer.commit().ok());
  for (std::uint64_t id = 0; id < 10; ++id) { EXPECT_EQ(get_blob(sut.store, id), blob(id, largest)); }
}

TEST(ABlobTable, BoundsATransactionToOneMebibyteSoThatItTravelsWhole) {
  Blobs sut;
  ASSERT_TRUE(sut.writer.begin().ok());
  std::uint64_t id = 0;
  Status put;
  for (; put; ++id) { put = sut.put(id, blob(id, largest)); }
  EXPECT_EQ(put.error().code, Errc::Full);
  EXPECT_EQ(id, 16U) << "15 of 64 KiB and a little fit";
  ASSERT_TRUE(sut.writer.commit().ok());
  const auto chunk = JournalReader(sut.store, Sequence{0}).read(1).value();
  EXPECT_EQ(chunk.last, sut.store.committed());
  EXPECT_LE(chunk.bytes.size(), layout::transaction_bytes_max);
}

TEST(ABlobTable, ComesToAMirrorByJournalAndBySnapshot) {
  Blobs sender;
  for (std::uint64_t id = 0; id < 12; ++id) { ASSERT_TRUE(sender.put(id, blob(id, id * 5000)).ok()); }
  ASSERT_TRUE(sender.writer.erase(0, as_bytes_of(Key{2})).ok());
  const auto same = [&](const Store& mirror) {
    for (std::uint64_t id = 0; id < 12; ++id) { EXPECT_EQ(get_blob(mirror, id), get_blob(sender.store, id)) << id; }
    EXPECT_EQ(mirror.count(0), 11U);
    EXPECT_EQ(mirror.committed(), sender.store.committed());
  };
  Blobs by_journal;
  JournalReader reader(sender.store, Sequence{0});
  for (;;) {
    const auto chunk = reader.read(32 << 10).value();
    if (chunk.state != JournalReader::State::Entries) { break; }
    ASSERT_TRUE(by_journal.writer.apply(chunk.bytes).ok());
  }
  same(by_journal.store);

  Blobs by_snapshot;
  for (std::uint64_t id = 100; id < 140; ++id) { ASSERT_TRUE(by_snapshot.put(id, blob(id, 50)).ok()); }
  ASSERT_TRUE(by_snapshot.writer.begin_sync(true).ok());
  const auto take = [&](const Store::Record& record) {
    const auto done = by_snapshot.writer.apply_snapshot_record(0, record.key, record.value, record.sequence);
    EXPECT_TRUE(done.ok()) << done.error().message;
    return true;
  };
  ASSERT_TRUE(sender.store.scan(0, {}, take).ok());
  ASSERT_TRUE(
      by_snapshot.writer.end_sync(sender.store.committed(), sender.store.history(), sender.store.purged_up_to()).ok());
  same(by_snapshot.store);
  EXPECT_EQ(get_blob(by_snapshot.store, 100), std::nullopt) << "swept";
}

TEST(ABlobTable, OfAnotherHistoryMakesRoomWhileAFullSnapshotRuns) {
  Blobs sut(blob_schema(64, 200));
  for (std::uint64_t id = 0; id < 200; ++id) { ASSERT_TRUE(sut.put(id, blob(id, 60)).ok()); }
  ASSERT_TRUE(sut.writer.begin_sync(true).ok());
  for (std::uint64_t id = 1000; id < 1200; ++id) {
    const auto done = sut.writer.apply_snapshot_record(0, as_bytes_of(Key{id}), blob(id, 60), Sequence{id});
    ASSERT_TRUE(done.ok()) << id << ": " << done.error().message;
  }
  ASSERT_TRUE(sut.writer.end_sync(Sequence{2000}, {{Term{1}, Sequence{1}}}, {}).ok());
  EXPECT_EQ(sut.store.count(0), 200U);
  for (std::uint64_t id = 1000; id < 1200; ++id) { ASSERT_EQ(get_blob(sut.store, id), blob(id, 60)); }
}

TEST(ABlobTable, IsNoTableOfFixedValues) {
  Blobs sut;
  ASSERT_TRUE(sut.put(1, blob(1, 24)).ok());
  Value value{};
  EXPECT_EQ(sut.store.get(0, as_bytes_of(Key{1}), std::as_writable_bytes(std::span(&value, 1))).error().code,
            Errc::BadInput);
  std::uint64_t ref = 0;
  EXPECT_EQ(sut.store.get(0, as_bytes_of(Key{1}), std::as_writable_bytes(std::span(&ref, 1))).error().code,
            Errc::BadInput);
  std::vector<std::byte> room(largest);
  EXPECT_EQ(sut.store.get_blob(1, as_bytes_of(Key{1}), room).error().code, Errc::BadInput);
  EXPECT_EQ(sut.store.get_blob(0, as_bytes_of(Key{1}), std::span(room).first(100)).error().code, Errc::BadInput);
}

TEST(ABlobTable, WhoseSlotsLieIsAnErrorAndLeadsNowhere) {
  Blobs sut;
  ASSERT_TRUE(sut.put(1, blob(1, 100)).ok());
  const RawRegion raw(sut.file.path(), region_bytes);
  const auto plan = raw.header().stores[0].tables[0];
  auto* slots = raw.word(plan.slots_offset);
  std::uint64_t* ref = nullptr;
  for (std::uint64_t slot = 0; slot < plan.slot_count; ++slot) {
    if (slots[slot * 4] != 0) { ref = slots + slot * 4 + 2; }
  }
  ASSERT_NE(ref, nullptr);
  const std::uint64_t good = *ref;
  std::vector<std::byte> value(largest);
  const auto error = [&](std::uint64_t lie) {
    *ref = lie;
    const auto got = sut.store.get_blob(0, as_bytes_of(Key{1}), value);
    return got ? Errc::Failed : got.error().code;
  };
  EXPECT_EQ(error(layout::blob_ref(~0U, 100)), Errc::Damaged) << "no such slab";
  EXPECT_EQ(error(layout::blob_ref(good >> 32, largest + 1)), Errc::Damaged) << "longer than any";
  EXPECT_EQ(error(layout::blob_ref((good >> 32) + 1, 100)), Errc::Damaged) << "a slab that holds nothing of it";
  EXPECT_EQ(sut.store.scan(0, {}, [](const Store::Record&) { return true; }).error().code, Errc::Damaged);
  *ref = good;
  EXPECT_EQ(get_blob(sut.store, 1), blob(1, 100));
}

TEST(SlabPool, GivesTheSlabThatIsFreeTheLongestAndTakesNoneBackTwice) {
  std::vector<Word> slots(64 * layout::slot_words(8, 8));
  const Table table(slots.data(), 64, 8, 100, 1, TableKind::Blob);
  std::vector<Word> memory(4 * 16);
  const Slabs slabs(memory.data(), 4, 128, 100);
  SlabPool pool;
  pool.prepare(table, slabs);
  EXPECT_EQ(pool.take(), 0U);
  EXPECT_EQ(pool.take(), 1U);
  pool.release(layout::blob_ref(1, 5));
  pool.release(layout::blob_ref(1, 5));
  pool.release(layout::blob_ref(99, 5));
  EXPECT_EQ(pool.take(), 2U);
  EXPECT_EQ(pool.take(), 3U);
  EXPECT_EQ(pool.take(), 1U);
  EXPECT_EQ(pool.take(), std::nullopt);
}

}  // namespace
}  // namespace understudy::shm
