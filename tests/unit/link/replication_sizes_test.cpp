// SPDX-License-Identifier: Apache-2.0
/// A mirror whose region has another journal than its active's: it is taken as it is, or refused with what to do.
/// Covers: link/src/replication_refusal.cpp
#include <gtest/gtest.h>

#include "replication_bench.hpp"

namespace understudy::link::replication {
namespace {

constexpr std::size_t kib = 1024;

shm::RegionSchema with_journals(std::size_t bytes) {
  auto schema = two_stores();
  schema.stores[0].tables[1] = {"large", 8, 4000, 200};
  for (auto& store : schema.stores) { store.journal_bytes = bytes; }
  return schema;
}

struct Sizes : Pair {
  explicit Sizes(std::size_t of_active, std::size_t of_mirror)
      : Pair(with_journals(of_active)), other(with_journals(of_mirror)) {
    sender_options.on_refused = [this](const std::string& what) { told.push_back(what); };
    sender_options.on_smaller_journal = [this](const std::string& what) { smaller.push_back(what); };
  }
  TestRegion other;
  std::vector<std::string> told;
  std::vector<std::string> smaller;
};

/// Which fits the active's journal, and half of which does not fit the mirror's.
void put_one_transaction(shm::StoreWriter& writer, unsigned changes) {
  ASSERT_TRUE(writer.begin().ok());
  for (unsigned i = 0; i < changes; ++i) { put(writer, i, i, 1); }
  ASSERT_TRUE(writer.commit().ok());
}

TEST(ReplicationSizes, AMirrorWithASmallerJournalIsFollowedAndToldOnceUntilOneHasTheSize) {
  Sizes pair(256 * kib, 64 * kib);
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver(1, &pair.other);
  ASSERT_TRUE(pair.synced());
  put_one_transaction(net, 7);
  ASSERT_TRUE(pair.run_until([&] { return pair.other.store().committed() == net.committed(); }));
  EXPECT_TRUE(pair.active.store().mirrored().protected_by_mirror);
  pair.receiver.reset();
  pair.start_receiver(1, &pair.other);
  ASSERT_TRUE(pair.synced());
  ASSERT_EQ(pair.smaller.size(), 1U);
  for (const char* words : {"\"net\"", "\"sessions\"", "64 KiB", "256 KiB", "32 KiB", "journal_kib"}) {
    EXPECT_NE(pair.smaller[0].find(words), std::string::npos) << words << " is not in: " << pair.smaller[0];
  }
  pair.receiver.reset();
  pair.start_receiver(1, &pair.mirror);
  ASSERT_TRUE(pair.run_until([&] { return pair.smaller.size() > 1; }));
  EXPECT_EQ(pair.smaller[1], "");
  EXPECT_EQ(pair.told.size(), 0U);
}

TEST(ReplicationSizes, AMirrorWhoseJournalDoesNotHoldATransactionThatWasCommittedIsRefusedOnceWithWhatToDo) {
  Sizes pair(256 * kib, 64 * kib);
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver(1, &pair.other);
  put_one_transaction(net, 30);
  ASSERT_TRUE(pair.run_until([&] {
    return !pair.told.empty() && pair.receiver_detail.find("journal") != std::string::npos;
  })) << pair.sender_detail
      << " " << pair.receiver_detail;
  for (const char* words : {"\"net\"", "64 KiB", "256 KiB", "119 KiB", "journal_kib", "make"}) {
    EXPECT_NE(pair.told[0].find(words), std::string::npos) << words << " is not in: " << pair.told[0];
    EXPECT_NE(pair.receiver_detail.find(words), std::string::npos) << words << " is not in: " << pair.receiver_detail;
  }
  EXPECT_FALSE(pair.run_until([&] { return pair.told.size() > 1; }, 300ms))
      << "it comes again and again, and is told once";
  EXPECT_EQ(pair.other.store().committed(), Sequence{0});
  pair.receiver.reset();
  pair.start_receiver(1, &pair.mirror);
  ASSERT_TRUE(pair.run_until([&] { return pair.mirror.store().committed() == net.committed(); }));
}

TEST(ReplicationSizes, AnotherJournalThatTakesEveryTransactionOfTheActiveIsGoodEnough) {
  Sizes pair(4096 * kib, 2048 * kib);  // 1 MiB is the most in both
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver(1, &pair.other);
  ASSERT_TRUE(pair.synced());
  put_one_transaction(net, 64);
  ASSERT_TRUE(pair.run_until([&] { return pair.other.store().committed() == net.committed(); }))
      << pair.receiver_detail;
  EXPECT_EQ(pair.told.size(), 0U);
}

TEST(ReplicationSizes, AMirrorWithOtherTablesIsToldOnceToo) {
  Pair pair;
  std::vector<std::string> told;
  pair.sender_options.on_refused = [&](const std::string& what) { told.push_back(what); };
  const TestRegion other(two_stores(5000));
  pair.start_sender();
  pair.start_receiver(1, &other);
  ASSERT_TRUE(
      pair.run_until([&] { return !told.empty() && pair.receiver_detail.find("other sizes") != std::string::npos; }));
  EXPECT_NE(told[0].find("group.toml"), std::string::npos) << told[0];
}

/// What an application does when it is told Full, and what its mirror makes of it.
TEST(ReplicationGrowth, AnActiveThatIsFullGrowsAndGoesOnAndSoDoesItsMirror) {
  auto schema = two_stores(100);
  schema.stores[0].tables[0].capacity_max = 2000;
  Pair pair(schema);
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  for (std::uint64_t i = 0; i < 100; ++i) { put(net, i, i); }
  const auto full = net.put(0, bytes_of(100, 8), bytes_of(100, 24));
  ASSERT_EQ(full.error().code, Errc::Full);
  pair.expect_same();
  EXPECT_EQ(pair.mirror.store().capacity(0), 100U) << "not before it must";
  const auto reader = pair.mirror.store();
  ASSERT_TRUE(net.rebuild(0).ok());
  for (std::uint64_t i = 100; i < 2000; ++i) {
    put(net, i, i);
    if (i % 100 == 0) { pair.io.poll(); }
  }
  pair.expect_same();
  EXPECT_EQ(pair.mirror.store().capacity(0), 2000U);
  EXPECT_EQ(reader.count(0), 2000U) << "who had opened it before reads on";
  EXPECT_EQ(net.put(0, bytes_of(2000, 8), bytes_of(0, 24)).error().code, Errc::Full);
  pair.receiver.reset();
  auto next = pair.mirror.writer(2);
  put(next, 5, 50);  // taken over
  EXPECT_EQ(pair.mirror.store().capacity(0), 2000U);
}

}  // namespace
}  // namespace understudy::link::replication
