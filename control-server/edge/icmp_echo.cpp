// SPDX-License-Identifier: Apache-2.0
#include "edge/icmp_echo.hpp"

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "understudy/common/socket_address.hpp"

namespace understudy::control {
namespace {

constexpr std::size_t kHeader = 8;    // type, code, checksum, id, sequence: the same in both versions
constexpr std::size_t kPayload = 16;  // cookie, witness, number
using Packet = std::array<std::byte, kHeader + kPayload>;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const IpAddress& address) {
  SocketAddress out;
  if (address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, address.bytes.data(), 4);
    out.length = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    in6.sin6_family = AF_INET6;
    std::memcpy(&in6.sin6_addr, address.bytes.data(), 16);
    out.length = sizeof in6;
  }
  return out;
}

/// RFC 1071. A raw IPv4 socket wants it; everywhere else the kernel writes its own.
std::uint16_t checksum(const Packet& packet) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < packet.size(); i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, &packet[i], 2);
    sum += word;
  }
  while ((sum >> 16) != 0) { sum = (sum & 0xffff) + (sum >> 16); }
  return static_cast<std::uint16_t>(~sum);
}

/// Of all that a raw socket would hear, the answers only.
bool filter_answers(int fd, bool v4) {
  if (v4) {
    icmp_filter filter{~(1U << ICMP_ECHOREPLY)};
    return setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter) == 0;
  }
  icmp6_filter filter{};
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
  return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) == 0;
}

int open_socket(bool v4, int type) {
  const int protocol = v4 ? static_cast<int>(IPPROTO_ICMP) : static_cast<int>(IPPROTO_ICMPV6);
  return socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

}  // namespace

IcmpSocket::IcmpSocket(int fd, bool v4, bool raw)
    : fd_(fd), v4_(v4), raw_(raw), id_(static_cast<std::uint16_t>(getpid())), cookie_{} {}

IcmpSocket::IcmpSocket(IcmpSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), v4_(other.v4_), raw_(other.raw_), id_(other.id_), cookie_(other.cookie_) {}

IcmpSocket::~IcmpSocket() {
  if (fd_ >= 0) { close(fd_); }
}

Result<IcmpSocket> IcmpSocket::open(bool v4, const std::optional<IpAddress>& from) {
  bool raw = false;
  int fd = open_socket(v4, SOCK_DGRAM);
  if (fd < 0 && (errno == EACCES || errno == EPERM)) {
    raw = true;
    fd = open_socket(v4, SOCK_RAW);
  }
  if (fd < 0 && raw) {
    return failure(
        "a [[witness]] by \"icmp\" cannot be asked: neither a ping socket nor a raw one is permitted; run `sysctl -w "
        "net.ipv4.ping_group_range=\"0 0\"` (and keep it in /etc/sysctl.d), or start with CAP_NET_RAW",
        Errc::Refused);
  }
  if (fd < 0) { return failure(std::string("no socket for ICMP echoes: ") + std::strerror(errno)); }
  IcmpSocket opened(fd, v4, raw);
  if (raw && !filter_answers(fd, v4)) {
    return failure(std::string("a raw ICMP socket cannot be filtered: ") + std::strerror(errno));
  }
  if (from) {
    const auto local = socket_address(*from);
    if (bind(fd, local.get(), local.length) != 0) {
      return failure("ICMP echoes cannot be sent from " + from->to_string() + ": " + std::strerror(errno));
    }
  }
  if (getrandom(opened.cookie_.data(), opened.cookie_.size(), 0) != static_cast<ssize_t>(opened.cookie_.size())) {
    return failure(std::string("no random number for ICMP echoes: ") + std::strerror(errno));
  }
  return opened;
}

Status IcmpSocket::send(const IpAddress& to, const Echo& echo) {
  Packet packet{};
  packet[0] = static_cast<std::byte>(v4_ ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
  const std::uint16_t id = htons(id_);
  const std::uint16_t sequence = htons(static_cast<std::uint16_t>(echo.number));
  std::memcpy(&packet[4], &id, 2);
  std::memcpy(&packet[6], &sequence, 2);
  std::memcpy(&packet[kHeader], cookie_.data(), cookie_.size());
  std::memcpy(&packet[kHeader + 8], &echo.witness, 4);
  std::memcpy(&packet[kHeader + 12], &echo.number, 4);
  if (v4_) {
    const auto sum = checksum(packet);
    std::memcpy(&packet[2], &sum, 2);
  }
  const auto address = socket_address(to);
  const auto sent = sendto(fd_, packet.data(), packet.size(), MSG_DONTWAIT, address.get(), address.length);
  if (sent == static_cast<ssize_t>(packet.size())) { return {}; }
  return failure(std::strerror(errno));
}

std::optional<Echo> IcmpSocket::parse(const std::byte* bytes, std::size_t size) const {
  if (raw_ && v4_) {  // the IP header comes first
    if (size == 0) { return std::nullopt; }
    const std::size_t header = (static_cast<std::size_t>(bytes[0]) & 0xfU) * 4;
    if (header > size) { return std::nullopt; }
    bytes += header;
    size -= header;
  }
  const auto answer = static_cast<std::byte>(v4_ ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
  if (size != kHeader + kPayload || bytes[0] != answer) { return std::nullopt; }
  if (std::memcmp(bytes + kHeader, cookie_.data(), cookie_.size()) != 0) { return std::nullopt; }
  Echo echo;
  std::memcpy(&echo.witness, bytes + kHeader + 8, 4);
  std::memcpy(&echo.number, bytes + kHeader + 12, 4);
  return echo;
}

std::optional<IcmpSocket::Answer> IcmpSocket::receive() {
  for (;;) {
    std::array<std::byte, 256> buffer;
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const auto size = recvfrom(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC,
                               reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) { return std::nullopt; }
    if (size < 0) { continue; }  // an error of an earlier echo, told once by the kernel: the echo is missing
    if (static_cast<std::size_t>(size) > buffer.size()) { continue; }
    if (const auto echo = parse(buffer.data(), static_cast<std::size_t>(size))) {
      return Answer{from_socket_address(from), *echo};
    }
  }
}

}  // namespace understudy::control
