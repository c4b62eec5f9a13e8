// SPDX-License-Identifier: Apache-2.0
/// Whatever the bytes of a table are, and whoever changes them meanwhile: a call that reads it ends after a bounded
/// number of loads in all, not only of looks. Of a call that reads n keys of a table of s slots
///
///   probes   s + 1,000,000 + 256 n        looks   100,000 + 8 n
///
/// Every slot of these tables is some other key's, so that nothing ends the search for a key but the table's end.
/// Covers: shared-mem/src/store.cpp, shared-mem/src/store_many.cpp
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "hostile_image.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t many = 4000;
constexpr TableIndex fixed = 0;
constexpr TableIndex blobs = 1;

RegionSchema bounded_schema() {
  return {{{"state",
            {{"fixed", 8, 24, 2000, TableKind::Hashed, 5000}, {"blobs", 8, 64, 2000, TableKind::Blob, 5000}},
            64 << 10}}};
}

class ABoundedReader : public AHostileImage {
 protected:
  ABoundedReader() : AHostileImage("bounded", 4 << 20, bounded_schema()) {}
  void SetUp() override {
    for (TableIndex table = 0; table < 2; ++table) {
      const auto& described = plan.tables[table];
      fill(table, described.slots_offset, described.slot_count);
      fill(table, described.grown_slots_offset, described.grown_slot_count);
    }
    control->commit.committed = 1;
    for (std::uint64_t n = 0; n < many; ++n) { wanted[n] = Key{n}; }
  }

  static std::uint64_t slot_words(TableIndex table) { return layout::slot_words(8, table == blobs ? 8 : 24); }
  void fill(TableIndex table, std::uint64_t offset, std::uint64_t slots) {
    for (std::uint64_t n = 0; n < slots; ++n) {
      std::uint64_t* slot = words + offset / sizeof *words + slot_words(table) * n;
      slot[0] = layout::head_of(1, layout::kind_free, layout::kind_live, 0);
      slot[1] = (std::uint64_t{1} << 40) + n;
      slot[2] = layout::blob_ref(n % 100, 8);
    }
  }
  /// `before_each` is called before each load of the commit point.
  void count_loads(const std::function<void()>& before_each) {
    points::on_load = [this, before_each](const std::uint64_t* at) {
      ++loads;
      if (at == &control->commit.committed) { before_each(); }
    };
  }
  void expect_bounded(std::uint64_t keys, std::uint64_t without) {
    points::on_load = nullptr;
    const std::uint64_t slots = plan.tables[0].grown_slot_count;
    const std::uint64_t probes = slots + 1'000'000 + 256 * keys;
    constexpr std::uint64_t beside = 10;  // loads of a look: limits, marks, where the table is
    const std::uint64_t bound = probes + beside * (looks + 8 * keys);
    EXPECT_LT(loads, bound);
    EXPECT_GT(without, 2 * bound) << "else nothing was shown";
  }
  void move_on() { ++control->commit.committed; }

  std::array<Key, many> wanted{};
  std::uint64_t loads = 0;
  static constexpr std::uint64_t looks = 100'000;
};

/// What is absent is so only as long as the commit point stands.
TEST_F(ABoundedReader, OfOneKeyWhileTheCommitPointMovesOnForEver) {
  count_loads([this] { move_on(); });
  Value value{};
  EXPECT_FALSE(store.get(fixed, as_bytes_of(wanted[0]), std::as_writable_bytes(std::span(&value, 1))).ok());
  expect_bounded(1, looks * plan.tables[0].slot_count);
}

TEST_F(ABoundedReader, OfOneBlobWhileTheCommitPointMovesOnForEver) {
  count_loads([this] { move_on(); });
  std::vector<std::byte> value(64);
  EXPECT_FALSE(store.get_blob(blobs, as_bytes_of(wanted[0]), value).ok());
  expect_bounded(1, looks * plan.tables[1].slot_count);
}

TEST_F(ABoundedReader, OfManyKeys) {
  count_loads([] {});
  std::array<Value, many> values{};
  std::array<std::uint8_t, many> found{};
  EXPECT_FALSE(
      store.get_many(fixed, std::as_bytes(std::span(wanted)), std::as_writable_bytes(std::span(values)), found));
  expect_bounded(many, many * plan.tables[0].slot_count);
}

TEST_F(ABoundedReader, OfManyBlobs) {
  count_loads([] {});
  std::vector<std::byte> values(many * 64);
  std::vector<std::uint32_t> lengths(many);
  EXPECT_FALSE(store.get_blobs(blobs, std::as_bytes(std::span(wanted)), values, lengths));
  expect_bounded(many, many * plan.tables[1].slot_count);
}

/// A scan that began in the first slots looks for each of their keys in the larger table, as soon as there is one.
TEST_F(ABoundedReader, OfAScanWhoseTableGrowsMeanwhile) {
  for (const TableIndex table : {fixed, blobs}) {
    loads = 0;
    control->tables[table].grown = 0;
    // Keys of these slots are nobody's in the larger table.
    for (std::uint64_t n = 0; n < plan.tables[table].slot_count; ++n) {
      words[plan.tables[table].slots_offset / sizeof *words + slot_words(table) * n + 1] = n;
    }
    count_loads([&] { control->tables[table].grown = 1; });
    EXPECT_FALSE(store.scan(table, {}, [](const Store::Record&) { return true; }).ok());
    const auto& described = plan.tables[table];
    expect_bounded(described.slot_count, described.slot_count * described.grown_slot_count);
  }
}

/// Back and forth, and the commit point too.
TEST_F(ABoundedReader, OfAnOrderedScanWhoseTableGrowsAndShrinks) {
  for (std::uint64_t n = 0; n < plan.tables[fixed].slot_count; ++n) {
    words[plan.tables[fixed].slots_offset / sizeof *words + slot_words(fixed) * n + 1] = n;
  }
  count_loads([&] {
    control->tables[fixed].grown = loads % 2;
    move_on();
  });
  EXPECT_FALSE(store.scan_ordered(fixed, [](const Store::Record&) { return true; }).ok());
  const auto& described = plan.tables[fixed];
  expect_bounded(described.slot_count, described.slot_count * described.grown_slot_count);
}

/// A table as full as it can be, of which all records were replaced again and again: how far keys are from their homes.
TEST(BoundedReader, AnHonestTableStaysFarBelow) {
  constexpr std::uint64_t room = 1280;  // as much as there is for 2048 slots
  ImageFile file("honest");
  const auto region = Region::create(file.path(), 1 << 20, {{{"state", {{"records", 8, 24, room}}, 64 << 10}}}).value();
  const Store store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  std::mt19937_64 random(8);
  std::vector<std::uint64_t> there(room);
  for (auto& id : there) {
    id = random();
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{id}), value_bytes_of(TableKind::Hashed, id)).ok());
  }
  const int times = effort(20, 2000);
  for (std::uint64_t n = 0; n < static_cast<std::uint64_t>(times) * room; ++n) {
    auto& id = there[random() % room];
    ASSERT_TRUE(writer.erase(0, as_bytes_of(Key{id})).ok());
    id = random();
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{id}), value_bytes_of(TableKind::Hashed, id)).ok());
  }
  std::uint64_t loads = 0;
  points::on_load = [&](const std::uint64_t*) { ++loads; };
  for (int n = 0; n < 1000; ++n) { EXPECT_FALSE(get(store, random()).ok()); }
  const std::uint64_t absent = std::exchange(loads, 0) / 1000;
  for (const std::uint64_t id : there) { EXPECT_TRUE(get(store, id).ok()); }
  const std::uint64_t present = loads / room;
  points::on_load = nullptr;
  std::printf("loads of a get: %llu of a key that is there, %llu of one that is not\n",
              static_cast<unsigned long long>(present), static_cast<unsigned long long>(absent));
  EXPECT_LT(present, 16U);
  EXPECT_LT(absent, 64U);
}

}  // namespace
}  // namespace understudy::shm::crash
