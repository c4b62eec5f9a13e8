// SPDX-License-Identifier: Apache-2.0
#include "edge/hardware_watchdog.hpp"

#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {
constexpr int beats_in_a_timeout = 4;
constexpr char alive = '\0';
constexpr char magic_close = 'V';  ///< the kernel disarms on close only after this
}  // namespace

HardwareWatchdog::HardwareWatchdog(boost::asio::io_context& io, WatchdogConfig config)
    : config_(std::move(config)), timer_(io) {}

HardwareWatchdog::~HardwareWatchdog() { disarm(); }

void HardwareWatchdog::serves(bool a_role) {
  if (config_.device.empty() || a_role == wanted_) { return; }
  wanted_ = a_role;
  if (wanted_) {
    beat();
  } else {
    timer_.cancel();
    disarm();
  }
}

void HardwareWatchdog::beat() {
  if (fd_ >= 0 || open()) { feed(); }
  timer_.expires_after(config_.timeout / beats_in_a_timeout);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && wanted_) { beat(); }
  });
}

bool HardwareWatchdog::open() {
  fd_ = ::open(config_.device.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    const std::string problem = config_.device + " cannot be opened: " + std::strerror(errno) +
                                "; a hang of this blade is not ended by its watchdog";
    if (problem != told_) { log::error("watchdog: {}", problem); }
    told_ = problem;
    return false;
  }
  told_.clear();
  int seconds = static_cast<int>((config_.timeout.count() + 999) / 1000);
  if (::ioctl(fd_, WDIOC_SETTIMEOUT, &seconds) != 0) {
    log::warn("watchdog: {} keeps its own timeout: {}", config_.device, std::strerror(errno));
  }
  log::info("watchdog: {} is armed, {} s: this blade serves a role", config_.device, seconds);
  return true;
}

void HardwareWatchdog::feed() {
  if (::write(fd_, &alive, 1) == 1) { return; }
  log::error("watchdog: {} cannot be fed: {}", config_.device, std::strerror(errno));
}

void HardwareWatchdog::disarm() {
  if (fd_ < 0) { return; }
  if (::write(fd_, &magic_close, 1) != 1) {
    log::error("watchdog: {} cannot be disarmed and will reset this blade: {}", config_.device, std::strerror(errno));
  }
  ::close(fd_);
  fd_ = -1;
  log::info("watchdog: {} is not armed any more", config_.device);
}

}  // namespace understudy::host
