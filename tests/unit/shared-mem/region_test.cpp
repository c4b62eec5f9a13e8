// SPDX-License-Identifier: Apache-2.0
/// Covers: shared-mem/src/creating.cpp
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "region_fixture.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

TEST(Opening, TellsWhatItFound) {
  RegionFile file;
  EXPECT_EQ(Region::inspect(file.path()), RegionState::Absent);
  EXPECT_EQ(Region::open(file.path(), Access::ReadOnly).error().code, Errc::NotFound);
  std::ofstream(file.path()) << std::string(2 << 20, 'x');
  EXPECT_EQ(Region::inspect(file.path()), RegionState::Foreign);
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()).ok());
  EXPECT_EQ(Region::inspect(file.path()), RegionState::Good);
  EXPECT_EQ(Region::inspect(file.path(), small_region_bytes), RegionState::Good);
  EXPECT_EQ(Region::inspect(file.path(), 2 * small_region_bytes), RegionState::Damaged) << "shorter than it must be";
}

TEST(Opening, SaysWhenTheTermIsStaleOrTheSchemaNotTheOneWanted) {
  RegionFile file;
  auto region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  EXPECT_EQ(Region::inspect(file.path(), {}, 0, {Term{1}, {}}), RegionState::StaleTerm) << "nobody ever wrote it";
  EXPECT_EQ(Region::inspect(file.path(), {}, 0, {Term{0}, small_schema()}), RegionState::Good);
  { const auto writer = region.store("state").value().become_writer(Term{5}).value(); }
  EXPECT_EQ(Region::inspect(file.path(), {}, 0, {Term{5}, {}}), RegionState::Good);
  EXPECT_EQ(Region::inspect(file.path(), {}, 0, {Term{6}, {}}), RegionState::StaleTerm);
  const auto stale = Region::open(file.path(), Access::ReadOnly, {}, 0, {Term{6}, {}});
  EXPECT_EQ(stale.error().code, Errc::Refused);
  EXPECT_EQ(stale.error().message, file.path() +
                                       " is stale: store \"state\" was last written under term 5, and 6 is "
                                       "the lowest to accept");
  EXPECT_EQ(Region::inspect(file.path(), {}, 0, {Term{0}, small_schema(999)}), RegionState::OtherSchema);
}

TEST(Opening, FindsTheSchemaThatWasWritten) {
  RegionFile file;
  RegionSchema schema = small_schema();
  schema.stores.push_back({"net", {{"routes", 36, 64, 500}, {"neighbours", 20, 16, 500}}, 128 << 10});
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, schema).ok());
  const auto region = Region::open(file.path(), Access::ReadOnly).value();
  EXPECT_EQ(region.schema(), schema);
  const auto net = region.store("net").value();
  EXPECT_EQ(net.schema(), schema.stores[1]);
  EXPECT_EQ(net.table("neighbours").value(), 1U);
  EXPECT_EQ(net.table("flows").error().code, Errc::NotFound);
  EXPECT_EQ(region.store("nothing").error().code, Errc::NotFound);
}

TEST(Creating, AllocatesTheWholeFileForItsOwnerOnly) {
  RegionFile file;
  ASSERT_TRUE(Region::create(file.path(), 4 << 20, small_schema()).ok());
  struct stat info {};
  ASSERT_EQ(::stat(file.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 4 << 20);
  EXPECT_GE(info.st_blocks * 512, 4 << 20) << "not sparse";
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(Creating, RemovesWhatAKilledProcessLeft) {
  const auto path = testing::TempDir() + "left_behind_" + std::to_string(getpid());
  std::ofstream(path + ".new.1.0") << "memory that nobody would ever free";
  ASSERT_TRUE(Region::create(path, small_region_bytes, small_schema()).ok());
  EXPECT_FALSE(std::filesystem::exists(path + ".new.1.0"));
  std::filesystem::remove(path);
}

TEST(Creating, LeavesAloneWhatMerelyHasASimilarName) {
  RegionFile file;
  const std::vector<std::string> others{".new.v2",  ".new.1",       ".new.1.v", ".new.1.",
                                        ".new.x.1", ".new.1.2.bak", ".new."};
  for (const auto& other : others) { std::ofstream(file.path() + other) << "another's"; }
  const std::string region = file.path() + ".new.7.1";  // what its maker chose to call it
  ASSERT_TRUE(Region::create(region, small_region_bytes, small_schema()).ok());
  const std::string behind_info = file.path() + ".new.7.2";
  ASSERT_TRUE(Region::create(behind_info, small_region_bytes, small_schema(), nvdimm_info_bytes).ok());
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()).ok());
  for (const auto& other : others) {
    EXPECT_TRUE(std::filesystem::remove(file.path() + other)) << "it removed " << other;
  }
  EXPECT_TRUE(std::filesystem::remove(region));
  EXPECT_TRUE(std::filesystem::remove(behind_info));
}

TEST(Creating, LeavesAloneWhatAnotherIsStillMaking) {
  const auto path = testing::TempDir() + "being_made_" + std::to_string(getpid());
  const auto unfinished = path + ".new.1.0";
  const int maker = ::open(unfinished.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(maker, LOCK_EX), 0);
  ASSERT_TRUE(Region::create(path, small_region_bytes, small_schema()).ok());
  EXPECT_TRUE(std::filesystem::exists(unfinished));
  ::close(maker);
  ASSERT_TRUE(Region::create(path, small_region_bytes, small_schema()).ok());
  EXPECT_FALSE(std::filesystem::exists(unfinished)) << "its maker is gone";
  std::filesystem::remove(path);
}

TEST(Creating, OnlyWhereNothingHasTheNameReplacesNothing) {
  RegionFile file;
  const auto first = Region::create_new(file.path(), small_region_bytes, small_schema()).value();
  auto writer = first.store("state").value().become_writer(Term{1}).value();
  ASSERT_TRUE(put(writer, 1, 1).ok());
  EXPECT_EQ(Region::create_new(file.path(), small_region_bytes, small_schema()).error().code, Errc::Refused);
  const auto there = Region::open(file.path(), Access::ReadOnly).value();
  EXPECT_EQ(content(there.store("state").value()), (Content{{1, 1}}));
  EXPECT_EQ(first.path(), file.path());
}

TEST(Creating, ReplacesAnOldFileWithoutTouchingItsUsers) {
  RegionFile file;
  auto old = Region::create(file.path(), small_region_bytes, small_schema()).value();
  auto writer = old.store("state").value().become_writer(Term{1}).value();
  ASSERT_TRUE(put(writer, 1, 1).ok());
  const auto fresh = Region::create(file.path(), small_region_bytes, small_schema()).value();
  EXPECT_EQ(content(fresh.store("state").value()), Content{});
  EXPECT_TRUE(put(writer, 2, 2).ok());
  EXPECT_EQ(content(old.store("state").value()).size(), 2U);
}

TEST(Formatting, EmptiesMemoryThatExists) {
  RegionFile file;
  std::ofstream(file.path()) << std::string(small_region_bytes, 'x');
  const auto region = Region::format(file.path(), small_region_bytes, small_schema()).value();
  auto store = region.store("state").value();
  EXPECT_EQ(content(store), Content{});
  auto writer = store.become_writer(Term{1}).value();
  for (std::uint64_t id = 0; id < 1000; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  EXPECT_EQ(content(store).size(), 1000U);
}

TEST(Creating, RefusesSizesAndSchemasThatDoNotFit) {
  RegionFile file;
  const auto code = [&](std::uint64_t bytes, const RegionSchema& schema) {
    const auto created = Region::create(file.path(), bytes, schema);
    return created.ok() ? Errc::Failed : created.error().code;
  };
  EXPECT_EQ(code((1 << 20) + 4096, small_schema()), Errc::BadInput) << "not a power of two";
  EXPECT_EQ(code(1 << 19, small_schema()), Errc::BadInput) << "too small";
  EXPECT_EQ(code(1 << 20, small_schema(100000)), Errc::BadInput) << "does not fit";
  EXPECT_EQ(code(1 << 20, {}), Errc::BadInput) << "no store";
  EXPECT_EQ(code(1 << 20, small_schema(10, 100000)), Errc::BadInput) << "ring not a power of two";
  auto schema = small_schema();
  schema.stores[0].tables[1].name = "flows";
  EXPECT_EQ(code(1 << 20, schema), Errc::BadInput) << "two tables of one name";
  schema = small_schema();
  schema.stores[0].tables[0].name = std::string(32, 'a');
  EXPECT_EQ(code(1 << 20, schema), Errc::BadInput) << "name too long";
  schema = small_schema();
  schema.stores[0].tables[0].value_bytes = 5000;
  EXPECT_EQ(code(1 << 20, schema), Errc::BadInput) << "value too large";
  EXPECT_EQ(Region::inspect(file.path()), RegionState::Absent) << "a refusal leaves no file";
}

TEST(SizeNeeded, IsTheSmallestThatCreates) {
  RegionFile file;
  const auto schema = small_schema(50000);
  const auto bytes = Region::size_needed(schema).value();
  EXPECT_TRUE(Region::create(file.path(), bytes, schema).ok());
  EXPECT_FALSE(Region::create(file.path(), bytes / 2, schema).ok());
}

TEST(AStore, OutlivesTheRegionObjectItCameFrom) {
  RegionFile file;
  auto store = [&] {
    return Region::create(file.path(), small_region_bytes, small_schema()).value().store("state").value();
  }();
  auto writer = store.become_writer(Term{1}).value();
  EXPECT_TRUE(put(writer, 1, 1).ok());
}

}  // namespace
}  // namespace understudy::shm
