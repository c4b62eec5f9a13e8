// SPDX-License-Identifier: Apache-2.0
/// Journal frames at the mirror: their entries' own checksums are what tells that they came as they were sent, and who
/// is told of them once they are applied.
/// Covers: link/src/replication_applier.cpp, link/src/replication_frame.cpp
#include <gtest/gtest.h>

#include "replication_applier.hpp"
#include "replication_bench.hpp"

namespace understudy::link::replication {
namespace {

using Wire = std::vector<std::byte>;

Wire wire(FrameType type, std::uint16_t store, Wire payload, std::uint64_t first) {
  auto frame = encode({type, store, Term{1}, digest_of(role), Sequence{first}}, std::move(payload));
  frame.header.insert(frame.header.end(), frame.payload.begin(), frame.payload.end());
  return frame.header;
}
Wire resume(std::uint16_t store = 0) { return wire(FrameType::Resume, store, encode_payload(Resume{Sequence{9}}), 1); }

/// Bytes of the wire into an applier, as a connection does it.
Status deliver(Applier& to, const Wire& bytes) {
  FrameDecoder decoder;
  const auto room = decoder.prepare();
  std::copy(bytes.begin(), bytes.end(), room.begin());
  decoder.commit(bytes.size());
  const auto frame = decoder.next();
  if (!frame) { return frame.error(); }
  if (!frame.value()) { return failure("a part of a frame"); }
  return to.on_frame(*frame.value());
}

/// The journal of `region`'s store "net" after one transaction of five puts.
Wire transaction_in(const TestRegion& region) {
  auto writer = region.writer(1);
  EXPECT_TRUE(writer.begin().ok());
  for (std::uint64_t i = 1; i <= 5; ++i) { put(writer, i, 100 + i); }
  EXPECT_TRUE(writer.commit().ok());
  return shm::JournalReader(region.store(), Sequence{0}).read(1 << 20)->bytes;
}

TEST(AJournalFrame, OfWhichAnyBitCameOtherwiseIsRefusedAndNothingOfItIsApplied) {
  const TestRegion active;
  const TestRegion mirror;
  const auto entries = transaction_in(active);
  const ReceiverCallbacks callbacks;
  Applier sut(callbacks);
  ASSERT_TRUE(sut.acquire(mirror.open(), Term{1}).ok());
  const auto good = wire(FrameType::Journal, 0, entries, 1);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    sut.begin_connection();
    ASSERT_TRUE(deliver(sut, resume()).ok());
    ASSERT_FALSE(deliver(sut, bad).ok()) << "bit " << bit;
    ASSERT_EQ(mirror.store().committed(), Sequence{0}) << "bit " << bit;
  }
  sut.begin_connection();
  ASSERT_TRUE(deliver(sut, resume()).ok());
  ASSERT_TRUE(deliver(sut, good).ok());
  EXPECT_EQ(content_of(mirror.store()), content_of(active.store()));
}

/// Kept until the transaction's last frame has come, but looked at when it comes.
TEST(AJournalFrame, WithPartOfATransactionIsRefusedAtOnceWhenABitOfItCameOtherwise) {
  const TestRegion active;
  const TestRegion mirror;
  const auto entries = transaction_in(active);
  const auto entry = static_cast<std::ptrdiff_t>(shm::whole_entries(entries, entries.size() / 4).bytes);
  std::vector<Wire> frames;
  for (const auto& [from, to] : {std::pair(0, 2), std::pair(2, 4), std::pair(4, 5)}) {
    frames.push_back(wire(FrameType::Journal, 0, {entries.begin() + from * entry, entries.begin() + to * entry},
                          static_cast<std::uint64_t>(from) + 1));
  }
  const ReceiverCallbacks callbacks;
  Applier sut(callbacks);
  ASSERT_TRUE(sut.acquire(mirror.open(), Term{1}).ok());
  for (std::size_t part = 0; part < 2; ++part) {
    for (std::size_t bit = header_bytes * 8; bit < frames[part].size() * 8; ++bit) {
      auto bad = frames[part];
      bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
      sut.begin_connection();
      ASSERT_TRUE(deliver(sut, resume()).ok());
      if (part == 1) { ASSERT_TRUE(deliver(sut, frames[0]).ok()); }
      ASSERT_FALSE(deliver(sut, bad).ok()) << "frame " << part << ", bit " << bit;
    }
  }
  sut.begin_connection();
  ASSERT_TRUE(deliver(sut, resume()).ok());
  for (const auto& frame : frames) {
    EXPECT_EQ(mirror.store().committed(), Sequence{0});
    ASSERT_TRUE(deliver(sut, frame).ok());
  }
  EXPECT_EQ(content_of(mirror.store()), content_of(active.store()));
}

TEST(AnApplier, TellsOfTheStoreThatItWasAskedForAlone) {
  const TestRegion mirror;
  std::vector<std::string> told;
  ReceiverCallbacks callbacks;
  callbacks.on_applied = [&](const std::string& store, std::span<const shm::JournalEntry> entries) {
    told.insert(told.end(), entries.size(), store);
  };
  callbacks.applied_of = "sessions";
  Applier sut(callbacks);
  ASSERT_TRUE(sut.acquire(mirror.open(), Term{1}).ok());
  sut.begin_connection();
  const TestRegion active;
  auto net = active.writer(1);
  auto sessions = active.writer(1, "sessions");
  put(net, 1, 2);
  put(sessions, 3, 4);
  for (std::uint16_t index = 0; const auto* name : {"net", "sessions"}) {
    shm::JournalReader reader(active.store(name), Sequence{0});
    ASSERT_TRUE(deliver(sut, resume(index)).ok());
    ASSERT_TRUE(deliver(sut, wire(FrameType::Journal, index, reader.read(1 << 20)->bytes, 1)).ok());
    EXPECT_EQ(content_of(mirror.store(name)), content_of(active.store(name)));
    ++index;
  }
  EXPECT_EQ(told, std::vector<std::string>{"sessions"});
}

}  // namespace
}  // namespace understudy::link::replication
