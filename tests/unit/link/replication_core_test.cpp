// SPDX-License-Identifier: Apache-2.0
/// Both ends' state machines without sockets, threads and clock: any byte of a sync may be the last that arrives, and
/// a second of silence takes no time.
#include "replication_cores.hpp"

namespace understudy::link::replication {
namespace {

TEST_F(ReplicationCores, EveryByteOfASyncMayBeTheLastThatArrives) {
  std::size_t all = 0;
  {
    Mirror whole(clock);
    connect(whole);
    all = pass(1 << 20);
    ASSERT_EQ(whole.core->phase(), ReceiverPhase::Synced);
    ASSERT_TRUE(active.store().mirrored().protected_by_mirror);
  }
  for (std::size_t bytes = 0; bytes < all; bytes += 13) {
    SCOPED_TRACE(bytes);
    Mirror mirror(clock);
    connect(mirror);
    pass(bytes);
    ASSERT_EQ(mirror.core->phase(), ReceiverPhase::Lost);
    ASSERT_FALSE(active.store().mirrored().protected_by_mirror);
    const auto held = mirror.region.store();
    ASSERT_TRUE(contents.contains(held.committed())) << held.committed().value << " is within a transaction";
    ASSERT_EQ(content_of(held), contents[held.committed()]);
    while (!mirror.edge->asked) { ASSERT_TRUE(clock.run_one(clock.now + 2s)); }
    connect(mirror);
    pass(1 << 20);
    ASSERT_EQ(mirror.core->phase(), ReceiverPhase::Synced);
    ASSERT_EQ(content_of(held), content_of(active.store()));
    ASSERT_EQ(content_of(mirror.region.store("sessions")), content_of(active.store("sessions")));
  }
}

/// The thread was busy elsewhere: it is the timer's turn, and bytes that came meanwhile have not been read.
TEST_F(ReplicationCores, BytesThatWaitAreNoQuietAtTheEndOfAStream) {
  Mirror mirror(clock);
  connect(mirror);
  pass(1 << 20);
  theirs->waiting = 100;
  std::optional<DrainReport> report;
  const auto began = clock.now;
  mirror.core->drain(5ms, 1s, [&](const DrainReport& drained) { report = drained; });
  while (clock.run_one(began + 500ms)) {}
  EXPECT_FALSE(report.has_value());
  theirs->waiting = 0;
  while (clock.run_one(began + 510ms)) {}
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(report->by_deadline || report->end_of_stream);
}

TEST_F(ReplicationCores, AWireThatCarriesNothingAnyMoreIsLostByBothEnds) {
  Mirror mirror(clock);
  connect(mirror);
  pass(1 << 20);
  ASSERT_EQ(link->phase(), SenderPhase::Synced);
  const auto silent_since = clock.now;
  while (!theirs->closed() || !ours->closed()) { ASSERT_TRUE(clock.run_one(silent_since + 1200ms)); }
  EXPECT_EQ(mirror.core->phase(), ReceiverPhase::Lost);
  EXPECT_FALSE(active.store().mirrored().protected_by_mirror);
  EXPECT_EQ(active.store().mirrored().acknowledged, net.committed()) << "what it has it has";
  EXPECT_TRUE(mirror.core->ready()) << "a takeover needs the copy, not the stream";
}

}  // namespace
}  // namespace understudy::link::replication
