// SPDX-License-Identifier: Apache-2.0
/// Schema to header and back. What comes from a header is another machine's word: nothing of it may lead a reader
/// anywhere but where this program would have put it.
#include "description.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "understudy/shm/arena.hpp"

namespace understudy::shm {
namespace {

RegionSchema schema() {
  return {{{"net", {{"routes", 32, 40, 500}, {"flows", 40, 60, 1000}}, 64 << 10},
           {"sessions", {{"session", 5, 13, 10}}, 128 << 10}}};
}

layout::RegionHeader header_of(const RegionSchema& described) {
  return describe(described, plan_region(described).value(), 64 << 20, 4711);
}

/// A header that was changed by who knows its checksum.
Result<RegionSchema> read_changed(const std::function<void(layout::RegionHeader&)>& change) {
  auto header = header_of(schema());
  change(header);
  header.description_crc32c = description_checksum(header);
  return read_schema(header);
}

std::string complaint(const std::function<void(RegionSchema&)>& change) {
  auto changed = schema();
  change(changed);
  const auto checked = check_schema(changed);
  if (checked) { return "no complaint"; }
  EXPECT_EQ(checked.error().code, Errc::BadInput);
  return checked.error().message;
}

TEST(CheckSchema, TakesEveryLimitItself) {
  auto largest = schema();
  largest.stores[0].name = std::string(31, 'n');
  largest.stores[0].tables[0] = {std::string(31, 't'), 256, 4096, std::uint64_t{1} << 32};
  largest.stores[1].tables[0] = {"t", 1, 1, 1};
  largest.stores[1] = with_arena(largest.stores[1], 1);
  EXPECT_TRUE(check_schema(largest).ok());
  largest.stores[0].tables.resize(1);
  for (int i = 1; i < 16; ++i) { largest.stores[0].tables.push_back({"t" + std::to_string(i), 8, 8, 1}); }
  for (int i = 2; i < 8; ++i) { largest.stores.push_back({"s" + std::to_string(i), {{"t", 8, 8, 1}}, 64 << 10}); }
  EXPECT_TRUE(check_schema(largest).ok());
  largest.stores[0].tables[1] = {"b", 256, 64 << 10, 1, TableKind::Blob, std::uint64_t{1} << 31};
  largest.stores[0].journal_bytes = 256 << 10;
  EXPECT_TRUE(check_schema(largest).ok());
}

TEST(CheckSchema, NamesTheStoreOrTableThatIsWrong) {
  EXPECT_NE(complaint([](auto& s) { s.stores.clear(); }).find("1 to 8 stores, not 0"), std::string::npos);
  EXPECT_NE(complaint([](auto& s) { s.stores.resize(9, s.stores[0]); }).find("not 9"), std::string::npos);
  EXPECT_EQ(complaint([](auto& s) { s.stores[1].name = "net"; }), "two stores are called \"net\"");
  EXPECT_EQ(complaint([](auto& s) { s.stores[0].name = ""; }), "store \"\": a name has 1 to 31 bytes");
  EXPECT_EQ(complaint([](auto& s) { s.stores[1].tables.clear(); }), "store \"sessions\": it has 1 to 16 tables");
  EXPECT_EQ(complaint([](auto& s) { s.stores[0].tables.resize(17, s.stores[0].tables[0]); }),
            "store \"net\": it has 1 to 16 tables");
  EXPECT_EQ(complaint([](auto& s) { s.stores[0].tables[1].name = "routes"; }),
            "store \"net\": two tables are called \"routes\"");
}

TEST(CheckSchema, RefusesSizesBeyondTheLimits) {
  for (const std::uint32_t bytes : {0U, 257U, ~0U}) {
    EXPECT_EQ(complaint([&](auto& s) { s.stores[0].tables[0].key_bytes = bytes; }),
              "table \"routes\": a key has 1 to 256 bytes, not " + std::to_string(bytes));
  }
  for (const std::uint32_t bytes : {0U, 4097U, ~0U}) {
    EXPECT_EQ(complaint([&](auto& s) { s.stores[0].tables[0].value_bytes = bytes; }),
              "table \"routes\": a value has 1 to 4096 bytes, not " + std::to_string(bytes));
  }
  for (const std::uint32_t bytes : {0U, (64U << 10) + 1, ~0U}) {
    EXPECT_EQ(complaint([&](auto& s) {
                s.stores[0].tables[0] = {"lsas", 8, bytes, 10, TableKind::Blob};
              }),
              "table \"lsas\": a value has 1 to 65536 bytes, not " + std::to_string(bytes));
  }
  for (const std::uint64_t larger : {std::uint64_t{499}, std::uint64_t{500}, (std::uint64_t{1} << 32) + 1}) {
    EXPECT_EQ(
        complaint([&](auto& s) { s.stores[0].tables[0].capacity_max = larger; }),
        "table \"routes\": capacity_max " + std::to_string(larger) + " is not above the capacity and at most 2^32");
  }
  EXPECT_EQ(complaint([](auto& s) { s.stores[0].tables[0].kind = static_cast<TableKind>(3); }),
            "table \"routes\": kind 3 is none");
  EXPECT_EQ(complaint([](auto& s) {
              s.stores[0].tables[0] = {"pages", 4, 4096, 10, TableKind::Dense};
            }),
            "table \"pages\": a dense table's key has 8 bytes");
  EXPECT_EQ(complaint([](auto& s) { s.stores[0].tables[0] = {"pages", 8, 4096, 10, TableKind::Dense, 20}; }),
            "table \"pages\": a dense table has one capacity for ever");
  EXPECT_NE(complaint([](auto& s) { s.stores[0].arena_bytes = 4096; }).find("needs a dense table \"arena\" of 1 pages"),
            std::string::npos);
  EXPECT_NE(complaint([](auto& s) { s.stores[0].arena_bytes = 4097; }).find("whole pages"), std::string::npos);
  EXPECT_NE(complaint([](auto& s) {
              s.stores[0].tables[0] = {"lsas", 8, 64 << 10, 10, TableKind::Blob};
            }).find("does not hold two of its largest changes"),
            std::string::npos);
  for (const std::uint64_t capacity : {std::uint64_t{0}, (std::uint64_t{1} << 32) + 1, ~std::uint64_t{0}}) {
    EXPECT_EQ(complaint([&](auto& s) { s.stores[0].tables[0].capacity = capacity; }),
              "table \"routes\": capacity " + std::to_string(capacity) + " is not between 1 and 2^32");
  }
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{32} << 10, (std::uint64_t{64} << 10) + 8, std::uint64_t{1} << 47}) {
    EXPECT_NE(complaint([&](auto& s) { s.stores[0].journal_bytes = bytes; }).find("is not a power of two"),
              std::string::npos)
        << bytes;
  }
  EXPECT_NE(complaint([](auto& s) { s.stores[0].tables[0].name = std::string(32, 'x'); }).find("1 to 31 bytes"),
            std::string::npos);
  EXPECT_NE(complaint([](auto& s) { s.stores[0].tables[0].name = std::string("a\0b", 3); }).find("1 to 31 bytes"),
            std::string::npos)
      << "would be read back as another name";
}

TEST(PlanRegion, LaysPartsOutOneAfterTheOtherOnWholePages) {
  const RegionSchema described = schema();
  const auto plan = plan_region(described).value();
  std::uint64_t end = layout::header_area_bytes;
  for (std::size_t s = 0; s < 2; ++s) {
    const auto& store = described.stores[s];
    EXPECT_EQ(plan.stores[s].control_offset, end);
    EXPECT_EQ(plan.stores[s].journal_offset, end + layout::page_bytes);
    end = plan.stores[s].journal_offset + store.journal_bytes;
    ASSERT_EQ(plan.stores[s].tables.size(), store.tables.size());
    for (std::size_t t = 0; t < store.tables.size(); ++t) {
      EXPECT_EQ(plan.stores[s].tables[t].slots_offset, end);
      const auto& table = store.tables[t];
      const auto bytes = layout::slots_for(table.capacity) * 8 * layout::slot_words(table.key_bytes, table.value_bytes);
      end += (bytes + layout::page_bytes - 1) / layout::page_bytes * layout::page_bytes;
    }
  }
  EXPECT_EQ(plan.bytes, end);
}

TEST(PlanRegion, ReservesGrownSlotsSlabsAndTheArena) {
  RegionSchema blobs{{{"s", {{"lsas", 8, 2000, 100, TableKind::Blob, 400}, {"t", 8, 8, 1}}, 64 << 10, 12288}}};
  const auto plan = plan_region(blobs).value();
  const auto& table = plan.stores[0].tables[0];
  const auto pages = [](std::uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; };
  EXPECT_EQ(table.slot_count, 512U);
  EXPECT_EQ(table.grown_slots_offset, table.slots_offset + pages(512 * 32))
      << "a blob's slot holds head, key and two words";
  EXPECT_EQ(table.grown_slot_count, 1024U);
  EXPECT_EQ(table.slabs_offset, table.grown_slots_offset + pages(1024 * 32));
  EXPECT_EQ(table.slab_bytes, 2048U);
  EXPECT_EQ(table.slab_count, 400U + 100 + 64);
  EXPECT_EQ(plan.stores[0].tables[1].slots_offset, table.slabs_offset + 564 * 2048);
  EXPECT_EQ(plan.stores[0].tables[1].grown_slot_count, 0U);
  EXPECT_EQ(plan.stores[0].tables[1].slab_count, 0U);
  EXPECT_EQ(plan.stores[0].arena_offset, plan.stores[0].tables[1].slots_offset + pages(256 * 32));
  EXPECT_EQ(plan.bytes, plan.stores[0].arena_offset + 12288);
}

TEST(PlanRegion, RefusesWhatNoMemoryHoldsInsteadOfOverflowing) {
  auto huge = schema();
  for (auto& table : huge.stores[0].tables) {
    table.key_bytes = 256;
    table.value_bytes = 4096;
    table.capacity = std::uint64_t{1} << 32;
  }
  ASSERT_TRUE(check_schema(huge).ok());
  EXPECT_EQ(plan_region(huge).error().code, Errc::BadInput);
}

TEST(ReadSchema, FindsWhatWasDescribed) {
  const auto read = read_schema(header_of(schema()));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read.value(), schema());
  auto more = schema();
  more.stores[1].tables.push_back({"lsas", 12, 3000, 100, TableKind::Blob, 400});
  more.stores[1] = with_arena(more.stores[1], 1 << 20);
  EXPECT_EQ(read_schema(header_of(more)).value(), more);
}

TEST(ReadSchema, TheMagicIsNoPartOfTheChecksumSoThatItCanBeWrittenLast) {
  auto header = header_of(schema());
  header.magic = layout::region_magic;
  EXPECT_EQ(description_checksum(header), header.description_crc32c);
}

TEST(ReadSchema, RefusesEveryFlippedBitOfTheUsedPart) {
  const auto good = header_of(schema());
  const std::size_t used = offsetof(layout::RegionHeader, stores) + 2 * sizeof(layout::StoreDescription);
  for (std::size_t bit = 8 * sizeof good.magic; bit < 8 * used; ++bit) {
    auto header = good;
    auto* bytes = reinterpret_cast<std::uint8_t*>(&header);
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_NE(description_checksum(header) == header.description_crc32c && read_schema(header).ok(), true) << bit;
  }
}

TEST(ReadSchema, BelievesNoOffsetOrSlotCountHoweverWellItIsChecksummed) {
  const auto refused = [](const std::function<void(layout::RegionHeader&)>& change) {
    const auto read = read_changed(change);
    return !read && read.error().code == Errc::BadInput;
  };
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].tables[1].slots_offset += 4096; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].tables[1].slot_count *= 2; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].tables[1].slab_count = 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].tables[1].grown_slots_offset = 4096; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].tables[1].kind = 77; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].arena_bytes = 4096; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[1].control_offset = 0; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[1].journal_offset = ~std::uint64_t{0}; }));
  EXPECT_TRUE(refused([](auto& h) { h.store_count = 9; }));
  EXPECT_TRUE(refused([](auto& h) { h.store_count = 0; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].table_count = 17; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].table_count = ~0U; }));
  EXPECT_TRUE(refused([](auto& h) { h.stores[0].tables[0].capacity = std::uint64_t{1} << 40; }));
  EXPECT_TRUE(refused([](auto& h) { std::memset(h.stores[0].name, 'x', sizeof h.stores[0].name); }))
      << "a name without its end";
}

}  // namespace
}  // namespace understudy::shm
