// SPDX-License-Identifier: Apache-2.0
#include "edge/config.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "support/without_capabilities.hpp"

namespace understudy::host {
namespace {

/// From here on this process is in a network namespace of its own with two interfaces, ext and mnt; without root by a
/// user namespace.
bool enter_namespace_with_interfaces() {
  const auto uid = std::to_string(getuid());
  if (unshare(CLONE_NEWNET) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) { return false; }
    std::ofstream("/proc/self/uid_map") << "0 " + uid + " 1";
  }
  return std::system("ip link add ext type veth peer name mnt") == 0;
}

class BladeConfigTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(enter_namespace_with_interfaces()) << std::strerror(errno); }
  /// The good file with `from` replaced by `to`.
  Result<BladeConfig> read(const std::string& from = "", const std::string& to = "") {
    std::string text =
        "blade = \"blade-1\"\n"
        "address = \"127.0.0.1/24\"\n"
        "control = [\"192.168.1.250:7400\"]\n"
        "run_dir = \"" +
        testing::TempDir() +
        "\"\n"
        "[networks]\n"
        "external = \"ext\"\n"
        "[mirrors]\n"
        "maintenance_interface = \"mnt\"\n"
        "kernel = \"/etc/passwd\"\n"
        "initramfs = \"/etc/passwd\"\n"
        "[tls]\n"
        "plain_text = true\n";
    if (!from.empty()) { text.replace(text.find(from), from.size(), to); }
    path_ = testing::TempDir() + "blade_config_test_" + std::to_string(getpid()) + ".toml";
    std::ofstream(path_) << text;
    return read_blade_config(path_, doubts_);
  }
  std::string complaint(const std::string& from, const std::string& to) {
    const auto config = read(from, to);
    return config ? "no complaint" : config.error().message.substr(path_.size());
  }
  Doubts doubts_ = Doubts::Refused;
  ~BladeConfigTest() override { std::remove(path_.c_str()); }
  std::string path_;
};

TEST_F(BladeConfigTest, ReadsAGoodFile) {
  const auto config = read();
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config.value().networks.at("external"), "ext");
  EXPECT_EQ(config.value().mirrors.memory, "auto");
  EXPECT_EQ(config.value().region_path(RoleId{"role-1"}), "/dev/shm/understudy-role-1");
}

TEST_F(BladeConfigTest, EachMistakeIsOneLineWithFileAndLine) {
  EXPECT_EQ(complaint("external = \"ext\"", "external = \"nope0\""),
            ":6: interface \"nope0\" does not exist on this blade; write the name of one that `ip link` shows");
  EXPECT_EQ(complaint("[\"192.168.1.250:7400\"]", "[\"192.168.1.250\"]"),
            ":3: \"192.168.1.250\" is not an address and port; write e.g. \"192.168.1.250:7400\"");
  EXPECT_EQ(complaint("127.0.0.1/24", "192.168.1.1"),
            ":2: \"192.168.1.1\" is not an address with a prefix length such as 10.23.4.121/24");
  EXPECT_EQ(complaint("kernel = \"/etc/passwd\"", "kernel = \"/nonexistent\""),
            ":9: \"/nonexistent\" is no file that can be read; write the path of an existing one");
  EXPECT_EQ(complaint("kernel = \"/etc/passwd\"", "kernel = \"/etc\""),
            ":9: \"/etc\" is no file that can be read; write the path of an existing one");
  EXPECT_EQ(complaint("initramfs = \"/etc/passwd\"", "initramfs = \"/etc\""),
            ":10: \"/etc\" is no file that can be read; write the path of an existing one");
  EXPECT_EQ(complaint("[\"192.168.1.250:7400\"]", "[\"[fd00:1::250]:7400\"]"),
            ":3: \"[fd00:1::250]:7400\" is of another family than this blade's address 127.0.0.1; BFD needs both IPv4, "
            "or both IPv6");
  EXPECT_EQ(complaint("\"blade-1\"", "\"../x\""),
            ":1: \"../x\" is no name; use up to 64 letters, digits, '.', '_', '-'");
  EXPECT_EQ(complaint("\"blade-1\"", "\"..\""), ":1: \"..\" is no name; use up to 64 letters, digits, '.', '_', '-'");
  const std::string advice = "; write a directory that is there or can be made, e.g. \"/run/understudy\"";
  EXPECT_EQ(complaint(testing::TempDir(), "/etc/passwd"),
            ":4: \"/etc/passwd\" cannot be made: /etc/passwd is no directory" + advice);
  EXPECT_EQ(complaint(testing::TempDir(), "/etc/passwd/x/y"),
            ":4: \"/etc/passwd/x/y\" cannot be made: /etc/passwd is no directory" + advice);
  EXPECT_EQ(complaint("external = \"ext\"", "external = \"lo\""),
            ":6: \"lo\" is this blade's own loopback; write a real interface");
  EXPECT_EQ(complaint("external = \"ext\"", "external = \"mnt\""),
            ":8: interface \"mnt\" is given to the network \"external\", whose gate would close it; the maintenance "
            "network needs its own");
  EXPECT_EQ(complaint("127.0.0.1/24", "192.0.2.250/24"),
            ":2: this blade has no address 192.0.2.250; write one that `ip address` shows");
  EXPECT_EQ(complaint("[networks]", "region_dir = \"/nonexistent\"\n[networks]"),
            ":5: there is no directory \"/nonexistent\"; make it, or write another one");
  EXPECT_EQ(
      complaint("[networks]", "region_dir = \"/proc\"\n[networks]"),
      ":5: \"/proc\" is not on a tmpfs: a region there would outlive a reboot (and be written to a disk, where that "
      "is no nvdimm with fs-dax); write a directory on one, e.g. \"/dev/shm\"");
  EXPECT_EQ(complaint("kernel =", "qemu = \"/no/qemu\"\nkernel ="),
            ":9: there is no program \"/no/qemu\"; install QEMU, or write qemu = its path");
  EXPECT_EQ(complaint("kernel =", "qemu = \"/usr/bin\"\nkernel ="),
            ":9: there is no program \"/usr/bin\"; install QEMU, or write qemu = its path");
  EXPECT_EQ(complaint("blade = \"blade-1\"", "blade = 1"),
            ":1: \"blade\" in the file is wrong; write this blade's name, e.g. \"blade-2\"");
  EXPECT_EQ(complaint("kernel =", "memory = \"shmem\"\nkernel ="),
            ":9: memory \"shmem\" is unknown; write \"auto\", \"ivshmem\" or \"nvdimm\"");
  EXPECT_EQ(complaint("kernel =", "memory = \"nvdimm\"\nkernel ="), "no complaint");
  EXPECT_NE(complaint("maintenance_interface", "maintainance_interface").find("\"maintenance_interface\" is missing"),
            std::string::npos);
}

TEST_F(BladeConfigTest, BfdHasAKeyOfTheGroupAndPeersWithTheirOwn) {
  const std::string key_file = testing::TempDir() + "blade_config_test_" + std::to_string(getpid()) + ".key";
  std::ofstream(key_file) << "group-key\n";
  ASSERT_EQ(chmod(key_file.c_str(), 0644), 0);
  const std::string networks = "[networks]\n";
  const std::string bfd = "[bfd]\nauth = \"meticulous-sha1\"\nkey_id = 7\nkey_file = \"" + key_file +
                          "\"\n[[bfd.peer]]\naddress = \"127.0.0.9\"\ninterval_ms = 300\nmultiplier = 5\n";
  EXPECT_EQ(complaint(networks, bfd + networks), ":8: " + key_file + " is open to others than its owner; chmod 600 it");
  ASSERT_EQ(chmod(key_file.c_str(), 0600), 0);
  const auto config = read(networks, bfd + networks);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto& read_bfd = config.value().bfd;
  EXPECT_EQ(read_bfd.authentication,
            (link::bfd::Authentication{link::BfdAuthentication::MeticulousSha1, 7, "group-key"}));
  ASSERT_EQ(read_bfd.peers.size(), 1u);
  EXPECT_EQ(read_bfd.peers[0].first.to_string(), "127.0.0.9");
  EXPECT_EQ(read_bfd.peers[0].second.interval, std::chrono::milliseconds(300));
  EXPECT_EQ(read_bfd.peers[0].second.authentication, link::bfd::Authentication{}) << "a router chooses for itself";
  EXPECT_EQ(complaint(networks, "[[bfd.peer]]\naddress = \"fd00::9\"\n" + networks),
            ":6: fd00::9 is of another family than this blade's address 127.0.0.1; BFD needs both IPv4, or both IPv6");
  std::remove(key_file.c_str());
}

TEST_F(BladeConfigTest, ACommandAtATestPointMustBeAllowed) {
  const std::string mirrors =
      "initramfs = \"/etc/passwd\"\n"
      "[tls]\n"
      "plain_text = true\n";
  EXPECT_EQ(complaint(mirrors, mirrors + "[drill]\nfrozen = [\"/bin/true\"]\n"),
            ":14: a command at a test point stops service while it runs; remove it, or write allow = true in [drill]");
  EXPECT_EQ(complaint(mirrors, mirrors + "[drill]\nallow = true\nfrozen = [\"true\"]\n"),
            ":15: \"true\" is not an absolute path; write the program's path");
  EXPECT_EQ(complaint(mirrors, mirrors + "[drill]\nallow = true\nfrozen = [\"/bin/true\"]\n"), "no complaint");
}

TEST_F(BladeConfigTest, RootWithoutCapabilitiesIsToldWhatItLacks) {
  EXPECT_EQ(
      test::said_without_capabilities([&] { return complaint("", ""); }),
      ":5: this process may not change these networks: root lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN here; "
      "start it with all capabilities, by systemd or sudo");
}

TEST_F(BladeConfigTest, ANetworkOfItsOwnForEachInterface) {
  EXPECT_EQ(complaint("external = \"ext\"", "external = \"ext\"\ninternal = \"ext\""),
            ":7: interface \"ext\" is given to two networks; each network needs its own");
}

TEST_F(BladeConfigTest, WhatABladeHasServedWithIsToldAtAStartAndKeepsItFromNothing) {
  doubts_ = Doubts::Told;
  const auto config = read("[networks]", "region_dir = \"/proc\"\n[networks]");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->region_dir, "/proc");
  ASSERT_EQ(config->doubts.size(), 1U);
  EXPECT_EQ(config->doubts[0].find("region_dir: \"/proc\" is not on a tmpfs"), 0U) << config->doubts[0];
  EXPECT_TRUE(read()->doubts.empty());
}

TEST_F(BladeConfigTest, AWatchdogIsADeviceWithATimeout) {
  const auto with = [&](const std::string& text) { return read("[mirrors]\n", "[watchdog]\n" + text + "[mirrors]\n"); };
  const auto good = with("device = \"/dev/null\"\ntimeout_s = 10\n");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->watchdog.device, "/dev/null");
  EXPECT_EQ(good->watchdog.timeout, std::chrono::seconds(10));
  EXPECT_EQ(read()->watchdog.device, "") << "none unless it is asked for";
  for (const auto* wrong : {"device = \"/etc/passwd\"\n", "device = \"/dev/no-such-thing\"\n", "timeout_s = 1\n"}) {
    const auto refused = with(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_NE(refused.error().message.find("watchdog"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace understudy::host
