// SPDX-License-Identifier: Apache-2.0
/// A snapshot's scan: every record once, in pieces that wait for their taker, while the store goes on changing.
#include "replication_scan.hpp"

#include <gtest/gtest.h>

#include "replication_bench.hpp"
#include "support/eventually.hpp"

namespace understudy::link::replication {
namespace {

using test::eventually;

class SnapshotScanTest : public testing::Test {
 protected:
  /// Takes until the scan has ended.
  void take_all(SnapshotScan& scan) {
    ASSERT_TRUE(eventually([&] {
      take(scan);
      return taken.finished;
    }));
    EXPECT_TRUE(taken.status.ok());
  }
  void take(SnapshotScan& scan) {
    taken = scan.take();
    for (const auto& piece : taken.pieces) {
      const auto records = decode_snapshot_records(piece);
      ASSERT_TRUE(records.ok()) << records.error().message;
      for (const auto& record : records->records) {
        const std::vector<std::byte> key(record.key.begin(), record.key.end());
        const std::vector<std::byte> value(record.value.begin(), record.value.end());
        EXPECT_TRUE(content.emplace(std::pair(records->table, key), value).second) << "a record came twice";
        EXPECT_LE(record.sequence, taken.mark);
      }
    }
    pieces += taken.pieces.size();
  }

  TestRegion region;
  shm::StoreWriter writer = region.writer(1);
  SnapshotScan::Taken taken;
  Content content;
  std::size_t pieces = 0;
};

TEST_F(SnapshotScanTest, AnEmptyStoreEndsWithoutAPiece) {
  SnapshotScan sut(region.store(), Sequence{0}, 1000);
  take_all(sut);
  EXPECT_EQ(pieces, 0U);
  EXPECT_EQ(taken.mark, Sequence{0});
}

TEST_F(SnapshotScanTest, BringsEveryRecordOfEveryTableOnce) {
  for (std::uint64_t i = 0; i < 1000; ++i) { put(writer, i, i * 3); }
  for (std::uint64_t i = 0; i < 50; ++i) { put(writer, i, i * 5, 1); }
  for (std::uint64_t i = 0; i < 1000; i += 7) { erase(writer, i); }
  SnapshotScan sut(region.store(), Sequence{0}, 500);
  take_all(sut);
  EXPECT_EQ(content, content_of(region.store()));
  EXPECT_GT(pieces, 10U);
  EXPECT_EQ(taken.mark, region.store().committed());
}

TEST_F(SnapshotScanTest, BringsOnlyWhatIsNewerThanAsked) {
  for (std::uint64_t i = 0; i < 100; ++i) { put(writer, i, i); }
  const auto before = writer.committed();
  put(writer, 7, 70);
  put(writer, 200, 200);
  SnapshotScan sut(region.store(), before, 1000);
  take_all(sut);
  EXPECT_EQ(content.size(), 2U);
  EXPECT_EQ(content.count({0, bytes_of(7, 8)}), 1U);
  EXPECT_EQ(content.count({0, bytes_of(200, 8)}), 1U);
}

TEST_F(SnapshotScanTest, WaitsForItsTakerWithFewPiecesInHand) {
  for (std::uint64_t i = 0; i < 500; ++i) { put(writer, i, i); }
  SnapshotScan sut(region.store(), Sequence{0}, 1);  // each record fills a piece
  std::size_t most = 0;
  ASSERT_TRUE(eventually([&] {
    const auto before = pieces;
    take(sut);
    most = std::max(most, pieces - before);
    return taken.finished;
  }));
  EXPECT_LE(most, 5U);
  EXPECT_EQ(content, content_of(region.store()));
}

TEST_F(SnapshotScanTest, ADeletionUpToTheMarkIsNotFollowedByTheRecordThatItDeleted) {
  for (std::uint64_t i = 0; i < 500; ++i) { put(writer, i, i); }
  SnapshotScan sut(region.store(), Sequence{0}, 1);
  std::vector<std::uint64_t> gone;
  for (std::uint64_t i = 0; i < 500 && !taken.finished; ++i) {
    take(sut);
    erase(writer, i);
    const auto deleted_at = writer.committed();
    ASSERT_TRUE(eventually([&] {
      take(sut);
      return taken.finished || taken.mark >= deleted_at;
    }));
    if (!content.contains({0, bytes_of(i, 8)})) { gone.push_back(i); }
  }
  if (!taken.finished) { take_all(sut); }
  ASSERT_FALSE(gone.empty()) << "no deletion came before its record: nothing was shown";
  for (const auto id : gone) { EXPECT_FALSE(content.contains({0, bytes_of(id, 8)})) << id; }
}

TEST_F(SnapshotScanTest, CanBeGivenUpWhileItWaits) {
  for (std::uint64_t i = 0; i < 500; ++i) { put(writer, i, i); }
  for (int i = 0; i < 20; ++i) {
    SnapshotScan sut(region.store(), Sequence{0}, 1);
    take(sut);
    content.clear();
  }
}

/// Nothing in it is newer than asked: the walk alone. A table of one region is one walk.
class ADelta : public testing::Test {
 protected:
  static shm::RegionSchema schema() { return {{{"net", {{"flows", 8, 24, 300'000}}, journal_bytes}}}; }
  TestRegion region{schema()};
  shm::StoreWriter writer = region.writer(1);
};

TEST_F(ADelta, MovesItsMarkWhileItFindsNothing) {
  EXPECT_TRUE(eventually([&] {
    SnapshotScan sut(region.store(), writer.committed(), 1000);
    std::size_t moved = 0;  // twice in any case: at the record that is put here, and at the end of the table
    Sequence mark = sut.take().mark;
    for (;;) {
      put(writer, 1, 1);
      const auto taken = sut.take();
      if (taken.finished) { return false; }
      moved += taken.mark > mark ? 1U : 0U;
      mark = taken.mark;
      if (moved > 2) { return true; }
    }
  }));
}

/// The walk takes its time; being given up, it does not. Compared in one run, the best of several.
TEST_F(ADelta, IsGivenUpWithoutWalkingToTheEnd) {
  using Clock = std::chrono::steady_clock;
  auto whole = Clock::duration::max();
  auto given_up = whole;
  for (int i = 0; i < 5; ++i) {
    const auto begun = Clock::now();
    {
      SnapshotScan sut(region.store(), writer.committed(), 1000);
      while (!sut.take().finished) { std::this_thread::yield(); }
    }
    const auto between = Clock::now();
    {
      SnapshotScan sut(region.store(), writer.committed(), 1000);
      const auto begins = sut.take().mark;
      put(writer, 1, 1);
      while (sut.take().mark == begins) { std::this_thread::yield(); }  // until the walk has begun
    }
    whole = std::min(whole, between - begun);
    given_up = std::min(given_up, Clock::now() - between);
  }
  EXPECT_LT(given_up, whole / 4);
}

}  // namespace
}  // namespace understudy::link::replication
