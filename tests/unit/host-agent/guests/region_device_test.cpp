// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/region_device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "support/run_until.hpp"

namespace understudy::host {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr QemuDevices both{true, true};
constexpr QemuDevices only_nvdimm{false, true};
constexpr QemuDevices only_ivshmem{true, false};

TEST(RegionDeviceTest, AutoTakesIvshmemWhereQemuHasItAndItIsCached) {
  EXPECT_EQ(decide_region_device("auto", both, "")->device, RegionDevice::Ivshmem);
  EXPECT_EQ(decide_region_device("auto", only_ivshmem, "")->device, RegionDevice::Ivshmem);
  const auto rhel = decide_region_device("auto", only_nvdimm, "");
  EXPECT_EQ(rhel->device, RegionDevice::Nvdimm);
  EXPECT_THAT(rhel->reason, HasSubstr("has no ivshmem-plain"));
  EXPECT_EQ(decide_region_device("auto", {}, "").error().code, Errc::NotFound);
}

TEST(RegionDeviceTest, AutoTakesAnNvdimmWhereABarWouldBeUncachedAndSaysWhy) {
  const auto choice = decide_region_device("auto", both, "KVM on this AMD processor lets a guest map a BAR uncached");
  EXPECT_EQ(choice->device, RegionDevice::Nvdimm);
  EXPECT_THAT(choice->reason, HasSubstr("AMD"));
  const auto none = decide_region_device("auto", only_ivshmem, "AMD");
  EXPECT_EQ(none->device, RegionDevice::Ivshmem) << "slow is better than nothing";
  EXPECT_THAT(none->reason, HasSubstr("AMD"));
}

TEST(RegionDeviceTest, WhatIsConfiguredIsTakenOrRefused) {
  EXPECT_EQ(decide_region_device("ivshmem", both, "AMD")->device, RegionDevice::Ivshmem);
  EXPECT_EQ(decide_region_device("nvdimm", both, "")->device, RegionDevice::Nvdimm);
  EXPECT_THAT(decide_region_device("ivshmem", only_nvdimm, "").error().message, HasSubstr("ivshmem-plain"));
  EXPECT_THAT(decide_region_device("nvdimm", only_ivshmem, "").error().message, HasSubstr("nvdimm"));
  EXPECT_EQ(decide_region_device("shmem", both, "").error().code, Errc::BadInput);
}

TEST(RegionDeviceTest, ReadsQemusListOfDevices) {
  const auto found = devices_in(
      "Misc devices:\n"
      "name \"ivshmem-doorbell\", bus PCI, desc \"Inter-VM shared memory\"\n"
      "name \"nvdimm\", desc \"DIMM memory module\"\n");
  EXPECT_FALSE(found.ivshmem);
  EXPECT_TRUE(found.nvdimm);
  EXPECT_TRUE(devices_in("name \"ivshmem-plain\", bus PCI\n").ivshmem);
}

class MachineTest : public testing::Test {
 protected:
  ~MachineTest() override { fs::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  }
  std::string root = testing::TempDir() + "region_device_" + std::to_string(getpid());
};

TEST_F(MachineTest, AnAmdProcessorMakesABarUncachedUnderKvmOnly) {
  write("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\n");
  EXPECT_THAT(uncached_bar_reason(Accelerator::Kvm, root), HasSubstr("AMD"));
  EXPECT_EQ(uncached_bar_reason(Accelerator::Tcg, root), "");
  write("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n");
  EXPECT_EQ(uncached_bar_reason(Accelerator::Kvm, root), "");
}

TEST_F(MachineTest, SoDoesAVfioDeviceWithoutSnoopControl) {
  write("/proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
  const std::string device = "/sys/bus/pci/drivers/vfio-pci/0000:3b:00.1/iommu/intel-iommu/ecap";
  write(device, "f020df\n");  // with bit 7
  EXPECT_EQ(uncached_bar_reason(Accelerator::Kvm, root), "");
  write(device, "f0205f\n");
  EXPECT_THAT(uncached_bar_reason(Accelerator::Kvm, root), HasSubstr("0000:3b:00.1"));
}

class AskingQemuTest : public MachineTest {
 protected:
  Result<RegionDeviceChoice> choose(const std::string& script, std::chrono::milliseconds deadline = 10s) {
    write("/qemu", "#!/bin/sh\n" + script + "\n");
    fs::permissions(root + "/qemu", fs::perms::owner_all);
    std::optional<Result<RegionDeviceChoice>> choice;
    choose_region_device(io_, {"auto", root + "/qemu", Accelerator::Tcg, deadline},
                         [&](Result<RegionDeviceChoice> chosen) { choice.emplace(std::move(chosen)); });
    EXPECT_FALSE(choice) << "not from within the call";
    EXPECT_TRUE(test::run_until(
        io_, [&] { return choice.has_value(); }, 20s));
    return choice.value_or(failure("no answer"));
  }
  boost::asio::io_context io_;
};

TEST_F(AskingQemuTest, ItsAnswerDecides) {
  EXPECT_EQ(choose(R"(echo "$@" | grep -q -- '-device help' && echo 'name "ivshmem-plain", bus PCI')")->device,
            RegionDevice::Ivshmem);
  EXPECT_EQ(choose(R"(echo 'name "nvdimm", desc "x"')")->device, RegionDevice::Nvdimm);
}

TEST_F(AskingQemuTest, OneThatSaysNothingOrNeverEndsIsAnError) {
  EXPECT_EQ(choose("exit 1").error().code, Errc::NotFound);
  EXPECT_EQ(choose("exec sleep 600", 50ms).error().code, Errc::Expired);
}

}  // namespace
}  // namespace understudy::host
