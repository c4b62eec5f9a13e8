// SPDX-License-Identifier: Apache-2.0
/// Planted agents that speak the API of fence agents: honest, failing, lying, late and hanging ones. The real one is in
/// tests/integration/fencing.
#include "edge/fence_agent.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/eventually.hpp"

namespace understudy::control {
namespace {

using namespace std::chrono_literals;
using test::eventually;

constexpr const char* kMetadata = R"(<?xml version="1.0" ?>
<resource-agent name="fence_planted" shortdesc="planted &amp; watched">
<longdesc>Says what it is told to.</longdesc>
<parameters>
  <parameter name="action" unique="0" required="1"><content type="string" default="reboot" /></parameter>
  <parameter name="ip" unique="0" required="1" obsoletes="ipaddr"><content type="string" /></parameter>
  <parameter name="ipaddr" unique="0" required="1" deprecated="1"><content type="string" /></parameter>
  <parameter name="password" unique="0" required="0" obsoletes="passwd"><content type="string" /></parameter>
</parameters>
<actions><action name="on" automatic="0"/><action name="off"/><action name="status"/><action name="metadata"/></actions>
</resource-agent>
)";

class FenceAgentTest : public testing::Test {
 protected:
  FenceAgentTest() : folder_(testing::TempDir() + "fence_agent_test_" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/metadata") << kMetadata;
  }
  ~FenceAgentTest() override { std::filesystem::remove_all(folder_); }

  /// A driver whose agent does `text` with $action set; `power` is a file, on or off.
  std::unique_ptr<PowerDriver> agent(const std::string& text, std::chrono::milliseconds limit = 10s) {
    std::ofstream(folder_ + "/power") << "on\n";
    const auto path = folder_ + "/agent";
    std::ofstream(path) << "#!/bin/bash\ncd " << folder_ << R"(
tr '\0' '\n' </proc/$$/cmdline >seen-arguments; { echo; tr '\0' '\n' </proc/$$/environ; } >seen-environment
if [ "$1" = -o ]; then cat metadata; exit 0; fi
cat >seen-input
action=$(sed -n 's/^action=//p' seen-input)
echo "$action" >>seen-actions
honest() {
  case $action in
    on|off) echo $action >power; echo "Success: Powered $action"; exit 0;;
    status) if grep -q off power; then echo "Status: OFF"; exit 2; fi; echo "Status: ON"; exit 0;;
  esac
}
)" << text;
    chmod(path.c_str(), 0755);
    return fence_agent_power(path, {{"blade-1", {{"ip", "192.0.2.1"}, {"password", "a=b c"}}}}, limit);
  }
  std::string content(const std::string& name) {
    std::stringstream text;
    text << std::ifstream(folder_ + "/" + name).rdbuf();
    return text.str();
  }
  std::string folder_;
};

std::string why(const Status& status) { return status ? "it succeeded" : status.error().message; }

TEST_F(FenceAgentTest, OffAndOnAreWhatItsStatusSays) {
  const auto honest = agent("honest\n");
  EXPECT_TRUE(honest->is_on("blade-1").value());
  EXPECT_TRUE(honest->off("blade-1").ok());
  EXPECT_FALSE(honest->is_on("blade-1").value());
  EXPECT_TRUE(honest->on("blade-1").ok());
  EXPECT_EQ(content("seen-actions"), "status\noff\nstatus\nstatus\non\nstatus\n");
  EXPECT_FALSE(honest->off("blade-9").ok()) << "no blade of ours";
}

TEST_F(FenceAgentTest, OptionsAreOnStandardInputOnly) {
  ASSERT_TRUE(agent("honest\n")->off("blade-1").ok());
  EXPECT_EQ(content("seen-input"), "action=status\nip=192.0.2.1\npassword=a=b c\n");
  EXPECT_EQ(content("seen-arguments"), "/bin/bash\n" + folder_ + "/agent\n") << "no argument at all";
  EXPECT_EQ(content("seen-environment").find("a=b c"), std::string::npos);
}

TEST_F(FenceAgentTest, TheAgentOfAnIpmitoolGetsThePasswordByItsEnvironment) {
  FenceMetadata metadata;
  metadata.parameters = {"ip", "password", "passwd"};
  const FenceOptions given{{"ip", "192.0.2.1"}, {"password", "a=b c"}};
  auto options = given;
  hide_password(metadata, "/usr/bin/understudy-ipmitool", options);
  EXPECT_EQ(options, given) << "it calls no ipmitool";
  metadata.parameters.insert("ipmitool_path");
  auto own = given;
  own["ipmitool_path"] = "/opt/ipmitool";
  const auto before = own;
  hide_password(metadata, "/usr/bin/understudy-ipmitool", own);
  EXPECT_EQ(own, before) << "somebody has written which one";
  for (const auto* name : {"password", "passwd"}) {
    (void)agent("honest\n");
    options = {{"ip", "192.0.2.1"}, {name, "a=b c"}};
    hide_password(metadata, "/usr/bin/understudy-ipmitool", options);
    ASSERT_TRUE(fence_agent_power(folder_ + "/agent", {{"blade-1", options}}, 10s)->off("blade-1").ok());
    EXPECT_EQ(content("seen-input"), "action=status\nip=192.0.2.1\nipmitool_path=/usr/bin/understudy-ipmitool\n");
    EXPECT_NE(content("seen-environment").find("\nIPMITOOL_PASSWORD=a=b c\n"), std::string::npos)
        << content("seen-environment");
    EXPECT_NE(content("seen-environment").find("\nPATH="), std::string::npos);
    EXPECT_EQ(content("seen-arguments").find("a=b c"), std::string::npos);
  }
}

TEST_F(FenceAgentTest, AFailureIsToldWithTheAgentsLastWords) {
  const auto failing = agent("echo ERROR: Failed: Unable to connect/login >&2; echo >&2; exit 1\n");
  EXPECT_NE(
      why(failing->off("blade-1")).find("off blade-1 ended with status 1: ERROR: Failed: Unable to connect/login"),
      std::string::npos)
      << why(failing->off("blade-1"));
  EXPECT_FALSE(failing->is_on("blade-1").ok());
  EXPECT_FALSE(agent("[ $action = status ] && honest; echo off >power; exit 1\n")->off("blade-1").ok())
      << "a failed off is none, whatever the power";
}

TEST_F(FenceAgentTest, OneThatOnlyClaimsToHavePoweredOffIsNotBelieved) {
  const auto lying = agent("[ $action = off ] && exit 0; honest\n", 2s)->off("blade-1");
  EXPECT_NE(why(lying).find("says that blade-1 is on after off, and still did after 2000 ms"), std::string::npos)
      << why(lying);
}

TEST_F(FenceAgentTest, AStatusThatFailsIsNotOff) {
  for (const auto* status : {"exit 1", "exit 127", "kill -9 $$", "echo Status: OFF; exit 1", "echo Status: OFF; exit 0",
                             "exit 2", "echo usage: agent [--offset]; exit 2", "echo off >&2; exit 2"}) {
    const auto off = agent(std::string("[ $action = status ] && { ") + status + "; }; exit 0\n", 500ms)->off("blade-1");
    EXPECT_FALSE(off.ok()) << status;
  }
}

TEST_F(FenceAgentTest, AnAgentThatCannotRunIsNotOff) {
  auto broken = agent("honest\n", 2s);
  std::ofstream(folder_ + "/agent") << "#!/bin/bash\nif then\n";  // bash ends with status 2
  EXPECT_FALSE(broken->is_on("blade-1").ok());
  std::filesystem::remove(folder_ + "/agent");
  EXPECT_NE(why(broken->off("blade-1")).find("cannot start"), std::string::npos);
}

TEST_F(FenceAgentTest, APowerUnitMayTakeAMomentButNotLongerThanItsDeadline) {
  const std::string slow = "[ $action = off ] && { (sleep 0.6; echo off >power) >/dev/null 2>&1 & exit 0; }; honest\n";
  EXPECT_TRUE(agent(slow)->off("blade-1").ok());
  EXPECT_FALSE(agent(slow, 400ms)->off("blade-1").ok());
  EXPECT_TRUE(eventually([&] { return content("power") == "off\n"; })) << "it ends before the next test";
}

TEST_F(FenceAgentTest, OneThatHangsIsKilledWithItsChildrenAndIsNoEvidence) {
  const auto hung = agent("sleep 1000 & echo $! >child; wait; echo off >power; exit 0\n", 500ms)->off("blade-1");
  ASSERT_FALSE(hung.ok());
  EXPECT_EQ(hung.error().code, Errc::Expired);
  int child = 0;
  std::ifstream(folder_ + "/child") >> child;
  ASSERT_GT(child, 0);
  EXPECT_TRUE(eventually([&] {
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(child) + "/stat"), stat);
    return kill(child, 0) != 0 || stat.find(") Z") != std::string::npos;
  }));
  EXPECT_EQ(content("power"), "on\n");
  const auto late = agent("[ $action = status ] && sleep 1000; honest\n", 500ms)->off("blade-1");
  ASSERT_FALSE(late.ok()) << "off, perhaps, but nobody has read it";
  EXPECT_EQ(late.error().code, Errc::Expired);
}

TEST_F(FenceAgentTest, MetadataTellsWhatItUnderstands) {
  (void)agent("honest\n");
  const auto metadata = fence_metadata(folder_ + "/agent", 10s);
  ASSERT_TRUE(metadata.ok()) << metadata.error().message;
  EXPECT_TRUE(check_fence_options(metadata.value(), {{"ip", "192.0.2.1"}, {"passwd", "x"}}).ok() == false)
      << "an older name that is no longer listed";
  EXPECT_TRUE(check_fence_options(metadata.value(), {{"ip", "192.0.2.1"}, {"password", "x"}}).ok());
  EXPECT_TRUE(check_fence_options(metadata.value(), {{"ipaddr", "192.0.2.1"}}).ok()) << "the older name does as well";
  EXPECT_NE(
      why(check_fence_options(metadata.value(), {{"ip", "x"}, {"lanplus", "1"}})).find("no parameter \"lanplus\""),
      std::string::npos);
  EXPECT_NE(why(check_fence_options(metadata.value(), {})).find("needs the parameter \"ip\""), std::string::npos);
}

TEST_F(FenceAgentTest, WhatIsNoFenceAgentIsRefused) {
  EXPECT_FALSE(fence_metadata("/bin/false", 10s).ok());
  EXPECT_FALSE(fence_metadata("/bin/echo", 10s).ok());
  EXPECT_FALSE(parse_fence_metadata("").ok());
  EXPECT_FALSE(parse_fence_metadata("<resource-agent><parameters/></resource-agent>").ok());
  EXPECT_FALSE(
      parse_fence_metadata("<resource-agent><parameters><parameter/></parameters><actions/></resource-agent>").ok());
  const auto powerless =
      parse_fence_metadata("<resource-agent><parameters/><actions><action name=\"off\"/></actions></resource-agent>");
  ASSERT_TRUE(powerless.ok());
  EXPECT_NE(why(check_fence_options(powerless.value(), {})).find("no action \"status\""), std::string::npos);
}

}  // namespace
}  // namespace understudy::control
