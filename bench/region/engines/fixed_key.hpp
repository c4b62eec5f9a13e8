// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Keys and values as the maps of this process hold them.

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

#include "workload.hpp"

namespace understudy::bench {

template <std::size_t Words>
using FixedKey = std::array<std::uint64_t, Words>;
using FixedValue = std::array<std::uint64_t, value_words>;

template <class Fixed>
Fixed fixed(Bytes bytes) {
  Fixed held;
  std::memcpy(held.data(), bytes.data(), sizeof held);
  return held;
}

/// Multiplication folded to 64 bits, the hash that the region uses too.
template <std::size_t Words>
struct FixedHash {
  using is_avalanching = void;  // Boost need not mix it again
  std::size_t operator()(const FixedKey<Words>& key) const noexcept {
    __extension__ using Wide = unsigned __int128;
    std::uint64_t hash = 0x243f6a8885a308d3;
    for (const std::uint64_t word : key) {
      const Wide product = static_cast<Wide>(hash ^ word) * 0x9e3779b97f4a7c15;
      hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    return hash;
  }
};

}  // namespace understudy::bench
