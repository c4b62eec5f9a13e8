// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The clock of BFD's edges: it runs on while the machine sleeps, so an observer that stood still can tell.

#include <time.h>

#include "understudy/common/types.hpp"

namespace understudy::link::bfd {

inline Instant boot_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec)};
}

}  // namespace understudy::link::bfd
