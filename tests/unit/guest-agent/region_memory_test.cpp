// SPDX-License-Identifier: Apache-2.0
/// Where the region is looked for, in a tree that looks like a guest's /sys. That a real kernel understands the steps
/// is shown in tests/integration/guests.
#include "edge/region_memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::guest {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class RegionMemoryTest : public testing::Test {
 protected:
  RegionMemoryTest() { fs::create_directories(root); }
  ~RegionMemoryTest() override { fs::remove_all(root); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((fs::path(root + path)).parent_path());
    std::ofstream(root + path) << text;
  }
  [[nodiscard]] std::string read(const std::string& path) const {
    std::ifstream file(root + path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void add_bar() const {
    const std::string device = "/sys/bus/pci/devices/0000:00:05.0/";
    write(device + "vendor", "0x1af4\n");
    write(device + "device", "0x1110\n");
    write(device + "enable", "0\n");
    write(device + "resource",
          "0x00000000febd1000 0x00000000febd10ff 0x0000000000040200\n"
          "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
          "0x00000000fe000000 0x00000000fe0fffff 0x000000000014220c\n");
    write(device + "resource2", std::string(1 << 20, '\0'));
    write(device + "resource2_wc", std::string(1 << 20, '\0'));
  }
  void add_namespace(const std::string& mode, const std::string& holder = "") const {
    const std::string device = "/sys/bus/nd/devices/namespace0.0/";
    write(device + "size", "35651584\n");
    write(device + "mode", mode + "\n");
    write(device + "holder", holder + "\n");
    write("/sys/bus/nd/devices/region0/dax_seed", "dax0.0\n");
    for (const char* name : {"mode", "align", "uuid", "namespace"}) {
      write(std::string("/sys/bus/nd/devices/dax0.0/") + name, "");
    }
    write("/sys/bus/nd/drivers/nd_pmem/unbind", "");
    write("/sys/bus/nd/drivers/dax_pmem/bind", "");
    write("/proc/sys/kernel/random/uuid", "6c2bcb4e-0000-4000-8000-000000000000\n");
  }
  void add_device_dax() const {
    write("/sys/bus/dax/devices/dax0.0/size", "33554432\n");
    write("/sys/bus/dax/devices/dax0.0/resource", "0x100200000\n");
    write("/dev/dax0.0", "");
  }

  std::string root = testing::TempDir() + "region_memory_" + std::to_string(getpid());
};

TEST_F(RegionMemoryTest, ABarComesFirstAndIsEnabledAndNeverTheWriteCombiningOne) {
  add_namespace("raw");
  add_device_dax();
  add_bar();
  const auto found = MemoryFinder(root).find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->kind, MemoryKind::Ivshmem);
  EXPECT_EQ(found->path, root + "/sys/bus/pci/devices/0000:00:05.0/resource2");
  EXPECT_EQ(found->bytes, 1U << 20);
  EXPECT_EQ(found->physical_begin, 0xfe000000U);
  EXPECT_EQ(read("/sys/bus/pci/devices/0000:00:05.0/enable"), "1");
}

TEST_F(RegionMemoryTest, ADeviceDaxThatIsThereIsTakenAsItIs) {
  add_namespace("dax");
  add_device_dax();
  const auto found = MemoryFinder(root).find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->kind, MemoryKind::DeviceDax);
  EXPECT_EQ(found->path, root + "/dev/dax0.0");
  EXPECT_EQ(found->bytes, 32U << 20);
  EXPECT_EQ(found->physical_begin, 0x100200000U);
  EXPECT_EQ(read("/sys/bus/nd/devices/dax0.0/mode"), "") << "nothing was made";
}

TEST_F(RegionMemoryTest, ARawNamespaceIsMadeADeviceDaxStepByStep) {
  add_namespace("raw");
  const auto none = MemoryFinder(root).find();
  ASSERT_FALSE(none) << "nothing came of it in this tree";
  EXPECT_THAT(none.error().message, HasSubstr("device_dax"));
  EXPECT_EQ(read("/sys/bus/nd/drivers/nd_pmem/unbind"), "namespace0.0");
  EXPECT_EQ(read("/sys/bus/nd/devices/dax0.0/mode"), "ram");
  EXPECT_EQ(read("/sys/bus/nd/devices/dax0.0/align"), "2097152");
  EXPECT_EQ(read("/sys/bus/nd/devices/dax0.0/uuid"), "6c2bcb4e-0000-4000-8000-000000000000");
  EXPECT_EQ(read("/sys/bus/nd/devices/dax0.0/namespace"), "namespace0.0");
  EXPECT_EQ(read("/sys/bus/nd/drivers/dax_pmem/bind"), "dax0.0");
}

TEST_F(RegionMemoryTest, OneThatWasBegunIsOnlyBound) {
  add_namespace("dax", "dax0.0");
  EXPECT_FALSE(MemoryFinder(root).find());
  EXPECT_EQ(read("/sys/bus/nd/drivers/dax_pmem/bind"), "dax0.0");
  EXPECT_EQ(read("/sys/bus/nd/devices/dax0.0/mode"), "");
}

TEST_F(RegionMemoryTest, ARawNvdimmIsNeverUsedAsABlockDevice) {
  add_namespace("raw");
  write("/dev/pmem0", "");
  fs::remove(root + "/sys/bus/nd/devices/region0/dax_seed");
  const auto refused = MemoryFinder(root).find();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::Refused);
  EXPECT_THAT(refused.error().message, HasSubstr("namespace0.0"));
  EXPECT_THAT(refused.error().message, HasSubstr("page cache"));
}

TEST_F(RegionMemoryTest, AFileSystemOnAnNvdimmGivesItsOnlyFile) {
  add_namespace("memory");
  EXPECT_EQ(MemoryFinder(root).find().error().code, Errc::Refused) << "nothing is mounted";
  write("/proc/self/mounts", "proc /proc proc rw 0 0\n/dev/pmem0 /region ext4 rw,dax=always 0 0\n");
  fs::create_directories(root + "/region/lost+found");
  EXPECT_EQ(MemoryFinder(root).find().error().code, Errc::Refused) << "no file";
  write("/region/state", std::string(1 << 20, '\0'));
  const auto found = MemoryFinder(root).find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->kind, MemoryKind::FsDax);
  EXPECT_EQ(found->path, root + "/region/state");
  EXPECT_EQ(found->bytes, 1U << 20);
  write("/region/other", "");
  EXPECT_EQ(MemoryFinder(root).find().error().code, Errc::Refused) << "which of them?";
}

TEST_F(RegionMemoryTest, WhereThereIsNothingItIsWaitedForAndThenSaid) {
  const auto none = wait_for_region_memory(MemoryFinder(root), 50ms);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::NotFound);
  EXPECT_THAT(none.error().message, HasSubstr("no ivshmem device"));
}

TEST_F(RegionMemoryTest, MemoryThatIsMappedWriteCombiningIsRefused) {
  const RegionMemory memory{MemoryKind::Ivshmem, "/x/resource2", 1 << 20, 0xfe000000};
  const std::string list = "/sys/kernel/debug/x86/pat_memtype_list";
  EXPECT_TRUE(refuse_write_combining(memory, root)) << "a kernel without the list";
  write(list,
        "PAT memtype list:\n"
        "PAT: [mem 0x00000000fd000000-0x00000000fe000000] write-combining\n"
        "PAT: [mem 0x00000000fe000000-0x00000000fe100000] uncached-minus\n"
        "PAT: [mem 0x00000000fe100000-0x00000000fe200000] write-combining\n");
  const auto fine = refuse_write_combining(memory, root);
  EXPECT_TRUE(fine) << fine.error().message << ": neighbours are not ours";
  write(list, "PAT: [mem 0x00000000fe0ff000-0x00000000fe100000] write-combining\n");
  const auto refused = refuse_write_combining(memory, root);
  ASSERT_FALSE(refused) << "one page of it is enough";
  EXPECT_EQ(refused.error().code, Errc::Refused);
}

}  // namespace
}  // namespace understudy::guest
