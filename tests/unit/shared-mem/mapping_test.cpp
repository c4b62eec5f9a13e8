// SPDX-License-Identifier: Apache-2.0
/// Where a region may lie: files, parts of files, descriptors; and where it may not. BARs, device-dax and fs-dax are
/// opened by the same code in real guests (tests/integration/guests).
#include "mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>

#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

/// Memory without a name, as one process hands it to another.
class Memory {
 public:
  explicit Memory(std::uint64_t bytes) : fd_(::memfd_create("mapping-test", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(fd_.get(), static_cast<off_t>(bytes)), 0);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  Descriptor fd_;
};

TEST(ADescriptor, IsFormattedAndOpened) {
  std::optional<Region> opened;
  {
    Memory memory(small_region_bytes);
    EXPECT_EQ(Region::open(memory.fd(), Access::ReadOnly).error().code, Errc::Damaged) << "no region yet";
    auto made = Region::format(memory.fd(), small_region_bytes, small_schema());
    ASSERT_TRUE(made) << made.error().message;
    auto writer = made->store("state").value().become_writer(Term{1}).value();
    ASSERT_TRUE(put(writer, 1, 1));
    opened.emplace(Region::open(memory.fd(), Access::ReadOnly).value());
  }
  EXPECT_EQ(content(opened->store("state").value()), (Content{{1, 1}})) << "the descriptor is closed, the region not";
}

TEST(ADescriptor, HasOneWriterToo) {
  Memory memory(small_region_bytes);
  auto region = Region::format(memory.fd(), small_region_bytes, small_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  auto second = Region::open(memory.fd(), Access::ReadWrite).value();
  EXPECT_EQ(second.store("state").value().become_writer(Term{2}).error().code, Errc::Refused);
}

TEST(ADescriptor, ThatDoesNotFitSaysWhy) {
  EXPECT_EQ(Region::open(-1, Access::ReadOnly).error().code, Errc::BadInput);
  RegionFile file;
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()));
  const Descriptor reading(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(Region::open(reading.get(), Access::ReadOnly));
  EXPECT_EQ(Region::open(reading.get(), Access::ReadWrite).error().code, Errc::BadInput);
  EXPECT_EQ(Region::format(reading.get(), small_region_bytes, small_schema()).error().code, Errc::BadInput);
}

TEST(APartOfAFile, HoldsARegion) {
  RegionFile file;
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema(), nvdimm_info_bytes));
  struct stat info {};
  ASSERT_EQ(::stat(file.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_size, static_cast<off_t>(small_region_bytes + nvdimm_info_bytes));
  EXPECT_GE(info.st_blocks * 512, info.st_size) << "not sparse";
  EXPECT_EQ(region_offset(file.path(), small_region_bytes), nvdimm_info_bytes);
  EXPECT_EQ(Region::inspect(file.path(), small_region_bytes, nvdimm_info_bytes), RegionState::Good);
  EXPECT_EQ(Region::inspect(file.path(), {}, nvdimm_info_bytes), RegionState::Good) << "what is behind the offset";
  EXPECT_EQ(Region::inspect(file.path(), small_region_bytes), RegionState::Foreign);
  EXPECT_EQ(Region::inspect(file.path(), 2 * small_region_bytes, nvdimm_info_bytes), RegionState::Damaged);
  EXPECT_EQ(Region::open(file.path(), Access::ReadOnly, small_region_bytes, 100).error().code, Errc::BadInput);
  ASSERT_TRUE(Region::format(file.path(), small_region_bytes, small_schema(), nvdimm_info_bytes));
}

TEST(APlainFile, HasItsRegionAtItsBegin) {
  RegionFile file;
  EXPECT_EQ(region_offset(file.path(), small_region_bytes), 0U) << "also when it is not there yet";
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()));
  EXPECT_EQ(region_offset(file.path(), small_region_bytes), 0U);
}

/// Rule 24: what this kernel maps of one is its own page cache, which no other machine sees.
TEST(ABlockDevice, IsRefused) {
  std::error_code ignored;
  std::optional<std::string> device;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/block", ignored)) {
    const auto path = "/dev/" + entry.path().filename().string();
    if (Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)).get() >= 0) { device = path; }
  }
  if (!device) { GTEST_SKIP() << "this machine has none that may be opened"; }
  const Descriptor descriptor(::open(device->c_str(), O_RDONLY | O_CLOEXEC));
  for (const auto& opened :
       {Region::open(*device, Access::ReadOnly), Region::open(descriptor.get(), Access::ReadOnly)}) {
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::Refused) << opened.error().message;
  }
}

TEST(AWriteCombiningBar, IsRefusedByItsName) {
  RegionFile file;
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()));
  const auto path = "/dev/shm/resource2-" + std::to_string(::getpid()) + "_wc";
  std::filesystem::rename(file.path(), path);
  const auto refused = Region::open(path, Access::ReadOnly);
  const Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const auto also = Region::open(descriptor.get(), Access::ReadOnly);
  EXPECT_EQ(Region::inspect(path), RegionState::Foreign) << "not absent: nobody may make a region there";
  const auto link = path + "-link";
  std::filesystem::create_symlink(path, link);
  const auto by_link = Region::open(link, Access::ReadOnly);
  std::filesystem::remove(link);
  std::filesystem::remove(path);
  for (const auto* opened : {&refused, &also, &by_link}) {
    ASSERT_FALSE(*opened);
    EXPECT_EQ(opened->error().code, Errc::Refused) << opened->error().message;
  }
}

}  // namespace
}  // namespace understudy::shm
