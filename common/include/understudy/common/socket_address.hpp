// SPDX-License-Identifier: Apache-2.0
#pragma once
/// From the kernel's socket addresses to ours.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "understudy/common/net_types.hpp"

namespace understudy {

/// The sender of a packet; the empty address where the family is neither IPv4 nor IPv6.
inline IpAddress from_socket_address(const sockaddr_storage& from) {
  IpAddress address;
  if (from.ss_family == AF_INET) {
    address.family = 4;
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in&>(from).sin_addr, 4);
  } else if (from.ss_family == AF_INET6) {
    address.family = 6;
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(from).sin6_addr, 16);
  }
  return address;
}

}  // namespace understudy
