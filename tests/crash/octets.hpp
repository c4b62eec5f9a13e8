// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Keys and values as bytes, as network appliances have them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace understudy::shm::crash {

using Octets = std::vector<std::byte>;

inline Octets octets_of(std::uint64_t word) {
  Octets bytes(sizeof word);
  std::memcpy(bytes.data(), &word, sizeof word);
  return bytes;
}

/// Source and destination out of few, so that keys share words: 2001:db8::s port 443 to 2001:db8::d port p, TCP.
inline Octets flow6_key(std::uint64_t n) {
  Octets key(37);
  const std::array<std::uint64_t, 4> words{0x20010db8, n % 16, 0x20010db8, n / 16 % 16};
  std::memcpy(key.data(), words.data(), sizeof words);
  const auto port = static_cast<std::uint16_t>(n / 256);
  std::memcpy(key.data() + 34, &port, sizeof port);
  key[36] = std::byte{6};
  return key;
}
inline Octets flow4_key(std::uint64_t n) {
  Octets key(13);
  const std::array<std::uint32_t, 2> hosts{static_cast<std::uint32_t>(0x0a000000 + n % 16),
                                           static_cast<std::uint32_t>(0x0a000100 + n / 16 % 16)};
  std::memcpy(key.data(), hosts.data(), sizeof hosts);
  const auto port = static_cast<std::uint16_t>(n / 256);
  std::memcpy(key.data() + 10, &port, sizeof port);
  key[12] = std::byte{17};
  return key;
}
/// An IPv6 address: two words, the first of them one of four.
inline Octets address_key(std::uint64_t n) {
  Octets key(16);
  const std::array<std::uint64_t, 2> words{n % 4, n / 4};
  std::memcpy(key.data(), words.data(), sizeof words);
  return key;
}

}  // namespace understudy::shm::crash
