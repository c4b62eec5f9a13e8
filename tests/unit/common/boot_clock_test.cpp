// SPDX-License-Identifier: Apache-2.0
/// The clock of every edge counts the time in which the machine sleeps. What no test can do to a machine, a time
/// namespace does: there the clock that sleeps along and the one that does not are apart.
#include "understudy/common/boot_clock.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace understudy {
namespace {

using namespace std::chrono_literals;

/// In a process of its own, where the machine has slept for `slept`: what the clock says there.
Instant where_it_slept(std::chrono::seconds slept) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe(ends), 0);
  const pid_t outer = fork();
  if (outer == 0) {
    if (unshare(CLONE_NEWTIME) != 0) { _exit(1); }
    std::ofstream("/proc/self/timens_offsets") << "boottime " << slept.count() << " 0\n";
    const pid_t inner = fork();
    if (inner == 0) {
      const auto now = boot_now();
      _exit(write(ends[1], &now, sizeof now) == sizeof now ? 0 : 1);
    }
    int status = 0;
    _exit(waitpid(inner, &status, 0) == inner && status == 0 ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(outer, &status, 0), outer);
  EXPECT_EQ(status, 0);
  close(ends[1]);
  Instant said;
  EXPECT_EQ(read(ends[0], &said, sizeof said), static_cast<ssize_t>(sizeof said));
  close(ends[0]);
  return said;
}

TEST(BootClock, CountsTheTimeInWhichTheMachineSleeps) {
  if (geteuid() != 0) { GTEST_SKIP() << "needs root for its time namespace"; }
  const auto before = boot_now();
  EXPECT_GE(where_it_slept(3600s) - before, 3600s);
  EXPECT_LT(where_it_slept(0s) - before, 3600s) << "so it is the sleep that was seen";
}

TEST(BootClock, NeverGoesBack) {
  auto last = boot_now();
  for (int i = 0; i < 10'000; ++i) {
    const auto now = boot_now();
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace understudy
