// SPDX-License-Identifier: Apache-2.0
/// What cannot be looked at is not absent, and a lock that cannot be asked for is not had.
/// Covers: shared-mem/src/recovery.cpp, shared-mem/src/region.cpp
#include <sys/stat.h>

#include <filesystem>

#include "region_fixture.hpp"
#include "support/no_descriptors_left.hpp"

namespace understudy::shm {
namespace {

TEST(Unreadable, IsARegionForWhichNoDescriptorIsLeft) {
  RegionFile file;
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()));
  const test::NoDescriptorsLeft limit;
  EXPECT_NE(Region::inspect(file.path()), RegionState::Absent);
}

TEST(Unreadable, IsANameThatLeadsNowhere) {
  RegionFile file;
  std::filesystem::create_symlink(file.path(), file.path());
  EXPECT_NE(Region::inspect(file.path()), RegionState::Absent);
}

TEST(APipe, IsForeignAndNobodyWaitsForItsOtherEnd) {
  RegionFile file;
  ASSERT_EQ(::mkfifo(file.path().c_str(), 0600), 0);
  EXPECT_EQ(Region::inspect(file.path()), RegionState::Foreign);
}

TEST(TheWritersLock, ThatCannotBeAskedForIsNotHad) {
  RegionFile file;
  const auto region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  const auto store = region.store("state").value();
  const auto first = store.become_writer(Term{1}).value();
  const auto epoch = store.epoch();
  const test::NoDescriptorsLeft limit;
  for (const auto& refused : {store.can_become_writer(Term{2}), [&]() -> Status {
                                const auto second = store.become_writer(Term{2});
                                return second ? Status() : Status(second.error());
                              }()}) {
    ASSERT_FALSE(refused) << "two writers on one system";
    EXPECT_EQ(refused.error().code, Errc::Refused);
    EXPECT_NE(refused.error().message.find("Too many open files"), std::string::npos) << refused.error().message;
  }
  EXPECT_EQ(store.epoch(), epoch) << "the first one writes on";
}

}  // namespace
}  // namespace understudy::shm
