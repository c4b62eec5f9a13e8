// SPDX-License-Identifier: Apache-2.0
#include "edge/progress_pace.hpp"

#include <gtest/gtest.h>

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
using link::SyncStream;

constexpr Instant kStart{1h};

link::SyncProgress progress(std::uint64_t committed, std::uint64_t acknowledged,
                            SyncStream stream = SyncStream::Synced) {
  return {RoleId{"role-1"}, Term{3}, stream, {{"net", Sequence{committed}, Sequence{acknowledged}}}};
}

TEST(ProgressPace, AnIdleRoleIsToldOnceASecondToo) {
  ProgressPace sut;
  unsigned told = 0;
  for (unsigned i = 0; i < 40; ++i) { told += sut.tells(kStart + i * 250ms, progress(7, 7)) ? 1U : 0U; }
  EXPECT_EQ(told, 10U) << "or nobody could tell a blocked BFD from a dead blade";
}

TEST(ProgressPace, ABusyRoleIsToldOnceASecond) {
  ProgressPace sut;
  unsigned told = 0;
  for (unsigned i = 0; i < 40; ++i) { told += sut.tells(kStart + i * 250ms, progress(i + 1, i)) ? 1U : 0U; }
  EXPECT_EQ(told, 10U);
}

TEST(ProgressPace, AStreamThatChangesIsToldAtOnce) {
  ProgressPace sut;
  EXPECT_TRUE(sut.tells(kStart, progress(8, 7)));
  EXPECT_TRUE(sut.tells(kStart + 1ms, progress(8, 7, SyncStream::Stalled)));
  EXPECT_TRUE(sut.tells(kStart + 2ms, progress(8, 7)));
  EXPECT_FALSE(sut.tells(kStart + 3ms, progress(9, 7)));
}

/// The control-server judges by two words a second apart: of a mirror that is behind it hears also when nothing moves.
TEST(ProgressPace, AMirrorThatStaysBehindIsToldAgain) {
  ProgressPace sut;
  EXPECT_TRUE(sut.tells(kStart, progress(8, 7)));
  EXPECT_FALSE(sut.tells(kStart + 999ms, progress(8, 7)));
  EXPECT_TRUE(sut.tells(kStart + 1s, progress(8, 7)));
  EXPECT_TRUE(sut.tells(kStart + 2s, progress(8, 8))) << "that it has caught up is news";
  EXPECT_TRUE(sut.tells(kStart + 3s, progress(8, 8)));
}

TEST(ProgressPace, AnotherTermBeginsAnew) {
  ProgressPace sut;
  EXPECT_TRUE(sut.tells(kStart, progress(8, 8)));
  auto next = progress(8, 8);
  next.term = Term{4};
  EXPECT_TRUE(sut.tells(kStart + 1ms, next));
}

}  // namespace
}  // namespace understudy::host
