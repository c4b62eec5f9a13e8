// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace understudy::link::replication {
namespace {

std::vector<std::byte> random_bytes(std::mt19937& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) { byte = static_cast<std::byte>(random()); }
  return bytes;
}

Hello sample_hello() {
  Hello hello{RoleId{"role-1"}, {}};
  hello.stores.push_back({"net", 99, Sequence{5}, false, {{Term{1}, Sequence{1}}, {Term{3}, Sequence{4}}}, 4 << 20});
  hello.stores.push_back({"sessions", 98, Sequence{0}, true, {}});
  return hello;
}

TEST(ReplicationPayload, HelloComesOutAsItWentIn) {
  const auto hello = decode_hello(encode_payload(sample_hello()));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello.value().role, RoleId{"role-1"});
  ASSERT_EQ(hello.value().stores.size(), 2u);
  EXPECT_EQ(hello.value().stores[0].store, "net");
  EXPECT_EQ(hello.value().stores[0].committed, Sequence{5});
  EXPECT_EQ(hello.value().stores[0].journal_bytes, 4U << 20);
  ASSERT_EQ(hello.value().stores[0].history.size(), 2u);
  EXPECT_EQ(hello.value().stores[0].history[1].term, Term{3});
  EXPECT_EQ(hello.value().stores[0].history[1].first, Sequence{4});
  EXPECT_TRUE(hello.value().stores[1].syncing);
}

TEST(ReplicationPayload, RefusesWhatIsCutShortOrTooLong) {
  const auto whole = encode_payload(sample_hello());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_hello(std::span(whole).first(size)).ok());
  }
  auto longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_hello(longer).ok());
}

TEST(ReplicationPayload, RefusesAHistoryThatDoesNotGrow) {
  EXPECT_TRUE(
      decode_history(encode_payload(std::vector<shm::TermStart>{{Term{1}, Sequence{1}}, {Term{2}, Sequence{2}}})).ok());
  EXPECT_FALSE(
      decode_history(encode_payload(std::vector<shm::TermStart>{{Term{2}, Sequence{1}}, {Term{1}, Sequence{2}}})).ok());
  EXPECT_FALSE(
      decode_history(encode_payload(std::vector<shm::TermStart>{{Term{1}, Sequence{2}}, {Term{2}, Sequence{2}}})).ok());
}

TEST(ReplicationPayload, SnapshotRecordsComeOutAsTheyWentIn) {
  SnapshotRecordsBuilder builder(2, 3);
  std::mt19937 random(4);
  const auto key = random_bytes(random, 3);
  std::vector<std::vector<std::byte>> values;
  for (std::uint64_t i = 1; i <= 10; ++i) {
    values.push_back(random_bytes(random, i == 10 ? 64 << 10 : i - 1));
    builder.add(Sequence{i}, key, values.back());
  }
  const auto payload = builder.take();
  EXPECT_TRUE(builder.empty());
  const auto records = decode_snapshot_records(payload);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ(records.value().table, 2u);
  ASSERT_EQ(records.value().records.size(), 10u);
  for (std::uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(records.value().records[i].sequence, Sequence{i + 1});
    EXPECT_TRUE(std::ranges::equal(records.value().records[i].key, key));
    EXPECT_TRUE(std::ranges::equal(records.value().records[i].value, values[i]));
  }
}

TEST(ReplicationPayload, SurvivesAnyBytes) {
  std::mt19937 random(5);
  const std::vector<std::vector<std::byte>> good{
      encode_payload(sample_hello()), encode_payload(Refusal{RefusalReason::StaleMirror, "no"}),
      encode_payload(SnapshotEnd{Sequence{3}, sample_hello().stores[0].history}),
      encode_payload(Progress{9, {{Sequence{1}, Sequence{1}, true, 2}}})};
  for (int round = 0; round < 50'000; ++round) {
    auto bytes = round % 2 == 0 ? random_bytes(random, random() % 120) : good[random() % good.size()];
    if (!bytes.empty()) { bytes[random() % bytes.size()] = static_cast<std::byte>(random()); }
    (void)decode_hello(bytes);
    (void)decode_refusal(bytes);
    (void)decode_resume(bytes);
    (void)decode_snapshot_begin(bytes);
    (void)decode_snapshot_end(bytes);
    (void)decode_history(bytes);
    (void)decode_progress(bytes);
    (void)decode_grant_nonce(bytes);
    const auto records = decode_snapshot_records(bytes);
    if (records) {
      for (const auto& record : records.value().records) { EXPECT_LE(record.value.size(), bytes.size()); }
    }
  }
}

TEST(ReplicationPayload, RefusalComesOutAsItWentInForEveryReason) {
  for (const auto reason :
       {RefusalReason::WrongRole, RefusalReason::StaleMirror, RefusalReason::StaleActive, RefusalReason::OtherStores,
        RefusalReason::Lapped, RefusalReason::Replaced, RefusalReason::Damaged, RefusalReason::SmallerJournal}) {
    const auto refusal = decode_refusal(encode_payload(Refusal{reason, "role-1 is at term 7"}));
    ASSERT_TRUE(refusal.ok());
    EXPECT_EQ(refusal.value().reason, reason);
    EXPECT_EQ(refusal.value().text, "role-1 is at term 7");
  }
}

TEST(ReplicationPayload, AReasonThatThisProgramDoesNotKnowIsRefused) {
  for (const auto reason : {0U, 9U, 255U}) {
    EXPECT_EQ(decode_refusal(encode_payload(Refusal{static_cast<RefusalReason>(reason), "x"})).error().code,
              Errc::Damaged)
        << reason;
  }
}

TEST(ReplicationPayload, ARefusalsTextIsBoundedAndHarmlessInALog) {
  const auto longest = decode_refusal(encode_payload(Refusal{RefusalReason::Damaged, std::string(5000, 'x')}));
  ASSERT_TRUE(longest.ok());
  EXPECT_EQ(longest.value().text, std::string(512, 'x'));
  const auto hostile = decode_refusal(encode_payload(Refusal{RefusalReason::Damaged, "a\nb\x1b[2J\xc3\xa4~ "}));
  ASSERT_TRUE(hostile.ok());
  EXPECT_EQ(hostile.value().text, "a?b?[2J??~ ");
}

TEST(ReplicationPayload, AGrantsNonceComesOutAsItWentInAndNothingElseDoes) {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{7}, ~std::uint64_t{0}}) {
    auto payload = encode_payload(GrantNonce{value});
    const auto decoded = decode_grant_nonce(payload);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded.value().value, value);
    EXPECT_FALSE(decode_grant_nonce(std::span(payload).first(7)).ok());
    payload.push_back(std::byte{0});
    EXPECT_FALSE(decode_grant_nonce(payload).ok());
  }
  EXPECT_FALSE(decode_grant_nonce({}).ok());
}

TEST(ReplicationPayload, SnapshotBoundsComeOutAsTheyWentIn) {
  for (const bool full : {false, true}) {
    const auto begin = decode_snapshot_begin(encode_payload(SnapshotBegin{full, Sequence{~std::uint64_t{0}}}));
    ASSERT_TRUE(begin.ok());
    EXPECT_EQ(begin.value().full, full);
    EXPECT_EQ(begin.value().target, Sequence{~std::uint64_t{0}});
  }
  const auto end = decode_snapshot_end(encode_payload(SnapshotEnd{Sequence{9}, sample_hello().stores[0].history}));
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end.value().purged_up_to, Sequence{9});
  ASSERT_EQ(end.value().history.size(), 2U);
  EXPECT_EQ(end.value().history[0].term, Term{1});
  const auto resume = decode_resume(encode_payload(Resume{Sequence{4711}}));
  ASSERT_TRUE(resume.ok());
  EXPECT_EQ(resume.value().target, Sequence{4711});
}

TEST(ReplicationPayload, ProgressComesOutAsItWentInAlsoOfNoStores) {
  const auto progress =
      decode_progress(encode_payload(Progress{17, {{Sequence{5}, Sequence{4}, false, 1}, {{}, {}, true, 2}}}));
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(progress.value().frames, 17U);
  ASSERT_EQ(progress.value().stores.size(), 2U);
  EXPECT_EQ(progress.value().stores[0].received, Sequence{5});
  EXPECT_EQ(progress.value().stores[0].applied, Sequence{4});
  EXPECT_FALSE(progress.value().stores[0].syncing);
  EXPECT_TRUE(progress.value().stores[1].syncing);
  EXPECT_EQ(progress.value().stores[1].round, 2U);
  EXPECT_TRUE(decode_progress(encode_payload(Progress{})).ok());
}

TEST(ReplicationPayload, MoreStoresThanARegionHoldsAreRefused) {
  Hello hello = sample_hello();
  Progress progress;
  hello.stores.resize(stores_max, hello.stores[0]);
  progress.stores.resize(stores_max);
  EXPECT_TRUE(decode_hello(encode_payload(hello)).ok());
  EXPECT_TRUE(decode_progress(encode_payload(progress)).ok());
  hello.stores.resize(stores_max + 1, hello.stores[0]);
  progress.stores.resize(stores_max + 1);
  EXPECT_FALSE(decode_hello(encode_payload(hello)).ok());
  EXPECT_FALSE(decode_progress(encode_payload(progress)).ok());
}

TEST(ReplicationPayload, ALongHistoryIsSentByItsNewestTerms) {
  std::vector<shm::TermStart> history;
  for (std::uint64_t i = 1; i <= history_max + 10; ++i) { history.push_back({Term{i}, Sequence{10 * i}}); }
  const auto decoded = decode_history(encode_payload(history));
  ASSERT_TRUE(decoded.ok());
  ASSERT_EQ(decoded.value().size(), history_max);
  EXPECT_EQ(decoded.value().front().term, Term{11});
  EXPECT_EQ(decoded.value().back().term, history.back().term);
}

TEST(ReplicationPayload, NamesLongerThanAStoresAreRefused) {
  Hello hello = sample_hello();
  hello.role.value = std::string(64, 'r');
  EXPECT_TRUE(decode_hello(encode_payload(hello)).ok());
  hello.role.value += 'r';
  EXPECT_FALSE(decode_hello(encode_payload(hello)).ok());
}

TEST(ReplicationPayload, SnapshotRecordsWhoseNumbersDoNotMultiplyAreRefused) {
  SnapshotRecordsBuilder builder(0, 8);
  const std::vector<std::byte> word(8);
  builder.add(Sequence{1}, word, word);
  builder.add(Sequence{2}, word, word);
  const auto good = builder.take();
  ASSERT_TRUE(decode_snapshot_records(good).ok());
  const auto with = [&](std::size_t at, std::uint32_t number) {
    auto bytes = good;
    std::memcpy(bytes.data() + at, &number, sizeof number);
    return decode_snapshot_records(bytes).ok();
  };
  EXPECT_FALSE(with(8, 1)) << "fewer than there are";
  EXPECT_FALSE(with(8, 3)) << "more than there are";
  EXPECT_FALSE(with(4, 9)) << "longer keys";
  EXPECT_FALSE(with(4, ~0U)) << "key and value overflow 32 bits together";
  EXPECT_FALSE(with(8, ~0U)) << "more than memory holds";
  EXPECT_FALSE(with(20, 9)) << "a longer value";
  EXPECT_FALSE(with(20, ~0U));
  EXPECT_FALSE(decode_snapshot_records(std::span(good).first(11)).ok());
}

TEST(ReplicationPayload, ABuilderThatGaveItsRecordsAwayBeginsAnew) {
  SnapshotRecordsBuilder builder(3, 1);
  const std::vector<std::byte> one(1, std::byte{7});
  builder.add(Sequence{1}, one, one);
  (void)builder.take();
  EXPECT_TRUE(builder.empty());
  builder.add(Sequence{2}, one, one);
  const auto payload = builder.take();
  const auto records = decode_snapshot_records(payload);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ(records.value().records.size(), 1U);
  EXPECT_EQ(records.value().table, 3U);
  EXPECT_EQ(records.value().records[0].sequence, Sequence{2});
}

}  // namespace
}  // namespace understudy::link::replication
