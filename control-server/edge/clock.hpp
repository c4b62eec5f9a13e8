// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The daemon's clocks. Decisions use boot time only: it neither jumps nor stops while the machine sleeps.

#include <time.h>

#include "understudy/common/types.hpp"

namespace understudy::control {

[[nodiscard]] inline std::int64_t read_clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}
[[nodiscard]] inline Instant boot_now() { return {Duration{read_clock_ns(CLOCK_BOOTTIME)}}; }
[[nodiscard]] inline std::int64_t wall_now_ns() { return read_clock_ns(CLOCK_REALTIME); }

}  // namespace understudy::control
