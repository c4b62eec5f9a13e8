// SPDX-License-Identifier: Apache-2.0
#include "socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace session_service {

namespace us = understudy;

us::Result<Descriptor> open_bound(Family family, Transport transport, std::uint16_t port) {
  const bool v6 = family == Family::V6;
  const bool udp = transport == Transport::Udp;
  Descriptor fd(::socket(v6 ? AF_INET6 : AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    return us::failure(std::string("cannot open a socket: ") + std::strerror(errno),
                       errno == EAFNOSUPPORT ? us::Errc::NotFound : us::Errc::Failed);
  }
  const int on = 1;
  bool done = true;
  const auto set = [&](int level, int name) {
    done = done && ::setsockopt(fd.get(), level, name, &on, sizeof(on)) == 0;
  };
  if (v6) { set(IPPROTO_IPV6, IPV6_V6ONLY); }
  if (udp) {
    v6 ? set(IPPROTO_IPV6, IPV6_RECVPKTINFO) : set(IPPROTO_IP, IP_PKTINFO);
  } else {
    set(SOL_SOCKET, SO_REUSEADDR);  // a restarted service must not wait for connections in TIME_WAIT
  }
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  any6.sin6_port = htons(port);
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  any4.sin_port = htons(port);
  const auto* address = v6 ? reinterpret_cast<const sockaddr*>(&any6) : reinterpret_cast<const sockaddr*>(&any4);
  const auto size = static_cast<socklen_t>(v6 ? sizeof(any6) : sizeof(any4));
  done = done && ::bind(fd.get(), address, size) == 0 && (udp || ::listen(fd.get(), SOMAXCONN) == 0);
  if (!done) {
    return us::failure(std::string("cannot use ") + (udp ? "UDP" : "TCP") + (v6 ? " over IPv6" : " over IPv4") +
                           " port " + std::to_string(port) + ": " + std::strerror(errno),
                       errno == EADDRNOTAVAIL ? us::Errc::NotFound : us::Errc::Failed);
  }
  return fd;
}

}  // namespace session_service
