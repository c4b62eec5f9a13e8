// SPDX-License-Identifier: Apache-2.0
/// Which terms wrote a store, where the list and the content do not grow together.
/// Covers: shared-mem/src/commit.cpp, shared-mem/src/sync.cpp, shared-mem/src/store.cpp
#include "raw_region.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {

static bool operator==(const TermStart& a, const TermStart& b) { return a.term == b.term && a.first == b.first; }
static void PrintTo(const TermStart& start, std::ostream* to) {
  *to << start.term.value << " from " << start.first.value;
}

namespace {

using History = std::vector<TermStart>;

struct Sut {
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
  /// One put under that term.
  void serve(std::uint64_t term) const {
    auto writer = store.become_writer(Term{term}).value();
    ASSERT_TRUE(put(writer, 1, term).ok());
  }
  /// A mirror's copy up to there.
  void sync(std::uint64_t at, const History& history) const {
    auto mirror = store.become_writer(Term{1}).value();
    ASSERT_TRUE(mirror.begin_sync(true).ok());
    ASSERT_TRUE(mirror.end_sync(Sequence{at}, {{Term{1}, Sequence{1}}}, {}).ok());
    ASSERT_TRUE(mirror.extend_history(history).ok());
  }
};

/// The next entry is written where the oldest one was: as long as it is not counted, it is nothing.
TEST(AHistory, ThatIsFullIsReadableWhileTheNextEntryIsWritten) {
  Sut sut;
  for (std::uint64_t term = 1; term <= layout::history_entries + 3; ++term) { sut.serve(term); }
  const auto before = sut.store.history();
  ASSERT_EQ(before.size(), layout::history_entries - 1);
  const RawRegion raw(sut.file.path(), small_region_bytes);
  auto& shared = raw.control()->history;
  auto& next = shared.entries[shared.count % layout::history_entries];
  next.term = 1'000;
  EXPECT_EQ(sut.store.history(), before);
  next.first = 2'000;
  EXPECT_EQ(sut.store.history(), before);
}

TEST(AHistory, ThatIsAheadOfItsContentLosesWhatNeverCame) {
  Sut sut;
  sut.sync(4'899, {{Term{1}, Sequence{1}}, {Term{2}, Sequence{5'000}}});
  sut.serve(3);
  EXPECT_EQ(sut.store.history(), (History{{Term{1}, Sequence{1}}, {Term{3}, Sequence{4'900}}}));
}

TEST(AHistory, ThatIsSeveralTermsAheadToo) {
  Sut sut;
  sut.sync(
      4'899,
      {{Term{1}, Sequence{1}}, {Term{2}, Sequence{4'900}}, {Term{3}, Sequence{5'000}}, {Term{4}, Sequence{6'000}}});
  sut.serve(5);
  EXPECT_EQ(sut.store.history(), (History{{Term{1}, Sequence{1}}, {Term{5}, Sequence{4'900}}}));
  sut.serve(6);
  EXPECT_EQ(sut.store.history(),
            (History{{Term{1}, Sequence{1}}, {Term{5}, Sequence{4'900}}, {Term{6}, Sequence{4'901}}}));
  // What a mirror of this copy is told continues what it holds.
  auto mirror = sut.store.become_writer(Term{6}).value();
  EXPECT_TRUE(mirror.extend_history(sut.store.history()).ok());
  EXPECT_EQ(sut.store.history().size(), 3U);
}

TEST(AHistory, OfATermThatWasToldAheadBeginsWhereItWrites) {
  Sut sut;
  sut.sync(4'899, {{Term{1}, Sequence{1}}, {Term{2}, Sequence{5'000}}});
  sut.serve(2);
  EXPECT_EQ(sut.store.history(), (History{{Term{1}, Sequence{1}}, {Term{2}, Sequence{4'900}}}));
}

}  // namespace
}  // namespace understudy::shm
