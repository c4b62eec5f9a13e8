// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/privileges.hpp"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "understudy/common/config_checks.hpp"

namespace understudy {
namespace {

/// Exit status of a child that runs `body`: what it gives up is its own.
template <class Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) { _exit(body()); }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool has(int capability) { return missing_capabilities({capability}).empty(); }
/// Whether a program that root starts has CAP_CHOWN (bit 0) again.
bool a_program_has_chown() {
  return WEXITSTATUS(std::system("grep -q '^CapEff:.*[13579bdf]$' /proc/self/status")) == 0;
}

TEST(Privileges, WhatIsNotKeptIsGoneForGood) {
  if (geteuid() != 0 || !has(CAP_NET_ADMIN)) { GTEST_SKIP() << "only root has capabilities to lose"; }
  EXPECT_EQ(in_child([] {
              if (!drop_privileges({CAP_NET_ADMIN}, Programs::MayHaveMore)) { return 1; }
              if (!has(CAP_NET_ADMIN)) { return 2; }
              if (has(CAP_SYS_ADMIN) || has(CAP_CHOWN)) { return 3; }
              if (drop_privileges({CAP_NET_ADMIN, CAP_CHOWN}, Programs::MayHaveMore) && has(CAP_CHOWN)) { return 4; }
              if (!a_program_has_chown()) { return 5; }  // applications and guests need it
              return umask(0) == 077 ? 0 : 6;
            }),
            0);
}

TEST(Privileges, ProgramsOfAProcessThatStartsNoneHaveNoMore) {
  if (geteuid() != 0 || !has(CAP_CHOWN)) { GTEST_SKIP() << "only root has capabilities to lose"; }
  ASSERT_TRUE(a_program_has_chown());
  EXPECT_EQ(in_child([] {
              if (!drop_privileges({CAP_NET_ADMIN}, Programs::HaveNoMore)) { return 1; }
              return a_program_has_chown() ? 2 : 0;
            }),
            0);
}

TEST(Privileges, WhoHasNothingMayStillCallIt) {
  EXPECT_EQ(in_child([] {
              if (!drop_privileges({}, Programs::HaveNoMore)) { return 1; }
              return drop_privileges({CAP_NET_ADMIN}, Programs::HaveNoMore) && !has(CAP_NET_ADMIN) ? 0 : 2;
            }),
            0);
}

TEST(DescriptorLimit, IsRaisedToWhatTheProcessMayHave) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 100;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  ASSERT_TRUE(raise_descriptor_limit().ok());
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace understudy
