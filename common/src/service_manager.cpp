// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
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

/// sd_notify() waits where PID 1 does not read; a role must not. False: its queue is full, try again later. What cannot
/// be delivered at all is nobody's business.
bool notify(const std::string& message) {
  const char* path = std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) { return true; }
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  if (path[0] == '@') { address.sun_path[0] = '\0'; }  // an abstract one
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) { return false; }
  const auto sent =
      sendto(fd, message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
  const bool full = sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  close(fd);
  return !full;
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
  ready_told_ = notify("READY=1");
  beat();
}

void ServiceManager::beat() {
  std::string message = ready_told_ ? "" : "READY=1";
  const auto add = [&](const std::string& line) { message += (message.empty() ? "" : "\n") + line; };
  if (watched_) { add("WATCHDOG=1"); }
  auto status = one_line(status_());
  if (status != told_) { add("STATUS=" + status); }
  if (!message.empty() && notify(message)) {
    ready_told_ = true;
    told_ = std::move(status);
  }
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) { beat(); }
  });
}

void ServiceManager::stopping() {
  timer_.cancel();
  (void)notify("STOPPING=1");
}

}  // namespace understudy
