// SPDX-License-Identifier: Apache-2.0
#pragma once
/// While it lives, this process gets no further descriptor (EMFILE): what it has stays. Holds for root too.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace understudy::test {

class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    const int lowest_free = ::dup(0);
    EXPECT_GE(lowest_free, 0);
    ::close(lowest_free);
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none{static_cast<rlim_t>(lowest_free), before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptorsLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;

 private:
  rlimit before_{};
};

}  // namespace understudy::test
