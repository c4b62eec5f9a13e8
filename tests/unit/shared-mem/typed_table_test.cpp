// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/typed_table.hpp"

#include "region_fixture.hpp"

namespace understudy::shm {
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

}  // namespace
}  // namespace understudy::shm
