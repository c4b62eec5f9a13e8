// SPDX-License-Identifier: Apache-2.0
/// The watchdog's device is a pipe here: what the driver would get is what can be read; what it says of its time is
/// played, a driver's own directory in sysfs too.
#include "edge/hardware_watchdog.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>

#include "understudy/common/log.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;

class HardwareWatchdogTest : public testing::Test {
 protected:
  HardwareWatchdogTest() {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    driver_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~HardwareWatchdogTest() override {
    sut_.reset();  // while there is who reads: a pipe without one is a signal
    ::close(driver_);
    ::unlink(path_.c_str());
    std::filesystem::remove_all(sys_);
  }
  /// The pipe's number is 0:0.
  void never_lets_go(const std::string& text) const {
    std::filesystem::create_directories(sys_ + "/dev/char/0:0");
    std::ofstream(sys_ + "/dev/char/0:0/nowayout") << text << "\n";
  }
  void use_driver_of(int holds) {
    const auto tell = [holds](int, int& seconds) {
      seconds = holds;
      return 0;
    };
    sut_ = std::make_unique<HardwareWatchdog>(io_, WatchdogConfig{path_, 30s}, WatchdogDriver{tell, tell}, sys_);
  }
  /// What has been written since the last look; "closed" when nobody has the device open.
  std::string seen() const {
    std::string bytes(64, ' ');
    const auto got = ::read(driver_, bytes.data(), bytes.size());
    if (got == 0) { return "closed"; }
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  void run(std::chrono::milliseconds time) {
    io_.restart();
    io_.run_for(time);
  }

  const std::string path_ = testing::TempDir() + "watchdog." + std::to_string(getpid());
  const std::string sys_ = path_ + ".sys";
  boost::asio::io_context io_;
  int driver_ = -1;
  std::unique_ptr<HardwareWatchdog> sut_ = std::make_unique<HardwareWatchdog>(io_, WatchdogConfig{path_, 20ms});
};

TEST_F(HardwareWatchdogTest, IsNotOpenedWhileNoRoleIsServed) {
  sut_->serves(false);
  run(30ms);
  EXPECT_EQ(seen(), "closed");
}

TEST_F(HardwareWatchdogTest, IsFedByTheLoopAndByNothingElse) {
  sut_->serves(true);
  EXPECT_EQ(seen(), std::string(1, '\0')) << "at once";
  EXPECT_EQ(seen(), "") << "a loop that does not run feeds nothing, and it stays armed";
  run(100ms);
  const auto fed = seen();
  EXPECT_GE(fed.size(), 3U);
  EXPECT_EQ(fed.find('V'), std::string::npos);
}

TEST_F(HardwareWatchdogTest, IsDisarmedWhenTheRoleIsGone) {
  sut_->serves(true);
  sut_->serves(false);
  EXPECT_EQ(seen(), std::string("\0V", 2));
  EXPECT_EQ(seen(), "closed");
  sut_->serves(true);
  EXPECT_EQ(seen(), std::string(1, '\0')) << "and armed for the next one";
}

TEST_F(HardwareWatchdogTest, AnOrderlyEndDisarmsIt) {
  sut_->serves(true);
  sut_.reset();
  EXPECT_EQ(seen(), std::string("\0V", 2));
  EXPECT_EQ(seen(), "closed");
}

TEST_F(HardwareWatchdogTest, WithoutADeviceNothingIsDone) {
  HardwareWatchdog none(io_, {});
  none.serves(true);
  run(10ms);
  EXPECT_EQ(seen(), "closed");
}

TEST_F(HardwareWatchdogTest, ADeviceThatComesLaterIsArmedThen) {
  const auto later = path_ + ".later";
  sut_ = std::make_unique<HardwareWatchdog>(io_, WatchdogConfig{later, 20ms});
  sut_->serves(true);
  ASSERT_EQ(::mkfifo(later.c_str(), 0600), 0);
  const int driver = ::open(later.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  run(100ms);
  char byte = 'x';
  EXPECT_EQ(::read(driver, &byte, 1), 1);
  EXPECT_EQ(byte, '\0');
  sut_.reset();
  ::close(driver);
  ::unlink(later.c_str());
}

/// A driver that holds what it likes: it is fed by what it says, not by what was asked for.
TEST_F(HardwareWatchdogTest, IsFedAQuarterOfWhatTheDriverHolds) {
  struct Case {
    const char* what;
    int set;  ///< the errno
    int get;
    int holds;
    std::chrono::milliseconds every;
  };
  for (const auto& one : {Case{"as asked", 0, 0, 30, 7500ms}, Case{"less than asked", 0, 0, 8, 2000ms},
                          Case{"its own, for ever", EOPNOTSUPP, 0, 10, 2500ms}, Case{"more", 0, 0, 60, 15000ms},
                          Case{"it takes one and tells none", 0, EOPNOTSUPP, 12, 3000ms},
                          Case{"nobody knows", EINVAL, EINVAL, 0, 1250ms}}) {
    SCOPED_TRACE(one.what);
    int asked = 0;
    WatchdogDriver driver;
    driver.set_timeout = [&](int, int& seconds) {
      asked = seconds;
      if (one.set == 0) { seconds = one.holds; }
      return one.set;
    };
    driver.get_timeout = [&](int, int& seconds) {
      seconds = one.holds;
      return one.get;
    };
    sut_ = std::make_unique<HardwareWatchdog>(io_, WatchdogConfig{path_, 30s}, driver);
    sut_->serves(true);
    EXPECT_EQ(asked, 30);
    EXPECT_EQ(sut_->feeds_every(), one.every);
    EXPECT_EQ(seen(), std::string(1, '\0'));
    sut_.reset();
    EXPECT_EQ(seen(), "V");
  }
}

TEST_F(HardwareWatchdogTest, ADriverThatHoldsTooLittleForARestartIsNotArmed) {
  never_lets_go("0");
  use_driver_of(3);
  sut_->serves(true);
  EXPECT_EQ(seen(), "V") << "closed in order, never fed";
  EXPECT_EQ(seen(), "closed");
  sut_->serves(false);
  sut_->serves(true);
  EXPECT_EQ(seen(), "closed");
}

/// Its close would reset the blade at once; 'V' is not heard.
TEST_F(HardwareWatchdogTest, OneThatHoldsTooLittleAndNeverLetsGoStaysOpenAndIsFed) {
  for (const auto* nowayout : {"1", "not told"}) {
    SCOPED_TRACE(nowayout);
    never_lets_go(nowayout);
    if (nowayout[0] != '1') { std::filesystem::remove_all(sys_); }
    use_driver_of(1);
    EXPECT_EQ(seen(), "closed");
    sut_->serves(true);
    EXPECT_EQ(seen(), std::string(1, '\0'));
    EXPECT_EQ(sut_->feeds_every(), 250ms);
    sut_->serves(false);
    run(400ms);
    EXPECT_EQ(seen(), std::string(1, '\0')) << "also while nobody is served";
    sut_->serves(true);
    EXPECT_EQ(seen(), std::string(1, '\0'));
    sut_.reset();
    EXPECT_EQ(seen(), "V");
  }
}

TEST_F(HardwareWatchdogTest, OneThatNeverLetsGoIsFedAlsoWhenTheRoleIsGone) {
  never_lets_go("1");
  use_driver_of(30);
  sut_->serves(true);
  sut_->serves(false);
  EXPECT_EQ(seen(), std::string(1, '\0')) << "no 'V'";
  EXPECT_EQ(seen(), "") << "and open";
}

TEST(CheckWatchdog, WhatTheDriverCannotHoldIsRefusedAtStartWithoutArmingIt) {
  const std::string sys = testing::TempDir() + "sys." + std::to_string(getpid());
  const auto driver = sys + "/dev/char/1:3";  // /dev/null's number
  std::filesystem::create_directories(driver);
  const auto say = [&](const std::string& name, const std::string& text) {
    std::ofstream(driver + "/" + name) << text << "\n";
  };
  const auto told = [&](std::chrono::seconds timeout) {
    const auto good = check_watchdog({"/dev/null", timeout}, sys);
    return good ? "" : good.error().message;
  };
  EXPECT_EQ(told(30s), "") << "a driver that tells nothing";
  say("max_timeout", "0");
  say("min_timeout", "1");
  say("options", "0x8180");
  say("timeout", "2");
  EXPECT_EQ(told(30s), "") << "no limit is known, and it takes another time";
  say("max_timeout", "16");
  EXPECT_NE(told(30s).find("holds at most 16 s, and timeout_s is 30; write timeout_s = 16 or less"), std::string::npos);
  EXPECT_EQ(told(16s), "");
  say("max_timeout", "3");
  EXPECT_NE(told(5s).find("remove [watchdog]"), std::string::npos);
  say("max_timeout", "0");
  say("min_timeout", "60");
  EXPECT_NE(told(30s).find("at least 60 s"), std::string::npos);
  say("min_timeout", "1");
  say("options", "0x8100");
  EXPECT_NE(told(30s).find("takes no other time"), std::string::npos);
  std::filesystem::remove_all(sys);
}

}  // namespace
}  // namespace understudy::host
