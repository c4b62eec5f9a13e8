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

}  // namespace
}  // namespace understudy::link::replication
