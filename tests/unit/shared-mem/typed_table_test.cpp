// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/typed_table.hpp"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "region_fixture.hpp"

namespace understudy::shm {

/// Of a sensor: a value with floating members.
struct Reading {
  double celsius;
  double volts;
  bool operator==(const Reading&) const = default;
};
template <>
inline constexpr bool compared_bytewise<Reading> = true;
struct Silent {
  double celsius;
};
static_assert(!compared_bytewise<Silent>, "nobody has said so");

namespace {

const TypedTable<Key, Value> typed("flows", 1000);

TEST(ATypedTable, IsDescribedOnceForSchemaAndAccess) {
  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, {{{"state", {typed.schema()}, 64 << 10}}}).value();
  auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  const auto table = typed.in(store).value();
  ASSERT_TRUE(table.put(writer, {1}, value_of(10)).ok());
  ASSERT_TRUE(table.put(writer, {2}, value_of(20)).ok());
  ASSERT_TRUE(table.erase(writer, {1}).ok());
  EXPECT_EQ(table.get({2}).value(), value_of(20));
  EXPECT_EQ(table.get({1}).error().code, Errc::NotFound);
  EXPECT_EQ(table.count(), 1U);
  Content found;
  const auto visit = [&](const Key& key, const Value& value, Sequence sequence) {
    EXPECT_EQ(sequence, Sequence{2});
    found[key.id] = value.words[0];
    return true;
  };
  ASSERT_TRUE(table.scan({}, visit).ok());
  EXPECT_EQ(found, (Content{{2, 20}}));
  ASSERT_TRUE(table.scan_ordered(visit).ok());
}

TEST(ATypedTable, RefusesATableOfOtherSizesAndNamesThem) {
  RegionFile file;
  auto region =
      Region::create(file.path(), small_region_bytes, {{{"state", {{"flows", 8, 32, 10}}, 64 << 10}}}).value();
  const auto store = region.store("state").value();
  EXPECT_EQ(typed.in(store).error().message,
            "table \"flows\" of store \"state\" has keys of 8 and values of 32 bytes, not 8 and 24");
  EXPECT_EQ((TypedTable<Key, Value>("others", 1).in(store).error().code), Errc::NotFound);
}

class TypedTables : public testing::Test {
 protected:
  const TypedTable<Key, Value> flows_{"flows", 4, 40};
  const TypedTable<std::uint64_t, Reading> sensors_ = TypedTable<std::uint64_t, Reading>::dense("sensors", 8);
  const TypedBlobTable<Key> texts_{"texts", 4, 100};
  RegionFile file_;
  Region region_ = Region::create(file_.path(), small_region_bytes,
                                  {{{"state", {flows_.schema(), sensors_.schema(), texts_.schema()}, 64 << 10}}})
                       .value();
  Store store_ = region_.store("state").value();
  StoreWriter writer_ = store_.become_writer(Term{1}).value();
};

TEST_F(TypedTables, ManyArePutAndReadWithOneCall) {
  const auto table = flows_.in(store_).value();
  const std::vector<Key> keys{{1}, {2}, {3}};
  const std::vector<Value> values{value_of(10), value_of(20), value_of(30)};
  EXPECT_EQ(table.put_many(writer_, keys, values).value(), Sequence{3});
  const std::vector<Key> wanted{{3}, {9}, {1}};
  std::vector<Value> got(3);
  std::vector<std::uint8_t> found(3);
  EXPECT_EQ(table.get_many(wanted, got, found).value(), 2U);
  EXPECT_EQ(found, (std::vector<std::uint8_t>{1, 0, 1}));
  EXPECT_EQ(got[0], value_of(30));
  EXPECT_EQ(got[2], value_of(10));
  EXPECT_EQ(table.put_many(writer_, keys, std::span(values).first(2)).error().code, Errc::BadInput) << "one is missing";
}

TEST_F(TypedTables, AreRebuiltLarger) {
  const auto table = flows_.in(store_).value();
  for (std::uint64_t id = 0; id < 4; ++id) { ASSERT_TRUE(table.put(writer_, {id}, value_of(id))); }
  EXPECT_EQ(table.put(writer_, {4}, value_of(4)).error().code, Errc::Full);
  EXPECT_EQ(table.capacity(), 4U);
  ASSERT_TRUE(table.rebuild(writer_));
  EXPECT_EQ(table.capacity(), 40U);
  EXPECT_TRUE(table.put(writer_, {4}, value_of(4)));
  EXPECT_EQ(texts_.in(store_)->rebuild(writer_).error().code, Errc::BadInput) << "nothing was reserved";
}

TEST_F(TypedTables, DenseOnesHaveNumbersAsKeysAndFloatingMembersAreKeptBitByBit) {
  const auto table = sensors_.in(store_).value();
  const Reading reading{-0.0, 1.1};
  ASSERT_TRUE(table.put(writer_, 7, reading));
  const auto back = table.get(7).value();
  EXPECT_EQ(back, reading);
  EXPECT_TRUE(std::signbit(back.celsius));
  EXPECT_EQ(table.put(writer_, 8, reading).error().code, Errc::BadInput) << "not below its capacity";
  EXPECT_EQ((TypedTable<std::uint64_t, Reading>("sensors", 8).in(store_).error().message),
            "table \"sensors\" of store \"state\" is dense, not hashed");
}

TEST_F(TypedTables, BlobsHaveTypedKeysAndTheirOwnLengths) {
  const auto table = texts_.in(store_).value();
  const std::string text = "of seventeen bytes";
  ASSERT_TRUE(table.put(writer_, {1}, std::as_bytes(std::span(text))));
  ASSERT_TRUE(table.put(writer_, {2}, {}));
  const auto got = table.get({1}).value();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(got.data()), got.size()), text);
  EXPECT_TRUE(table.get({2}).value().empty());
  EXPECT_EQ(table.get({3}).error().code, Errc::NotFound);
  const std::vector<Key> keys{{2}, {3}, {1}};
  std::vector<std::byte> values(3 * table.value_bytes());
  std::vector<std::uint32_t> lengths(3);
  EXPECT_EQ(table.get_many(keys, values, lengths).value(), 2U);
  EXPECT_EQ(lengths, (std::vector<std::uint32_t>{0, Store::absent, 18}));
  std::map<std::uint64_t, std::size_t> scanned;
  const auto visit = [&](const Key& key, Bytes value, Sequence) {
    scanned[key.id] = value.size();
    return true;
  };
  ASSERT_TRUE(table.scan({}, visit));
  EXPECT_EQ(scanned, (std::map<std::uint64_t, std::size_t>{{1, 18}, {2, 0}}));
  ASSERT_TRUE(table.scan_ordered(visit));
  ASSERT_TRUE(table.erase(writer_, {1}));
  EXPECT_EQ(table.count(), 1U);
}

}  // namespace
}  // namespace understudy::shm
