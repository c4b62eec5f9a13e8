// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Wall clock in nanoseconds: the tools' records, the kernel's packet time stamps and the product's events share it.

#include <cstdint>
#include <ctime>

namespace lab {

inline std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

inline std::int64_t now_ns(clockid_t clock = CLOCK_REALTIME) {
  timespec time{};
  clock_gettime(clock, &time);
  return nanoseconds(time);
}

}  // namespace lab
