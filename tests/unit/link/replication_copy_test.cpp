// SPDX-License-Identifier: Apache-2.0
/// What is said of a mirror's copy is true of it: which changes it could take over with, which terms wrote it, when it
/// is whole. And a region of which one store is damaged.
/// Covers: link/src/replication_mirror_link.cpp, link/src/replication_applier.cpp
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <utility>

#include "replication_applier.hpp"
#include "replication_puppet.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::link::replication {
namespace {

/// The commit line of a region's store, as a guest or a writer that was frozen leaves it.
class CommitLine {
 public:
  CommitLine(const std::string& path, std::size_t store) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    shm::layout::RegionHeader header;
    EXPECT_EQ(::pread(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    const auto page = static_cast<off_t>(header.stores[store].control_offset);
    at_ = ::mmap(nullptr, shm::layout::page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, page);
    ::close(fd);
  }
  ~CommitLine() { ::munmap(at_, shm::layout::page_bytes); }
  CommitLine(const CommitLine&) = delete;
  CommitLine& operator=(const CommitLine&) = delete;
  shm::layout::CommitLine* operator->() const { return &static_cast<shm::layout::StoreControl*>(at_)->commit; }

 private:
  void* at_ = nullptr;
};

Progress progress(std::uint64_t applied, bool net_syncing, bool sessions_syncing) {
  return {2, {{{}, Sequence{applied}, net_syncing, 1}, {{}, {}, sessions_syncing, 1}}};
}

/// A change is told as mirrored when the mirror could take over with it: a copy that is syncing cannot, nor one whose
/// other store is.
TEST(MirroredLine, IsNotRaisedWhileTheMirrorCouldNotTakeOver) {
  for (const auto& [net, sessions] : {std::pair(true, false), std::pair(false, true)}) {
    Pair pair;
    auto writer = pair.active.writer(1);
    for (std::uint64_t i = 1; i <= 10; ++i) { put(writer, i, i); }
    ASSERT_TRUE(pair.active.store().set_mirrored({false, Sequence{8}}).ok());  // of a mirror that is gone
    pair.start_sender();
    Puppet mirror(1);
    mirror.connect(pair.port);
    mirror.say_hello(pair.active, Sequence{100});  // of another history
    ASSERT_TRUE(pair.run_until([&] { return mirror.got(FrameType::SnapshotEnd, 2); }));
    mirror.send(FrameType::Ack, encode_payload(progress(10, net, sessions)));
    ASSERT_TRUE(pair.run_until([&] { return pair.net_status().acknowledged == Sequence{10}; }));
    EXPECT_EQ(pair.active.store().mirrored().acknowledged, Sequence{0});
    EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
    pair.sender->stop();
    EXPECT_EQ(pair.active.store().mirrored().acknowledged, Sequence{0}) << "nor when the connection ends";
  }
}

TEST(MirroredLine, FollowsOnceTheMirrorIsSyncedAndKeepsWhatWasTrueThen) {
  Pair pair;
  auto writer = pair.active.writer(1);
  for (std::uint64_t i = 1; i <= 10; ++i) { put(writer, i, i); }
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active, Sequence{100});
  ASSERT_TRUE(pair.run_until([&] { return mirror.got(FrameType::SnapshotEnd, 2); }));
  mirror.send(FrameType::Ack, encode_payload(progress(10, false, false)));
  ASSERT_TRUE(pair.run_until([&] { return pair.active.store().mirrored().protected_by_mirror; }));
  EXPECT_EQ(pair.active.store().mirrored().acknowledged, Sequence{10});
  pair.sender->stop();
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  EXPECT_EQ(pair.active.store().mirrored().acknowledged, Sequence{10});
}

/// The writer was frozen between "a deletion up to 11" and its commit: there is no eleventh change to wait for.
TEST(Replication, ADeletionThatNeverHappenedIsNotWaitedFor) {
  Pair pair;
  {
    auto writer = pair.active.writer(1);
    for (std::uint64_t i = 1; i <= 10; ++i) { put(writer, i, i); }
    auto other = pair.mirror.writer(1);
    for (std::uint64_t i = 1; i <= 20; ++i) { put(other, i, 7); }
  }
  CommitLine(pair.active.open().path(), 0)->purged_up_to = 11;
  pair.start_sender(2);
  pair.start_receiver(2);
  EXPECT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Synced; }, 5s));
  EXPECT_EQ(pair.mirror.store().committed(), Sequence{10});
  EXPECT_FALSE(pair.mirror.store().syncing());
  EXPECT_EQ(content_of(pair.mirror.store()), content_of(pair.active.store()));
}

/// A copy that got a term's name ahead of its changes would hold a history that is not its content's.
TEST(Replication, ATermIsToldWithItsFirstChangesAndNotBefore) {
  Pair pair;
  for (const std::uint64_t term : {1U, 2U}) {
    auto writer = pair.active.writer(term);
    for (std::uint64_t i = 1; i <= 200; ++i) { put(writer, i, term); }
  }
  pair.sender_options.chunk_bytes = 1024;
  pair.start_sender(2);
  Puppet mirror(2);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active);
  ASSERT_TRUE(pair.run_until([&] {
    (void)mirror.got(FrameType::Journal);
    return pair.net_status().sent == Sequence{400} && mirror.last_of(0) == Sequence{400};
  }));
  std::size_t known = 0;
  std::uint64_t last = 0;
  for (const auto& [header, payload] : mirror.frames) {
    if (header.store != 0) { continue; }
    if (header.type == FrameType::Journal) {
      last = last_in(header, payload).value;
      EXPECT_EQ(known, last > 200 ? 2U : 1U) << "before the changes up to " << last;
      continue;
    }
    const auto history = decode_history(payload);
    ASSERT_TRUE(history.ok());
    known = history->size();
  }
  EXPECT_EQ(known, 2U);
}

/// Of several stores all are taken or none: the writers of the others go on.
TEST(AnApplier, ThatCannotHaveOneStoreLeavesTheOthersAlone) {
  const TestRegion region;
  CommitLine damaged(region.open().path(), 1);
  damaged->ends[0].sequence = damaged->ends[1].sequence = 77;
  const auto term = region.store("net").term();
  const auto epoch = region.store("net").epoch();
  const ReceiverCallbacks callbacks;
  Applier sut(callbacks);
  const auto acquired = sut.acquire(region.open(), Term{9}, false);
  ASSERT_FALSE(acquired.ok());
  EXPECT_EQ(acquired.error().code, Errc::Damaged);
  EXPECT_EQ(region.store("net").term(), term);
  EXPECT_EQ(region.store("net").epoch(), epoch);
}

}  // namespace
}  // namespace understudy::link::replication
