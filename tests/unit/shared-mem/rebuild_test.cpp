// SPDX-License-Identifier: Apache-2.0
/// A table rebuilt larger while it is read, scanned and followed; and a mirror that keeps up by itself.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "raw_region.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

RegionSchema growing(std::uint64_t capacity, std::uint64_t capacity_max) {
  return {{{"state",
            {{"flows", 8, 24, capacity, TableKind::Hashed, capacity_max},
             {"blobs", 8, 500, capacity, TableKind::Blob, capacity_max}},
            256 << 10}}};
}
constexpr std::uint64_t region_bytes = 8 << 20;

struct Growing {
  Growing(std::uint64_t capacity, std::uint64_t capacity_max)
      : region(Region::create(file.path(), region_bytes, growing(capacity, capacity_max)).value()),
        store(region.store("state").value()),
        writer(store.become_writer(Term{1}).value()) {}
  RegionFile file;
  Region region;
  Store store;
  StoreWriter writer;
};

std::vector<std::byte> blob(std::uint64_t seed) { return std::vector<std::byte>(seed % 501, std::byte(seed & 0xff)); }
std::optional<std::vector<std::byte>> get_blob(const Store& store, std::uint64_t id) {
  std::vector<std::byte> value(500);
  const auto got = store.get_blob(1, as_bytes_of(Key{id}), value);
  if (!got) { return std::nullopt; }
  value.resize(*got);
  return value;
}

TEST(ARebuild, KeepsEveryRecordAndMakesRoom) {
  Growing sut(100, 2000);
  for (std::uint64_t id = 0; id < 100; ++id) {
    ASSERT_TRUE(put(sut.writer, id, id).ok());
    ASSERT_TRUE(sut.writer.put(1, as_bytes_of(Key{id}), blob(id * 5)).ok());
  }
  ASSERT_TRUE(erase(sut.writer, 7).ok());
  ASSERT_TRUE(put(sut.writer, 7, 70).ok());
  const auto before = content(sut.store);
  const auto committed = sut.store.committed();
  const auto full = put(sut.writer, 100, 100);
  EXPECT_EQ(full.error().message,
            "table \"flows\" is full: it holds 100 of 100 records; a rebuild makes room for 2000");
  ASSERT_TRUE(sut.writer.rebuild(0).ok());
  ASSERT_TRUE(sut.writer.rebuild(1).ok());
  EXPECT_EQ(content(sut.store), before);
  EXPECT_EQ(sut.store.committed(), committed) << "nothing changed";
  EXPECT_EQ(sut.store.count(0), 100U);
  EXPECT_EQ(sut.store.capacity(0), 2000U);
  for (std::uint64_t id = 100; id < 2000; ++id) {
    ASSERT_TRUE(put(sut.writer, id, id).ok());
    ASSERT_TRUE(sut.writer.put(1, as_bytes_of(Key{id}), blob(id)).ok());
  }
  EXPECT_EQ(put(sut.writer, 5000, 1).error().code, Errc::Full);
  for (std::uint64_t id = 0; id < 2000; ++id) {
    ASSERT_EQ(get(sut.store, id), id == 7 ? 70 : id);
    ASSERT_EQ(get_blob(sut.store, id), blob(id < 100 ? id * 5 : id));
  }
}

TEST(ARebuild, IsDoneOnceAndOnlyWhereRoomWasReserved) {
  Growing sut(100, 200);
  ASSERT_TRUE(put(sut.writer, 1, 1).ok());
  EXPECT_TRUE(sut.writer.rebuild(0).ok());
  ASSERT_TRUE(put(sut.writer, 2, 2).ok());
  EXPECT_TRUE(sut.writer.rebuild(0).ok());
  EXPECT_EQ(content(sut.store), (Content{{1, 1}, {2, 2}}));
  EXPECT_EQ(sut.writer.rebuild(2).error().code, Errc::BadInput);
  ASSERT_TRUE(sut.writer.begin().ok());
  EXPECT_EQ(sut.writer.rebuild(1).error().code, Errc::BadInput);

  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  EXPECT_NE(writer.rebuild(flows).error().message.find("created without room"), std::string::npos);
}

TEST(ARebuild, IsFoundByReadersOpenedBeforeAndAfterAndByTheNextWriter) {
  Growing sut(100, 400);
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(put(sut.writer, id, id).ok()); }
  const Store early = Region::open(sut.file.path(), Access::ReadOnly).value().store("state").value();
  ASSERT_TRUE(sut.writer.rebuild(0).ok());
  ASSERT_TRUE(put(sut.writer, 5, 55).ok());
  ASSERT_TRUE(put(sut.writer, 300, 3).ok());
  EXPECT_EQ(get(early, 5), 55U);
  EXPECT_EQ(get(early, 300), 3U);
  { const StoreWriter ended = std::move(sut.writer); }
  const Store late = Region::open(sut.file.path(), Access::ReadWrite).value().store("state").value();
  EXPECT_EQ(content(late), content(early));
  auto next = late.become_writer(Term{2}).value();
  ASSERT_TRUE(erase(next, 5).ok());
  for (std::uint64_t id = 101; id < 300; ++id) { ASSERT_TRUE(put(next, id, id).ok()); }
  EXPECT_EQ(get(early, 5), std::nullopt);
  EXPECT_EQ(early.count(0), 299U);
}

TEST(ARebuild, AfterAnInterruptedOneFindsTheLargerSlotsDirtyAndCleansThem) {
  Growing sut(100, 400);
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(put(sut.writer, id, id).ok()); }
  ASSERT_TRUE(sut.writer.rebuild(0).ok());
  RawRegion(sut.file.path(), region_bytes).control()->tables[0].grown = 0;  // as if it had died before its last store
  { const StoreWriter ended = std::move(sut.writer); }
  auto next = sut.store.become_writer(Term{2}).value();
  ASSERT_TRUE(put(next, 3, 33).ok());
  ASSERT_TRUE(erase(next, 4).ok());
  const auto before = content(sut.store);
  ASSERT_TRUE(next.rebuild(0).ok());
  EXPECT_EQ(content(sut.store), before);
  EXPECT_EQ(get(sut.store, 3), 33U);
  EXPECT_EQ(get(sut.store, 4), std::nullopt);
}

TEST(ARebuild, InTheMiddleOfAScanLosesNoRecordAndTellsNoneTwiceNorAnOldOne) {
  Growing sut(100, 400);
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(put(sut.writer, id, id).ok()); }
  Content found;
  const auto visit = [&](const Store::Record& record) {
    std::uint64_t id = 0;
    std::uint64_t seed = 0;
    std::memcpy(&id, record.key.data(), 8);
    std::memcpy(&seed, record.value.data(), 8);
    EXPECT_TRUE(found.emplace(id, seed).second) << id << " twice";
    if (found.size() == 10) {
      EXPECT_TRUE(sut.writer.rebuild(0).ok());
      for (std::uint64_t other = 0; other < 100; ++other) {
        EXPECT_TRUE((other % 2 == 0 ? erase(sut.writer, other) : put(sut.writer, other, other + 1000)).ok());
      }
    }
    return true;
  };
  ASSERT_TRUE(sut.store.scan(0, {}, visit).ok());
  std::size_t old = 0;
  for (const auto& [id, seed] : found) {
    if (seed == id) {
      ++old;
    } else {
      EXPECT_EQ(id % 2, 1U) << "erased before it was looked at";
      EXPECT_EQ(seed, id + 1000);
    }
  }
  EXPECT_EQ(old, 10U) << "only what was visited before";
  for (std::uint64_t id = 1; id < 100; id += 2) { EXPECT_TRUE(found.contains(id)) << id; }
}

TEST(ARebuild, GoesOnUnderReadersWhoNeverMissAnything) {
  Growing sut(2000, 8000);
  for (std::uint64_t id = 0; id < 2000; ++id) { ASSERT_TRUE(put(sut.writer, id, id).ok()); }
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> reads = 0;
  std::thread reader([&] {
    const Store store = Region::open(sut.file.path(), Access::ReadOnly).value().store("state").value();
    std::uint64_t last = 0;
    while (!done) {
      const std::uint64_t id = reads % 2000;
      const auto seed = get(store, id);
      ASSERT_TRUE(seed.has_value()) << id;
      if (id == 0) {
        ASSERT_GE(*seed, last) << "went back";
        last = *seed;
      }
      ++reads;
    }
  });
  for (std::uint64_t i = 1; i < 1000 || reads < 4000; ++i) { ASSERT_TRUE(put(sut.writer, 0, i).ok()); }
  ASSERT_TRUE(sut.writer.rebuild(0).ok());
  const std::uint64_t read_before = reads;
  for (std::uint64_t i = 1'000'000'000; !HasFailure() && reads < read_before + 4000; ++i) {
    ASSERT_TRUE(put(sut.writer, 0, i).ok());
  }
  done = true;
  reader.join();
}

TEST(AMirror, GrowsByItselfWhenItsSenderDid) {
  Growing sender(100, 2000);
  Growing by_journal(100, 2000);
  ASSERT_TRUE(sender.writer.rebuild(0).ok());
  ASSERT_TRUE(sender.writer.rebuild(1).ok());
  JournalReader reader(sender.store, Sequence{0});
  for (std::uint64_t id = 0; id < 1000; ++id) {
    ASSERT_TRUE(put(sender.writer, id, id).ok());
    ASSERT_TRUE(sender.writer.put(1, as_bytes_of(Key{id}), blob(id)).ok());
    ASSERT_TRUE(by_journal.writer.apply(reader.read(64 << 10).value().bytes).ok());
  }
  EXPECT_EQ(content(by_journal.store), content(sender.store));
  EXPECT_EQ(by_journal.store.capacity(0), 2000U);

  Growing by_snapshot(100, 2000);
  for (std::uint64_t id = 5000; id < 5100; ++id) { ASSERT_TRUE(put(by_snapshot.writer, id, 1).ok()); }
  ASSERT_TRUE(by_snapshot.writer.begin_sync(true).ok());
  for (const TableIndex table : {0U, 1U}) {
    ASSERT_TRUE(sender.store
                    .scan(table, {},
                          [&](const Store::Record& record) {
                            return by_snapshot.writer
                                .apply_snapshot_record(table, record.key, record.value, record.sequence)
                                .ok();
                          })
                    .ok());
  }
  ASSERT_TRUE(by_snapshot.writer.end_sync(sender.store.committed(), sender.store.history(), {}).ok());
  EXPECT_EQ(content(by_snapshot.store), content(sender.store));
  EXPECT_EQ(by_snapshot.store.count(1), 1000U);
  for (std::uint64_t id = 0; id < 1000; ++id) { ASSERT_EQ(get_blob(by_snapshot.store, id), blob(id)); }
}

}  // namespace
}  // namespace understudy::shm
