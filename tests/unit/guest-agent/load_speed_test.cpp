// SPDX-License-Identifier: Apache-2.0
#include "edge/load_speed.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace understudy::guest {
namespace {

const std::vector<std::byte> memory(std::size_t{64} << 10);

/// A mapping that answers late: every load is one of `factor`.
Loads slow(std::size_t factor) {
  return [loads = dependent_loads(memory), factor](std::size_t count) mutable { loads(count * factor); };
}

TEST(LoadSpeedTest, TellsASlowMappingFromAFastOne) {
  const double fast = median_load_ns(dependent_loads(memory));
  ASSERT_GT(fast, 0);
  EXPECT_GT(median_load_ns(slow(64)), 8 * fast);
}

TEST(LoadSpeedTest, AFewInterruptedRunsDoNotCount) {
  int run = 0;
  const auto interrupted = [&run, loads = dependent_loads(memory)](std::size_t count) mutable {
    loads(++run % 4 == 0 ? count * 1024 : count);
  };
  EXPECT_LT(median_load_ns(interrupted), 64 * median_load_ns(dependent_loads(memory)));
}

TEST(LoadSpeedTest, OrdinaryMemoryIsAboutAsFastAsItself) {
  const auto speed = measure_loads(memory);
  EXPECT_GT(speed.private_ns, 0);
  EXPECT_LT(speed.load_ns, 8 * speed.private_ns);
}

}  // namespace
}  // namespace understudy::guest
