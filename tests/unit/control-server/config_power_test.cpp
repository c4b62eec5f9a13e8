// SPDX-License-Identifier: Apache-2.0
/// [power] of group.toml with a fence agent, and the power of each blade.
#include "edge/config_power.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::control {
namespace {

class ConfigPowerTest : public testing::Test {
 protected:
  ConfigPowerTest() : folder_(testing::TempDir() + "config_power_test_" + std::to_string(getpid())) {
    std::filesystem::create_directories(folder_);
    write("secret", "s3cret pass\n", 0600);
    write("open", "s3cret\n", 0644);
    write("agent", R"(#!/bin/sh
[ "$1 $2" = "-o metadata" ] || exit 1
echo '<resource-agent><parameters><parameter name="ip"/><parameter name="username"/><parameter name="password"/>'
echo '<parameter name="plug"/></parameters>'
echo '<actions><action name="off"/><action name="status"/></actions></resource-agent>'
)",
          0755);
  }
  ~ConfigPowerTest() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text, mode_t mode) {
    std::ofstream(folder_ + "/" + name) << text;
    chmod((folder_ + "/" + name).c_str(), mode);
  }
  /// The good file with one thing changed.
  Result<ServerConfig> read(const std::string& what = "", const std::string& instead = "",
                            Checks checks = Checks::FileAndMachine) {
    std::string text = "[control]\nlisten = \"127.0.0.1:7400\"\nstate = \"" + folder_ + R"(/control.db"
[tls]
plain_text = true
[switch]
driver = "command"
command = ["true"]
deadline_ms = 1500
[power]
driver = "fence-agent"
agent = ")" + folder_ + R"(/agent"
deadline_ms = 9000
[power.options]
username = "admin"
[power.secrets]
password = "secret"
[[blade]]
name = "blade-1"
address = "127.0.0.2"
switch_ports = ["b1-ext"]
[blade.power.options]
ip = "192.0.2.1"
[[blade]]
name = "blade-2"
address = "127.0.0.3"
switch_ports = ["b2-ext"]
standby = true
[blade.power.options]
ip = "192.0.2.2"
username = "other"
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
)";
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    text.replace(at, what.size(), instead);
    std::ofstream(folder_ + "/group.toml") << text;
    return read_config(folder_ + "/group.toml", checks);
  }
  void expect_problem(const std::string& what, const std::string& instead, const std::string& words) {
    const auto config = read(what, instead);
    ASSERT_FALSE(config.ok()) << words;
    EXPECT_NE(config.error().message.find(words), std::string::npos) << config.error().message;
    EXPECT_TRUE(config.error().message.starts_with(folder_ + "/group.toml:")) << config.error().message;
    EXPECT_EQ(config.error().message.find('\n'), std::string::npos) << config.error().message;
    EXPECT_EQ(config.error().message.find("s3cret"), std::string::npos) << config.error().message;
  }
  std::string folder_;
};

TEST_F(ConfigPowerTest, EachBladeHasTheGroupsOptionsAndItsOwn) {
  const auto config = read();
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_TRUE(config->group.has_power);
  EXPECT_EQ(config->power_limit, std::chrono::milliseconds(9000));
  EXPECT_EQ(config->switch_limit, std::chrono::milliseconds(1500));
  EXPECT_EQ(config->fence_blades.at("blade-1"),
            (FenceOptions{{"ip", "192.0.2.1"}, {"password", "s3cret pass"}, {"username", "admin"}}));
  EXPECT_EQ(config->fence_blades.at("blade-2").at("username"), "other");
  EXPECT_EQ(read("deadline_ms = 9000\n")->power_limit, std::chrono::milliseconds(20'000)) << "by default";
  EXPECT_NE(open_power(config.value()), nullptr);
}

TEST_F(ConfigPowerTest, TheFileAloneIsCheckedWithoutItsSecrets) {
  std::filesystem::remove(folder_ + "/secret");
  std::filesystem::remove(folder_ + "/agent");
  const auto config = read("", "", Checks::File);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->fence_blades.at("blade-1").at("password"), "");
}

TEST_F(ConfigPowerTest, EveryMistakeIsOneLineWithFileAndLine) {
  const std::string agent = folder_ + "/agent";
  expect_problem("\"fence-agent\"", "\"ipmi\"", "\"ipmi\" is no power driver; write \"none\", \"command\" or");
  expect_problem("agent = \"" + agent + "\"\n", "", "\"agent\" is missing in [power]");
  expect_problem("\"" + agent + "\"", "\"fence_nothing\"", "\"fence_nothing\" is no program");
  expect_problem("\"" + agent + "\"", "\"true\"", "its metadata is not what a fence agent's is");
  expect_problem("\"" + agent + "\"", "\"false\"", "false -o metadata ended with status 1");
  expect_problem("username = \"admin\"", "password = \"s3cret\"",
                 ":14: \"password\" is for nobody to read: write it into a file of mode 0600");
  expect_problem("username = \"admin\"", "passwd = \"s3cret\"", "\"passwd\" is for nobody to read");
  expect_problem("password = \"secret\"", "password = \"open\"", "is open to others than its owner; chmod 600 it");
  expect_problem("password = \"secret\"", "password = \"nowhere\"", "cannot read");
  expect_problem("username = \"admin\"", "action = \"off\"", "\"action\" is said by the control-server; remove it");
  expect_problem("username = \"admin\"", "Username = \"admin\"", "\"Username\" is no parameter");
  expect_problem("username = \"admin\"", "username = \"a\\nport=2\"",
                 "the value of \"username\" is more than one line");
  expect_problem("username = \"admin\"", "username = 1", "\"username\"");
  expect_problem("username = \"admin\"", "lanplus = \"1\"", "agent for blade-1: it has no parameter \"lanplus\"");
  expect_problem("ip = \"192.0.2.2\"\nusername = \"other\"", "ip = \"192.0.2.1\"",
                 "blade-2 and blade-1 have the same power options");
  expect_problem("deadline_ms = 9000", "deadline_ms = 1", "\"deadline_ms\" in [power] is wrong");
  expect_problem("deadline_ms = 1500", "deadline_ms = 1", "\"deadline_ms\" in [switch] is wrong");
}

/// Each of these read as a group with fencing, and was one without.
TEST_F(ConfigPowerTest, KeysThatNoDriverWouldReadAreRefused) {
  const std::string agent = "agent = \"" + folder_ + "/agent\"\n";
  expect_problem("driver = \"fence-agent\"\n", "", "[power] has \"agent\" and no driver, so no blade would ever be");
  expect_problem("driver = \"fence-agent\"\n" + agent, "", "[power] has \"deadline_ms\" and no driver");
  expect_problem("driver = \"fence-agent\"\n" + agent + "deadline_ms = 9000\n", "",
                 "[power] has \"options\" and no driver");
  expect_problem("driver = \"fence-agent\"\n" + agent + "deadline_ms = 9000\n[power.options]\nusername = \"admin\"\n" +
                     "[power.secrets]\npassword = \"secret\"\n",
                 "", "[blade.power] is read by the driver \"fence-agent\" only, and [power] uses none");
  expect_problem("driver = \"fence-agent\"\n" + agent, "driver = \"command\"\ncommand = [\"true\"]\n" + agent,
                 "\"agent\" belongs to the driver \"fence-agent\", and [power] uses \"command\"");
  expect_problem("deadline_ms = 9000\n", "command = [\"true\"]\n",
                 "\"command\" belongs to the driver \"command\", and [power] uses \"fence-agent\"");
  expect_problem("driver = \"command\"", "driver = \"linux-bridge\"",
                 "\"command\" belongs to the driver \"command\", and [switch] uses \"linux-bridge\"");
  expect_problem("deadline_ms = 1500", "netns = \"x\"",
                 "\"netns\" belongs to the driver \"linux-bridge\", and [switch] uses \"command\"");
  const auto off = read("driver = \"fence-agent\"", "driver = \"none\"");
  EXPECT_TRUE(off.ok() && !off->group.has_power) << "what is switched off by name may stay in the file";
}

TEST_F(ConfigPowerTest, EveryStatusCanNameTheDriver) {
  EXPECT_EQ(power_name(read().value()), "agent");
  EXPECT_EQ(power_name(read("driver = \"fence-agent\"", "driver = \"none\"").value()), "none");
}

TEST_F(ConfigPowerTest, ABladeThatNothingIsSaidOfIsToldByName) {
  const auto config = read(
      "[power.options]\nusername = \"admin\"\n[power.secrets]\npassword = \"secret\"\n[[blade]]\n"
      "name = \"blade-1\"\naddress = \"127.0.0.2\"\nswitch_ports = [\"b1-ext\"]\n"
      "[blade.power.options]\nip = \"192.0.2.1\"\n",
      "[[blade]]\nname = \"blade-1\"\naddress = \"127.0.0.2\"\nswitch_ports = [\"b1-ext\"]\n");
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("how to reach blade-1's power; write [blade.power.options]"), std::string::npos)
      << config.error().message;
}

TEST_F(ConfigPowerTest, AGroupThatWasThereBeforeStartsWithoutItsAgentsMetadata) {
  std::ofstream(folder_ + "/control.db");
  EXPECT_TRUE(read("\"" + folder_ + "/agent\"", "\"false\"").ok());
}

}  // namespace
}  // namespace understudy::control
