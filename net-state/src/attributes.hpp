// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Bounds-checked reading of netlink attributes: a table of pointers by type, and typed reads that refuse a wrong size.

#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "understudy/net/records.hpp"

namespace understudy::net {

/// Attributes of types 1..127; later ones of a type win, others are ignored.
class Attributes {
 public:
  static constexpr std::size_t types_max = 128;
  Attributes(const void* bytes, std::size_t length);
  /// Behind the `header_bytes` of a message's fixed part.
  static Attributes of_message(const nlmsghdr* message, std::size_t header_bytes);

  [[nodiscard]] bool has(int type) const { return at(type) != nullptr; }
  [[nodiscard]] Attributes nested(int type) const;  ///< empty when absent

  /// A plain value whose size is exactly sizeof(T), in the byte order of the wire.
  template <class T>
  [[nodiscard]] std::optional<T> get(int type) const {
    const nlattr* const found = at(type);
    if (found == nullptr || mnl_attr_get_payload_len(found) != sizeof(T)) { return {}; }
    T value;
    std::memcpy(&value, mnl_attr_get_payload(found), sizeof value);
    return value;
  }
  /// An IPv4 or IPv6 address, according to its length, which must fit `family` (4 or 6).
  [[nodiscard]] std::optional<AddressBytes> address(int type, std::uint8_t family) const;
  [[nodiscard]] const char* text(int type) const;  ///< 0-terminated inside its attribute, else nullptr

 private:
  [[nodiscard]] const nlattr* at(int type) const { return table_[static_cast<std::size_t>(type)]; }
  std::array<const nlattr*, types_max> table_{};
};

/// MNL_ALIGN without its signed arithmetic.
constexpr std::size_t netlink_aligned(std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; }

inline std::size_t address_bytes(std::uint8_t family) { return family == 4 ? 4 : 16; }

}  // namespace understudy::net
