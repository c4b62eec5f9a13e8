// SPDX-License-Identifier: Apache-2.0
/// Covers: control-server/edge/command.cpp
#include "edge/drivers.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "edge/command.hpp"
#include "support/eventually.hpp"

namespace understudy::control {
namespace {

using namespace std::chrono_literals;
using test::eventually;

class DriversTest : public testing::Test {
 protected:
  DriversTest() : folder_(testing::TempDir() + "drivers_test_" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~DriversTest() override { std::filesystem::remove_all(folder_); }
  std::vector<std::string> script(const std::string& text) {
    const auto path = folder_ + "/script";
    std::ofstream(path) << "#!/bin/sh\ncd " << folder_ << "\n" << text;
    chmod(path.c_str(), 0755);
    return {path};
  }
  /// A switch that remembers each isolated port as a file.
  std::vector<std::string> honest_switch() {
    return script(R"(verb=$1; shift
for port in "$@"; do
  case $verb in
    isolate) touch "cut-$port" ;;
    readmit) rm -f "cut-$port" ;;
    status) if [ -e "cut-$port" ]; then echo "$port isolated"; else echo "$port connected"; fi ;;
  esac
done
)");
  }
  std::string folder_;
};

TEST_F(DriversTest, ACommandsOutputStatusAndComplaintAreTold) {
  EXPECT_EQ(run_command({"/bin/echo", "a b", "c"}, 5s).value(), "a b c\n");
  const auto failed = run_command(script("echo first >&2; echo the reason >&2; exit 3\n"), 5s);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("ended with status 3: the reason"), std::string::npos);
  EXPECT_NE(run_command({"/nonexistent/command"}, 5s).error().message.find("cannot start /nonexistent/command"),
            std::string::npos);
}

TEST_F(DriversTest, ACommandThatHangsIsKilledWithItsChildren) {
  const auto hung = run_command(script("sleep 1000 & echo $! > child; wait\n"), 500ms);
  ASSERT_FALSE(hung.ok());
  EXPECT_EQ(hung.error().code, Errc::Expired);
  int child = 0;
  std::ifstream(folder_ + "/child") >> child;
  ASSERT_GT(child, 0);
  // Killed and reaped by init, or a zombie of a container without one: in both cases it runs no more.
  const auto dead = [&] {
    if (kill(child, 0) != 0) { return true; }
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(child) + "/stat"), stat);
    return stat.find(") Z") != std::string::npos;
  };
  EXPECT_TRUE(eventually(dead));
}

TEST_F(DriversTest, MuchOutputNeitherBlocksNorGrows) {
  EXPECT_EQ(run_command(script("head -c 1000000 /dev/zero; exit 0\n"), 20s).value().size(), 64U * 1024);
}

TEST_F(DriversTest, AnExternalSwitchIsolatesAndReadmits) {
  const auto driver = command_switch(honest_switch(), 5s);
  EXPECT_FALSE(driver->are_isolated({"b1-ext", "b1-int"}).value());
  EXPECT_TRUE(driver->isolate({"b1-ext"}).ok());
  EXPECT_FALSE(driver->are_isolated({"b1-ext", "b1-int"}).value()) << "every port, both sides of the gateway";
  EXPECT_TRUE(driver->isolate({"b1-ext", "b1-int"}).ok());
  EXPECT_TRUE(driver->are_isolated({"b1-ext", "b1-int"}).value());
  EXPECT_TRUE(driver->readmit({"b1-ext", "b1-int"}).ok());
  EXPECT_FALSE(driver->are_isolated({"b1-ext"}).value());
}

TEST_F(DriversTest, ASwitchThatOnlyClaimsToHaveIsolatedIsNotBelieved) {
  const auto claims = command_switch(script("[ $1 = status ] && echo b1-ext connected; exit 0\n"), 5s);
  const auto isolated = claims->isolate({"b1-ext"});
  ASSERT_FALSE(isolated.ok());
  EXPECT_NE(isolated.error().message.find("b1-ext is connected afterwards"), std::string::npos);
  const auto mute = command_switch(script("exit 0\n"), 5s);
  EXPECT_NE(mute->isolate({"b1-ext"}).error().message.find("status does not say"), std::string::npos);
}

TEST_F(DriversTest, ASwitchThatRefusesHangsOrForgetsAPortIsolatesNothing) {
  const auto refuses = command_switch(script("echo port is administratively locked >&2; exit 1\n"), 5s);
  const auto refused = refuses->isolate({"b1-ext"});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("port is administratively locked"), std::string::npos);
  EXPECT_FALSE(refuses->are_isolated({"b1-ext"}).ok());
  const auto hangs = command_switch(script("[ $1 = isolate ] || sleep 1000; exit 0\n"), 300ms);
  EXPECT_EQ(hangs->isolate({"b1-ext"}).error().code, Errc::Expired) << "done, it says, but it cannot be read back";
  const auto late = command_switch(script("sleep 1000; echo b1-ext isolated\n"), 300ms);
  EXPECT_EQ(late->isolate({"b1-ext"}).error().code, Errc::Expired);
  const auto half = command_switch(script("[ $1 = status ] && echo b1-ext isolated; exit 0\n"), 5s);
  EXPECT_TRUE(half->isolate({"b1-ext"}).ok());
  EXPECT_FALSE(half->isolate({"b1-ext", "b1-int"}).ok()) << "both sides of the gateway";
  const auto other = command_switch(script("[ $1 = status ] && echo b1-ext blocked; exit 0\n"), 5s);
  EXPECT_FALSE(other->isolate({"b1-ext"}).ok());
  const auto failing_status = command_switch(script("[ $1 = status ] && echo b1-ext isolated && exit 1; exit 0\n"), 5s);
  EXPECT_FALSE(failing_status->isolate({"b1-ext"}).ok());
}

TEST_F(DriversTest, PowerIsOffWhenItsStatusSaysSo) {
  const auto power = command_power(script("[ $1 = status ] && echo off; exit 0\n"), 5s);
  EXPECT_TRUE(power->off("blade-1").ok());
  EXPECT_FALSE(power->is_on("blade-1").value());
  EXPECT_FALSE(power->on("blade-1").ok());
  const auto still_on = command_power(script("[ $1 = status ] && echo on; exit 0\n"), 5s)->off("blade-1");
  ASSERT_FALSE(still_on.ok());
  EXPECT_NE(still_on.error().message.find("says \"on\" after off"), std::string::npos);
  EXPECT_FALSE(command_power(script("[ $1 = status ] && echo unknown; exit 0\n"), 5s)->off("blade-1").ok());
  EXPECT_FALSE(command_power(script("exit 1\n"), 5s)->off("blade-1").ok());
}

}  // namespace
}  // namespace understudy::control
