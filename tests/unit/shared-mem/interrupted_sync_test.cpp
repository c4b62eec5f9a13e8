// SPDX-License-Identifier: Apache-2.0
/// Snapshots into copies that are not empty: an interrupted one before it, an older state, another history.
/// Covers: shared-mem/src/sync.cpp
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

struct Sut {
  explicit Sut(const RegionSchema& schema)
      : region(Region::create(file.path(), Region::size_needed(schema).value(), schema).value()) {}
  /// As when its program was killed and started again.
  void writer_dies() {
    writer.reset();
    writer.emplace(store.become_writer(Term{1}).value());
  }
  RegionFile file;
  Region region;
  Store store = region.store("state").value();
  std::optional<StoreWriter> writer{store.become_writer(Term{1}).value()};
};

RegionSchema growing() { return {{{"state", {{"flows", 8, 24, 5'000, TableKind::Hashed, 20'000}}, 64 << 10}}}; }

Status take(StoreWriter& mirror, std::uint64_t id, std::uint64_t sequence) {
  return mirror.apply_snapshot_record(0, as_bytes_of(Key{id}), as_bytes_of(value_of(id)), Sequence{sequence});
}

TEST(AnInterruptedSnapshot, LetsTheNextOneGrowTheTableWhenItNeedsTheRoom) {
  Sut mirror(growing());
  ASSERT_TRUE(mirror.writer->begin_sync(true).ok());
  for (std::uint64_t id = 0; id < 4'500; ++id) { ASSERT_TRUE(take(*mirror.writer, id, id + 1).ok()); }
  mirror.writer_dies();
  ASSERT_TRUE(mirror.writer->begin_sync(true).ok());
  for (std::uint64_t id = 0; id < 9'000; ++id) {
    const auto taken = take(*mirror.writer, id, id + 1);
    ASSERT_TRUE(taken.ok()) << id << ": " << taken.error().message;
  }
  ASSERT_TRUE(mirror.writer->end_sync(Sequence{9'000}, {{Term{1}, Sequence{1}}}, {}).ok());
  EXPECT_EQ(mirror.store.count(0), 9'000U);
  EXPECT_EQ(content(mirror.store).size(), 9'000U);
  EXPECT_EQ(mirror.store.capacity(0), 20'000U);
}

TEST(AnInterruptedSnapshot, DoesNotMakeTheTableGrowWithoutNeed) {
  Sut sender(growing());
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(put(*sender.writer, id, id).ok()); }
  Sut mirror(growing());
  ASSERT_TRUE(mirror.writer->begin_sync(true).ok());
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(take(*mirror.writer, id, id + 1).ok()); }
  mirror.writer_dies();
  JournalReader reader(sender.store, sender.store.committed());
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(erase(*sender.writer, id).ok()); }
  ASSERT_TRUE(mirror.writer->begin_sync(true).ok());
  ASSERT_TRUE(mirror.writer->apply(reader.read(1 << 20).value().bytes).ok());
  ASSERT_TRUE(take(*mirror.writer, 1'000, 50).ok());
  EXPECT_EQ(mirror.store.capacity(0), 5'000U);
}

constexpr std::uint64_t blobs = 100;      // the table's capacity
constexpr std::uint64_t more_slabs = 89;  // slabs_for(100) are 189

class AFullSnapshotOfBlobs : public testing::Test {
 protected:
  static RegionSchema schema() { return {{{"state", {{"blobs", 8, 64, blobs, TableKind::Blob}}, 64 << 10}}}; }
  Status take_blob(std::uint64_t id, std::uint64_t sequence) {
    const std::vector<std::byte> value(40, static_cast<std::byte>(id));
    return mirror->writer->apply_snapshot_record(0, as_bytes_of(Key{id}), value, Sequence{sequence});
  }
  void fill() {
    for (std::uint64_t id = 0; id < blobs; ++id) {
      const std::vector<std::byte> value(40);
      ASSERT_TRUE(mirror->writer->put(0, as_bytes_of(Key{id}), value).ok());
    }
  }
  void SetUp() override {
    mirror.emplace(schema());
    fill();
  }
  /// All slabs are in use by what was there and by new keys.
  void use_all_slabs(std::uint64_t free = more_slabs) {
    ASSERT_TRUE(mirror->writer->begin_sync(true).ok());
    for (std::uint64_t id = 1'000; id < 1'000 + free; ++id) { ASSERT_TRUE(take_blob(id, id).ok()) << id; }
  }
  std::optional<Sut> mirror;
};

TEST_F(AFullSnapshotOfBlobs, HasRoomForAnUpdateOfAKeyThatItHasBrought) {
  use_all_slabs();
  const auto updated = take_blob(1'000, 5'000);
  ASSERT_TRUE(updated.ok()) << updated.error().message;
}

TEST_F(AFullSnapshotOfBlobs, HasRoomFromTheStartAfterOneThatWasInterrupted) {
  use_all_slabs();
  mirror->writer_dies();
  ASSERT_TRUE(mirror->writer->begin_sync(true).ok());
  ASSERT_TRUE(take_blob(1'001, 5'000).ok());
  for (std::uint64_t round = 1; round < 300; ++round) {
    const auto updated = take_blob(1'001, 5'000 + round);
    ASSERT_TRUE(updated.ok()) << round << ": " << updated.error().message;
  }
  for (std::uint64_t id = 2'000; id < 2'000 + blobs - 1; ++id) { ASSERT_TRUE(take_blob(id, id).ok()) << id; }
  ASSERT_TRUE(mirror->writer->end_sync(Sequence{9'000}, {{Term{1}, Sequence{1}}}, {}).ok());
  EXPECT_EQ(mirror->store.count(0), blobs);
}

/// Its slot may be there still, with the deletion; where that is follows from the region's own seed.
TEST_F(AFullSnapshotOfBlobs, HasRoomForAKeyThatWasErasedThere) {
  constexpr std::uint64_t erased = 40;
  for (std::uint64_t id = 0; id < erased; ++id) {
    mirror.emplace(schema());
    fill();
    for (std::uint64_t gone = 0; gone < erased; ++gone) {
      ASSERT_TRUE(mirror->writer->erase(0, as_bytes_of(Key{gone})).ok());
    }
    use_all_slabs(more_slabs + erased);
    const auto taken = take_blob(id, 6'000);
    ASSERT_TRUE(taken.ok()) << id << ": " << taken.error().message;
  }
}

}  // namespace
}  // namespace understudy::shm
