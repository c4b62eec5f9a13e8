// SPDX-License-Identifier: Apache-2.0
/// A writer whose store is given to another one in the middle of its commit, at every store of it: what it had begun is
/// not committed any more. Only the very last look before the commit point can tell.
/// Covers: shared-mem/src/put.cpp, shared-mem/src/commit.cpp
#include <gtest/gtest.h>

#include <cstring>

#include "image_check.hpp"
#include "store_points.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

class AReplacedWriter : public testing::Test {
 protected:
  ~AReplacedWriter() override { points::on_store = nullptr; }

  /// Another kernel's writer is given the store behind the `at`th of this change's stores. Returns how many there were.
  std::uint64_t replaced_behind(std::uint64_t at, const std::vector<Step>& steps) {
    const ImageFile file("replaced");
    auto region = Region::create(file.path(), crash_region_bytes, crash_schema());
    EXPECT_TRUE(region.ok());
    const auto store = region->store("state");
    auto writer = store->become_writer(Term{3});
    EXPECT_TRUE(writer.ok()) << writer.error().message;
    const auto filled = write(*writer, {}, {{1, 10}, {2, 20}, {3, 30}});
    EXPECT_TRUE(filled.ok());
    const auto before = write(*writer, *filled, {{1, 11}});  // so that a put after it is a short one
    EXPECT_TRUE(before.ok());
    auto* const bytes = map_for_writing(file.path());
    std::uint64_t stores = 0;
    bool committed = false;  // what follows the commit itself is too late to be refused
    points::on_store = [&] {
      if (stores++ != at) { return; }
      committed = store->committed() != Sequence{before->committed};
      const std::uint64_t term_and_epoch[2] = {4, 2};
      std::memcpy(bytes + layout::header_area_bytes + offsetof(layout::StoreControl, writer), term_and_epoch,
                  sizeof term_and_epoch);
    };
    const auto done = write(*writer, *before, steps);
    points::on_store = nullptr;
    if (at < stores && !committed) {
      EXPECT_FALSE(done.ok()) << "committed behind store " << at << " of " << stores;
      if (!done) { EXPECT_EQ(done.error().code, Errc::Refused) << done.error().message; }
      EXPECT_EQ(store->committed(), Sequence{before->committed}) << "behind store " << at << " of " << stores;
    }
    unmap(bytes);
    return stores;
  }
  void replaced_everywhere(const std::vector<Step>& steps) {
    const auto stores = replaced_behind(UINT64_MAX - 1, steps);
    ASSERT_GT(stores, 3U);
    for (std::uint64_t at = 0; at < stores; ++at) { replaced_behind(at, steps); }
  }
};

TEST_F(AReplacedWriter, CommitsNothingOfAPut) { replaced_everywhere({{2, 21}}); }
TEST_F(AReplacedWriter, CommitsNothingOfANewRecord) { replaced_everywhere({{9, 90}}); }
TEST_F(AReplacedWriter, CommitsNothingOfAnErase) { replaced_everywhere({{2, {}}}); }
TEST_F(AReplacedWriter, CommitsNothingOfATransaction) { replaced_everywhere({{2, 21}, {9, 90}, {3, {}}}); }

}  // namespace
}  // namespace understudy::shm::crash
