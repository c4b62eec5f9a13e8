// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/net_types.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>

namespace understudy {

Result<MacAddress> MacAddress::parse(std::string_view text) {
  MacAddress mac;
  bool good = text.size() == 17;
  for (std::size_t i = 0; good && i < 6; ++i) {
    const char* at = text.data() + i * 3;
    const auto [end, error] = std::from_chars(at, at + 2, mac.bytes[i], 16);
    good = error == std::errc{} && end == at + 2 && (i == 5 || at[2] == ':');
  }
  if (!good) {
    return failure("\"" + std::string(text) + "\" is not a MAC address such as 02:00:00:00:00:01", Errc::BadInput);
  }
  return mac;
}

std::string MacAddress::to_string() const {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                bytes[5]);
  return text;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  IpAddress address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) {
    address.family = 4;
    return address;
  }
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) {
    address.family = 6;
    return address;
  }
  return failure("\"" + copy + "\" is not an IPv4 or IPv6 address", Errc::BadInput);
}

std::string IpAddress::to_string() const {
  if (family == 0) { return "none"; }
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

bool IpAddress::is_link_local() const { return family == 6 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto bad = [&] {
    return failure("\"" + std::string(text) + "\" is not an address with a prefix length such as 10.23.4.121/24",
                   Errc::BadInput);
  };
  if (slash == std::string_view::npos) { return bad(); }
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) { return bad(); }
  IpPrefix prefix{address.value(), 0};
  const auto digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix.length);
  if (error != std::errc{} || end != digits.data() + digits.size() ||
      prefix.length > (prefix.address.is_v4() ? 32 : 128)) {
    return bad();
  }
  return prefix;
}

std::string IpPrefix::to_string() const { return address.to_string() + "/" + std::to_string(length); }

}  // namespace understudy
