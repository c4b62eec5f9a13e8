// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_frame.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "understudy/link/replication_resume.hpp"

namespace understudy::link::replication {
namespace {

std::vector<std::byte> random_bytes(std::mt19937& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) { byte = static_cast<std::byte>(random()); }
  return bytes;
}

std::vector<std::byte> flat(const EncodedFrame& frame) {
  auto bytes = frame.header;
  bytes.insert(bytes.end(), frame.payload.begin(), frame.payload.end());
  return bytes;
}

FrameHeader sample_header() { return {FrameType::Journal, 3, Term{7}, digest_of(RoleId{"role-2"}), Sequence{4711}}; }

void feed(FrameDecoder& decoder, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto room = decoder.prepare();
    const auto size = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), size);
    decoder.commit(size);
    bytes = bytes.subspan(size);
  }
}

TEST(ReplicationFrame, ComesOutAsItWentInWhateverPiecesItArrivesIn) {
  std::mt19937 random(1);
  const auto payload = random_bytes(random, 1000);
  const auto bytes = flat(encode(sample_header(), payload));
  for (std::size_t piece = 1; piece < 100; ++piece) {
    FrameDecoder decoder;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto early = decoder.next();
      ASSERT_TRUE(early.ok() && !early.value().has_value());
      feed(decoder, std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
    const auto frame = decoder.next();
    ASSERT_TRUE(frame.ok() && frame.value().has_value());
    EXPECT_EQ(frame.value()->header.type, FrameType::Journal);
    EXPECT_EQ(frame.value()->header.store, 3);
    EXPECT_EQ(frame.value()->header.term, Term{7});
    EXPECT_EQ(frame.value()->header.role_digest, digest_of(RoleId{"role-2"}));
    EXPECT_EQ(frame.value()->header.first, Sequence{4711});
    EXPECT_TRUE(
        std::equal(payload.begin(), payload.end(), frame.value()->payload.begin(), frame.value()->payload.end()));
    EXPECT_EQ(decoder.partial_bytes(), 0u);
  }
}

TEST(ReplicationFrame, TheLargestFrameFitsAndManyInARowDoNotGrowTheDecoder) {
  std::mt19937 random(2);
  const auto bytes = flat(encode(sample_header(), random_bytes(random, payload_bytes_max)));
  FrameDecoder decoder;
  int frames = 0;
  for (int i = 0; i < 5; ++i) {
    std::span<const std::byte> rest(bytes);
    while (!rest.empty()) {
      const auto room = decoder.prepare();
      ASSERT_FALSE(room.empty());
      const auto size = std::min(room.size(), rest.size());
      std::memcpy(room.data(), rest.data(), size);
      decoder.commit(size);
      rest = rest.subspan(size);
      const auto frame = decoder.next();
      ASSERT_TRUE(frame.ok());
      if (frame.value()) { ++frames; }
    }
  }
  EXPECT_EQ(frames, 5);
}

TEST(ReplicationFrame, NoticesEveryFlippedBit) {
  std::mt19937 random(3);
  const auto good = flat(encode(sample_header(), random_bytes(random, 50)));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    FrameDecoder decoder;
    feed(decoder, bytes);
    const auto frame = decoder.next();
    // A flipped length may ask for more bytes instead; it never yields a frame.
    EXPECT_TRUE(!frame.ok() || !frame.value().has_value()) << "bit " << bit;
  }
}

TEST(ReplicationFrame, RefusesALengthBeyondTheLimitBeforeItsBytesCome) {
  auto bytes = flat(encode(sample_header(), {}));
  const std::uint32_t size = payload_bytes_max + 1;
  std::memcpy(bytes.data() + 8, &size, sizeof size);
  FrameDecoder decoder;
  feed(decoder, bytes);
  const auto frame = decoder.next();
  ASSERT_FALSE(frame.ok());
  EXPECT_EQ(frame.error().code, Errc::Damaged);
}

TEST(ReplicationFrame, SurvivesAnyBytes) {
  std::mt19937 random(7410);
  const auto good = flat(encode(sample_header(), random_bytes(random, 100)));
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = round % 2 == 0 ? random_bytes(random, random() % 300) : good;
    if (round % 2 == 1) {
      for (int i = 0; i < 3; ++i) { bytes[random() % bytes.size()] = static_cast<std::byte>(random()); }
    }
    FrameDecoder decoder;
    feed(decoder, bytes);
    for (int i = 0; i < 10; ++i) {
      const auto frame = decoder.next();
      if (!frame || !frame.value()) { break; }
    }
  }
}

Hello sample_hello() {
  Hello hello{RoleId{"role-1"}, {}};
  hello.stores.push_back({"net", 99, Sequence{5}, false, {{Term{1}, Sequence{1}}, {Term{3}, Sequence{4}}}});
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
  SnapshotRecordsBuilder builder(2, 3, 5);
  std::mt19937 random(4);
  const auto key = random_bytes(random, 3);
  const auto value = random_bytes(random, 5);
  for (std::uint64_t i = 1; i <= 10; ++i) { builder.add(Sequence{i}, key, value); }
  const auto payload = builder.take();
  EXPECT_TRUE(builder.empty());
  const auto records = decode_snapshot_records(payload);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ(records.value().table, 2u);
  ASSERT_EQ(records.value().count, 10u);
  for (std::uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(records.value().at(i).sequence, Sequence{i + 1});
    EXPECT_TRUE(std::ranges::equal(records.value().at(i).key, key));
    EXPECT_TRUE(std::ranges::equal(records.value().at(i).value, value));
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
    const auto records = decode_snapshot_records(bytes);
    if (records) {
      for (std::uint32_t i = 0; i < records.value().count; ++i) { (void)records.value().at(i); }
    }
  }
}

// --- where to go on ---

const std::vector<shm::TermStart> one_owner{{Term{1}, Sequence{1}}};
const std::vector<shm::TermStart> two_owners{{Term{1}, Sequence{1}}, {Term{2}, Sequence{1001}}};
const std::vector<shm::TermStart> later_second_owner{{Term{1}, Sequence{1}}, {Term{3}, Sequence{1001}}};

ResumePoint mirror_at(std::uint64_t committed, std::vector<shm::TermStart> history, bool syncing = false) {
  return {"net", 0, Sequence{committed}, syncing, std::move(history)};
}

TEST(ReplicationResume, AKnownPointGoesOnByTheJournal) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1000, one_owner)), ResumeWay::Journal);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1050, two_owners)), ResumeWay::Journal);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(0, {})), ResumeWay::Journal);
}

TEST(ReplicationResume, SequencesOfAnotherOwnerAreReplacedInFull) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, later_second_owner}, mirror_at(1050, two_owners)), ResumeWay::Full);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1020, one_owner)), ResumeWay::Full)
      << "the old owner wrote past the takeover";
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1051, two_owners)), ResumeWay::Full);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, {}}, mirror_at(10, {})), ResumeWay::Full) << "unknown is not equal";
}

TEST(ReplicationResume, AnUnfinishedCopyIsReplacedInFull) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, one_owner}, mirror_at(1000, one_owner, true)), ResumeWay::Full);
}

TEST(ReplicationResume, AfterALapOnlyACopyWithoutMissedDeletionsGetsADelta) {
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{500}, one_owner}, Sequence{500}), ResumeWay::Delta);
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{500}, one_owner}, Sequence{499}), ResumeWay::Full);
}

}  // namespace
}  // namespace understudy::link::replication
