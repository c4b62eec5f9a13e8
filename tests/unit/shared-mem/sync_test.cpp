// SPDX-License-Identifier: Apache-2.0
/// A mirror's store: journal entries in groups, snapshots, what is refused.
/// Covers: shared-mem/src/apply.cpp, shared-mem/src/received.cpp
#include <random>

#include "journal_append.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

/// A sender and its mirror in one process, and the ways from one to the other.
class Mirroring : public testing::Test {
 protected:
  RegionFile sender_file;
  RegionFile mirror_file;
  Region sender_region = Region::create(sender_file.path(), small_region_bytes, small_schema()).value();
  Region mirror_region = Region::create(mirror_file.path(), small_region_bytes, small_schema()).value();
  Store sender = sender_region.store("state").value();
  Store mirror = mirror_region.store("state").value();
  StoreWriter writer = sender.become_writer(Term{1}).value();
  StoreWriter receiver = mirror.become_writer(Term{1}).value();

  void ship(JournalReader& reader, std::size_t max_bytes = 4096) {
    for (auto chunk = reader.read(max_bytes).value(); chunk.state == JournalReader::State::Entries;
         chunk = reader.read(max_bytes).value()) {
      ASSERT_EQ(receiver.apply(chunk.bytes).value(), chunk.last);
    }
  }
  void send_records(Sequence after, const std::function<void()>& between = {}) {
    ASSERT_TRUE(sender
                    .scan(flows, after,
                          [&](const Store::Record& record) {
                            EXPECT_TRUE(
                                receiver.apply_snapshot_record(flows, record.key, record.value, record.sequence).ok());
                            if (between) { between(); }
                            return true;
                          })
                    .ok());
  }
  void expect_equal() {
    EXPECT_EQ(content(mirror), content(sender));
    EXPECT_EQ(mirror.count(flows), sender.count(flows));
    EXPECT_EQ(mirror.committed(), sender.committed());
    EXPECT_FALSE(mirror.syncing());
  }
};

TEST_F(Mirroring, TheJournalMakesTheMirrorEqual) {
  JournalReader reader(sender, Sequence{0});
  std::mt19937_64 random(7);
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t id = random() % 300;
      if (random() % 3 == 0) {
        (void)erase(writer, id);
      } else {
        ASSERT_TRUE(put(writer, id, random() % 1000).ok());
      }
    }
    ASSERT_TRUE(writer.begin().ok());
    for (std::uint64_t id = 0; id < 5; ++id) { ASSERT_TRUE(put(writer, id, id + static_cast<unsigned>(round)).ok()); }
    ASSERT_TRUE(writer.commit().ok());
    ship(reader);
  }
  expect_equal();
  EXPECT_EQ(mirror.purged_up_to(), sender.purged_up_to());
}

TEST_F(Mirroring, TheMirrorsOwnJournalHasTheSameBytes) {
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  JournalReader reader(sender, Sequence{0});
  JournalReader follower(mirror, Sequence{0});
  const auto sent = reader.read(1 << 20).value();
  ASSERT_TRUE(receiver.apply(sent.bytes).ok());
  EXPECT_EQ(follower.read(1 << 20).value().bytes, sent.bytes);
}

TEST_F(Mirroring, WhatWasAppliedAlreadyIsSkippedAndAGapIsRefused) {
  for (std::uint64_t id = 0; id < 10; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  JournalReader reader(sender, Sequence{0});
  const auto all = reader.read(1 << 20).value();
  ASSERT_TRUE(receiver.apply(all.bytes).ok());
  EXPECT_EQ(receiver.apply(all.bytes).value(), Sequence{10});
  ASSERT_TRUE(put(writer, 1, 11).ok());
  ASSERT_TRUE(put(writer, 1, 12).ok());
  JournalReader late(sender, Sequence{11});
  EXPECT_EQ(receiver.apply(late.read(1 << 20).value().bytes).error().code, Errc::BadInput);
  EXPECT_EQ(mirror.committed(), Sequence{10});
}

TEST_F(Mirroring, ASnapshotTakenUnderChangesEndsEqualThroughTheJournal) {
  for (std::uint64_t id = 0; id < 500; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  for (std::uint64_t id = 0; id < 100; ++id) { ASSERT_TRUE(erase(writer, id * 5).ok()); }
  const Sequence start = sender.committed();
  JournalReader reader(sender, start);
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  EXPECT_TRUE(mirror.syncing());
  std::uint64_t step = 0;
  send_records({}, [&] {
    ++step;
    if (step % 3 == 0) { (void)erase(writer, step % 500); }
    ASSERT_TRUE(put(writer, (step * 7) % 500, 1000 + step).ok());
  });
  ASSERT_TRUE(receiver.end_sync(start, sender.history(), sender.purged_up_to()).ok());
  EXPECT_TRUE(mirror.syncing()) << "records newer than the start are there, changes between are not";
  ship(reader);
  expect_equal();
}

TEST_F(Mirroring, JournalBetweenSnapshotRecordsEndsEqualToo) {
  for (std::uint64_t id = 0; id < 500; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  JournalReader reader(sender, sender.committed());
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  std::uint64_t step = 0;
  send_records({}, [&] {
    ++step;
    if (step % 3 == 0) { (void)erase(writer, step % 500); }
    ASSERT_TRUE(put(writer, (step * 7) % 500, 1000 + step).ok());
    if (step % 50 == 0) { ship(reader); }
  });
  ship(reader);
  ASSERT_TRUE(receiver.end_sync(reader.position(), sender.history(), sender.purged_up_to()).ok());
  expect_equal();
  ASSERT_TRUE(put(writer, 3, 33).ok());
  ship(reader);
  expect_equal();
}

TEST_F(Mirroring, AFullSnapshotSweepsWhatTheSenderDoesNotHaveEvenIfItLooksNewer) {
  { const auto gone = std::move(receiver); }
  {
    auto other_history = mirror.become_writer(Term{2}).value();
    for (std::uint64_t i = 0; i < 2000; ++i) { ASSERT_TRUE(put(other_history, i % 700, 5000 + i).ok()); }
  }
  for (std::uint64_t id = 0; id < 50; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  receiver = mirror.become_writer(Term{3}).value();
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  EXPECT_EQ(mirror.committed(), Sequence{0}) << "a receiver that dies now starts over";
  send_records({});
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), sender.purged_up_to()).ok());
  expect_equal();
  ASSERT_EQ(mirror.history().size(), 1U);
  EXPECT_EQ(mirror.history()[0].term, Term{1});
  JournalReader reader(sender, sender.committed());
  for (std::uint64_t i = 0; i < 3000; ++i) {
    ASSERT_TRUE(put(writer, i % 600, 9000 + i).ok());
    ship(reader);
  }
  expect_equal();
}

TEST_F(Mirroring, APartialSnapshotBringsOnlyWhatIsNewer) {
  for (std::uint64_t id = 0; id < 500; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  JournalReader reader(sender, Sequence{0});
  ship(reader);
  const Sequence acknowledged = mirror.committed();
  for (std::uint64_t i = 0; i < 3000; ++i) { ASSERT_TRUE(put(writer, i % 40, 7000 + i).ok()); }
  ASSERT_LE(sender.purged_up_to(), acknowledged);
  ASSERT_TRUE(receiver.begin_sync(false).ok());
  send_records(acknowledged);
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), sender.purged_up_to()).ok());
  expect_equal();
}

TEST_F(Mirroring, AFollowerOfTheMirrorIsToldThatASnapshotCame) {
  JournalReader follower(mirror, Sequence{0});
  EXPECT_EQ(follower.read(64).value().state, JournalReader::State::Nothing);
  for (std::uint64_t id = 0; id < 50; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  send_records({});
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), {}).ok());
  EXPECT_EQ(follower.read(64).value().state, JournalReader::State::Lapped);
  JournalReader anew(mirror, mirror.committed());
  EXPECT_EQ(anew.read(64).value().state, JournalReader::State::Nothing);
}

TEST_F(Mirroring, AFollowerThatCameBetweenASnapshotsBeginAndEndIsToldToo) {
  JournalReader reader(sender, Sequence{0});
  for (std::uint64_t id = 0; id < 50; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  ship(reader);
  for (std::uint64_t id = 0; id < 10; ++id) { ASSERT_TRUE(put(writer, id, id + 1).ok()); }
  ASSERT_TRUE(receiver.begin_sync(false).ok());
  JournalReader follower(mirror, mirror.committed());
  ASSERT_EQ(follower.read(64).value().state, JournalReader::State::Nothing);
  send_records(mirror.committed());
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), {}).ok());
  const auto read = follower.read(64);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->state, JournalReader::State::Lapped);
}

TEST_F(Mirroring, AnInterruptedSnapshotStaysSyncingAndRefusesToGoOn) {
  for (std::uint64_t id = 0; id < 50; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  send_records({});
  { const auto died = std::move(receiver); }
  EXPECT_TRUE(mirror.syncing());
  receiver = mirror.become_writer(Term{1}).value();
  JournalReader reader(sender, Sequence{0});
  EXPECT_EQ(receiver.apply(reader.read(1 << 20).value().bytes).error().code, Errc::Refused);
  EXPECT_EQ(put(receiver, 1, 1).error().code, Errc::Refused);
  // An operator forces it to serve what there is.
  ASSERT_TRUE(receiver.accept_unsynced().ok());
  EXPECT_FALSE(mirror.syncing());
  EXPECT_EQ(content(mirror), content(sender));
  EXPECT_EQ(put(receiver, 1, 1).value(), Sequence{51});
}

TEST_F(Mirroring, AfterATakeoverTheMirrorsWriterContinuesTheSequencesUnderItsTerm) {
  for (std::uint64_t id = 0; id < 50; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  send_records({});
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), {}).ok());
  { const auto stopped = std::move(receiver); }
  auto served = mirror.become_writer(Term{2}).value();
  EXPECT_EQ(put(served, 1, 100).value(), Sequence{51});
  const auto history = mirror.history();
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[1].term, Term{2});
  EXPECT_EQ(history[1].first, Sequence{51});
}

TEST_F(Mirroring, AHistoryIsExtendedOnlyByItsContinuation) {
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  ASSERT_TRUE(receiver.end_sync(Sequence{100}, {{Term{1}, Sequence{1}}}, {}).ok());
  EXPECT_TRUE(receiver.extend_history({{Term{1}, Sequence{1}}, {Term{4}, Sequence{101}}}).ok());
  EXPECT_EQ(mirror.history().size(), 2U);
  EXPECT_EQ(receiver.extend_history({{Term{3}, Sequence{90}}}).error().code, Errc::Refused);
}

TEST_F(Mirroring, HostileJournalBytesChangeNothing) {
  for (std::uint64_t id = 0; id < 20; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  const auto good = JournalReader(sender, Sequence{0}).read(1 << 20).value().bytes;
  std::mt19937_64 random(11);
  for (int round = 0; round < 3000; ++round) {
    auto bytes = good;
    for (std::uint64_t n = random() % 8 + 1; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    (void)receiver.apply(bytes);
  }
  for (const auto& [id, seed] : content(mirror)) { EXPECT_EQ(id, seed); }
  ASSERT_TRUE(receiver.apply(good).ok());
  expect_equal();
}

void add_put(std::vector<std::byte>& bytes, std::uint64_t sequence, std::uint64_t id, std::uint64_t seed, bool ends) {
  EntryBuffer entry;
  const Journal ring(nullptr, entry.words, 4096);
  const EntryHead head{sequence, layout::op_put, ends ? layout::flag_ends_transaction : std::uint8_t{0}, flows};
  const auto value = value_of(seed);
  const auto size = ring.append(0, head, as_bytes_of(Key{id}), as_bytes_of(value));
  const auto composed = entry.bytes(size);
  bytes.insert(bytes.end(), composed.begin(), composed.end());
}

/// What comes before it holds, and none of it was left out because the refused one has the same keys.
TEST_F(Mirroring, ATransactionThatIsRefusedTakesNothingFromThoseBeforeIt) {
  std::vector<std::byte> bytes;
  add_put(bytes, 1, 1, 11, true);
  add_put(bytes, 2, 1, 12, true);
  add_put(bytes, 3, 1, 13, false);
  add_put(bytes, 4, 2, 14, false);
  add_put(bytes, 5, 2, 15, true);  // a key twice in one transaction
  EXPECT_EQ(receiver.apply(bytes).error().code, Errc::Damaged);
  EXPECT_EQ(mirror.committed(), Sequence{2});
  EXPECT_EQ(content(mirror), (Content{{1, 12}}));
}

TEST_F(Mirroring, TheChangesThatWereNotSkippedAreTold) {
  std::vector<std::byte> bytes;
  for (std::uint64_t sequence = 1; sequence <= 300; ++sequence) {
    add_put(bytes, sequence, sequence % 7, sequence, true);
  }
  const std::size_t entry = bytes.size() / 300;
  ASSERT_TRUE(receiver.apply(Bytes(bytes).first(10 * entry)).ok());
  std::vector<JournalEntry> told;
  EXPECT_EQ(receiver.apply(bytes, &told).value(), Sequence{300});
  ASSERT_EQ(told.size(), 290U);
  for (std::size_t i = 0; i < told.size(); ++i) { EXPECT_EQ(told[i].sequence, Sequence{11 + i}); }
  EXPECT_EQ(mirror.count(flows), 7U);
  EXPECT_EQ(get(mirror, 300 % 7), 300U) << "the last of a key's changes";
}

}  // namespace
}  // namespace understudy::shm
