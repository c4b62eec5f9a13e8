// SPDX-License-Identifier: Apache-2.0
/// The watchdog's device is a pipe here: what the driver would get is what can be read.
#include "edge/hardware_watchdog.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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

}  // namespace
}  // namespace understudy::host
