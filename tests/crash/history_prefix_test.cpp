// SPDX-License-Identifier: Apache-2.0
/// Freezes a writer after every single store while it notes its term: who reads the history finds the one before or the
/// one after, also when there are more terms than it keeps.
/// Covers: shared-mem/src/commit.cpp
#include <gtest/gtest.h>

#include <algorithm>

#include "fresh_process.hpp"
#include "image_check.hpp"
#include "suspended.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

using History = std::vector<TermStart>;
bool same(const History& a, const History& b) {
  return std::ranges::equal(
      a, b, [](const TermStart& x, const TermStart& y) { return x.term == y.term && x.first == y.first; });
}
/// What is said of the changes up to `committed`: a later term has written nothing yet.
History up_to(std::uint64_t committed, History history) {
  std::erase_if(history, [committed](const TermStart& start) { return start.first.value > committed; });
  return history;
}

/// Else nobody takes it from a wire.
bool each_begins_later(const History& history) {
  return std::ranges::adjacent_find(history, [](const TermStart& a, const TermStart& b) {
           return a.term >= b.term || a.first >= b.first;
         }) == history.end();
}

class EveryPrefixOfAHistory : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Region::create(file.path(), crash_region_bytes, crash_schema()).ok()); }
  void TearDown() override { points::on_store = nullptr; }
  [[nodiscard]] Store open() const {
    return Region::open(file.path(), Access::ReadWrite).value().store("state").value();
  }
  /// A put under `term`. `wanted`: the history at its end. Until its commit there is `before`, or what there was of
  /// `wanted`: the oldest term is forgotten when a new one is noted.
  void serve(std::uint64_t term, const History& before, const History& wanted) {
    const Store store = open();
    auto writer = store.become_writer(Term{term}).value();
    std::size_t wrong = 0;
    no_region_in_children();
    points::on_store = [&] {
      const Suspended suspended;
      ++images;
      const Told told = in_a_fresh_process([&](Told& tell) {
        const Store found = open();
        const auto history = found.history();
        const auto committed = found.committed().value;
        const auto said = up_to(committed, history);
        const bool good = same(said, up_to(committed, wanted)) || (committed == start && same(said, before));
        tell.found = good && each_begins_later(history);
      });
      wrong += told.found && told.violations.empty() ? 0U : 1U;
    };
    start = store.committed().value;
    const auto done = writer.put(0, as_bytes_of(Key{1}), value_bytes_of(TableKind::Hashed, term));
    points::on_store = nullptr;
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(wrong, 0U) << "of term " << term;
    EXPECT_TRUE(same(store.history(), wanted)) << "of term " << term;
  }
  ImageFile file{"history"};
  std::uint64_t images = 0;
  std::uint64_t start = 0;
};

TEST_F(EveryPrefixOfAHistory, OfMoreTermsThanItKeepsIsTheOneBeforeOrTheOneAfter) {
  History history;
  for (std::uint64_t term = 1; term <= 2 * layout::history_entries + 5; ++term) {
    auto next = history;
    next.push_back({Term{term}, Sequence{term}});
    if (next.size() >= layout::history_entries) { next.erase(next.begin()); }
    serve(term, history, next);
    history = next;
  }
  EXPECT_GT(images, 1'000U);
}

TEST_F(EveryPrefixOfAHistory, ThatIsAheadOfItsContentTellsTheContentsTerms) {
  const History held{{Term{1}, Sequence{1}}};
  {
    auto mirror = open().become_writer(Term{1}).value();
    ASSERT_TRUE(mirror.begin_sync(true).ok());
    ASSERT_TRUE(mirror.end_sync(Sequence{4'899}, held, {}).ok());
    ASSERT_TRUE(mirror.extend_history({held[0], {Term{2}, Sequence{5'000}}, {Term{3}, Sequence{6'000}}}).ok());
  }
  serve(4, held, {held[0], {Term{4}, Sequence{4'900}}});
}

}  // namespace
}  // namespace understudy::shm::crash
