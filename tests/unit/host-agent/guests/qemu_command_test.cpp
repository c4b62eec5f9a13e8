// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/qemu_command.hpp"

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
    std::filesystem::resize_file(directory + "/region", 1 << 20);
    options.role = "role-1";
    options.run_dir = directory;
    options.kernel = directory + "/vmlinux";
    options.initramfs = directory + "/initramfs";
    options.region_path = directory + "/region";
    options.region_bytes = 1 << 20;
  }
  ~QemuCommandTest() override { std::filesystem::remove_all(directory); }

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
  std::filesystem::resize_file(options.region_path, (1 << 20) + 4096);
  EXPECT_FALSE(check_region_file(options.region_path, (1 << 20) + 4096));
}

}  // namespace
}  // namespace understudy::host
