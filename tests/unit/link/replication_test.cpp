// SPDX-License-Identifier: Apache-2.0
/// A pair of active and mirror: what is mirrored, when it resyncs, whom it refuses.
/// Covers: link/src/replication_applier.cpp, link/src/replication_connection.cpp,
/// link/src/replication_mirror_link.cpp, link/src/replication_receiver.cpp, link/src/replication_sender.cpp
#include <gtest/gtest.h>

#include <algorithm>

#include "replication_bench.hpp"
#include "understudy/link/replication_frame.hpp"
#include "understudy/shm/arena.hpp"

namespace understudy::link::replication {
namespace {

TEST(Replication, MirrorsWhatWasThereBeforeAndWhatComesAfter) {
  Pair pair;
  auto net = pair.active.writer(1);
  auto sessions = pair.active.writer(1, "sessions");
  for (std::uint64_t i = 0; i < 100; ++i) { put(net, i, i); }
  put(net, 5, 55, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  for (std::uint64_t i = 50; i < 150; ++i) { put(net, i, i + 1000); }
  for (std::uint64_t i = 0; i < 20; ++i) { erase(net, i); }
  put(sessions, 1, 2);
  pair.expect_same();
  EXPECT_EQ(pair.net_status().journal_resumes, 1u);
  EXPECT_EQ(pair.net_status().full_snapshots + pair.net_status().delta_snapshots, 0u);
}

TEST(Replication, AnIdleActiveWithoutAnyStateIsProtectedToo) {
  Pair pair;
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
}

TEST(Replication, WorksOverIPv6) {
  Pair pair;
  pair.address = "::1";
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
}

TEST(Replication, ATransactionIsMirroredWhole) {
  Pair pair;
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  ASSERT_TRUE(net.begin().ok());
  for (std::uint64_t i = 0; i < 60; ++i) { put(net, i, 7); }
  ASSERT_TRUE(net.commit().ok());
  pair.expect_same();
}

/// Store "net" with blobs of up to 64 KiB in a table that may grow.
shm::RegionSchema blob_stores() {
  auto schema = two_stores();
  schema.stores[0].tables[0] = {"blobs", 8, 64 << 10, 40, shm::TableKind::Blob, 400};
  schema.stores[0].journal_bytes = 4 << 20;
  return schema;
}
void put_blob(shm::StoreWriter& writer, std::uint64_t key, std::size_t bytes) {
  const auto done = writer.put(0, bytes_of(key, 8), bytes_of(key * 3, bytes));
  ASSERT_TRUE(done.ok()) << done.error().message;
}

TEST(Replication, MirrorsBlobsOfEverySizeAndTheLargestTransaction) {
  Pair pair(blob_stores());
  auto net = pair.active.writer(1);
  put_blob(net, 0, 0);
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  ASSERT_TRUE(net.begin().ok());
  for (std::uint64_t i = 1; i <= 15; ++i) { put_blob(net, i, 64 << 10); }
  ASSERT_TRUE(net.commit().ok());
  for (std::uint64_t i = 16; i < 30; ++i) { put_blob(net, i, i * 1000); }
  erase(net, 3);
  pair.expect_same();
  EXPECT_EQ(pair.net_status().full_snapshots + pair.net_status().delta_snapshots, 0u);
}

TEST(Replication, MirrorsBlobsBySnapshotAndGrowsTheMirrorsTableAsFarAsTheActivesGrew) {
  Pair pair(blob_stores());
  auto net = pair.active.writer(1);
  ASSERT_TRUE(net.rebuild(0).ok());
  for (std::uint64_t i = 0; i < 300; ++i) { put_blob(net, i, i % 7 == 0 ? 64 << 10 : i * 100); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().delta_snapshots + pair.net_status().full_snapshots, 1u);
  EXPECT_EQ(pair.mirror.store("net").capacity(0), 400U);
}

TEST(Replication, ACheckpointOfAnArenaThatIsLargerThanAFrameIsMirroredWhole) {
  auto schema = two_stores();
  schema.stores[0] = shm::with_arena(schema.stores[0], 4 * payload_bytes_max);
  Pair pair(schema);
  auto net = pair.active.writer(1);
  auto arena = shm::Arena::attach(net).value();
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  std::ranges::fill(arena.memory(), std::byte{1});
  ASSERT_TRUE(arena.checkpoint());
  put(net, 1, 1);
  arena.memory()[5000] = std::byte{2};
  ASSERT_TRUE(arena.checkpoint());
  pair.expect_same();
  EXPECT_EQ(pair.net_status().laps, 0U);
  pair.receiver.reset();  // gives the writer up
  auto mirror = pair.mirror.writer(2);
  const auto taken_over = shm::Arena::attach(mirror).value();
  EXPECT_TRUE(std::ranges::equal(taken_over.memory(), arena.memory()));
}

TEST(Replication, AMirrorThatComesAfterTheRingWasLappedGetsASnapshot) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 3000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().laps, 1u);
  EXPECT_EQ(pair.net_status().delta_snapshots, 1u);
}

TEST(Replication, ARestartedMirrorGoesOnFromWhereItStood) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 100; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.receiver.reset();
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::NoMirror; }));
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  for (std::uint64_t i = 50; i < 200; ++i) { put(net, i, i + 1); }
  erase(net, 3);
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().journal_resumes, 2u);
  EXPECT_EQ(pair.net_status().full_snapshots + pair.net_status().delta_snapshots, 0u);
}

TEST(Replication, ARestartedSenderFindsItsMirrorAgain) {
  Pair pair;
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.sender.reset();
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
  EXPECT_TRUE(pair.receiver->status().ready) << "what a takeover needs is still there";
  put(net, 2, 2);
  pair.start_sender();
  pair.expect_same();
}

TEST(Replication, ADeltaSnapshotBringsOnlyWhatChanged) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 4000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.receiver.reset();
  pair.sender.reset();
  for (std::uint64_t round = 0; round < 50; ++round) {
    for (std::uint64_t i = 0; i < 50; ++i) { put(net, i, i + round); }
  }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().delta_snapshots, 1u);
  EXPECT_LT(pair.sender->status().bytes_sent, 50 * 40 + 4000u) << "50 records of 40 bytes, not 4000";
}

TEST(Replication, DeletionsDuringAMirrorsAbsenceAreNotLost) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 1000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.receiver.reset();
  for (std::uint64_t i = 0; i < 500; ++i) { erase(net, i * 2); }
  for (std::uint64_t i = 0; i < 3000; ++i) { put(net, 10'000 + i % 10, i); }  // the ring forgets the deletions
  pair.start_receiver();
  pair.expect_same();
  EXPECT_GE(pair.net_status().full_snapshots, 1u);
}

TEST(Replication, SequencesThatTwoOwnersWroteAreNotMixed) {
  Pair pair;
  {
    auto net = pair.active.writer(1);
    for (std::uint64_t i = 1; i <= 100; ++i) { put(net, i, i); }
    pair.start_sender(1);
    pair.start_receiver(1);
    pair.expect_same();
    pair.receiver.reset();
    pair.sender.reset();
    for (std::uint64_t i = 101; i <= 150; ++i) { put(net, i, 1); }  // never mirrored
  }
  auto taken_over = pair.mirror.writer(2);
  for (std::uint64_t i = 201; i <= 260; ++i) { put(taken_over, i, 2); }  // the same sequences, other changes

  // The first active comes back as the mirror of the one that took over.
  Pair back;
  back.start_sender(2, &pair.mirror);
  back.hot.held = [&](const std::string& store) { return content_of(pair.active.store(store)); };
  back.start_receiver(2, &pair.active);
  ASSERT_TRUE(back.synced());
  ASSERT_TRUE(back.run_until([&] { return pair.active.store().committed() == pair.mirror.store().committed(); }));
  EXPECT_EQ(content_of(pair.active.store()), content_of(pair.mirror.store()));
  EXPECT_EQ(back.net_status().full_snapshots, 1u);
  const auto history = pair.active.store().history();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history.back().term, Term{2});
  EXPECT_EQ(history.back().first, Sequence{101});
}

TEST(Replication, TheMirrorKnowsANewTermBeforeItsFirstEntry) {
  Pair pair;
  {
    auto net = pair.active.writer(1);
    put(net, 1, 1);
  }
  auto net = pair.active.writer(2);
  pair.start_sender(2);
  pair.start_receiver(2);
  pair.expect_same();
  put(net, 2, 2);  // only now does the history have term 2
  pair.expect_same();
  const auto history = pair.mirror.store().history();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history.back().term, Term{2});
  EXPECT_EQ(history.back().first, Sequence{2});
  pair.receiver.reset();
  put(net, 3, 3);
  pair.start_receiver(2);
  pair.expect_same();
  EXPECT_EQ(pair.net_status().full_snapshots, 0u);
}

TEST(Replication, ASenderOrAMirrorOfAnotherTermIsRefused) {
  for (const std::uint64_t mirror_term : {1u, 3u}) {
    Pair pair;
    auto net = pair.active.writer(2);
    put(net, 1, 1);
    pair.start_sender(2);
    pair.start_receiver(mirror_term);
    ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
    EXPECT_NE(pair.receiver_detail.find("term"), std::string::npos) << pair.receiver_detail;
    EXPECT_EQ(pair.mirror.store().committed(), Sequence{0});
    EXPECT_EQ(pair.sender->status().phase, SenderPhase::NoMirror);
    const auto lower =
        pair.receiver->configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{mirror_term - 1}});
    EXPECT_EQ(lower.error().code, Errc::Refused);
    if (mirror_term < 2) {  // told of the newer term, it follows
      ASSERT_TRUE(pair.receiver->configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{2}}).ok());
      pair.expect_same();
    }
  }
}

TEST(Replication, AMirrorOfAnotherRoleOrSchemaIsRefused) {
  Pair pair;
  pair.start_sender();
  ReceiverOptions other;
  other.role = RoleId{"role-2"};
  std::string detail;
  ReceiverCallbacks callbacks;
  callbacks.on_phase = [&](ReceiverPhase, const std::string& why) { detail = why; };
  {
    ReplicationReceiver receiver(pair.io, other, pair.mirror.open(), callbacks);
    ASSERT_TRUE(receiver.configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{1}}).ok());
    EXPECT_TRUE(pair.run_until([&] { return receiver.status().phase == ReceiverPhase::Lost; }));
  }
  TestRegion smaller(two_stores(100));
  detail.clear();
  other.role = role;
  ReplicationReceiver receiver(pair.io, other, smaller.open(), callbacks);
  ASSERT_TRUE(receiver.configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{1}}).ok());
  EXPECT_TRUE(pair.run_until([&] { return receiver.status().phase == ReceiverPhase::Lost; }));
  EXPECT_NE(detail.find("other stores or tables"), std::string::npos) << detail;
}

TEST(Replication, AnInterruptedSnapshotStartsOver) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 4000; ++i) { put(net, i, i); }
  {
    auto half = pair.mirror.writer(1);
    ASSERT_TRUE(half.begin_sync(true).ok());
    ASSERT_TRUE(half.apply_snapshot_record(0, bytes_of(77'777, 8), bytes_of(1, 24), Sequence{5}).ok());
  }  // its receiver died here
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().full_snapshots, 1u);
}

}  // namespace
}  // namespace understudy::link::replication
