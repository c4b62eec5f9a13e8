// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The clock of every edge: it neither jumps nor stops while the machine sleeps, so whoever stood still can tell.
/// A core is given its Instants and never reads one.

#include <time.h>

#include "understudy/common/types.hpp"

namespace understudy {

[[nodiscard]] inline Instant boot_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec)};
}

}  // namespace understudy
