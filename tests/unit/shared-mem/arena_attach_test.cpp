// SPDX-License-Identifier: Apache-2.0
/// Which arenas are attached, and what their checkpoints see.
/// Covers: shared-mem/src/arena.cpp, shared-mem/src/live_area.cpp
#include <algorithm>
#include <optional>

#include "raw_region.hpp"
#include "region_fixture.hpp"
#include "understudy/shm/arena.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t page = layout::page_bytes;
constexpr std::uint64_t pages = 8;

class AttachingAnArena : public testing::Test {
 protected:
  struct Place {
    RegionFile file;
    Region region =
        Region::create(file.path(), 1 << 20, {{with_arena({"state", {{"flows", 8, 24, 50}}, 64 << 10}, pages* page)}})
            .value();
    Store store = region.store("state").value();
    std::optional<StoreWriter> writer = store.become_writer(Term{1}).value();

    void write_again(std::uint64_t term) {
      writer.reset();
      writer.emplace(store.become_writer(Term{term}).value());
    }
    [[nodiscard]] std::string refused(MixedPages mixed = MixedPages::Refused) {
      const auto arena = Arena::attach(*writer, FindChanges::Automatic, mixed);
      return arena ? "" : std::to_string(static_cast<int>(arena.error().code)) + " " + arena.error().message;
    }
  };

  /// A copy that somebody forces to serve when it has some pages of the second checkpoint and not the others.
  void force_half_of_a_copy() {
    auto arena = Arena::attach(*active.writer).value();
    std::ranges::fill(arena.memory(), std::byte{1});
    ASSERT_TRUE(arena.checkpoint());
    ASSERT_NO_FATAL_FAILURE(copy(pages));
    std::ranges::fill(arena.memory(), std::byte{2});
    ASSERT_TRUE(arena.checkpoint());
    ASSERT_NO_FATAL_FAILURE(copy(pages / 2));
    mirror.write_again(2);
    ASSERT_TRUE(mirror.store.syncing());
    ASSERT_TRUE(mirror.writer->accept_unsynced());
  }
  /// A full snapshot; of so many records only, it is not ended.
  void copy(std::uint64_t records) {
    ASSERT_TRUE(mirror.writer->begin_sync(true));
    std::uint64_t left = records;
    const auto table = active.store.table(arena_table_name).value();
    ASSERT_TRUE(active.store.scan(table, {}, [&](const Store::Record& record) {
      EXPECT_TRUE(mirror.writer->apply_snapshot_record(table, record.key, record.value, record.sequence));
      return --left != 0;
    }));
    if (records < pages) { return; }
    ASSERT_TRUE(mirror.writer->end_sync(active.store.committed(), active.store.history(), {}));
  }

  Place active;
  Place mirror;
  const std::string damaged =
      std::to_string(static_cast<int>(Errc::Damaged)) + " the arena of store \"state\" is a mixture";
};

TEST_F(AttachingAnArena, BesideALiveOneOfTheSameWriterIsRefusedAndTakesNothingBack) {
  std::optional<Arena> arena = Arena::attach(*active.writer).value();
  arena->memory()[5] = std::byte{1};
  EXPECT_EQ(active.refused().find(std::to_string(static_cast<int>(Errc::Refused)) + " the arena of store"), 0U);
  EXPECT_EQ(arena->memory()[5], std::byte{1});
  ASSERT_TRUE(arena->detach());
  EXPECT_EQ(active.refused(), "") << "it was detached";
  arena.emplace(Arena::attach(*active.writer).value());
  EXPECT_NE(active.refused(), "");
  arena.reset();
  EXPECT_EQ(active.refused(), "") << "it is no more";
}

TEST_F(AttachingAnArena, OfAForcedCopyIsDamagedUntilTheApplicationAsksForIt) {
  ASSERT_NO_FATAL_FAILURE(force_half_of_a_copy());
  EXPECT_EQ(mirror.refused().find(damaged), 0U) << mirror.refused();
  EXPECT_TRUE(put(*mirror.writer, 1, 1)) << "its records are whole, each for itself";
  mirror.write_again(3);
  EXPECT_EQ(mirror.refused().find(damaged), 0U) << "the next writer is told too";
  EXPECT_EQ(mirror.refused(MixedPages::Accepted), "");
  EXPECT_EQ(mirror.refused().find(damaged), 0U) << "it was looked at, and nothing was made of it";
  {
    auto arena = Arena::attach(*mirror.writer, FindChanges::Automatic, MixedPages::Accepted).value();
    EXPECT_NE(arena.memory().front(), arena.memory().back()) << "the mixture that this is about";
    std::ranges::fill(arena.memory(), std::byte{0});
    ASSERT_TRUE(arena.checkpoint());
  }
  EXPECT_EQ(mirror.refused(), "") << "it is one whole again";
}

TEST_F(AttachingAnArena, OfAForcedCopyThatWasSyncedAnewIsAsEver) {
  ASSERT_NO_FATAL_FAILURE(force_half_of_a_copy());
  ASSERT_NO_FATAL_FAILURE(copy(pages));
  mirror.write_again(3);
  EXPECT_EQ(mirror.refused(), "");
}

TEST_F(AttachingAnArena, ByComparisonFindsWhatAnotherMappingWrote) {
  {
    auto arena = Arena::attach(*active.writer, FindChanges::ByComparison).value();
    const RawRegion other(active.file.path(), 1 << 20);
    *other.word(other.header().stores[0].arena_offset + 3 * page) = 7;
    ASSERT_TRUE(arena.checkpoint());
  }
  active.write_again(1);
  const auto arena = Arena::attach(*active.writer).value();
  EXPECT_EQ(arena.memory()[3 * page], std::byte{7});
}

}  // namespace
}  // namespace understudy::shm
