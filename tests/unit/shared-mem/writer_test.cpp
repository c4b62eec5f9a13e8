// SPDX-License-Identifier: Apache-2.0
/// Covers: shared-mem/src/store.cpp
#include <fstream>
#include <random>

#include "region_fixture.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

class Writing : public testing::Test {
 protected:
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
};

TEST_F(Writing, ARecordIsReadBackWithItsSequence) {
  auto writer = store.become_writer(Term{1}).value();
  EXPECT_EQ(put(writer, 7, 70).value(), Sequence{1});
  EXPECT_EQ(put(writer, 7, 71).value(), Sequence{2});
  EXPECT_EQ(get(store, 7), 71);
  EXPECT_EQ(get(store, 8), std::nullopt);
  EXPECT_EQ(store.committed(), Sequence{2});
  EXPECT_EQ(store.count(flows), 1U);
}

TEST_F(Writing, OddSizesArePaddedAndComeBackAsTheyWere) {
  auto writer = store.become_writer(Term{1}).value();
  const std::string key = "alpha";
  const std::string value = "thirteen byte";
  ASSERT_TRUE(writer.put(names, std::as_bytes(std::span(key)), std::as_bytes(std::span(value))).ok());
  std::string back(13, '?');
  ASSERT_TRUE(store.get(names, std::as_bytes(std::span(key)), std::as_writable_bytes(std::span(back))).ok());
  EXPECT_EQ(back, value);
}

TEST_F(Writing, AnErasedRecordIsGoneAndItsDeletionIsPurged) {
  auto writer = store.become_writer(Term{1}).value();
  ASSERT_TRUE(put(writer, 1, 10).ok());
  ASSERT_TRUE(put(writer, 2, 20).ok());
  EXPECT_EQ(erase(writer, 1).value(), Sequence{3});
  EXPECT_EQ(content(store), (Content{{2, 20}}));
  EXPECT_EQ(store.count(flows), 1U);
  EXPECT_EQ(store.purged_up_to(), Sequence{3});
  EXPECT_EQ(erase(writer, 1).error().code, Errc::NotFound);
  EXPECT_EQ(store.committed(), Sequence{3});
}

TEST_F(Writing, AFullTableRefusesNewKeysAndStillUpdatesOldOnes) {
  auto writer = store.become_writer(Term{1}).value();
  for (std::uint64_t id = 0; id < 1000; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  EXPECT_EQ(put(writer, 5000, 1).error().code, Errc::Full);
  EXPECT_EQ(get(store, 5000), std::nullopt);
  EXPECT_TRUE(put(writer, 3, 33).ok());
  ASSERT_TRUE(erase(writer, 4).ok());
  EXPECT_TRUE(put(writer, 5000, 1).ok());
}

TEST_F(Writing, AScanAfterASequenceFindsOnlyWhatIsNewer) {
  auto writer = store.become_writer(Term{1}).value();
  for (std::uint64_t id = 1; id <= 10; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  EXPECT_EQ(content(store, Sequence{8}), (Content{{9, 9}, {10, 10}}));
}

TEST_F(Writing, ATransactionBecomesVisibleAtItsCommitOnly) {
  auto writer = store.become_writer(Term{1}).value();
  ASSERT_TRUE(put(writer, 1, 10).ok());
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(put(writer, 2, 20).ok());
  ASSERT_TRUE(put(writer, 3, 30).ok());
  ASSERT_TRUE(erase(writer, 1).ok());
  EXPECT_EQ(content(store), (Content{{1, 10}}));
  EXPECT_EQ(writer.commit().value(), Sequence{4});
  EXPECT_EQ(content(store), (Content{{2, 20}, {3, 30}}));
  EXPECT_EQ(store.count(flows), 2U);
}

TEST_F(Writing, ATransactionRefusesAKeyTwiceAndMoreThanItsBound) {
  auto writer = store.become_writer(Term{1}).value();
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(put(writer, 0, 0).ok());
  EXPECT_EQ(put(writer, 0, 1).error().code, Errc::BadInput);
  for (std::uint64_t id = 1; id < StoreWriter::max_transaction; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  EXPECT_EQ(put(writer, 64, 1).error().code, Errc::Full);
  EXPECT_EQ(writer.commit().value(), Sequence{64});
}

TEST_F(Writing, EveryKeyOfATransactionIsRefusedAgainInItAndTakenInTheNextOne) {
  auto writer = store.become_writer(Term{1}).value();
  constexpr std::uint64_t keys = StoreWriter::max_transaction - 1;
  for (const std::uint64_t round : {1U, 2U}) {
    ASSERT_TRUE(writer.begin().ok());
    for (std::uint64_t id = 0; id < keys; ++id) { ASSERT_TRUE(put(writer, id, round).ok()) << id; }
    for (std::uint64_t id = 0; id < keys; ++id) { EXPECT_EQ(put(writer, id, 9).error().code, Errc::BadInput) << id; }
    EXPECT_EQ(writer.commit().value(), Sequence{round * keys});
  }
}

TEST_F(Writing, ARolledBackTransactionLeavesNothing) {
  auto writer = store.become_writer(Term{1}).value();
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(put(writer, 1, 1).ok());
  ASSERT_TRUE(writer.rollback().ok());
  EXPECT_EQ(put(writer, 2, 2).value(), Sequence{1});
  EXPECT_EQ(content(store), (Content{{2, 2}}));
}

TEST_F(Writing, AReplacementInAFullTableFitsIntoOneTransaction) {
  auto writer = store.become_writer(Term{1}).value();
  for (std::uint64_t id = 0; id < 1000; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(erase(writer, 17).ok());
  ASSERT_TRUE(put(writer, 2000, 1).ok());
  EXPECT_EQ(put(writer, 2001, 1).error().code, Errc::Full);
  ASSERT_TRUE(writer.commit().ok());
  EXPECT_EQ(store.count(flows), 1000U);
  EXPECT_EQ(get(store, 2000), 1);
}

TEST_F(Writing, EndlessComingAndGoingOfKeysKeepsTheTableEqualToAMap) {
  auto writer = store.become_writer(Term{1}).value();
  Content expected;
  std::mt19937_64 random(42);
  for (std::uint64_t step = 0; step < 60000; ++step) {
    const std::uint64_t id = random() % 1500;
    if (random() % 2 == 0 && expected.contains(id)) {
      ASSERT_TRUE(erase(writer, id).ok());
      expected.erase(id);
    } else if (expected.size() < 1000 || expected.contains(id)) {
      ASSERT_TRUE(put(writer, id, step).ok());
      expected[id] = step;
    }
  }
  EXPECT_EQ(content(store), expected);
  EXPECT_EQ(store.count(flows), expected.size());
  for (std::uint64_t id = 0; id < 1500; ++id) {
    const auto found = expected.find(id);
    EXPECT_EQ(get(store, id), found == expected.end() ? std::nullopt : std::optional(found->second));
  }
}

TEST_F(Writing, UpdatesInATransactionTakeNoRoomFromItsInsertions) {
  auto writer = store.become_writer(Term{1}).value();
  for (std::uint64_t id = 0; id < 998; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  ASSERT_TRUE(writer.begin().ok());
  for (std::uint64_t id = 0; id < 10; ++id) { ASSERT_TRUE(put(writer, id, 1000 + id).ok()); }
  ASSERT_TRUE(put(writer, 5000, 1).ok());
  ASSERT_TRUE(put(writer, 5001, 1).ok());
  EXPECT_EQ(put(writer, 5002, 1).error().code, Errc::Full);
  ASSERT_TRUE(put(writer, 11, 1011).ok());
  ASSERT_TRUE(writer.commit().ok());
  EXPECT_EQ(store.count(flows), 1000U);
}

TEST_F(Writing, ManyKeysAreReadAtOnce) {
  auto writer = store.become_writer(Term{1}).value();
  std::vector<std::uint64_t> keys;
  for (std::uint64_t id = 0; id < 100; ++id) {
    if (id % 3 == 0) { ASSERT_TRUE(put(writer, id, id * 7).ok()); }
    keys.push_back(id);
  }
  std::vector<Value> values(keys.size());
  std::vector<std::uint8_t> found(keys.size());
  const auto many = [&](TableIndex table) {
    return store.get_many(table, std::as_bytes(std::span(keys)), std::as_writable_bytes(std::span(values)), found);
  };
  EXPECT_EQ(many(flows).value(), 34U);
  for (std::uint64_t id = 0; id < 100; ++id) {
    EXPECT_EQ(found[id] == 1, id % 3 == 0);
    if (found[id] == 1) { EXPECT_EQ(values[id], value_of(id * 7)); }
  }
  EXPECT_EQ(many(names).error().code, Errc::BadInput);
}

TEST_F(Writing, ASecondWriterInThisKernelAndAnOlderTermAreRefused) {
  {
    auto writer = store.become_writer(Term{3}).value();
    EXPECT_EQ(store.become_writer(Term{4}).error().code, Errc::Refused) << "one kernel, one writer";
    const auto other = Region::open(file.path(), Access::ReadWrite).value();
    EXPECT_EQ(other.store("state").value().become_writer(Term{4}).error().code, Errc::Refused);
    EXPECT_TRUE(put(writer, 1, 1).ok()) << "the refused ones changed nothing";
  }
  EXPECT_EQ(store.become_writer(Term{2}).error().code, Errc::Refused) << "an older term";
  auto next = store.become_writer(Term{3}).value();
  EXPECT_EQ(put(next, 2, 2).value(), Sequence{2});
  EXPECT_EQ(store.epoch(), 2U);
}

TEST_F(Writing, AWriterThatAnotherKernelReplacedIsRefusedAtItsNextChange) {
  auto former = store.become_writer(Term{3}).value();
  ASSERT_TRUE(put(former, 1, 1).ok());
  ASSERT_TRUE(former.begin().ok());
  ASSERT_TRUE(put(former, 2, 2).ok());
  {  // file locks do not reach another kernel: the word alone stops the former writer
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::uint64_t term_and_epoch[2] = {4, 2};
    bytes.seekp(layout::header_area_bytes + offsetof(layout::StoreControl, writer));
    bytes.write(reinterpret_cast<const char*>(term_and_epoch), sizeof term_and_epoch);
  }
  EXPECT_EQ(former.commit().error().code, Errc::Refused);
  EXPECT_EQ(put(former, 3, 3).error().code, Errc::Refused);
  EXPECT_EQ(erase(former, 1).error().code, Errc::Refused);
  EXPECT_EQ(content(store), (Content{{1, 1}}));
}

TEST_F(Writing, HistoryNamesTheTermsThatWroteSomething) {
  { auto idle = store.become_writer(Term{1}).value(); }
  {
    auto writer = store.become_writer(Term{2}).value();
    ASSERT_TRUE(put(writer, 1, 1).ok());
    ASSERT_TRUE(put(writer, 2, 2).ok());
  }
  {
    auto again = store.become_writer(Term{2}).value();
    ASSERT_TRUE(put(again, 3, 3).ok());
  }
  {
    auto writer = store.become_writer(Term{5}).value();
    ASSERT_TRUE(put(writer, 4, 4).ok());
  }
  const auto history = store.history();
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[0].term, Term{2});
  EXPECT_EQ(history[0].first, Sequence{1});
  EXPECT_EQ(history[1].term, Term{5});
  EXPECT_EQ(history[1].first, Sequence{4});
}

TEST_F(Writing, HistoryKeepsTheNewestTerms) {
  for (std::uint64_t term = 1; term <= 100; ++term) {
    auto writer = store.become_writer(Term{term}).value();
    ASSERT_TRUE(put(writer, 1, term).ok());
  }
  const auto history = store.history();
  ASSERT_EQ(history.size(), 63U);
  EXPECT_EQ(history.front().term, Term{38});
  EXPECT_EQ(history.back().first, Sequence{100});
}

TEST_F(Writing, TheMirroredWordIsOneWord) {
  EXPECT_FALSE(store.mirrored().protected_by_mirror);
  ASSERT_TRUE(store.set_mirrored({true, Sequence{12345}}).ok());
  EXPECT_TRUE(store.mirrored().protected_by_mirror);
  EXPECT_EQ(store.mirrored().acknowledged, Sequence{12345});
}

TEST_F(Writing, Misuse_WrongSizesAndTablesAreRefused) {
  auto writer = store.become_writer(Term{1}).value();
  const std::uint32_t narrow = 1;
  EXPECT_EQ(writer.put(flows, as_bytes_of(narrow), as_bytes_of(value_of(1))).error().code, Errc::BadInput);
  EXPECT_EQ(writer.put(flows, as_bytes_of(Key{1}), as_bytes_of(narrow)).error().code, Errc::BadInput);
  EXPECT_EQ(writer.put(9, as_bytes_of(Key{1}), as_bytes_of(value_of(1))).error().code, Errc::BadInput);
  EXPECT_EQ(writer.commit().error().code, Errc::BadInput);
}

}  // namespace
}  // namespace understudy::shm
