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

Status check_change(const Ownership& now, Term expected, Term expected_reserved, const Ownership& next) {
  const bool grows = next.term >= now.term && next.highest() >= now.highest() &&
                     (next.term > now.term || next.reserved > now.reserved);
  Ownership released = now;
  released.leased = !now.leased;
  const bool only_the_lease = now.term.value != 0 && next == released;
  if (now.term == expected && now.reserved == expected_reserved && (grows || only_the_lease)) { return {}; }
  return failure(next.role.value + " is stored under term " + std::to_string(now.term.value) + " (reserved " +
                     std::to_string(now.reserved.value) + "); asked was " + std::to_string(expected.value) +
                     " (reserved " + std::to_string(expected_reserved.value) + ") to " +
                     std::to_string(next.term.value) + " (reserved " + std::to_string(next.reserved.value) + ")",
                 Errc::Refused);
}

}  // namespace understudy::control
