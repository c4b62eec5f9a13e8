// SPDX-License-Identifier: Apache-2.0
/// The golden region: every byte of one small region that was written by a fixed seed, schema and list of changes. What
/// layout_test.cpp names field by field is here as it lies in memory, with what no field tells: where a key's home is,
/// the order of the words in slots and slabs, where stores and tables are placed, the magic, what the checksums cover.
/// Guest and host, old and new programs meet in these bytes.
/// Covers: shared-mem/src/description.cpp, shared-mem/src/table.cpp
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "description.hpp"
#include "raw_region.hpp"
#include "region_fixture.hpp"
#include "table.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t seed = 0x0123456789abcdef;
constexpr const char* needs_a_version =
    "the bytes of a region have changed: old programs and mirrors would misread them. A change that is meant needs a "
    "new "
    "layout_version (layout.hpp, layout_test.cpp, CHANGELOG.md under its own heading); then this value is the new one";

RegionSchema golden_schema() {
  return {{{"state",
            {{"flows", 8, 24, 20, TableKind::Hashed, 40},
             {"names", 5, 13, 10},
             {"texts", 12, 100, 6, TableKind::Blob},
             {"ports", 8, 8, 16, TableKind::Dense}},
            64 << 10},
           {"more", {{"pairs", 16, 4, 10}}, 64 << 10}}};
}

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

class GoldenRegion : public testing::Test {
 protected:
  GoldenRegion() {
    EXPECT_TRUE(Region::create(file.path(), small_region_bytes, golden_schema()));
    fix_seed();
    write_changes();
  }
  void fix_seed() const {
    const RawRegion raw(file.path(), small_region_bytes);
    auto header = raw.header();
    header.hash_seed = seed;
    header.description_crc32c = description_checksum(header);
    std::memcpy(raw.word(0), &header, sizeof header);
  }
  void write_changes() const {
    const auto region = Region::open(file.path(), Access::ReadWrite);
    ASSERT_TRUE(region) << region.error().message;
    auto state = region->store("state").value().become_writer(Term{7}).value();
    for (std::uint64_t id = 1; id <= 6; ++id) { ASSERT_TRUE(put(state, id, 10 * id)); }
    ASSERT_TRUE(put(state, 2, 99));
    ASSERT_TRUE(erase(state, 3));
    ASSERT_TRUE(state.put(1, bytes_of("alpha"), bytes_of("thirteen byte")));
    ASSERT_TRUE(state.put(2, bytes_of("twelve bytes"), bytes_of("a blob of so many bytes")));
    const std::uint64_t port = 11;
    ASSERT_TRUE(state.begin());
    ASSERT_TRUE(state.put(3, as_bytes_of(port), as_bytes_of(port)));
    ASSERT_TRUE(put(state, 7, 70));
    ASSERT_TRUE(state.commit());
    auto more = region->store("more").value().become_writer(Term{8}).value();
    ASSERT_TRUE(more.put(0, bytes_of("sixteen bytes ab"), bytes_of("four")));
  }

  RegionFile file;
};

TEST_F(GoldenRegion, HasTheseBytes) {
  const RawRegion raw(file.path(), small_region_bytes);
  const Bytes all(reinterpret_cast<const std::byte*>(raw.word(0)), small_region_bytes);
  EXPECT_EQ(crc32c(all), 1543194926U) << needs_a_version;
  // So that a failure says where to look: what the checksum covers has its own in the header.
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(all.data()), 8), "UNDRSTDY") << needs_a_version;
  EXPECT_EQ(raw.header().description_crc32c, 1074315827U) << needs_a_version;
}

TEST_F(GoldenRegion, KeysHaveTheseHomes) {
  const auto home = [](std::uint32_t key_bytes, Bytes key) {
    const Table table(nullptr, 1024, key_bytes, 8, seed);
    return table.home(KeyWords(key)) % 1024;
  };
  EXPECT_EQ(home(8, as_bytes_of(Key{1})), 675U) << needs_a_version;
  EXPECT_EQ(home(5, bytes_of("alpha")), 584U) << needs_a_version;
  EXPECT_EQ(home(16, bytes_of("sixteen bytes ab")), 419U) << needs_a_version;
}

TEST_F(GoldenRegion, StoresAndTablesLieHere) {
  const RawRegion raw(file.path(), small_region_bytes);
  const auto header = raw.header();
  std::string placed;
  for (const auto& store : {header.stores[0], header.stores[1]}) {
    placed += std::string(store.name) + " " + std::to_string(store.control_offset) + "\n";
    for (std::uint32_t table = 0; table < store.table_count; ++table) {
      const auto& at = store.tables[table];
      placed += std::string(at.name) + " " + std::to_string(at.slots_offset) + " " +
                std::to_string(at.grown_slots_offset) + " " + std::to_string(at.slabs_offset) + "\n";
    }
  }
  EXPECT_EQ(placed,
            "state 20480\nflows 90112 106496 0\nnames 122880 0 0\ntexts 139264 0 155648\nports 167936 0 0\n"
            "more 172032\npairs 241664 0 0\n")
      << needs_a_version;
}

}  // namespace
}  // namespace understudy::shm
