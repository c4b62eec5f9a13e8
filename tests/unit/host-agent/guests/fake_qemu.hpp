// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The other end of a Unix socket, played by the test: what a QEMU or a guest could say, and what it never should.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "edge/guests/child_process.hpp"
#include "support/run_until.hpp"

namespace understudy::test {

class Peer {
 public:
  Peer() : path_("/tmp/us-peer-" + std::to_string(getpid()) + "-" + std::to_string(++count()) + ".sock") { listen(); }
  ~Peer() { unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

  void listen() {
    unlink(path_.c_str());
    listener_ = host::UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    (void)!bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);  // NOLINT: sockets API
    (void)!::listen(listener_.get(), 4);
  }
  /// True when somebody is connected. Never waits.
  bool accepted() {
    if (!connection_.valid()) {
      connection_ = host::UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    }
    return connection_.valid();
  }
  void say(const std::string& text) const { (void)!send(connection_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
  void hang_up() {
    connection_.reset();
    heard_.clear();
  }
  /// All that arrived on this connection so far.
  const std::string& heard() {
    std::array<char, 4096> buffer{};
    for (;;) {
      const auto got = connection_.valid() ? read(connection_.get(), buffer.data(), buffer.size()) : -1;
      if (got <= 0) { return heard_; }
      heard_.append(buffer.data(), static_cast<std::size_t>(got));
    }
  }
  [[nodiscard]] bool has_heard(const std::string& text) { return heard().find(text) != std::string::npos; }

 private:
  static int& count() {
    static int value = 0;
    return value;
  }
  std::string path_;
  host::UniqueFd listener_;
  host::UniqueFd connection_;
  std::string heard_;
};

}  // namespace understudy::test
