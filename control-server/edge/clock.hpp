// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The time of day, for what people read. Decisions use boot time only (understudy/common/boot_clock.hpp).

#include <time.h>

#include <cstdint>

namespace understudy::control {

[[nodiscard]] inline std::int64_t wall_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace understudy::control
