// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The blade's watchdog timer (/dev/watchdog): it resets a blade that serves a role and whose host-agent's loop hangs.
///
///   not wanted ── serves a role ──► armed, fed by the loop ── serves none, or an orderly end ──► 'V', closed: not
///   armed
///
/// Invariants
///   - Armed only while a role is served on this host: a blade that serves nobody is never reset.
///   - Fed by the timer of the loop that does the work. A daemon that is killed leaves it armed: its successor feeds it
///     on, when it comes within the time. So the time is longer than systemd's WatchdogSec= and the start after it.
/// A device that cannot be opened is an alarm of the log, tried again; the role is served all the same.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <string>

namespace understudy::host {

struct WatchdogConfig {
  std::string device;  ///< empty: none
  std::chrono::milliseconds timeout{30'000};
};

class HardwareWatchdog {
 public:
  HardwareWatchdog(boost::asio::io_context& io, WatchdogConfig config);
  HardwareWatchdog(const HardwareWatchdog&) = delete;
  HardwareWatchdog& operator=(const HardwareWatchdog&) = delete;
  ~HardwareWatchdog();  ///< an orderly end: not armed any more

  /// Whether a role is served on this host, after each event.
  void serves(bool a_role);

 private:
  void beat();
  bool open();
  void feed();
  void disarm();

  WatchdogConfig config_;
  boost::asio::steady_timer timer_;
  bool wanted_ = false;
  int fd_ = -1;
  std::string told_;  ///< the last problem, told once
};

}  // namespace understudy::host
