// SPDX-License-Identifier: Apache-2.0
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

using State = JournalReader::State;

class Following : public testing::Test {
 protected:
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
};

TEST_F(Following, EntriesArriveInOrderWithoutGapsThroughManyLapsOfTheRing) {
  JournalReader reader(store, Sequence{0});
  std::uint64_t expected = 0;
  for (std::uint64_t round = 0; round < 200; ++round) {
    for (std::uint64_t i = 0; i < 37; ++i) { ASSERT_TRUE(put(writer, i, round).ok()); }
    const auto chunk = reader.read(1 << 20).value();
    ASSERT_EQ(chunk.state, State::Entries);
    ASSERT_EQ(chunk.first.value, expected + 1);
    ASSERT_TRUE(for_each_entry(chunk.bytes, [&](const JournalEntry& entry) {
                  EXPECT_EQ(entry.sequence.value, ++expected);
                  EXPECT_EQ(entry.value.size(), 24U);
                }).ok());
    ASSERT_EQ(chunk.last.value, expected);
  }
  EXPECT_EQ(reader.read(1 << 20).value().state, State::Nothing);
}

TEST_F(Following, AReaderThatWasOvertakenIsTold) {
  JournalReader reader(store, Sequence{0});
  ASSERT_TRUE(put(writer, 1, 1).ok());
  ASSERT_EQ(reader.read(1 << 20).value().state, State::Entries);
  for (std::uint64_t i = 0; i < 3000; ++i) { ASSERT_TRUE(put(writer, 1, i).ok()); }
  EXPECT_EQ(reader.read(1 << 20).value().state, State::Lapped);
  EXPECT_EQ(JournalReader(store, Sequence{5}).read(1 << 20).value().state, State::Lapped);
}

TEST_F(Following, AReaderStartsAnywhereThatTheRingStillHolds) {
  for (std::uint64_t i = 0; i < 5000; ++i) { ASSERT_TRUE(put(writer, i % 900, i).ok()); }
  for (std::uint64_t after = 4000; after <= 5000; ++after) {
    JournalReader reader(store, Sequence{after});
    const auto chunk = reader.read(64).value();
    if (after == 5000) {
      EXPECT_EQ(chunk.state, State::Nothing);
    } else {
      ASSERT_EQ(chunk.state, State::Entries) << after;
      EXPECT_EQ(chunk.first.value, after + 1);
    }
  }
}

TEST_F(Following, ATransactionIsHandedOutWholeEvenWhenLargerThanAskedFor) {
  ASSERT_TRUE(writer.begin().ok());
  for (std::uint64_t i = 0; i < 50; ++i) { ASSERT_TRUE(put(writer, i, i).ok()); }
  ASSERT_TRUE(writer.commit().ok());
  ASSERT_TRUE(put(writer, 99, 99).ok());
  JournalReader reader(store, Sequence{0});
  const auto chunk = reader.read(1).value();
  EXPECT_GE(chunk.last.value, 50U);
  std::size_t ends = 0;
  ASSERT_TRUE(
      for_each_entry(chunk.bytes, [&](const JournalEntry& entry) { ends += entry.ends_transaction ? 1 : 0; }).ok());
  EXPECT_EQ(ends, chunk.last.value - 49);
}

TEST_F(Following, AReaderAheadOfTheStoreBelongsToAnotherHistory) {
  EXPECT_EQ(JournalReader(store, Sequence{10}).read(64).value().state, State::Lapped);
}

TEST_F(Following, AFlippedBitIsFoundByTheChecksum) {
  ASSERT_TRUE(put(writer, 1, 1).ok());
  const auto chunk = JournalReader(store, Sequence{0}).read(1 << 20).value();
  for (std::size_t bit = 0; bit < chunk.bytes.size() * 8; ++bit) {
    auto bytes = chunk.bytes;
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(for_each_entry(bytes, [](const JournalEntry&) {}).ok()) << bit;
  }
}

TEST_F(Following, AReadingMappingFollowsAWriterElsewhere) {
  const Region other = Region::open(file.path(), Access::ReadOnly).value();
  const Store view = other.store("state").value();
  JournalReader reader(view, Sequence{0});
  EXPECT_EQ(reader.read(64).value().state, State::Nothing);
  ASSERT_TRUE(put(writer, 1, 1).ok());
  EXPECT_EQ(reader.read(64).value().last, Sequence{1});
  EXPECT_EQ(view.become_writer(Term{9}).error().code, Errc::Refused);
}

}  // namespace
}  // namespace understudy::shm
