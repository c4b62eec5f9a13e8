// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The blade's watchdog timer (/dev/watchdog): it resets a blade that serves a role and whose host-agent's loop hangs.
///
///   not wanted ── serves a role ──► armed, fed by the loop ── serves none, or an orderly end ──► 'V', closed: not
///   armed
///
/// Invariants
///   - Armed only while a role is served on this host: a blade that serves nobody is never reset.
///   - Fed four times in the time that the driver holds, which need not be the one that is asked for; a driver that
///     holds less than kShortest is not armed: a restart of this daemon would reset the blade.
///   - One that cannot be disarmed (nowayout) stays open and is fed on, whatever it holds and whoever is served:
///   closing
///     it would reset the blade.
///   - Fed by the timer of the loop that does the work. A daemon that is killed leaves it armed: its successor feeds it
///     on, when it comes within the time. So the time is longer than systemd's WatchdogSec= and the start after it.
/// A device that cannot be opened is an alarm of the log, tried again; the role is served all the same.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::host {

struct WatchdogConfig {
  std::string device;  ///< empty: none
  std::chrono::milliseconds timeout{30'000};
};

/// What is asked of the device's driver, in seconds; each answers 0 or an errno.
struct WatchdogDriver {
  std::function<int(int fd, int& seconds)> set_timeout;  ///< `seconds` becomes what was taken
  std::function<int(int fd, int& seconds)> get_timeout;
};
WatchdogDriver kernel_watchdog_driver();

/// That the driver can hold what is configured, as far as it tells without being armed.
Status check_watchdog(const WatchdogConfig& config, const std::string& sys = "/sys");

class HardwareWatchdog {
 public:
  static constexpr std::chrono::seconds kShortest{5};
  static constexpr int kBeats = 4;  ///< in the time that the driver holds

  HardwareWatchdog(boost::asio::io_context& io, WatchdogConfig config, WatchdogDriver driver = kernel_watchdog_driver(),
                   std::string sys = "/sys");
  HardwareWatchdog(const HardwareWatchdog&) = delete;
  HardwareWatchdog& operator=(const HardwareWatchdog&) = delete;
  ~HardwareWatchdog();  ///< an orderly end: not armed any more

  /// Whether a role is served on this host, after each event.
  void serves(bool a_role);
  [[nodiscard]] std::chrono::milliseconds feeds_every() const { return holds_ / kBeats; }

 private:
  void beat();
  bool open();
  /// How long the driver waits for the next feeding; what nobody tells is taken for the shortest.
  [[nodiscard]] std::chrono::milliseconds ask_timeout();
  void feed();
  void disarm();

  WatchdogConfig config_;
  WatchdogDriver driver_;
  std::string sys_;
  boost::asio::steady_timer timer_;
  bool wanted_ = false;
  bool too_short_ = false;           ///< it is left alone from now on
  bool stays_armed_ = false;         ///< once open it cannot be disarmed
  std::chrono::milliseconds holds_;  ///< until the next feeding
  int fd_ = -1;
  std::string told_;  ///< the last problem, told once
};

}  // namespace understudy::host
