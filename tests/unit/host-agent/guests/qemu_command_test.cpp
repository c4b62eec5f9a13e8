// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/qemu_command.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace understudy::host {
namespace {

class QemuCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(directory);
    for (const char* name : {"/vmlinux", "/initramfs", "/region"}) { std::ofstream(directory + name) << "x"; }
    make_region(1 << 20);
    options.role = "role-1";
    options.run_dir = directory;
    options.kernel = directory + "/vmlinux";
    options.initramfs = directory + "/initramfs";
    options.region_path = directory + "/region";
    options.region_bytes = 1 << 20;
  }
  ~QemuCommandTest() override { std::filesystem::remove_all(directory); }

  void make_region(std::uint64_t bytes) const {
    const UniqueFd file(open((directory + "/region").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)), 0);
  }

  std::string directory = testing::TempDir() + "qemu_command_" + std::to_string(getpid());
  GuestOptions options;
};

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST_F(QemuCommandTest, GoodOptionsPass) {
  const auto checked = check_options(options);
  EXPECT_TRUE(checked) << checked.error().message;
}

TEST_F(QemuCommandTest, AGuestNeverRebootsAndSeesNoFileOfTheHostButItsRegion) {
  const auto words = qemu_command(options, plan_record(options));
  EXPECT_TRUE(contains(words, "-no-reboot"));
  EXPECT_TRUE(contains(words, "-nodefaults"));
  for (const auto& word : words) {
    EXPECT_EQ(word.find("fsdev"), std::string::npos);
    EXPECT_EQ(word.find("virtfs"), std::string::npos);
    EXPECT_NE(word, "-drive");
  }
}

TEST_F(QemuCommandTest, ItIsGivenNoFileButItsOwnAndCanStartNothing) {
  const auto record = plan_record(options);
  const std::vector<std::string> own{options.kernel,    options.initramfs,   options.region_path,
                                     record.qmp_socket, record.agent_socket, record.console_log};
  const auto words = qemu_command(options, record);
  std::vector<std::string> given;
  for (std::size_t i = 1; i < words.size(); ++i) {
    for (std::size_t at = words[i].find('/'); at != std::string::npos;) {  // a path ends where an option does
      const auto end = std::min(words[i].find(',', at), words[i].size());
      const bool begins = at == 0 || std::string("=:").find(words[i][at - 1]) != std::string::npos;
      if (begins) { given.push_back(words[i].substr(at, end - at)); }
      at = words[i].find('/', begins ? end : at + 1);
    }
  }
  EXPECT_EQ(given.size(), own.size());
  for (const auto& path : given) { EXPECT_TRUE(contains(own, path)) << path; }
  const auto sandbox = std::find(words.begin(), words.end(), "-sandbox");
  ASSERT_NE(sandbox, words.end());
  EXPECT_EQ(*(sandbox + 1), "on,obsolete=deny,elevateprivileges=deny,spawn=deny");
}

TEST_F(QemuCommandTest, NamesThatQemuWouldTakeForOptionsAreRefused) {
  for (const char* name : {"", "a,b", "a/b", "-x", ".", "a b", "a\n"}) {
    options.role = name;
    EXPECT_EQ(check_options(options).error().code, Errc::BadInput) << name;
  }
  options.role = "role-1";
  for (const GuestNic& nic : {GuestNic{"ext", "tap,script=/bin/sh", {}}, GuestNic{"1ext", "tap", {}},
                              GuestNic{"ext", "a-name-that-is-too-long", {}}, GuestNic{"e,x", "tap", {}}}) {
    options.nics = {nic};
    EXPECT_EQ(check_options(options).error().code, Errc::BadInput) << nic.id << " " << nic.tap;
  }
}

TEST_F(QemuCommandTest, ACommaInAPathIsNotTheEndOfIt) {
  options.region_path = "/dev/shm/a,size=1";
  const auto words = qemu_command(options, plan_record(options));
  EXPECT_TRUE(std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.find("mem-path=/dev/shm/a,,size=1") != std::string::npos;
  }));
}

TEST_F(QemuCommandTest, ALongRunDirIsRefusedBeforeQemuCutsItsSockets) {
  options.run_dir = "/" + std::string(100, 'd');
  EXPECT_EQ(check_options(options).error().code, Errc::BadInput);
}

TEST_F(QemuCommandTest, WhatIsMissingIsNamed) {
  options.initramfs = "/no/such/initramfs";
  const auto missing = check_options(options);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/no/such/initramfs"), std::string::npos);
}

TEST_F(QemuCommandTest, OnlyARegionOfExactlyTheRightSizePasses) {
  EXPECT_TRUE(check_region_file(options.region_path, 1 << 20));
  EXPECT_FALSE(check_region_file(options.region_path, 2 << 20));
  EXPECT_FALSE(check_region_file(directory, 1 << 20));
  make_region((1 << 20) + 4096);
  EXPECT_FALSE(check_region_file(options.region_path, (1 << 20) + 4096));
}

TEST_F(QemuCommandTest, ASparseRegionIsRefused) {
  std::filesystem::resize_file(options.region_path, 0);
  std::filesystem::resize_file(options.region_path, 1 << 20);
  const auto refused = check_region_file(options.region_path, 1 << 20);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("holes"), std::string::npos) << refused.error().message;
}

TEST_F(QemuCommandTest, AnNvdimmsFileIsLongerByItsInfoBlock) {
  make_region(4 << 20);
  EXPECT_TRUE(check_region_file(options.region_path, 2 << 20, RegionDevice::Nvdimm));
  EXPECT_FALSE(check_region_file(options.region_path, 4 << 20, RegionDevice::Nvdimm));
  EXPECT_FALSE(check_region_file(options.region_path, 2 << 20, RegionDevice::Ivshmem));
  make_region(3 << 20);
  EXPECT_FALSE(check_region_file(options.region_path, 1 << 20, RegionDevice::Nvdimm)) << "smaller than its page";
  make_region(5 << 20);
  EXPECT_FALSE(check_region_file(options.region_path, 3 << 20, RegionDevice::Nvdimm)) << "no power of two";
}

TEST_F(QemuCommandTest, AnNvdimmHasItsSlotAndItsRoom) {
  options.region_device = RegionDevice::Nvdimm;
  options.region_bytes = 32 << 20;
  options.memory_mib = 192;
  const auto words = qemu_command(options, plan_record(options));
  EXPECT_TRUE(contains(words, "size=192M,slots=1,maxmem=226M"));
  EXPECT_TRUE(contains(words, "nvdimm,id=nvdimm,memdev=region"));
  EXPECT_TRUE(std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.find("swiotlb=512") != std::string::npos;
  })) << "or a third of the guest's memory is set aside";
  EXPECT_TRUE(std::any_of(words.begin(), words.end(),
                          [](const std::string& word) { return word.find("nvdimm=on") != std::string::npos; }));
  EXPECT_TRUE(std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.find("share=on,size=" + std::to_string(34 << 20)) != std::string::npos;
  }));
  EXPECT_FALSE(contains(words, "ivshmem-plain,memdev=region"));
}

}  // namespace
}  // namespace understudy::host
