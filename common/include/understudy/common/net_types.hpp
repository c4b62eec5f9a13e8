// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Addresses as values: parsed once at the edge, compared and stored everywhere else.

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "understudy/common/result.hpp"

namespace understudy {

/// 48-bit MAC address.
struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  auto operator<=>(const MacAddress&) const = default;
  /// Accepts "02:00:00:00:00:01"; anything else is BadInput.
  static Result<MacAddress> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

/// IPv4 or IPv6 address in network byte order. IPv4 uses the first 4 bytes, the rest is 0.
struct IpAddress {
  std::uint8_t family = 0;  ///< 4, 6, or 0 for "none"
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const IpAddress&) const = default;
  static Result<IpAddress> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool is_v4() const { return family == 4; }
  [[nodiscard]] bool is_link_local() const;  ///< IPv6 fe80::/10 only
};

/// An address with the length of its network prefix, e.g. 10.23.4.121/24.
struct IpPrefix {
  IpAddress address;
  std::uint8_t length = 0;  ///< 0-32 or 0-128
  auto operator<=>(const IpPrefix&) const = default;
  static Result<IpPrefix> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

}  // namespace understudy
