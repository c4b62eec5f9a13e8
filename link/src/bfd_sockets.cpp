// SPDX-License-Identifier: Apache-2.0
#include "bfd_sockets.hpp"

#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "understudy/common/socket_address.hpp"

namespace understudy::link::bfd {

namespace {

constexpr int ttl_required = 255;
constexpr int traffic_class = 0xc0;  // CS6, network control
constexpr int bind_tries = 64;

Error os_failure(const std::string& what) { return failure(what + ": " + std::strerror(errno)); }

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Result<FileDescriptor> open_udp(bool v4) {
  FileDescriptor fd(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  if (fd.get() < 0) { return os_failure("BFD cannot open a UDP socket"); }
  if (!v4 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) { return os_failure("BFD cannot set IPV6_V6ONLY"); }
  return fd;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) { close(fd_); }
}

Result<SocketAddress> socket_address(const IpAddress& address, std::uint16_t port, const std::string& interface) {
  SocketAddress out;
  if (address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes.data(), 4);
    out.length = sizeof in;
    return out;
  }
  auto& in6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  std::memcpy(&in6.sin6_addr, address.bytes.data(), 16);
  if (address.is_link_local()) {
    in6.sin6_scope_id = if_nametoindex(interface.c_str());
    if (in6.sin6_scope_id == 0) {
      return failure(
          "link-local address " + address.to_string() + " needs an interface, and \"" + interface + "\" does not exist",
          Errc::BadInput);
    }
  }
  out.length = sizeof in6;
  return out;
}

Result<FileDescriptor> open_receiver(const IpAddress& address, std::uint16_t port, const std::string& interface) {
  auto fd = open_udp(address.is_v4());
  if (!fd) { return fd; }
  const bool tells_ttl = address.is_v4() ? set_option(fd->get(), IPPROTO_IP, IP_RECVTTL, 1)
                                         : set_option(fd->get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  if (!tells_ttl) { return os_failure("BFD cannot learn the TTL of what it receives"); }
  const auto local = socket_address(address, port, interface);
  if (!local) { return local.error(); }
  const auto& to = local.value();
  if (bind(fd->get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) {
    return os_failure("BFD cannot listen on " + address.to_string() + " port " + std::to_string(port));
  }
  return fd;
}

Result<FileDescriptor> open_sender(const IpAddress& address, const std::string& interface, std::mt19937& random) {
  auto fd = open_udp(address.is_v4());
  if (!fd) { return fd; }
  const bool sends_ttl = address.is_v4() ? set_option(fd->get(), IPPROTO_IP, IP_TTL, ttl_required)
                                         : set_option(fd->get(), IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl_required);
  if (!sends_ttl) { return os_failure("BFD cannot send with TTL 255"); }
  // Priority in the network is a wish, not a condition.
  if (address.is_v4()) {
    set_option(fd->get(), IPPROTO_IP, IP_TOS, traffic_class);
  } else {
    set_option(fd->get(), IPPROTO_IPV6, IPV6_TCLASS, traffic_class);
  }
  std::uniform_int_distribution<int> ports(49152, 65535);
  for (int i = 0; i < bind_tries; ++i) {
    const auto local = socket_address(address, static_cast<std::uint16_t>(ports(random)), interface);
    if (!local) { return local.error(); }
    if (bind(fd->get(), reinterpret_cast<const sockaddr*>(&local.value().storage), local.value().length) == 0) {
      return fd;
    }
    if (errno != EADDRINUSE) { break; }
  }
  return os_failure("BFD cannot bind a source port of 49152-65535 on " + address.to_string());
}

std::optional<Datagram> receive(int fd, std::span<std::byte> buffer) {
  sockaddr_storage from{};
  iovec io{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::byte control[128];
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
  if (size < 0) { return std::nullopt; }
  Datagram datagram{from_socket_address(from), -1, static_cast<std::size_t>(size)};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    const bool is_ttl = (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TTL) ||
                        (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_HOPLIMIT);
    if (is_ttl) { std::memcpy(&datagram.ttl, CMSG_DATA(header), sizeof datagram.ttl); }
  }
  return datagram;
}

bool send(int fd, const SocketAddress& to, std::span<const std::byte> bytes) {
  const auto sent = sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&to.storage), to.length);
  return sent == static_cast<ssize_t>(bytes.size());
}

}  // namespace understudy::link::bfd
