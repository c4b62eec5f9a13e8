// SPDX-License-Identifier: Apache-2.0
#include "edge/load_speed.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace understudy::guest {

namespace {
constexpr std::size_t walked_bytes = std::size_t{64} << 10;
constexpr std::size_t line_words = 8;
constexpr std::size_t runs = 101;
constexpr std::size_t loads_of_a_run = 256;  ///< uncached they take some 50 us
}  // namespace

double median_load_ns(const Loads& loads) {
  std::array<double, runs> took{};
  loads(walked_bytes / sizeof(std::uint64_t) / line_words);  // once around, so that what can be cached is
  for (auto& one : took) {
    const auto begin = std::chrono::steady_clock::now();
    loads(loads_of_a_run);
    one = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() /
          static_cast<double>(loads_of_a_run);
  }
  std::nth_element(took.begin(), took.begin() + runs / 2, took.end());
  return took[runs / 2];
}

Loads dependent_loads(std::span<const std::byte> memory) {
  const auto* words = reinterpret_cast<const volatile std::uint64_t*>(memory.data());
  const std::size_t count = std::min(memory.size(), walked_bytes) / sizeof(std::uint64_t);
  return [words, count, index = std::size_t{0}](std::size_t times) mutable {
    // What was loaded goes into the next address, though it adds nothing to it: the processor cannot run ahead.
    volatile std::uint64_t nothing = 0;
    const std::uint64_t mask = nothing;
    for (std::size_t i = 0; i < times; ++i) {
      index = (index + line_words + static_cast<std::size_t>(words[index] & mask)) % count;
    }
  };
}

LoadSpeed measure_loads(std::span<const std::byte> memory) {
  std::vector<std::byte> own(std::min(memory.size(), walked_bytes), std::byte{1});
  return {median_load_ns(dependent_loads(memory)), median_load_ns(dependent_loads(own))};
}

}  // namespace understudy::guest
