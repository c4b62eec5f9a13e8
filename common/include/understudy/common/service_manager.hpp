// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a daemon tells systemd: that it is ready, how it is, that its loop runs, that it stops.
///
///   main loop ── timer ──► WATCHDOG=1, STATUS=...  ──► $NOTIFY_SOCKET     nobody asks for it: nothing is done
///
/// The timer belongs to the loop that does the daemon's work, so a loop that hangs is not fed, and WatchdogSec= of the
/// unit starts the daemon again; roles and guests do not notice (D13). A systemd that hangs itself is not waited for.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace understudy {

class ServiceManager {
 public:
  /// `status`: one line for `systemctl status`, asked on the loop.
  ServiceManager(boost::asio::io_context& io, std::function<std::string()> status);
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  void ready();
  void stopping();

 private:
  void beat();

  boost::asio::steady_timer timer_;
  std::function<std::string()> status_;
  std::string told_;
  bool ready_told_ = false;
  std::chrono::microseconds interval_;
  bool watched_ = false;
};

}  // namespace understudy
