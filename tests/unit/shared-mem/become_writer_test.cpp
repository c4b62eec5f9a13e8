// SPDX-License-Identifier: Apache-2.0
/// Becoming the writer of a damaged store: a refusal leaves everything as it was.
/// Covers: shared-mem/src/recovery.cpp
#include "raw_region.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

class BecomeWriter : public testing::Test {
 protected:
  void SetUp() override {
    auto writer = store.become_writer(Term{3}).value();
    for (std::uint64_t id = 0; id < 10; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
    last = writer.committed().value;
  }
  /// Refused, and the writer that there may be serves on under the term that it has.
  void expect_untouched() {
    const auto epoch = store.epoch();
    const auto writer = store.become_writer(Term{9});
    ASSERT_FALSE(writer.ok());
    EXPECT_EQ(writer.error().code, Errc::Damaged);
    EXPECT_EQ(store.term(), Term{3});
    EXPECT_EQ(store.epoch(), epoch);
    EXPECT_EQ(store.can_become_writer(Term{9}).error().code, Errc::Damaged);
  }
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
  RawRegion raw{file.path(), small_region_bytes};
  layout::CommitLine& commit = raw.control()->commit;
  std::uint64_t last = commit.committed;
};

TEST_F(BecomeWriter, OfAStoreWhoseJournalHasNoEndChangesNothing) {
  commit.ends[0].sequence = commit.ends[1].sequence = 77;
  expect_untouched();
}

TEST_F(BecomeWriter, OfAStoreWhoseCommitPointCannotBeChangesNothing) {
  commit.committed = layout::sequence_max + 1;
  expect_untouched();
}

/// As many as are left would be used up by a guest that writes the number, and not by any writer.
TEST_F(BecomeWriter, OfAStoreWithHardlyASequenceLeftChangesNothing) {
  const auto end_at = [&](std::uint64_t committed) {
    commit.ends[0] = {committed, commit.reserved_end};
    commit.ends[1] = {committed, commit.reserved_end};
    commit.committed = committed;
  };
  end_at(layout::sequence_max);
  expect_untouched();
  end_at(layout::sequence_max - (std::uint64_t{1} << 40) + 1);
  expect_untouched();
  end_at(layout::sequence_max - (std::uint64_t{1} << 40));
  auto writer = store.become_writer(Term{9});
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  EXPECT_TRUE(put(*writer, 77, 77).ok());
}

TEST_F(BecomeWriter, OfAStoreWhoseJournalWouldBeginAt0AgainChangesNothing) {
  for (const std::uint64_t position : {~std::uint64_t{7}, (std::uint64_t{1} << 62) + 8}) {
    commit.ends[0].position = commit.ends[1].position = commit.reserved_end = position;
    expect_untouched();
  }
  commit.sync = layout::sync_snapshot;  // a copy that is being made begins its journal there
  expect_untouched();
  commit.sync = 0;
  commit.ends[0].position = commit.ends[1].position = commit.reserved_end = std::uint64_t{1} << 62;
  auto writer = store.become_writer(Term{9});
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  EXPECT_TRUE(put(*writer, 77, 77).ok());
  EXPECT_EQ(get(store, 77), 77U);
}

TEST_F(BecomeWriter, OfAStoreWhoseJournalEndsElsewhereChangesNothing) {
  commit.reserved_end += std::uint64_t{64 << 10} * 2;
  expect_untouched();
}

/// The repair searches a slot for each: in a table without an Empty slot that would take it for ever.
TEST_F(BecomeWriter, OfAStoreWithMoreUnfinishedChangesThanAnyWriterLeavesChangesNothing) {
  const auto plan = raw.header().stores[0];
  std::uint64_t position =
      commit.ends[0].sequence == commit.committed ? commit.ends[0].position : commit.ends[1].position;
  const auto leave = [&](std::uint64_t changes) {
    for (; changes > 0; --changes) {
      const std::uint64_t sequence = ++last;
      const auto entry = sound_entry({sequence, 0, 8, flows, 0, layout::op_erase, 0, 0}, 1'000'000 + sequence);
      std::memcpy(raw.word(plan.journal_offset + position), entry.data(), entry.size());
      position += entry.size();
    }
    commit.reserved_end = position;
  };
  leave(191);
  EXPECT_TRUE(store.can_become_writer(Term{9}).ok()) << "as many as a mirror's group";
  leave(1);
  expect_untouched();
}

TEST_F(BecomeWriter, IsAnsweredBeforeItIsTriedAndThatChangesNothing) {
  const auto epoch = store.epoch();
  EXPECT_TRUE(store.can_become_writer(Term{3}).ok());
  EXPECT_EQ(store.can_become_writer(Term{2}).error().code, Errc::Refused) << "a term of before";
  EXPECT_EQ(store.epoch(), epoch);
  const auto writer = store.become_writer(Term{4}).value();
  EXPECT_EQ(store.can_become_writer(Term{5}).error().code, Errc::Refused) << "being written";
  const auto reader = Region::open(file.path(), Access::ReadOnly).value().store("state").value();
  EXPECT_EQ(reader.can_become_writer(Term{5}).error().code, Errc::Refused) << "open for reading";
}

}  // namespace
}  // namespace understudy::shm
