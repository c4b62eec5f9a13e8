// SPDX-License-Identifier: Apache-2.0
/// A journal whose entries are sound and of another store: a guest may write any lengths. Whoever follows it copies
/// keys and values into memory of its own table's sizes. Covers: shared-mem/src/journal_reader.cpp,
/// shared-mem/src/snapshot.cpp
#include <atomic>
#include <thread>

#include "raw_region.hpp"
#include "region_fixture.hpp"
#include "support/eventually.hpp"
#include "understudy/shm/typed_table.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t ring_bytes = 256 << 10;
const TypedTable<Key, Value> typed("flows", 20'000);

/// A region of one store, as large as it has to be.
struct Sut {
  explicit Sut(std::vector<TableSchema> tables)
      : schema{{{"state", std::move(tables), ring_bytes}}},
        region(Region::create(file.path(), Region::size_needed(schema).value(), schema).value()) {}
  [[nodiscard]] RawRegion raw() const { return {file.path(), Region::size_needed(schema).value()}; }
  RegionFile file;
  RegionSchema schema;
  Region region;
  Store store = region.store("state").value();
};

/// Two puts of these sizes into the last of `tables`.
void write_foreign(const Sut& of) {
  auto writer = of.store.become_writer(Term{1}).value();
  const auto& table = of.schema.stores[0].tables.back();
  for (std::uint64_t id = 1; id <= 2; ++id) {
    std::vector<std::byte> key(table.key_bytes, static_cast<std::byte>(id));
    const std::vector<std::byte> value(table.value_bytes, std::byte{0x5a});
    ASSERT_TRUE(writer.put(static_cast<TableIndex>(of.schema.stores[0].tables.size() - 1), key, value).ok());
  }
}

struct Foreign {
  const char* name;
  std::vector<TableSchema> tables;
};
const std::vector<Foreign> foreign{
    {"a longer key", {{"flows", 256, 24, 10}}},
    {"a shorter key", {{"flows", 1, 24, 10}}},
    {"a longer value", {{"flows", 8, 65536, 10, TableKind::Blob}}},
    {"a shorter value", {{"flows", 8, 8, 10}}},
    {"a table that is not there", {{"flows", 8, 24, 10}, {"more", 8, 24, 10}}},
};

TEST(AForeignJournal, IsDamagedAndNeverHandedOut) {
  for (const auto& other : foreign) {
    const Sut guest(other.tables);
    write_foreign(guest);
    const Sut sut({typed.schema()});
    sut.raw().take_journal_of(guest.raw());
    JournalReader reader(sut.store, Sequence{0});
    const auto read = reader.read(1 << 20);
    ASSERT_FALSE(read.ok()) << other.name;
    EXPECT_EQ(read.error().code, Errc::Damaged) << other.name;
    EXPECT_EQ(reader.position(), Sequence{0}) << other.name;
  }
}

/// However little was asked for.
TEST(AForeignJournal, WithoutAnEntryWhereOneBeginsIsDamaged) {
  for (const std::size_t bytes : {0U, 7U, 1U << 20}) {
    const Sut sut({typed.schema()});
    write_foreign(sut);
    JournalReader reader(sut.store, Sequence{0});
    ASSERT_EQ(reader.read(1)->last, Sequence{1});
    const std::uint64_t second = layout::entry_bytes(sizeof(Key), sizeof(Value));
    *sut.raw().word(sut.raw().header().stores[0].journal_offset + second + 16) = ~std::uint64_t{0};
    const auto read = reader.read(bytes);
    ASSERT_FALSE(read.ok()) << bytes;
    EXPECT_EQ(read.error().code, Errc::Damaged) << bytes;
  }
}

TEST(AForeignJournal, OfABlobTableMayBeOfAnyLengthUpToTheLargest) {
  const Sut guest({{"flows", 8, 64, 10}});
  write_foreign(guest);
  for (const std::uint32_t largest : {63U, 64U, 65U}) {
    const Sut sut({{"flows", 8, largest, 10, TableKind::Blob}});
    sut.raw().take_journal_of(guest.raw());
    EXPECT_EQ(JournalReader(sut.store, Sequence{0}).read(1 << 20).ok(), largest >= 64) << largest;
  }
}

/// The entry appears behind the commit point that the scan began at, while it walks over the table.
TEST(AForeignJournal, UnderAnOrderedScanIsDamaged) {
  const Sut guest({{"flows", 256, 65536, 10, TableKind::Blob}});
  write_foreign(guest);
  const Sut sut({typed.schema()});
  const auto raw = sut.raw();
  raw.take_journal_of(guest.raw());
  auto* const committed = &raw.control()->commit.committed;
  std::atomic<bool> done = false;
  std::thread toggles([&] {
    for (std::uint64_t i = 0; !done; ++i) {
      __atomic_store_n(committed, 1 + i % 2, __ATOMIC_RELEASE);
      for (int spin = 0; spin < 20'000; ++spin) { __asm__ volatile(""); }
    }
  });
  const auto table = typed.in(sut.store).value();
  Errc found = Errc::Failed;
  EXPECT_TRUE(test::eventually([&] {
    const auto at = table.scan_ordered([](const Key&, const Value&, Sequence) { return true; });
    found = at ? Errc::Failed : at.error().code;
    return found == Errc::Damaged;
  }));
  done = true;
  toggles.join();
  EXPECT_EQ(found, Errc::Damaged);
}

/// Who binds a table to structs of other sizes is told, and nothing is written beside them.
TEST(AForeignJournal, NorAreRecordsOfOtherSizesToldAsStructs) {
  const Sut sut({{"flows", 16, 200, 10}});
  {
    auto writer = sut.store.become_writer(Term{1}).value();
    const std::vector<std::byte> key(16);
    const std::vector<std::byte> value(200);
    ASSERT_TRUE(writer.put(0, key, value).ok());
  }
  const BoundTable<Key, Value> bound(sut.store, 0);
  const auto visit = [](const Key&, const Value&, Sequence) { return true; };
  EXPECT_EQ(bound.scan({}, visit).error().code, Errc::Damaged);
  EXPECT_EQ(bound.scan_ordered(visit).error().code, Errc::Damaged);
}

}  // namespace
}  // namespace understudy::shm
