// SPDX-License-Identifier: Apache-2.0
/// Real readers that are killed in the middle of what they do, again and again. It costs nothing: of the region not a
/// byte is another one, nobody holds anything, and the writer goes on; how fast before and after is shown.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "image_check.hpp"
#include "support/eventually.hpp"

namespace understudy::shm::crash {
namespace {

constexpr TableIndex fixed = 0;
constexpr TableIndex blobs = 1;
constexpr std::uint64_t region_bytes = 2 << 20;
constexpr std::uint64_t records = 200;
constexpr auto patience = std::chrono::seconds(20);

RegionSchema schema() {
  return {{{"state",
            {{"fixed", 8, 24, records, TableKind::Hashed, 0}, {"blobs", 8, blob_bytes, records, TableKind::Blob, 0}},
            64 << 10}}};
}

/// What a reader does for ever; each of these is cut off.
enum Doing : std::size_t { Get, GetMany, GetBlob, GetBlobs, Count, Scan, ScanInOrder, FollowTheJournal, doings };
constexpr std::array<const char*, doings> names{"get",   "get_many", "get_blob",     "get_blobs",
                                                "count", "scan",     "scan_ordered", "a journal's read"};

/// In memory that all processes share.
struct Shared {
  std::atomic<std::uint64_t> began{0};
  std::atomic<std::uint64_t> ended{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> phase{0};
  std::atomic<std::uint64_t> batches{0};                               ///< of the phase
  std::array<std::atomic<std::uint64_t>, 2> fastest_ns{~0ULL, ~0ULL};  ///< processor time of a batch of commits
};
class SharedPage {
 public:
  SharedPage()
      : at_(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        shared_(new(at_) Shared) {}
  ~SharedPage() { ::munmap(at_, sizeof(Shared)); }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;
  Shared* operator->() const { return shared_; }
  Shared& operator*() const { return *shared_; }

 private:
  void* at_;
  Shared* shared_;
};

void do_once(const Store& store, Doing what, JournalReader& journal, std::uint64_t id) {
  static std::array<Key, records> keys = [] {
    std::array<Key, records> all{};
    for (std::uint64_t i = 0; i < records; ++i) { all[i] = Key{i}; }
    return all;
  }();
  static std::array<Value, records> values{};
  static std::array<std::uint8_t, records> found{};
  static std::vector<std::byte> room(records * blob_bytes);
  static std::array<std::uint32_t, records> lengths{};
  const auto every_key = std::as_bytes(std::span(keys));
  const auto any = [](const Store::Record& /*record*/) { return true; };
  switch (what) {
    case Get:
      (void)store.get(fixed, as_bytes_of(keys[id]), std::as_writable_bytes(std::span(&values[id], 1)));
      break;
    case GetMany:
      (void)store.get_many(fixed, every_key, std::as_writable_bytes(std::span(values)), found);
      break;
    case GetBlob:
      (void)store.get_blob(blobs, as_bytes_of(keys[id]), std::span(room).first(blob_bytes));
      break;
    case GetBlobs:
      (void)store.get_blobs(blobs, every_key, room, lengths);
      break;
    case Count:
      (void)store.count(fixed);
      break;
    case Scan:
      (void)store.scan(blobs, {}, any);
      break;
    case ScanInOrder:
      (void)store.scan_ordered(fixed, any);
      break;
    default:
      if (auto chunk = journal.read(4096); !chunk || chunk->state != JournalReader::State::Entries) {
        journal = JournalReader(
            store, Sequence{store.committed().value - std::min<std::uint64_t>(store.committed().value, id)});
      }
  }
}

[[noreturn]] void read_for_ever(const std::string& path, Access access, Doing what, Shared& shared,
                                std::uint64_t seed) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto region = Region::open(path, access);
  if (!region) { ::_exit(2); }
  const Store store = region->store("state").value();
  JournalReader journal(store, Sequence{0});
  std::mt19937_64 random(seed);
  for (;;) {
    ++shared.began;
    do_once(store, what, journal, random() % records);
    ++shared.ended;
  }
}

/// A reader is started and killed. Was it in the middle of a call?
bool kill_one(const std::string& path, Access access, Doing what, Shared& shared, std::mt19937_64& random) {
  shared.began = 0;
  shared.ended = 0;
  const std::uint64_t seed = random();
  const pid_t reader = ::fork();
  if (reader == 0) { read_for_ever(path, access, what, shared, seed); }
  EXPECT_TRUE(test::eventually([&] { return shared.ended >= 3; }, patience)) << names[what];
  for (std::uint64_t spin = random() % 20000; spin > 0; --spin) { asm volatile(""); }  // any instant will do
  ::kill(reader, SIGKILL);
  int status = 0;
  ::waitpid(reader, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << names[what] << " ended by itself: " << status;
  return shared.began != shared.ended;
}

/// Until each kind of call was cut off so many times.
void kill_readers(const std::string& path, Shared& shared, int each, const std::function<void()>& after_each) {
  std::mt19937_64 random(41);
  for (std::size_t what = 0; what < doings; ++what) {
    int cut_off = 0;
    for (int tries = 0; cut_off < each && tries < 50 * each && !testing::Test::HasFailure(); ++tries) {
      const Access access = tries % 2 == 0 ? Access::ReadOnly : Access::ReadWrite;
      cut_off += kill_one(path, access, static_cast<Doing>(what), shared, random) ? 1 : 0;
      after_each();
    }
    EXPECT_GE(cut_off, each) << names[what];
  }
}

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Locks of any process on the file: its number alone is also another one's, in another file system.
/// While others take and leave theirs a line may be there twice: what is not so yet is looked at again.
std::size_t locks_on(const std::string& path) {
  struct stat about {};
  EXPECT_EQ(::stat(path.c_str(), &about), 0);
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), " %02x:%02x:%ju ", ::major(about.st_dev), ::minor(about.st_dev),
                static_cast<std::uintmax_t>(about.st_ino));
  const std::string inode = name.data();
  std::ifstream locks("/proc/locks");
  std::size_t found = 0;
  for (std::string line; std::getline(locks, line);) { found += line.find(inode) != std::string::npos ? 1U : 0U; }
  return found;
}

/// Names in the region's directory that begin with its own.
std::set<std::string> names_beside(const std::string& path) {
  std::set<std::string> beside;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path())) {
    if (entry.path().string().starts_with(path)) { beside.insert(entry.path().string()); }
  }
  return beside;
}

void fill(const std::string& path) {
  auto region = Region::create(path, region_bytes, schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  for (std::uint64_t i = 0; i < 3 * records; ++i) {
    const Key key{i % records};
    ASSERT_TRUE(writer.put(fixed, as_bytes_of(key), value_bytes_of(TableKind::Hashed, i)).ok());
    ASSERT_TRUE(writer.put(blobs, as_bytes_of(key), value_bytes_of(TableKind::Blob, i)).ok());
  }
}

TEST(AReaderThatDies, LeavesNoByteNoLockAndNoFile) {
  ImageFile file("dying");
  fill(file.path());
  SharedPage shared;
  const auto before = bytes_of(file.path());
  const auto beside = names_beside(file.path());
  kill_readers(file.path(), *shared, effort(3, 100), [] {});
  EXPECT_TRUE(bytes_of(file.path()) == before) << "a reader changed the region";
  EXPECT_TRUE(test::eventually([&] { return locks_on(file.path()) == 0; }, patience));
  EXPECT_EQ(names_beside(file.path()), beside);
  const auto region = Region::open(file.path(), Access::ReadWrite).value();
  EXPECT_TRUE(region.store("state").value().become_writer(Term{2}).ok());
}

/// The looks of the test above see what they look for.
TEST(AReaderThatDies, WouldBeNoticedIfItLeftSomething) {
  ImageFile file("dying");
  fill(file.path());
  const auto before = bytes_of(file.path());
  const auto region = Region::open(file.path(), Access::ReadWrite).value();
  const Store store = region.store("state").value();
  {
    JournalReader sender(store, store.committed());
    ASSERT_TRUE(sender.throttle_writer());
    EXPECT_FALSE(bytes_of(file.path()) == before);
    ASSERT_TRUE(Store(store).release_writer());
    EXPECT_TRUE(bytes_of(file.path()) == before);
  }
  const auto writer = store.become_writer(Term{1}).value();
  EXPECT_TRUE(test::eventually([&] { return locks_on(file.path()) == 1; }, patience));
}

std::uint64_t processor_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Commits until it is told to stop, in batches whose processor time it tells.
[[noreturn]] void write_until_told(const std::string& path, Shared& shared) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { ::_exit(2); }
  auto writer = region->store("state").value().become_writer(Term{2});
  if (!writer) { ::_exit(3); }
  std::uint64_t seed = 0;
  while (!shared.stop) {
    const std::uint64_t phase = shared.phase;
    const std::uint64_t begin = processor_ns();
    for (int i = 0; i < 500; ++i, ++seed) {
      const Key key{seed % records};
      const bool erase = seed % 7 == 0 && writer->erase(fixed, as_bytes_of(key)).ok();
      if (!erase && !writer->put(fixed, as_bytes_of(key), value_bytes_of(TableKind::Hashed, seed))) { ::_exit(4); }
      if (!writer->put(blobs, as_bytes_of(key), value_bytes_of(TableKind::Blob, seed))) { ::_exit(5); }
    }
    const std::uint64_t took = processor_ns() - begin;
    if (phase != shared.phase) { continue; }
    if (phase != 1) { shared.fastest_ns[phase / 2] = std::min<std::uint64_t>(shared.fastest_ns[phase / 2], took); }
    ++shared.batches;
  }
  ::_exit(0);
}

TEST(AReaderThatDies, KeepsNoWriterFromGoingOn) {
  ImageFile file("dying");
  fill(file.path());
  SharedPage shared;
  const pid_t writer = ::fork();
  if (writer == 0) { write_until_told(file.path(), *shared); }
  const auto enter = [&](std::uint64_t phase, std::uint64_t batches) {
    shared->phase = phase;
    shared->batches = 0;
    EXPECT_TRUE(test::eventually([&] { return shared->batches >= batches; }, patience)) << "in phase " << phase;
  };
  const auto region = Region::open(file.path(), Access::ReadOnly).value();
  const Store store = region.store("state").value();
  enter(0, 40);
  enter(1, 1);
  int killed = 0;
  kill_readers(file.path(), *shared, effort(3, 100), [&] {
    ++killed;
    const Sequence then = store.committed();
    EXPECT_TRUE(test::eventually([&] { return store.committed() > then; }, patience)) << "the writer stands";
    EXPECT_TRUE(test::eventually([&] { return locks_on(file.path()) == 1; }, patience)) << "a reader left its lock";
  });
  enter(2, 40);
  shared->stop = true;
  int status = 0;
  ::waitpid(writer, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the writer ended with " << status;
  EXPECT_EQ(store.writer_waited(), Duration{0});
  std::uint64_t found = 0;
  const auto scanned = store.scan(blobs, {}, [&](const Store::Record& record) {
    std::uint64_t seed = 0;
    std::memcpy(&seed, record.value.data(), sizeof seed);
    found += std::ranges::equal(record.value, value_bytes_of(TableKind::Blob, seed)) ? 1U : 0U;
    return true;
  });
  EXPECT_TRUE(scanned.ok());
  EXPECT_EQ(found, records);
  EXPECT_TRUE(test::eventually([&] { return locks_on(file.path()) == 0; }, patience));
  std::printf("%d readers killed; 1000 commits took the writer %llu us before and %llu us after\n", killed,
              static_cast<unsigned long long>(shared->fastest_ns[0] / 1000),
              static_cast<unsigned long long>(shared->fastest_ns[1] / 1000));
}

}  // namespace
}  // namespace understudy::shm::crash
