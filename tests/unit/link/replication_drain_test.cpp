// SPDX-License-Identifier: Apache-2.0
/// The end of a stream, as a takeover reads it: whole, quiet, late or torn.
#include <gtest/gtest.h>

#include "replication_puppet.hpp"
#include "support/eventually.hpp"

namespace understudy::link::replication {
namespace {

TEST(Replication, DrainReadsToTheEndOfTheStreamAndFreesTheStores) {
  Pair pair;
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  EXPECT_EQ(pair.mirror.store().become_writer(Term{2}).error().code, Errc::Refused) << "the receiver is the writer";

  for (std::uint64_t i = 0; i < 500; ++i) { put(net, i, i); }
  std::optional<bool> all;
  std::optional<DrainReport> report;
  pair.sender->finish(10s, [&](bool complete) { all = complete; });
  pair.receiver->drain(5s, 20s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return all && report; }));
  EXPECT_TRUE(*all);
  EXPECT_TRUE(report->end_of_stream);
  EXPECT_TRUE(report->ready);
  EXPECT_EQ(report->dropped_bytes, 0u);
  EXPECT_EQ(report->stores[0].applied, net.committed());
  EXPECT_EQ(content_of(pair.mirror.store()), content_of(pair.active.store()));

  pair.receiver->release_writers();
  auto taken_over = pair.mirror.store().become_writer(Term{2});
  ASSERT_TRUE(taken_over.ok()) << taken_over.error().message;
  put(*taken_over, 1000, 1);
}

TEST(Replication, DrainOfASilentActiveEndsByQuiet) {
  Pair pair;
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  std::optional<DrainReport> report;
  pair.receiver->drain(1ms, 10s, [&](const DrainReport& drained) { report = drained; });
  EXPECT_FALSE(report) << "never from inside the call";
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_FALSE(report->end_of_stream || report->by_deadline);
  EXPECT_TRUE(report->ready);
  put(net, 2, 2);
  pair.run_until([] { return false; }, 50ms);
  EXPECT_EQ(pair.mirror.store().committed(), Sequence{1}) << "after a drain nothing is applied any more";
}

TEST(Replication, DrainOfAnActiveThatGoesOnTalkingEndsByItsDeadline) {
  Pair pair;
  pair.sender_options.heartbeat = 5ms;
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  std::optional<DrainReport> report;
  pair.receiver->drain(1s, 100ms, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_TRUE(report->by_deadline);
}

TEST(Replication, DrainWithoutAConnectionEndsAtOnce) {
  Pair pair;
  pair.port = 9;  // nobody is there
  pair.start_receiver();
  std::optional<DrainReport> report;
  pair.receiver->drain(10s, 20s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_FALSE(report->ready);
}

TEST(Replication, APartialFrameIsDroppedByTheDrain) {
  Pair pair;
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  Puppet active(1);
  active.listen();
  pair.port = active.port();
  pair.start_receiver();
  ASSERT_TRUE(pair.run_until([&] { return active.wait_connected(); }));
  active.send(FrameType::Resume, encode_payload(Resume{Sequence{1}}), Sequence{1});
  shm::JournalReader reader(pair.active.store(), Sequence{0});
  const auto entries = reader.read(4096).value().bytes;
  active.send(FrameType::Journal, entries, Sequence{1});
  auto torn = active.bytes_of_frame(FrameType::Journal, entries, Sequence{2});
  torn.resize(torn.size() - 5);
  active.send(torn);
  ASSERT_TRUE(pair.run_until([&] { return pair.mirror.store().committed() == Sequence{1}; }));
  std::optional<DrainReport> report;
  pair.receiver->drain(5ms, 10s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_EQ(report->dropped_bytes, torn.size());
  EXPECT_EQ(report->stores[0].applied, Sequence{1});
}

TEST(Replication, ALateThreadDoesNotTakeItsOwnSleepForQuiet) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 1; i <= 3; ++i) { put(net, i, i); }
  Puppet active(1);
  active.listen();
  pair.port = active.port();
  pair.start_receiver();
  ASSERT_TRUE(pair.run_until([&] { return active.wait_connected(); }));
  active.send(FrameType::Resume, encode_payload(Resume{Sequence{3}}), Sequence{1});
  ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Syncing; }));
  std::optional<DrainReport> report;
  pair.receiver->drain(5ms, 10s, [&](const DrainReport& drained) { report = drained; });
  shm::JournalReader reader(pair.active.store(), Sequence{0});
  active.send(FrameType::Journal, reader.read(4096).value().bytes, Sequence{1});
  // The one thread is busy elsewhere: the bytes are there, and then the timer runs out.
  const auto late = std::chrono::steady_clock::now() + 30ms;
  ASSERT_TRUE(test::eventually([&] { return std::chrono::steady_clock::now() > late; }));
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_EQ(report->stores[0].applied, Sequence{3});
  EXPECT_FALSE(report->ready) << "the other store was never resumed";
}

}  // namespace
}  // namespace understudy::link::replication
