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
  EXPECT_EQ(sut.look(region, start).size(), 1U) << "before anybody watched, and it is full still";
  ASSERT_FALSE(put(writer, 3, 3).ok());
  ASSERT_FALSE(put(writer, 4, 4).ok());
  const auto sentences = [&](std::chrono::seconds after) {
    std::vector<std::string> said;
    for (const auto& news : sut.look(region, start + after)) { said.push_back(news.sentence); }
    return said;
  };
  EXPECT_THAT(sentences(std::chrono::seconds(61)),
              ElementsAre("table \"flows\" of store \"state\" is full: it holds 2 of 2 records and refused 2 puts; "
                          "give it more capacity in the group's configuration"));
  ASSERT_FALSE(put(writer, 3, 3).ok());
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(91)), IsEmpty());
  EXPECT_EQ(sut.look(region, start + std::chrono::seconds(122)).size(), 1U);
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(200)), IsEmpty()) << "nothing new";
}

TEST(FullTables, ThatHaveRoomWhenTheWatchBeginsAreNotToldForWhatWasRefusedBefore) {
  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, small_schema(2)).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  ASSERT_TRUE(put(writer, 1, 1).ok() && put(writer, 2, 2).ok());
  ASSERT_FALSE(put(writer, 3, 3).ok());
  ASSERT_TRUE(writer.erase(flows, as_bytes_of(Key{1})).ok());
  FullTables sut;
  const Instant start{std::chrono::hours(1)};
  EXPECT_THAT(sut.look(region, start), IsEmpty());
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(61)), IsEmpty());
}

TEST(FullTables, ThatHaveRoomAgainAreToldToo) {
  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, small_schema(2)).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const Instant start{std::chrono::hours(1)};
  ASSERT_TRUE(put(writer, 1, 1).ok() && put(writer, 2, 2).ok());
  FullTables sut;
  EXPECT_THAT(sut.look(region, start), IsEmpty());
  ASSERT_FALSE(put(writer, 3, 3).ok());
  const auto full = sut.look(region, start + std::chrono::seconds(1));
  ASSERT_EQ(full.size(), 1U);
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(2)), IsEmpty()) << "it is full still";
  ASSERT_TRUE(writer.erase(flows, as_bytes_of(Key{1})).ok());
  const auto room = sut.look(region, start + std::chrono::seconds(3));
  ASSERT_EQ(room.size(), 1U);
  EXPECT_EQ(room[0].topic, full[0].topic);
  EXPECT_EQ(room[0].sentence, "");
  EXPECT_THAT(sut.look(region, start + std::chrono::seconds(4)), IsEmpty()) << "told once";
}

}  // namespace
}  // namespace understudy::shm
