// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/own_address.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>

namespace understudy {

bool is_own_address(const IpAddress& address) {
  if (address.is_v4() && address.bytes[0] == 127) { return true; }
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) { return true; }  // unknown: whoever binds there will tell
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, freeifaddrs);
  for (const auto* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) { continue; }
    if (address.is_v4() && one->ifa_addr->sa_family == AF_INET) {
      const auto& in = *reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      if (std::memcmp(&in.sin_addr, address.bytes.data(), sizeof in.sin_addr) == 0) { return true; }
    } else if (!address.is_v4() && one->ifa_addr->sa_family == AF_INET6) {
      const auto& in6 = *reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      if (std::memcmp(&in6.sin6_addr, address.bytes.data(), sizeof in6.sin6_addr) == 0) { return true; }
    }
  }
  return false;
}

}  // namespace understudy
