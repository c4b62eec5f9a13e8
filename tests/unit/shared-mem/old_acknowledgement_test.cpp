// SPDX-License-Identifier: Apache-2.0
/// A region that is used again: what a sender of before left in the mirror's line answers no commit(mirrored).
/// Covers: shared-mem/src/recovery.cpp
#include "region_fixture.hpp"
#include "understudy/app/commit_mirrored.hpp"

namespace understudy::shm {
namespace {

using Answer = app::CommitMirrored::Answer;

class AnOldAcknowledgement : public testing::Test {
 protected:
  AnOldAcknowledgement() {
    auto writer = store.become_writer(Term{1}).value();
    for (std::uint64_t id = 1; id <= 10; ++id) { EXPECT_TRUE(put(writer, id, id)); }
  }
  /// The region becomes a mirror's, and gets a state of fewer changes.
  void copy_of_another_history(Term term, Sequence at) {
    auto mirror = store.become_writer(term).value();
    ASSERT_TRUE(mirror.begin_sync(true));
    ASSERT_TRUE(mirror.apply_snapshot_record(flows, as_bytes_of(Key{1}), as_bytes_of(value_of(1)), at));
    ASSERT_TRUE(mirror.end_sync(at, {{term, Sequence{1}}}, Sequence{0}));
  }
  [[nodiscard]] Answer asked_for(Sequence sequence) const {
    constexpr Instant now{};
    return app::CommitMirrored(sequence, now + std::chrono::seconds(1)).check(store.mirrored(), now);
  }

  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
};

TEST_F(AnOldAcknowledgement, OfAnotherHistoryAnswersNobody) {
  std::uint64_t term = 1;
  for (const bool is_protected : {true, false}) {  // its sender died, or ended in order
    ASSERT_TRUE(store.set_mirrored({is_protected, Sequence{10}}));
    ASSERT_NO_FATAL_FAILURE(copy_of_another_history(Term{++term}, Sequence{3}));
    auto writer = store.become_writer(Term{++term}).value();  // and serves, before a sender was made
    const auto own = put(writer, 2, 20).value();
    ASSERT_EQ(own, Sequence{4});
    EXPECT_EQ(asked_for(own), Answer::Exposed) << "no mirror holds it";
  }
}

TEST_F(AnOldAcknowledgement, OfThisHistoryStandsForTheNextWriter) {
  ASSERT_TRUE(store.set_mirrored({true, Sequence{10}}));
  auto writer = store.become_writer(Term{2}).value();  // the application was started again, the sender went on
  EXPECT_EQ(asked_for(Sequence{10}), Answer::Now);
  EXPECT_EQ(asked_for(put(writer, 2, 20).value()), Answer::Wait);
}

}  // namespace
}  // namespace understudy::shm
