// SPDX-License-Identifier: Apache-2.0
/// What a follower is told at the edges: nothing there yet, foreign bytes in the ring, chunks that are cut.
#include <fstream>

#include "region_fixture.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

using State = JournalReader::State;

class JournalReaderTest : public testing::Test {
 protected:
  std::vector<std::byte> chunk_of(std::uint64_t puts) {
    for (std::uint64_t i = 0; i < puts; ++i) { EXPECT_TRUE(put(writer, i, i).ok()); }
    return JournalReader(store, Sequence{0}).read(1 << 20).value().bytes;
  }
  static Status walk(Bytes bytes) {
    return for_each_entry(bytes, [](const JournalEntry&) {});
  }
  /// Overwrites bytes of the ring as a hostile guest would: behind everybody's back.
  void scribble(std::uint64_t position, const std::string& bytes) const {
    std::fstream raw(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    layout::RegionHeader header;
    raw.read(reinterpret_cast<char*>(&header), sizeof header);
    raw.seekp(static_cast<std::streamoff>(header.stores[0].journal_offset + position));
    raw.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
};

TEST_F(JournalReaderTest, AnEmptyJournalHasNothingAndKeepsThePosition) {
  JournalReader sut(store, Sequence{0});
  for (int i = 0; i < 3; ++i) {
    const auto chunk = sut.read(4096).value();
    EXPECT_EQ(chunk.state, State::Nothing);
    EXPECT_TRUE(chunk.bytes.empty());
    EXPECT_EQ(sut.position(), Sequence{0});
  }
}

TEST_F(JournalReaderTest, ThePositionIsTheLastChangeThatWasHandedOut) {
  JournalReader sut(store, Sequence{0});
  ASSERT_TRUE(put(writer, 1, 1).ok());
  ASSERT_TRUE(erase(writer, 1).ok());
  EXPECT_EQ(sut.read(4096).value().last, Sequence{2});
  EXPECT_EQ(sut.position(), Sequence{2});
}

TEST_F(JournalReaderTest, AChangeThatIsNotCommittedIsNotHandedOut) {
  JournalReader sut(store, Sequence{0});
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(put(writer, 1, 1).ok());
  EXPECT_EQ(sut.read(4096).value().state, State::Nothing);
  ASSERT_TRUE(writer.commit().ok());
  EXPECT_EQ(sut.read(4096).value().last, Sequence{1});
}

TEST_F(JournalReaderTest, AReaderThatAsksForNothingStillGetsOneChange) {
  ASSERT_TRUE(put(writer, 1, 1).ok());
  ASSERT_TRUE(put(writer, 2, 2).ok());
  JournalReader sut(store, Sequence{0});
  EXPECT_GE(sut.read(0).value().last, Sequence{1});
}

TEST_F(JournalReaderTest, WhoWasLappedStaysSoUntilItBeginsAnew) {
  JournalReader sut(store, Sequence{0});
  ASSERT_TRUE(put(writer, 1, 1).ok());
  ASSERT_EQ(sut.read(4096).value().state, State::Entries);
  for (std::uint64_t i = 0; i < 3000; ++i) { ASSERT_TRUE(put(writer, 1, i).ok()); }
  for (int i = 0; i < 3; ++i) { EXPECT_EQ(sut.read(4096).value().state, State::Lapped); }
  EXPECT_EQ(JournalReader(store, store.committed()).read(4096).value().state, State::Nothing);
}

TEST_F(JournalReaderTest, ForeignBytesInTheRingAreAnErrorAndNotEntriesAlsoToWhoAsksForNothing) {
  constexpr std::size_t asked[] = {0, 4096};
  std::vector<JournalReader> readers;
  for (std::size_t i = 0; i < std::size(asked); ++i) { readers.emplace_back(store, Sequence{0}); }
  ASSERT_TRUE(put(writer, 1, 1).ok());
  for (std::size_t i = 0; i < readers.size(); ++i) { ASSERT_EQ(readers[i].read(asked[i]).value().last, Sequence{1}); }
  ASSERT_TRUE(put(writer, 2, 2).ok());
  scribble(layout::entry_bytes(8, 24), std::string(layout::entry_bytes(8, 24), '\xff'));
  for (std::size_t i = 0; i < readers.size(); ++i) {
    const auto read = readers[i].read(asked[i]);
    ASSERT_FALSE(read.ok()) << asked[i];
    EXPECT_EQ(read.error().code, Errc::Damaged) << asked[i];
    EXPECT_EQ(readers[i].position(), Sequence{1}) << asked[i];
  }
}

TEST_F(JournalReaderTest, AnEntryTellsItsChangeWhole) {
  const std::string key = "alpha";
  const std::string value = "thirteen byte";
  ASSERT_TRUE(writer.put(names, std::as_bytes(std::span(key)), std::as_bytes(std::span(value))).ok());
  ASSERT_TRUE(writer.erase(names, std::as_bytes(std::span(key))).ok());
  std::vector<JournalEntry> entries;
  const auto bytes = JournalReader(store, Sequence{0}).read(4096).value().bytes;
  ASSERT_TRUE(for_each_entry(bytes, [&](const JournalEntry& entry) { entries.push_back(entry); }).ok());
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].op, JournalEntry::Op::Put);
  EXPECT_EQ(entries[0].table, names);
  EXPECT_TRUE(std::ranges::equal(entries[0].key, std::as_bytes(std::span(key))));
  EXPECT_TRUE(std::ranges::equal(entries[0].value, std::as_bytes(std::span(value))));
  EXPECT_EQ(entries[1].op, JournalEntry::Op::Erase);
  EXPECT_EQ(entries[1].sequence, Sequence{2});
  EXPECT_TRUE(entries[1].value.empty());
}

TEST_F(JournalReaderTest, AChunkThatEndsInsideAnEntryIsDamaged) {
  const auto bytes = chunk_of(3);
  const std::size_t entry = layout::entry_bytes(8, 24);
  ASSERT_EQ(bytes.size(), 3 * entry);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const std::vector<std::byte> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(walk(exact).ok(), size % entry == 0) << size;
    // The rest of the entry lies behind the cut: nothing there may be read.
    std::size_t visited = 0;
    (void)for_each_entry(Bytes(bytes).first(size), [&](const JournalEntry&) { ++visited; });
    EXPECT_EQ(visited, size % entry == 0 ? size / entry : 0) << size;
  }
}

TEST_F(JournalReaderTest, OfAChunkThatIsDamagedAnywhereNothingIsVisited) {
  auto bytes = chunk_of(3);
  bytes.back() ^= std::byte{1};
  std::uint64_t visited = 0;
  const auto walked = for_each_entry(bytes, [&](const JournalEntry& entry) { visited = entry.sequence.value; });
  ASSERT_FALSE(walked.ok());
  EXPECT_EQ(walked.error().code, Errc::Damaged);
  EXPECT_EQ(visited, 0U) << "also what lies before it";
}

TEST_F(JournalReaderTest, LengthsThatLeadOutsideTheChunkAreDamaged) {
  for (const std::uint16_t length : std::initializer_list<std::uint16_t>{0, 257, 0xffff}) {
    auto bytes = chunk_of(1);
    std::memcpy(bytes.data() + offsetof(layout::JournalEntryHeader, key_bytes), &length, sizeof length);
    EXPECT_EQ(walk(bytes).error().code, Errc::Damaged) << length;
  }
}

}  // namespace
}  // namespace understudy::shm
