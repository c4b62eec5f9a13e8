// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Network namespaces and sockets for tests. A namespace and all in it goes with its object, also when a test fails.
/// Sockets stay in the namespace where they were made, so one thread plays every machine.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/eventually.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net::test {

using namespace std::chrono_literals;
using understudy::test::eventually;
inline constexpr auto deadline_default = 10s;

#define UNDERSTUDY_NEEDS_ROOT() \
  if (::geteuid() != 0) { GTEST_SKIP() << "SKIPPED, NOT PASSED: network namespaces need root"; }

#define ASSERT_OK(expression)                               \
  do {                                                      \
    const auto& asserted = (expression);                    \
    ASSERT_TRUE(asserted.ok()) << asserted.error().message; \
  } while (false)

/// Frames of one thread keep their order on their way only while the thread stays on one processor.
inline void stay_on_this_processor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);
}

/// A test that aborts cannot clean up: the next one removes what dead processes left.
inline bool sweep_dead_namespaces() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/run/understudy-test", ignored)) {
    const auto pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) { (void)delete_namespace(entry.path()); }
  }
  return true;
}

class TestNamespace {
 public:
  explicit TestNamespace(const std::string& name)
      : path_("/run/understudy-test/" + std::to_string(::getpid()) + "-" + name) {
    [[maybe_unused]] static const bool swept = sweep_dead_namespaces();
    const auto made = create_namespace(path_);
    if (!made) { throw std::runtime_error(made.error().message); }
  }
  TestNamespace(const TestNamespace&) = delete;
  TestNamespace& operator=(const TestNamespace&) = delete;
  ~TestNamespace() { (void)delete_namespace(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }

  /// Runs `work` with the thread inside.
  template <class Work>
  auto in(const Work& work) const {
    const auto scope = NamespaceScope::enter(path_);
    if (!scope) { throw std::runtime_error(scope.error().message); }
    return work();
  }
  [[nodiscard]] Links links() const {
    return in([] { return Links::open().value(); });
  }

 private:
  std::string path_;
};

/// A descriptor that closes itself.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) { ::close(fd_); }
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool readable(std::chrono::milliseconds deadline = deadline_default) const {
    pollfd poll_for{fd_, POLLIN, 0};
    return ::poll(&poll_for, 1, static_cast<int>(deadline.count())) == 1;
  }

 private:
  int fd_ = -1;
};

/// Sends and receives broadcast frames of the local experimental Ethertype that carry one number.
class FrameSocket {
 public:
  FrameSocket(const TestNamespace& where, const std::string& interface) {
    where.in([&] {
      socket_ = Socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ethertype)));
      address_.sll_family = AF_PACKET;
      address_.sll_protocol = htons(ethertype);
      address_.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
      address_.sll_halen = 6;
      std::memset(address_.sll_addr, 0xff, 6);
      if (::bind(socket_.fd(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) {
        throw std::runtime_error("cannot bind a packet socket to " + interface);
      }
    });
  }
  static std::vector<std::uint8_t> frame(std::uint8_t number) {
    std::vector<std::uint8_t> bytes(60, 0);
    std::fill(bytes.begin(), bytes.begin() + 6, std::uint8_t{0xff});
    bytes[6] = 0x02;
    bytes[11] = number;
    bytes[12] = ethertype >> 8;
    bytes[13] = ethertype & 0xff;
    bytes[14] = number;
    return bytes;
  }
  void send(std::uint8_t number) {  // a closed gate may say ENOBUFS
    const auto bytes = frame(number);
    (void)::sendto(socket_.fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address_),
                   sizeof address_);
  }
  /// The number of the next frame that came in; nothing when none comes until the deadline.
  std::optional<int> receive(std::chrono::milliseconds deadline = deadline_default) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      if (!socket_.readable(std::max(left, 0ms))) { return {}; }
      std::uint8_t bytes[2048];
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t got = ::recvfrom(socket_.fd(), bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got >= 15 && from.sll_pkttype != PACKET_OUTGOING) { return bytes[14]; }
    }
  }

 private:
  static constexpr std::uint16_t ethertype = 0x88b5;
  Socket socket_;
  sockaddr_ll address_{};
};

/// A veth pair with one end in `a` and the other in `b`, both up.
inline void connect(const TestNamespace& a, const std::string& name_a, const TestNamespace& b,
                    const std::string& name_b) {
  auto links = a.links();
  const auto need = [](const Status& status) {
    if (!status) { throw std::runtime_error(status.error().message); }
  };
  need(links.create_veth(name_a, "t-" + name_b));
  need(links.move_to_namespace("t-" + name_b, b.path()));
  auto other = b.links();
  need(other.rename("t-" + name_b, name_b));
  need(links.set_quiet(name_a));
  need(other.set_quiet(name_b));
  need(links.set_up(name_a, true));
  need(other.set_up(name_b, true));
  if (!eventually([&] { return links.state(name_a).value().running && other.state(name_b).value().running; })) {
    throw std::runtime_error(name_a + " and " + name_b + " do not come up");
  }
}

inline MacAddress mac(const std::string& text) { return MacAddress::parse(text).value(); }
inline IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }
inline IpPrefix prefix(const std::string& text) { return IpPrefix::parse(text).value(); }

}  // namespace understudy::net::test
