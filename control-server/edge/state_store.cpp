// SPDX-License-Identifier: Apache-2.0
#include "edge/state_store.hpp"

#include <sys/random.h>

#include <array>

namespace understudy::control {

std::string make_state_id() {
  std::array<std::uint8_t, 16> bytes{};
  UNDERSTUDY_ASSERT(getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string id;
  for (const auto byte : bytes) {
    constexpr const char* digits = "0123456789abcdef";
    id += digits[byte >> 4];
    id += digits[byte & 15];
  }
  return id;
}

}  // namespace understudy::control
