// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_frame.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

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

/// Of a Journal frame the header's: its entries have checksums of their own (AJournalFrame).
TEST(ReplicationFrame, NoticesEveryFlippedBit) {
  std::mt19937 random(3);
  for (const auto type : {FrameType::SnapshotRecords, FrameType::Journal}) {
    auto header = sample_header();
    header.type = type;
    const auto good = flat(encode(header, random_bytes(random, 50)));
    const std::size_t covered = type == FrameType::Journal ? header_bytes : good.size();
    for (std::size_t bit = 0; bit < covered * 8; ++bit) {
      auto bytes = good;
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      FrameDecoder decoder;
      feed(decoder, bytes);
      const auto frame = decoder.next();
      // A flipped length may ask for more bytes instead; it never yields a frame.
      EXPECT_TRUE(!frame.ok() || !frame.value().has_value()) << "bit " << bit;
    }
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

}  // namespace
}  // namespace understudy::link::replication
