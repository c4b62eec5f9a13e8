// SPDX-License-Identifier: Apache-2.0
#include "edge/hardware_watchdog.hpp"

#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {
constexpr char alive = '\0';
constexpr char magic_close = 'V';  ///< the kernel disarms on close only after this

int whole_seconds(std::chrono::milliseconds time) { return static_cast<int>((time.count() + 999) / 1000); }

/// A number of the driver's in sysfs; nothing: it does not tell.
std::optional<long> attribute(const std::filesystem::path& file) {
  std::ifstream text(file);
  std::string word;
  if (!(text >> word)) { return std::nullopt; }
  return std::strtol(word.c_str(), nullptr, 0);
}

/// The folder of what the device's driver tells; a device that is not there has none.
std::filesystem::path attributes_of(const std::string& device, const std::string& sys) {
  struct stat found {};
  if (::stat(device.c_str(), &found) != 0) { return sys + "/no-such-device"; }
  const auto number = std::to_string(major(found.st_rdev)) + ":" + std::to_string(minor(found.st_rdev));
  if (number == "10:130") { return sys + "/class/watchdog/watchdog0"; }  // the old name of the first one
  return sys + "/dev/char/" + number;
}
}  // namespace

WatchdogDriver kernel_watchdog_driver() {
  return {[](int fd, int& seconds) { return ::ioctl(fd, WDIOC_SETTIMEOUT, &seconds) == 0 ? 0 : errno; },
          [](int fd, int& seconds) { return ::ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0 ? 0 : errno; }};
}

Status check_watchdog(const WatchdogConfig& config, const std::string& sys) {
  if (config.device.empty()) { return {}; }
  const auto driver = attributes_of(config.device, sys);
  const long wanted = whole_seconds(config.timeout);
  const auto largest = attribute(driver / "max_timeout");
  if (largest && *largest > 0 && wanted > *largest) {
    return failure(
        "the driver of " + config.device + " holds at most " + std::to_string(*largest) + " s, and timeout_s is " +
            std::to_string(wanted) + "; write timeout_s = " + std::to_string(*largest) +
            (*largest < HardwareWatchdog::kShortest.count() ? ", which is too short for a restart: remove [watchdog]"
                                                            : " or less"),
        Errc::BadInput);
  }
  const auto smallest = attribute(driver / "min_timeout");
  if (smallest && wanted < *smallest) {
    return failure("the driver of " + config.device + " holds at least " + std::to_string(*smallest) +
                       " s; write timeout_s = " + std::to_string(*smallest) + " or more",
                   Errc::BadInput);
  }
  const auto options = attribute(driver / "options");
  const auto fixed = attribute(driver / "timeout");
  const bool settable = !options || (*options & WDIOF_SETTIMEOUT) != 0;
  if (settable || !fixed || *fixed >= HardwareWatchdog::kShortest.count()) { return {}; }
  return failure(
      "the driver of " + config.device + " holds " + std::to_string(*fixed) +
          " s and takes no other time: a restart of the host-agent would reset this blade; remove [watchdog]",
      Errc::BadInput);
}

HardwareWatchdog::HardwareWatchdog(boost::asio::io_context& io, WatchdogConfig config, WatchdogDriver driver,
                                   std::string sys)
    : config_(std::move(config)),
      driver_(std::move(driver)),
      sys_(std::move(sys)),
      timer_(io),
      holds_(config_.timeout) {}

HardwareWatchdog::~HardwareWatchdog() { disarm(); }

void HardwareWatchdog::serves(bool a_role) {
  if (config_.device.empty() || too_short_ || a_role == wanted_) { return; }
  wanted_ = a_role;
  if (wanted_) {
    beat();
  } else if (!stays_armed_) {
    timer_.cancel();
    disarm();
  }
}

void HardwareWatchdog::beat() {
  if (fd_ >= 0 || open()) { feed(); }
  if (too_short_) { return; }
  timer_.expires_after(feeds_every());
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && (wanted_ || stays_armed_)) { beat(); }
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
  holds_ = ask_timeout();
  const auto nowayout = attribute(attributes_of(config_.device, sys_) / "nowayout");
  const bool short_of = holds_ < kShortest && holds_ < config_.timeout;
  stays_armed_ = nowayout ? *nowayout != 0 : short_of;
  if (short_of && stays_armed_) {
    log::error(
        "watchdog: {} holds {} ms, and it is open now and {}: it is fed every {} ms, and a restart of the host-agent, "
        "which takes seconds, resets this blade. Remove [watchdog]; the blade is rid of it after its next boot",
        config_.device, holds_.count(),
        nowayout ? "its driver never lets go (nowayout)" : "its driver does not tell whether it lets go (nowayout)",
        feeds_every().count());
    return true;
  }
  if (short_of) {
    log::error(
        "watchdog: {} holds {} ms and is not armed: a restart of the host-agent, which takes seconds, would reset "
        "this blade; at least {} s are needed. A hang of this blade is not ended by its watchdog",
        config_.device, holds_.count(), kShortest.count());
    too_short_ = true;
    disarm();
    return false;
  }
  log::info("watchdog: {} is armed, {} ms, fed every {} ms: this blade serves a role", config_.device, holds_.count(),
            feeds_every().count());
  return true;
}

std::chrono::milliseconds HardwareWatchdog::ask_timeout() {
  const int wanted = whole_seconds(config_.timeout);
  int taken = wanted;
  const int unset = driver_.set_timeout(fd_, taken);
  int holds = 0;
  const int untold = driver_.get_timeout(fd_, holds);
  if (untold != 0 && unset != 0) {
    const auto guess = std::min<std::chrono::milliseconds>(config_.timeout, kShortest);
    log::warn("watchdog: {} takes no timeout ({}) and tells none ({}): it is fed as if it held {} ms", config_.device,
              std::strerror(unset), std::strerror(untold), guess.count());
    return guess;
  }
  if (untold != 0) { holds = taken; }
  if (holds != wanted) {
    log::warn("watchdog: {} holds {} s and not the {} s of timeout_s{}", config_.device, holds, wanted,
              unset != 0 ? std::string(": ") + std::strerror(unset) : "");
    return std::chrono::seconds(holds);
  }
  return config_.timeout;
}

void HardwareWatchdog::feed() {
  if (::write(fd_, &alive, 1) == 1) { return; }
  log::error("watchdog: {} cannot be fed: {}", config_.device, std::strerror(errno));
}

void HardwareWatchdog::disarm() {
  if (fd_ < 0) { return; }
  if (stays_armed_) {
    log::error("watchdog: {} cannot be disarmed (nowayout): this blade is reset in {} ms if nobody feeds it before",
               config_.device, holds_.count());
  }
  if (::write(fd_, &magic_close, 1) != 1) {
    log::error("watchdog: {} cannot be disarmed and will reset this blade: {}", config_.device, std::strerror(errno));
  }
  ::close(fd_);
  fd_ = -1;
  if (!stays_armed_) { log::info("watchdog: {} is not armed any more", config_.device); }
}

}  // namespace understudy::host
