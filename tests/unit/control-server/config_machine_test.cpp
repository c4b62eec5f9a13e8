// SPDX-License-Identifier: Apache-2.0
/// What this machine lacks is told before anything is started: in a network namespace of this test's own, without root
/// by a user namespace.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "edge/config_file.hpp"
#include "support/pki.hpp"
#include "support/without_capabilities.hpp"

namespace understudy::control {
namespace {

bool enter_namespace_with_ports() {
  const auto uid = std::to_string(getuid());
  if (unshare(CLONE_NEWNET) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) { return false; }
    std::ofstream("/proc/self/uid_map") << "0 " + uid + " 1";
  }
  return std::system("ip link add b1-ext type veth peer name b2-ext") == 0;
}

class ConfigMachineTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(enter_namespace_with_ports()) << std::strerror(errno); }
  ConfigMachineTest() : folder_(testing::TempDir() + "config_machine_test_" + std::to_string(getpid())) {
    std::filesystem::create_directories(folder_ + "/folder");
    std::ofstream(folder_ + "/text") << "neither SQL nor short";
    std::ofstream(folder_ + "/store") << std::string("SQLite format 3\0and more", 24);
    std::ofstream(folder_ + "/empty");
    EXPECT_EQ(mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
    before_ = names();
  }
  ~ConfigMachineTest() override {
    EXPECT_EQ(names(), before_) << "a check leaves nothing behind";
    std::filesystem::remove_all(folder_);
  }

  /// The good file with one thing changed, and what is said after the file's name.
  std::string complaint(const std::string& what = "", const std::string& instead = "") {
    std::string text = "[control]\nlisten = \"127.0.0.1:7400\"\nstate = \"" + folder_ + "/control.db\"\n" + R"([switch]
driver = "linux-bridge"
netns = "/proc/self/ns/net"
[power]
driver = "command"
command = ["true"]
[[blade]]
name = "blade-1"
address = "127.0.0.2"
switch_ports = ["b1-ext"]
[[blade]]
name = "blade-2"
address = "127.0.0.3"
switch_ports = ["b2-ext"]
standby = true
[[role]]
name = "role-1"
number = 1
active = "blade-1"
region_mib = 16
flow_capacity = 100
mirror_address = "127.0.0.41/8"
mirror_mac = "02:e2:00:00:00:01"
[[role.port]]
name = "ext"
network = "external"
mac = "02:e0:00:00:00:01"
addresses = ["10.23.4.121/24"]
[tls]
plain_text = true
)";
    text.replace(text.find(what), what.size(), instead);
    const auto path = testing::TempDir() + "config_machine_test_" + std::to_string(getpid()) + ".toml";
    std::ofstream(path) << text;
    const auto config = read_config(path, checks_);
    std::filesystem::remove(path);
    return config ? "none" : config.error().message.substr(path.size());
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) { found.insert(entry.path()); }
    return found;
  }
  Checks checks_ = Checks::FileAndMachine;
  std::string folder_;
  std::set<std::string> before_;
};

TEST_F(ConfigMachineTest, WhatIsThereIsAccepted) {
  EXPECT_EQ(complaint(), "none");
  EXPECT_EQ(complaint("control.db", "store"), "none");
  EXPECT_EQ(complaint("control.db", "empty"), "none");
  EXPECT_EQ(complaint("netns = \"/proc/self/ns/net\"\n"), "none") << "our own";
}

TEST_F(ConfigMachineTest, AnAddressThatIsNotOurs) {
  EXPECT_EQ(complaint("127.0.0.1:7400", "192.0.2.250:7400"),
            ":2: this machine has no address 192.0.2.250; write one that `ip address` shows");
}

TEST_F(ConfigMachineTest, AStateThatCannotBe) {
  const auto state = folder_ + "/control.db";
  EXPECT_EQ(complaint(state, "/nonexistent/control.db"),
            ":3: there is no directory /nonexistent; make it, or write a path in another one");
  EXPECT_EQ(complaint("control.db", "folder"),
            ":3: " + folder_ + "/folder is a directory; write the path of the store's file");
  EXPECT_EQ(complaint("control.db", "text"),
            ":3: " + folder_ + "/text is no state store; write the path of one, or of a file that is not there yet");
  EXPECT_EQ(complaint("control.db", "pipe"),
            ":3: " + folder_ + "/pipe is no regular file; write the path of the store's file");
}

TEST_F(ConfigMachineTest, OfTheFilesForEtcdAStartRefusesOnlyAKeyThatEverybodyMayRead) {
  test::Pki pki;
  const auto files = pki.issue(link::tls::Kind::ControlServer, "control");
  const auto with = [&](const std::string& certificate, const std::string& key) {
    return complaint(
        "state = \"" + folder_ + "/control.db\"\n",
        "servers = [\"127.0.0.1:7400\"]\n[control.etcd]\nendpoints = [\"https://127.0.0.1:2379\"]\nca = \"" + files.ca +
            "\"\ncertificate = \"" + certificate + "\"\nkey = \"" + key + "\"\n");
  };
  EXPECT_EQ(with(files.certificate, files.key), "none");
  const auto other = pki.issue(link::tls::Kind::ControlServer, "other");
  EXPECT_EQ(with(files.certificate, other.key), "none");
  const auto old = pki.issue(link::tls::Kind::ControlServer, "old", "", -1);
  EXPECT_EQ(with(old.certificate, old.key), "none") << "an alarm, as with a clock that stands at 1970";
  ASSERT_EQ(chmod(files.key.c_str(), 0640), 0);
  EXPECT_EQ(with(files.certificate, files.key), "none") << "root's group may be etcd's";
  ASSERT_EQ(chmod(files.key.c_str(), 0604), 0);
  EXPECT_NE(with(files.certificate, files.key).find("chmod 600 it"), std::string::npos);
  checks_ = Checks::FileAndPower;
  EXPECT_EQ(with(files.certificate, files.key), "none") << "power is switched without etcd";
  EXPECT_EQ(with("/no/certificate", "/no/key"), "none");
}

TEST_F(ConfigMachineTest, ASwitchThatCannotBeReached) {
  EXPECT_EQ(complaint("/proc/self/ns/net", "us-nowhere"),
            ":6: cannot open network namespace /run/netns/us-nowhere: No such file or directory; write one that "
            "`ip netns` shows");
  const auto file = complaint("/proc/self/ns/net", "/etc/passwd");
  EXPECT_TRUE(file.starts_with(":6: /etc/passwd: cannot enter a network namespace: Invalid argument; write")) << file;
  EXPECT_EQ(complaint("b2-ext", "b2-extt"),
            ":17: the switch has no port \"b2-extt\"; write names that `ip link` shows in its network namespace");
}

TEST_F(ConfigMachineTest, AGroupThatWasThereBeforeStartsWithoutThePortOfABladeThatIsOff) {
  std::filesystem::copy_file(folder_ + "/store", folder_ + "/control.db");
  EXPECT_EQ(complaint("b2-ext", "b2-extt"), "none");
  std::filesystem::remove(folder_ + "/control.db");
}

TEST_F(ConfigMachineTest, ASwitchThatThisUserMayNotChange) {
  const auto said = test::said_without_capabilities([&] { return complaint(); });
  EXPECT_TRUE(said.starts_with(":6: ")) << said;
  EXPECT_NE(said.find("Operation not permitted"), std::string::npos) << said;
  EXPECT_NE(said.find("start as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN"), std::string::npos) << said;
  EXPECT_EQ(said.find('\n'), std::string::npos) << said;
}

TEST_F(ConfigMachineTest, ACommandThatIsNoProgram) {
  const std::string advice = " is no program that this user may run; write the path of an executable file";
  EXPECT_EQ(complaint("\"true\"", "\"/no/power\""), ":9: \"/no/power\"" + advice);
  EXPECT_EQ(complaint("\"true\"", "\"/usr/bin\""), ":9: \"/usr/bin\"" + advice);
  EXPECT_EQ(complaint("\"true\"", "\"/etc/passwd\""), ":9: \"/etc/passwd\"" + advice);
  EXPECT_EQ(complaint("\"true\"", "\"no-such-power\""), ":9: \"no-such-power\"" + advice);
  EXPECT_EQ(complaint("driver = \"linux-bridge\"\nnetns = \"/proc/self/ns/net\"",
                      "driver = \"command\"\ncommand = [\"none\"]"),
            ":6: \"none\"" + advice);
}

}  // namespace
}  // namespace understudy::control
