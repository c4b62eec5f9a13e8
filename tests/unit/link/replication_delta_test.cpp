// SPDX-License-Identifier: Apache-2.0
/// A scan that finds nothing newer than asked: it lets the journal go on all along its walk, and can be given up in it.
/// Covers: link/src/replication_scan.cpp
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "replication_scan.hpp"
#include "support/eventually.hpp"

namespace understudy::link::replication {
namespace {

using test::eventually;
using Clock = std::chrono::steady_clock;

/// A store with one large table: one walk.
class ADelta : public testing::Test {
 protected:
  static shm::Region create(const std::string& path) {
    const shm::RegionSchema schema{{{"net", {{"flows", 8, 24, 300'000}}, 64 << 10}}};
    return shm::Region::create(path, shm::Region::size_needed(schema).value(), schema).value();
  }
  void SetUp() override { ::unlink(path.c_str()); }  // the mapping stays
  void put() {
    const std::uint64_t key = 1;
    const std::uint64_t value[3] = {};
    ASSERT_TRUE(writer.put(0, shm::as_bytes_of(key), std::as_bytes(std::span(value))).ok());
  }
  const std::string path = "/dev/shm/understudy-delta-" + std::to_string(::getpid());
  shm::Region region = create(path);
  shm::Store store = region.store("net").value();
  shm::StoreWriter writer = store.become_writer(Term{1}).value();
};

TEST_F(ADelta, MovesItsMarkWhileItFindsNothing) {
  EXPECT_TRUE(eventually([&] {
    SnapshotScan sut(store, writer.committed(), 1000);
    std::size_t moved = 0;  // twice in any case: at the record that is put here, and at the end of the table
    Sequence mark = sut.take().mark;
    for (;;) {
      put();
      const auto taken = sut.take();
      if (taken.finished) { return false; }
      moved += taken.mark > mark ? 1U : 0U;
      mark = taken.mark;
      if (moved > 2) { return true; }
    }
  }));
}

/// A walk to the end takes its time, in the best case too; given up after its first step it does not.
TEST_F(ADelta, IsGivenUpWithoutWalkingToTheEnd) {
  auto whole = Clock::duration::max();
  EXPECT_TRUE(eventually([&] {
    const auto begun = Clock::now();
    {
      SnapshotScan sut(store, writer.committed(), 1000);
      while (!sut.take().finished) { std::this_thread::yield(); }
    }
    const auto between = Clock::now();
    whole = std::min(whole, between - begun);
    {
      SnapshotScan sut(store, writer.committed(), 1000);
      const auto begins = sut.take().mark;
      put();
      while (sut.take().mark == begins) { std::this_thread::yield(); }  // until the walk has begun
    }
    return Clock::now() - between < whole / 4;
  }));
}

}  // namespace
}  // namespace understudy::link::replication
