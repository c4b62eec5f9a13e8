// SPDX-License-Identifier: Apache-2.0
#include "sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace lab {

int checked(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

Address parse_address(const std::string& host, std::uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof *v6;
  } else {
    throw std::system_error(EINVAL, std::generic_category(), "'" + host + "' is no IP address");
  }
  return address;
}

std::string to_text(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v6->sin6_port));
  }
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
}

Address local_address(int socket) {
  Address address;
  address.length = sizeof address.storage;
  checked(getsockname(socket, address.get(), &address.length), "getsockname");
  return address;
}

Address peer_address(int socket) {
  Address address;
  address.length = sizeof address.storage;
  checked(getpeername(socket, address.get(), &address.length), "getpeername");
  return address;
}

void set_timeouts(int socket, double seconds) {
  const auto whole = static_cast<time_t>(seconds);
  const timeval limit{whole, static_cast<suseconds_t>((seconds - static_cast<double>(whole)) * 1e6)};
  checked(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
  checked(setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "SO_SNDTIMEO");
}

Descriptor connect_tcp(const Address& to, double connect_timeout_s, double timeout_s) {
  Descriptor socket(checked(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const int one = 1;
  checked(setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
  if (connect(socket.get(), to.get(), to.length) < 0) {
    if (errno != EINPROGRESS) checked(-1, "connect to " + to_text(to));
    pollfd ready{socket.get(), POLLOUT, 0};
    const int events = checked(poll(&ready, 1, static_cast<int>(connect_timeout_s * 1000)), "poll");
    int error = events == 0 ? ETIMEDOUT : 0;
    socklen_t length = sizeof error;
    if (events > 0) checked(getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length), "SO_ERROR");
    if (error != 0) throw std::system_error(error, std::generic_category(), "connect to " + to_text(to));
  }
  checked(fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK), "fcntl");
  set_timeouts(socket.get(), timeout_s);
  return socket;
}

namespace {
Descriptor bind_any(int type, std::uint16_t port) {
  Descriptor socket(checked(::socket(AF_INET6, type | SOCK_CLOEXEC, 0), "socket"));
  const int one = 1, zero = 0;
  checked(setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
  checked(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero), "IPV6_V6ONLY");
  const Address any = parse_address("::", port);
  checked(bind(socket.get(), any.get(), any.length), "bind port " + std::to_string(port));
  return socket;
}
}  // namespace

Descriptor listen_tcp(std::uint16_t port) {
  Descriptor socket = bind_any(SOCK_STREAM, port);
  checked(listen(socket.get(), 256), "listen");
  return socket;
}

Descriptor bind_udp(std::uint16_t port) { return bind_any(SOCK_DGRAM, port); }

void hold_seconds(int socket) {
  constexpr int queue_bytes = 16 << 20;
  checked(setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &queue_bytes, sizeof queue_bytes), "SO_RCVBUFFORCE");
}

void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    checked(static_cast<int>(sent), "send");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string_view receive(int socket, char* buffer, std::size_t size) {
  while (true) {
    const ssize_t got = recv(socket, buffer, size, 0);
    if (got < 0 && errno == EINTR) continue;
    checked(static_cast<int>(got), "receive");
    return {buffer, static_cast<std::size_t>(got)};
  }
}

void prefer_real_time() {
  sched_param parameter{};
  parameter.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &parameter) == 0) return;
  if (setpriority(PRIO_PROCESS, 0, -15) != 0)
    std::fprintf(stderr, "runs at normal priority (%s): gaps include waiting for the processor\n",
                 std::strerror(errno));
}

}  // namespace lab
