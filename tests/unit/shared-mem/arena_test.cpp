// SPDX-License-Identifier: Apache-2.0
/// Covers: shared-mem/src/arena.cpp, shared-mem/src/live_area.cpp
#include "understudy/shm/arena.hpp"

#include <algorithm>
#include <bit>
#include <fstream>
#include <random>

#include "raw_region.hpp"
#include "region_fixture.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t page = layout::page_bytes;
constexpr std::uint64_t pages = 100;  // more than a transaction has changes
constexpr std::uint64_t region_bytes = 4 << 20;

RegionSchema arena_schema() { return {{with_arena({"state", {{"flows", 8, 24, 50}}, 64 << 10}, pages * page)}}; }

using Bytes8 = std::vector<std::uint8_t>;

/// A store with an arena; everything that has a handle can be closed and opened again.
class ArenaTest : public testing::Test {
 protected:
  struct Place {
    RegionFile file;
    std::optional<Store> store;
    std::optional<StoreWriter> writer;
    std::optional<Arena> arena;

    void create(const RegionSchema& schema = arena_schema()) {
      auto created = Region::create(file.path(), region_bytes, schema);
      ASSERT_TRUE(created) << created.error().message;
      open();
    }
    void open(std::uint64_t term = 1) {
      store.emplace(Region::open(file.path(), Access::ReadWrite).value().store("state").value());
      auto became = store->become_writer(Term{term});
      ASSERT_TRUE(became) << became.error().message;
      writer.emplace(std::move(became).value());
    }
    void attach(FindChanges find = FindChanges::Automatic) {
      auto attached = Arena::attach(*writer, find);
      ASSERT_TRUE(attached) << attached.error().message;
      arena.emplace(std::move(attached).value());
    }
    /// As after kill -9: nothing is said to anybody.
    void die() {
      arena.reset();
      writer.reset();
      store.reset();
    }
    void restart(std::uint64_t term = 1) {
      die();
      open(term);
      attach();
    }
    [[nodiscard]] Bytes8 held() const { return as_bytes8(arena->memory()); }
    void set(std::uint64_t at, std::uint8_t value) const { arena->memory()[at] = std::byte{value}; }
    /// The live area in the file, whoever has it attached.
    [[nodiscard]] Bytes8 in_file() const {
      layout::RegionHeader header{};
      std::ifstream in(file.path(), std::ios::binary);
      in.read(reinterpret_cast<char*>(&header), sizeof header);
      Bytes8 bytes(header.stores[0].arena_bytes);
      in.seekg(static_cast<std::streamoff>(header.stores[0].arena_offset));
      in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      return bytes;
    }
    static Bytes8 as_bytes8(std::span<const std::byte> from) {
      Bytes8 bytes(from.size());
      std::ranges::transform(from, bytes.begin(), [](std::byte one) { return std::to_integer<std::uint8_t>(one); });
      return bytes;
    }
  };

  /// The journal, from where the mirror is.
  void ship() {
    JournalReader reader(*active.store, mirror.writer->committed());
    for (auto chunk = reader.read(4096); chunk && chunk->state == JournalReader::State::Entries;
         chunk = reader.read(4096)) {
      const auto applied = mirror.writer->apply(chunk->bytes);
      ASSERT_TRUE(applied) << applied.error().message;
    }
    ASSERT_EQ(mirror.writer->committed(), active.writer->committed());
  }
  void snapshot(bool full) {
    ASSERT_TRUE(mirror.writer->begin_sync(full));
    for (TableIndex table = 0; table < 2; ++table) {
      const Sequence after = full ? Sequence{0} : mirror.writer->committed();
      ASSERT_TRUE(active.store->scan(table, after, [&](const Store::Record& record) {
        EXPECT_TRUE(mirror.writer->apply_snapshot_record(table, record.key, record.value, record.sequence));
        return true;
      }));
    }
    const auto& store = *active.store;
    ASSERT_TRUE(mirror.writer->end_sync(store.committed(), store.history(), store.purged_up_to()));
  }

  Place active;
  Place mirror;
};

TEST_F(ArenaTest, ItIsAfterADeathWhatItWasAtTheLastCheckpoint) {
  active.create();
  active.attach();
  EXPECT_TRUE(active.arena->empty());
  EXPECT_EQ(active.arena->memory().size(), pages * page);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(active.arena->memory().data()) % page, 0U);
  active.set(5, 1);
  active.restart();
  EXPECT_TRUE(active.arena->empty()) << "never checkpointed";
  EXPECT_EQ(active.held(), Bytes8(pages * page));
  active.set(5, 2);
  active.set(pages * page - 1, 3);
  ASSERT_TRUE(active.arena->checkpoint());
  const auto at_checkpoint = active.held();
  active.set(5, 4);
  active.set(50 * page, 5);
  active.restart();
  EXPECT_FALSE(active.arena->empty());
  EXPECT_EQ(active.held(), at_checkpoint);
}

TEST_F(ArenaTest, ACheckpointIsOneTransactionOfThePagesThatChanged) {
  active.create();
  active.attach();
  for (const std::uint64_t one : {3U, 7U, 99U}) { active.set(one * page + one, 1); }
  const auto at = active.arena->checkpoint();
  ASSERT_TRUE(at) << at.error().message;
  EXPECT_EQ(at.value(), Sequence{3});
  EXPECT_EQ(active.store->committed(), Sequence{3});
  EXPECT_EQ(active.arena->checkpoint().value(), Sequence{3}) << "nothing has changed";
  active.set(7 * page, 0);
  EXPECT_EQ(active.arena->checkpoint().value(), Sequence{3}) << "written, but not changed";
  active.set(7 * page, 9);
  ASSERT_TRUE(put(*active.writer, 1, 1));
  EXPECT_EQ(active.arena->checkpoint().value(), Sequence{5});
}

TEST_F(ArenaTest, BothWaysToFindChangesFindAllOfThem) {
  for (const auto find : {FindChanges::Automatic, FindChanges::ByComparison}) {
    Place place;
    place.create();
    place.attach(find);
    EXPECT_EQ(place.arena->method().starts_with("comparison"), find == FindChanges::ByComparison)
        << place.arena->method() << " (write protection needs Linux 6.7)";
    std::mt19937_64 random(3);
    for (int round = 0; round < 40; ++round) {
      for (std::uint64_t left = random() % 30; left > 0; --left) {
        place.set(random() % (pages * page), static_cast<std::uint8_t>(random()));
      }
      ASSERT_TRUE(place.arena->checkpoint());
      if (round % 5 == 0) {
        const auto expected = place.held();
        for (int i = 0; i < 9; ++i) { place.set(random() % (pages * page), static_cast<std::uint8_t>(random())); }
        place.die();
        place.open();
        place.attach(find);
        ASSERT_EQ(place.held(), expected) << "round " << round;
      }
    }
  }
}

TEST_F(ArenaTest, DetachedItIsFoundAsItIsAndNothingIsCopied) {
  active.create();
  active.attach();
  active.set(0, 1);
  ASSERT_TRUE(active.arena->checkpoint());
  active.set(0, 2);
  ASSERT_TRUE(active.arena->detach());
  EXPECT_TRUE(active.arena->memory().empty());
  EXPECT_FALSE(active.arena->checkpoint());
  active.die();
  {  // A mark that only the file has: it shows that the page was taken as it is.
    layout::RegionHeader header{};
    std::fstream file(active.file.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.read(reinterpret_cast<char*>(&header), sizeof header);
    file.seekp(static_cast<std::streamoff>(header.stores[0].arena_offset + 1));
    file.put(7);
  }
  active.open(2);
  active.attach();
  EXPECT_EQ(active.held()[0], 2);
  EXPECT_EQ(active.held()[1], 7) << "it was compared or copied";
  active.restart(3);
  EXPECT_EQ(active.held()[1], 0) << "attached and not detached, nothing is known of it";
}

TEST_F(ArenaTest, AMarkThatCannotBeIsNoKnowledge) {
  active.create();
  active.attach();
  active.set(3, 1);
  ASSERT_TRUE(active.arena->checkpoint());
  const auto expected = active.held();
  active.set(3, 2);
  active.die();
  {
    std::fstream file(active.file.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(layout::header_area_bytes + offsetof(layout::StoreControl, arena)));
    const std::uint64_t more_than_was_committed = 1000;
    file.write(reinterpret_cast<const char*>(&more_than_was_committed), sizeof more_than_was_committed);
  }
  active.open(2);
  active.attach();
  EXPECT_EQ(active.held(), expected);
}

TEST_F(ArenaTest, ACheckpointThatTheJournalCannotTakeSaysWhichSizeItNeedsAndChangesNothing) {
  auto schema = arena_schema();
  schema.stores[0].journal_bytes = 128 << 10;
  active.create(schema);
  active.attach();
  for (std::uint64_t one = 0; one < 20; ++one) { active.set(one * page, 1); }
  const auto refused = active.arena->checkpoint();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::Full);
  EXPECT_NE(refused.error().message.find("need a journal of 262144 bytes"), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find(std::to_string(arena_journal_bytes(pages * page)) + " is always enough"),
            std::string::npos);
  EXPECT_EQ(active.store->committed(), Sequence{0});
  for (std::uint64_t one = 5; one < 20; ++one) { active.set(one * page, 0); }
  EXPECT_EQ(active.arena->checkpoint().value(), Sequence{5}) << "what was written before is not forgotten";
}

TEST_F(ArenaTest, TheJournalOfWithArenaTakesACheckpointOfEveryPage) {
  active.create();
  active.attach();
  for (int round = 0; round < 5; ++round) {
    std::ranges::fill(active.arena->memory(), std::byte(round + 1));
    const auto at = active.arena->checkpoint();
    ASSERT_TRUE(at) << at.error().message;
  }
  active.restart();
  EXPECT_EQ(active.held(), Bytes8(pages * page, 5));
  EXPECT_TRUE(std::has_single_bit(arena_journal_bytes(pages * page)));
  EXPECT_EQ(with_arena({"s", {{"t", 8, 8, 1}}, 1 << 22}, 1).journal_bytes, 1U << 22) << "larger than needed stays";
  EXPECT_EQ(with_arena({"s", {{"t", 8, 8, 1}}, 1 << 22}, 0), (StoreSchema{"s", {{"t", 8, 8, 1}}, 1 << 22}));
}

TEST_F(ArenaTest, WhoIsNoLongerTheWriterCheckpointsNothing) {
  active.create();
  active.attach();
  active.set(0, 1);
  ASSERT_TRUE(active.writer->begin());
  EXPECT_EQ(active.arena->checkpoint().error().code, Errc::BadInput) << "within a transaction";
  ASSERT_TRUE(active.writer->rollback());
  Place other;
  const auto region = Region::create(other.file.path(), 1 << 20, small_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  EXPECT_EQ(Arena::attach(writer).error().code, Errc::NotFound);
  {  // another kernel's writer knows nothing of our lock
    std::fstream file(active.file.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(layout::header_area_bytes));
    const std::uint64_t term = 9;
    file.write(reinterpret_cast<const char*>(&term), sizeof term);
  }
  EXPECT_EQ(active.arena->checkpoint().error().code, Errc::Refused);
  EXPECT_EQ(active.arena->detach().error().code, Errc::Refused);
  EXPECT_EQ(Arena::attach(*active.writer).error().code, Errc::Refused);
}

TEST_F(ArenaTest, AMirrorsLiveAreaIsTheLastCheckpointAppliedAndATakeoverGoesOnFromIt) {
  active.create();
  mirror.create();
  active.attach();
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    for (std::uint64_t left = round == 7 ? 5000 : random() % 20; left > 0; --left) {
      active.set(random() % (pages * page), static_cast<std::uint8_t>(random()));
    }
    ASSERT_TRUE(active.arena->checkpoint());
    ASSERT_TRUE(put(*active.writer, static_cast<std::uint64_t>(round), 1));
    ship();
    ASSERT_EQ(mirror.in_file(), active.held()) << "round " << round;
  }
  const auto expected = active.held();
  active.set(0, static_cast<std::uint8_t>(expected[0] + 1));
  mirror.restart(2);
  EXPECT_EQ(mirror.held(), expected);
  mirror.set(1, 77);
  EXPECT_TRUE(mirror.arena->checkpoint());
}

TEST_F(ArenaTest, AFullSnapshotBringsTheAreaWhateverWasThere) {
  active.create();
  mirror.create();
  active.attach();
  mirror.attach();
  for (std::uint64_t one = 0; one < 40; ++one) { mirror.set(one * page, 9); }  // of another history, and more of it
  ASSERT_TRUE(mirror.arena->detach());
  mirror.arena.reset();
  for (std::uint64_t one = 20; one < 50; ++one) { active.set(one * page, 1); }
  ASSERT_TRUE(active.arena->checkpoint());
  snapshot(true);
  EXPECT_EQ(mirror.in_file(), active.held());
  mirror.restart(2);
  EXPECT_EQ(mirror.held(), active.held());
}

TEST_F(ArenaTest, AfterADeltaSnapshotOnlyWhatIsNewerIsBrought) {
  active.create();
  mirror.create();
  active.attach();
  active.set(0, 1);
  ASSERT_TRUE(active.arena->checkpoint());
  ship();
  active.set(0, 2);
  active.set(page, 2);
  ASSERT_TRUE(active.arena->checkpoint());
  snapshot(false);
  EXPECT_EQ(mirror.in_file(), active.held());
  active.set(page, 3);
  ASSERT_TRUE(active.arena->checkpoint());
  ship();
  EXPECT_EQ(mirror.in_file(), active.held());
}

TEST_F(ArenaTest, ALargeTransactionThatIsNoCheckpointIsNotApplied) {
  active.create();
  mirror.create();
  active.attach();
  std::ranges::fill(active.arena->memory(), std::byte{1});
  ASSERT_TRUE(active.arena->checkpoint());
  JournalReader reader(*active.store, Sequence{0});
  auto chunk = reader.read(4096).value();
  EXPECT_EQ(chunk.last, Sequence{pages}) << "whole, however large";
  auto entries = chunk.bytes;
  const std::size_t entry = layout::entry_bytes(8, page);
  std::swap_ranges(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(entry),
                   entries.begin() + static_cast<std::ptrdiff_t>(entry));
  EXPECT_EQ(mirror.writer->apply(entries).error().code, Errc::Damaged) << "sequences jump";
  entries.resize(entries.size() - entry);
  EXPECT_EQ(mirror.writer->apply(entries).error().code, Errc::Damaged);
  EXPECT_EQ(mirror.store->committed(), Sequence{0});
  EXPECT_EQ(mirror.writer->apply(chunk.bytes).value(), Sequence{pages});
}

/// A deletion changes nothing where there is no record; in an arena its key is an address all the same.
TEST_F(ArenaTest, AMirrorIsToldOfNoPageBeyondTheArena) {
  active.create();
  active.attach();
  active.set(0, 1);
  ASSERT_TRUE(active.arena->checkpoint());
  mirror.create();
  ship();
  const RawRegion raw(mirror.file.path(), region_bytes);
  const auto plan = raw.header().stores[0];
  std::uint64_t* const behind = raw.word(plan.arena_offset + plan.arena_bytes);
  *behind = 7;
  for (const std::uint64_t key : {pages, std::uint64_t{1} << 51, ~std::uint64_t{0}}) {
    const auto entry = sound_entry({2, 0, 8, 1, 0, layout::op_erase, layout::flag_ends_transaction, 0}, key);
    const auto applied = mirror.writer->apply(entry);
    ASSERT_FALSE(applied.ok()) << key;
    EXPECT_EQ(applied.error().code, Errc::Damaged);
    EXPECT_EQ(mirror.writer->committed(), Sequence{1});
  }
  EXPECT_EQ(*behind, 7U);
}

TEST_F(ArenaTest, AnUnsyncedCopyIsNotAttached) {
  active.create();
  ASSERT_TRUE(active.writer->begin_sync(true));
  EXPECT_EQ(Arena::attach(*active.writer).error().code, Errc::Refused);
}

TEST_F(ArenaTest, ADenseTableKeepsEachKeyInItsOwnSlot) {
  active.create({{{"state", {{"flows", 8, 24, 10, TableKind::Dense}, {"names", 5, 13, 10}}, 64 << 10}}});
  auto& writer = *active.writer;
  EXPECT_EQ(put(writer, 10, 1).error().code, Errc::BadInput) << "not below the capacity";
  EXPECT_EQ(put(writer, ~std::uint64_t{0}, 1).error().code, Errc::BadInput);
  Content expected;
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t id = random() % 10;
    if (random() % 3 == 0) {
      EXPECT_EQ(erase(writer, id).ok(), expected.erase(id) == 1);
    } else {
      ASSERT_TRUE(put(writer, id, random() % 100).ok());
      expected[id] = get(*active.store, id).value();
    }
  }
  EXPECT_EQ(content(*active.store), expected);
  EXPECT_EQ(active.store->count(flows), expected.size());
  EXPECT_FALSE(get(*active.store, 11));
  active.die();
  active.open(2);
  EXPECT_EQ(content(*active.store), expected);
}

}  // namespace
}  // namespace understudy::shm
