// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/service_manager.hpp"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace understudy {

namespace {
constexpr auto status_interval = std::chrono::seconds(2);

/// A status is one line; what it quotes may have more.
std::string one_line(std::string text) {
  for (auto& letter : text) {
    if (letter == '\n' || letter == '\r') { letter = ' '; }
  }
  return text;
}
}  // namespace

ServiceManager::ServiceManager(boost::asio::io_context& io, std::function<std::string()> status)
    : timer_(io), status_(std::move(status)), interval_(status_interval) {
  std::uint64_t limit_us = 0;
  watched_ = sd_watchdog_enabled(0, &limit_us) > 0;
  if (watched_) { interval_ = std::min(interval_, std::chrono::microseconds(limit_us / 3)); }
}

void ServiceManager::ready() {
  if (std::getenv("NOTIFY_SOCKET") == nullptr) { return; }  // NOLINT(concurrency-mt-unsafe): nobody sets it
  sd_notify(0, "READY=1");
  beat();
}

void ServiceManager::beat() {
  std::string message = watched_ ? "WATCHDOG=1" : "";
  if (auto status = one_line(status_()); status != told_) {
    message += (message.empty() ? "STATUS=" : "\nSTATUS=") + status;
    told_ = std::move(status);
  }
  if (!message.empty()) { sd_notify(0, message.c_str()); }
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) { beat(); }
  });
}

void ServiceManager::stopping() {
  timer_.cancel();
  sd_notify(0, "STOPPING=1");
}

}  // namespace understudy
