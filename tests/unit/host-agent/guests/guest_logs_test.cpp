// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/guest_logs.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace understudy::host {
namespace {

class GuestLogsTest : public testing::Test {
 protected:
  GuestLogsTest() : path_(testing::TempDir() + "guest-logs-" + std::to_string(getpid())) {}
  ~GuestLogsTest() override { unlink(path_.c_str()); }
  GuestLogsTest(const GuestLogsTest&) = delete;
  GuestLogsTest& operator=(const GuestLogsTest&) = delete;

  const std::string& holding(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return path_;
  }

  std::string path_;
};

TEST_F(GuestLogsTest, TheLastLineWithSomethingInItWithoutColoursAndControls) {
  EXPECT_EQ(telling_line(holding("first\n\033[32minfo\033[m up\a\r\n \n\n")), "info up");
  EXPECT_EQ(telling_line(holding(std::string(5000, 'x') + "\nlast")), "last");
}

TEST_F(GuestLogsTest, OfAKernelThatPanickedTheLineThatSaysSo) {
  EXPECT_EQ(telling_line(holding("boot\n[ 2.4] Kernel panic - not syncing: no init\n[ 2.5] CPU: 0\n[ 2.6] Offset\n")),
            "[ 2.4] Kernel panic - not syncing: no init");
}

TEST_F(GuestLogsTest, AllOfWhatQemuSaidAndNotTooMuch) {
  EXPECT_EQ(qemu_words(holding("qemu: no such machine\nUse -machine help\n")),
            "qemu: no such machine / Use -machine help");
  std::string many;
  for (int line = 0; line < 100; ++line) { many += "a line\n"; }
  EXPECT_LE(qemu_words(holding(many)).size(), 400U);
}

TEST_F(GuestLogsTest, TheLogOfTheStartBeforeIsKept) {
  const std::string log = path_ + ".log";
  const std::string before = path_ + ".before.log";
  std::ofstream(log) << "why it ended\n";
  keep_former(log);
  keep_former(log);  // nothing is there any more: what was kept stays
  EXPECT_NE(access(log.c_str(), F_OK), 0);
  EXPECT_EQ(telling_line(before), "why it ended");
  unlink(before.c_str());
}

TEST_F(GuestLogsTest, NothingIsNothing) {
  EXPECT_EQ(telling_line(holding("")), "");
  EXPECT_EQ(telling_line("/no/such/console"), "");
  EXPECT_EQ(qemu_words("/no/such/log"), "");
}

}  // namespace
}  // namespace understudy::host
