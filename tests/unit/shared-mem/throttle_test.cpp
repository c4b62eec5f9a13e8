// SPDX-License-Identifier: Apache-2.0
/// A writer waits for a sender that it would lap, and for nobody longer than it says itself (rule 23).
/// Covers: shared-mem/src/throttle.cpp
#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <functional>
#include <thread>

#include "patience.hpp"
#include "region_fixture.hpp"
#include "understudy/shm/arena.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

using namespace std::chrono_literals;
using Clock = Patience::Clock;

constexpr std::uint64_t entry = layout::entry_bytes(8, 24);

/// The pace of somebody slow.
void pass(Clock::duration time) {
  for (const auto until = Clock::now() + time; Clock::now() < until;) { std::this_thread::yield(); }
}

TEST(PatienceTest, ACommitWaitsNoLongerThanItsLimitAlsoWhenTheWordGoesOnChanging) {
  Patience sut;
  const Clock::time_point start{1h};
  std::uint64_t word = 0;
  auto now = start;
  while (now - start < 1min && sut.lasts(++word, start, now)) { now += 1ms; }
  EXPECT_EQ(now - start, Patience::commit_max);
}

TEST(PatienceTest, AWordThatStandsStillIsNotBelievedUntilItChanges) {
  Patience sut;
  auto now = Clock::time_point{1h};
  const auto first = now;
  for (int commit = 0; commit < 10; ++commit) {
    const auto from = now;
    while (sut.lasts(8 | 1, from, now)) { now += 1ms; }
    sut.waited(from, now);
  }
  EXPECT_EQ(now - first, Patience::unchanged_max) << "of ten commits together";
  EXPECT_TRUE(sut.lasts(8 | 2, now, now));
}

TEST(PatienceTest, AllCommitsTogetherWaitNoLongerThanTheCreditWhichComesBackInTime) {
  Patience sut;
  auto now = Clock::time_point{1h};
  const auto first = now;
  std::uint64_t word = 0;
  const auto wait_once = [&] {
    const auto from = now;
    while (now - from < 1min && sut.lasts(++word, from, now)) { now += 10ms; }
    sut.waited(from, now);
    return now - from;
  };
  while (wait_once() != 0ms) { ASSERT_LE(now - first, Patience::credit_max + 1s); }
  EXPECT_EQ(now - first, Patience::credit_max);
  now += 50ms;
  EXPECT_EQ(wait_once(), 50ms);
}

/// The region's bytes, as a sender or whoever else has them.
class RawView {
 public:
  explicit RawView(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    bytes_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
  }
  ~RawView() { ::munmap(bytes_, bytes); }
  RawView(const RawView&) = delete;
  RawView& operator=(const RawView&) = delete;
  [[nodiscard]] layout::StoreControl& control() const {
    return *reinterpret_cast<layout::StoreControl*>(static_cast<std::byte*>(bytes_) + layout::header_area_bytes);
  }

 private:
  static constexpr std::size_t bytes = layout::header_area_bytes + sizeof(layout::StoreControl);
  void* bytes_ = nullptr;
};

class AWriter : public testing::Test {
 protected:
  static RegionSchema schema() {
    StoreSchema store{"state", {{"flows", 8, 24, 100}, {"blobs", 8, 100, 100, TableKind::Blob}}, 64 << 10};
    return {{with_arena(store, 16 << 10)}};
  }
  /// So many records that the ring, or a part of it, goes round.
  void put_rings(double rings) {
    const auto count = static_cast<std::uint64_t>(rings * static_cast<double>(journal_bytes()) / entry);
    for (std::uint64_t i = 0; i < count; ++i) { ASSERT_TRUE(put_one(i)); }
  }
  Status put_one(std::uint64_t i) {
    const std::array<std::uint64_t, 3> value{i, i, i};
    const std::uint64_t key = i % 100;
    auto done = writer.put(0, std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(value)));
    return done ? Status() : Status(done.error());
  }
  [[nodiscard]] std::uint64_t journal_bytes() const { return store.schema().journal_bytes; }
  /// What a sender, or whoever else has the region, would have written there.
  void request(std::uint64_t word) const { __atomic_store_n(&view.control().mirror.throttle, word, __ATOMIC_RELEASE); }

  RegionFile file;
  Region region = Region::create(file.path(), Region::size_needed(schema()).value(), schema()).value();
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
  RawView view{file.path()};
};

TEST_F(AWriter, ThatIsAskedToWaitLapsNoReaderHoweverSlow) {
  JournalReader reader(store, Sequence{0});
  ASSERT_TRUE(reader.throttle_writer());
  std::atomic<bool> done = false;
  std::thread writing([&] {
    put_rings(6);
    done = true;
  });
  std::uint64_t laps = 0;
  std::uint64_t last = 0;
  while (!done || last < store.committed().value) {
    const auto chunk = reader.read(8 << 10);
    ASSERT_TRUE(chunk);
    laps += chunk->state == JournalReader::State::Lapped ? 1U : 0U;
    if (laps > 0) { break; }
    last = std::max(last, chunk->last.value);
    pass(1ms);
    ASSERT_TRUE(reader.throttle_writer());
  }
  writing.join();
  EXPECT_EQ(laps, 0U);
  EXPECT_GT(store.writer_waited(), 0ms);
}

TEST_F(AWriter, WaitsNotWhileTheReaderKeepsUp) {
  JournalReader reader(store, Sequence{0});
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(reader.throttle_writer());
    put_rings(0.5);
    while (reader.read(64 << 10).value().state == JournalReader::State::Entries) {}
  }
  EXPECT_EQ(store.writer_waited(), 0ms);
}

TEST_F(AWriter, WhoseSenderHasDiedWaitsOnceAndGoesOn) {
  JournalReader reader(store, Sequence{0});
  ASSERT_TRUE(reader.throttle_writer());
  EXPECT_TRUE(store.throttled());
  const auto start = Clock::now();
  put_rings(3);
  EXPECT_GE(store.writer_waited(), Patience::unchanged_max - 10ms);
  EXPECT_LT(store.writer_waited(), Patience::unchanged_max + 1s);
  EXPECT_LT(Clock::now() - start, 20s);
}

TEST_F(AWriter, WaitsNotForWhoIsLappedOrSaysWhatCannotBe) {
  put_rings(3);
  for (const std::uint64_t word :
       {1UL, 7UL, 8UL | 3UL, ~0UL, 1UL << 63, (~0UL << 3) | 1UL, 10 * journal_bytes() | 1UL}) {
    request(word);
    put_rings(1.5);
  }
  EXPECT_EQ(store.writer_waited(), 0ms);
}

TEST_F(AWriter, WaitsABoundedTimeForEachCommitWhoeverChangesTheWordAllTheTime) {
  put_rings(1);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> behind = 0;
  const auto stay_behind = [&] { behind = view.control().commit.reserved_end - journal_bytes() / 8 * 7; };
  stay_behind();
  std::thread hostile([&] {
    for (std::uint64_t beat = 0; !stop; ++beat) {
      request(behind | (beat % 7 + 1));
      pass(1ms);
    }
  });
  Clock::duration longest{};
  for (std::uint64_t i = 0; store.writer_waited() == 0ms && i < 1'000'000; ++i) {
    stay_behind();
    request(behind | 1);
    const auto start = Clock::now();
    ASSERT_TRUE(put_one(i));
    longest = std::max<Clock::duration>(longest, Clock::now() - start);
  }
  stop = true;
  hostile.join();
  EXPECT_GE(longest, Patience::commit_max);
  EXPECT_LT(longest, Patience::commit_max + 5s);
}

TEST_F(AWriter, OfEveryKindOfCommitWaits) {
  const std::uint64_t key = 5;
  const auto key_bytes = std::as_bytes(std::span(&key, 1));
  const std::vector<std::byte> keys(64 * 8), values(64 * 24), blob(100);
  auto arena = Arena::attach(writer).value();
  const std::vector<std::pair<const char*, std::function<void()>>> kinds = {
      {"put", [&] { ASSERT_TRUE(put_one(1)); }},
      {"put_many", [&] { ASSERT_TRUE(writer.put_many(0, keys, values)); }},
      {"blob", [&] { ASSERT_TRUE(writer.put(1, key_bytes, blob)); }},
      {"transaction",
       [&] {
         ASSERT_TRUE(writer.begin());
         ASSERT_TRUE(writer.put(1, key_bytes, blob));
         ASSERT_TRUE(writer.commit());
       }},
      {"erase",
       [&] {
         ASSERT_TRUE(put_one(7));
         const std::uint64_t seventh = 7;
         ASSERT_TRUE(writer.erase(0, std::as_bytes(std::span(&seventh, 1))));
       }},
      {"checkpoint", [&] {
         arena.memory()[0] ^= std::byte{1};
         ASSERT_TRUE(arena.checkpoint());
       }}};
  for (const auto& [name, commit] : kinds) {
    ASSERT_TRUE(store.throttle_writer());
    const auto before = store.writer_waited();
    for (std::uint64_t i = 0; i < 4000 && store.writer_waited() == before; ++i) { commit(); }
    EXPECT_GT(store.writer_waited(), before) << name;
    ASSERT_TRUE(store.release_writer());
    put_rings(1);
  }
}

TEST_F(AWriter, ThatIsReplacedWhileItWaitsWritesNothingAnyMore) {
  put_rings(0.7);
  ASSERT_TRUE(JournalReader(store, Sequence{0}).throttle_writer());
  std::thread next([&] {
    std::uint64_t before = 0;
    for (auto since = Clock::now(); Clock::now() - since < Patience::commit_max / 4;) {  // it stands still
      const auto now = store.committed().value;
      if (std::exchange(before, now) != now) { since = Clock::now(); }
      std::this_thread::yield();
    }
    // As a next writer in another kernel would.
    __atomic_fetch_add(&view.control().writer.epoch, 1, __ATOMIC_RELEASE);
  });
  Status put;
  for (std::uint64_t i = 0; i < 2000 && put; ++i) { put = put_one(i); }
  next.join();
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Errc::Refused);
  EXPECT_EQ(view.control().commit.reserved_end, store.committed().value * entry) << "nothing of the change has begun";
}

TEST_F(AWriter, OnTheSendersOwnThreadNeverWaits) {
  writer.never_wait();
  JournalReader reader(store, Sequence{0});
  ASSERT_TRUE(reader.throttle_writer());
  put_rings(3);
  EXPECT_EQ(store.writer_waited(), 0ms);
}

TEST_F(AWriter, IsAskedByNobodyWhoMayOnlyRead) {
  const auto reading = Region::open(file.path(), Access::ReadOnly).value();
  auto only_read = reading.store("state").value();
  EXPECT_EQ(JournalReader(only_read, Sequence{0}).throttle_writer().error().code, Errc::Refused);
  EXPECT_EQ(only_read.throttle_writer().error().code, Errc::Refused);
  EXPECT_EQ(only_read.release_writer().error().code, Errc::Refused);
}

}  // namespace
}  // namespace understudy::shm
