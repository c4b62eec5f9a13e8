// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/full_tables.hpp"

#include <gmock/gmock.h>

#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FullTables, AreToldOnceAMinuteWithWhatWasRefusedSince) {
  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, small_schema(2)).value();
  auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  const Instant start{std::chrono::hours(1)};
  ASSERT_TRUE(put(writer, 1, 1).ok());
  ASSERT_TRUE(put(writer, 2, 2).ok());
  ASSERT_FALSE(put(writer, 3, 3).ok());
  FullTables sut;
  EXPECT_THAT(sut.look(region, start), IsEmpty()) << "before anybody watched";
  ASSERT_FALSE(put(writer, 3, 3).ok());
  ASSERT_FALSE(put(writer, 4, 4).ok());
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(1)),
              ElementsAre("table \"flows\" of store \"state\" is full: it holds 2 of 2 records and refused 2 puts; "
                          "give it more capacity in the group's configuration"));
  ASSERT_FALSE(put(writer, 3, 3).ok());
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(30)), IsEmpty());
  EXPECT_EQ(sut.look(region, start + std::chrono::seconds(61)).size(), 1U);
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(200)), IsEmpty()) << "nothing new";
}

}  // namespace
}  // namespace understudy::shm
