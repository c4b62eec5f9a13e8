// SPDX-License-Identifier: Apache-2.0
/// Every call of the library (every_call.hpp) over bytes that a guest has written, and over bytes that it writes just
/// then: a thread of this process, and another process. An error or a value; no crash, no hang, nothing written outside
/// of what was handed in. (Outside of the mapping: with ./dev test --sanitize address.)
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <optional>
#include <ostream>
#include <thread>

#include "every_call.hpp"
#include "scribbler.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::hostile {

void PrintTo(const Call& call, std::ostream* out) { *out << call.name; }

namespace {

/// How much of it is done: more when the long test run asks for it.
int effort(int ordinary, int full) {
  if (std::getenv("UNDERSTUDY_FULL") != nullptr) { return full; }
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  return std::max(1, ordinary / 4);
#else
  return ordinary;
#endif
}

/// The good image, where in it something lies, and what its sender shipped afterwards. Made once.
struct Good {
  Good() {
    const auto path = "/dev/shm/understudy-hostile-" + std::to_string(::getpid()) + "-good";
    shipped = make_good(path);
    {
      const Scribbler good(path, region_bytes);
      words.resize(used_bytes / sizeof(std::uint64_t));
      std::memcpy(words.data(), good.bytes(), used_bytes);
    }
    ::unlink(path.c_str());
    for (std::uint64_t i = 0; i < words.size(); ++i) {
      if (words[i] != 0) { in_use.push_back(i * sizeof(std::uint64_t)); }
    }
  }
  static const Good& get() {
    static const Good good;
    return good;
  }
  Shipped shipped;
  std::vector<std::uint64_t> words;
  std::vector<std::uint64_t> in_use;
};

/// A region in a file, with a guest that writes into it.
class Victim {
 public:
  Victim() {
    const auto made = Region::create(path_, region_bytes, schema());
    guest_.emplace(path_, region_bytes);
    restore();
  }
  ~Victim() { ::unlink(path_.c_str()); }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void restore() {
    auto* const to = reinterpret_cast<std::uint64_t*>(guest_->bytes());
    const auto& from = Good::get().words;
    for (std::size_t i = 0; i < from.size(); ++i) { __atomic_store_n(to + i, from[i], __ATOMIC_RELAXED); }
  }
  /// Mostly where something lies.
  void scribble(std::mt19937_64& random, std::uint64_t first) {
    const auto& in_use = Good::get().in_use;
    const std::uint64_t at = in_use[random() % in_use.size()];
    if (at < first || random() % 4 == 0) { return guest_->scribble(random, first, used_bytes); }
    guest_->scribble(random, at, at + sizeof(std::uint64_t));
  }

 private:
  std::string path_ = "/dev/shm/understudy-hostile-" + std::to_string(::getpid());
  std::optional<Scribbler> guest_;
};

constexpr std::uint64_t behind_the_header = layout::header_area_bytes;
constexpr std::uint64_t behind_the_control_page = behind_the_header + layout::page_bytes;

class HostileCalls : public testing::TestWithParam<Call> {
 protected:
  void SetUp() override { Good::get(); }
  void call() { open_and(GetParam(), victim.path(), Good::get().shipped); }
  Victim victim;
};
INSTANTIATE_TEST_SUITE_P(Of, HostileCalls, testing::ValuesIn(calls().begin(), calls().end()),
                         [](const auto& of) { return std::string(of.param.name); });

TEST_P(HostileCalls, OverForeignBytesAnswer) {
  std::mt19937_64 random(31);
  for (int round = 0; round < effort(150, 5000); ++round) {
    victim.restore();
    const std::uint64_t first = round % 8 == 0 ? 0 : round % 2 == 0 ? behind_the_header : behind_the_control_page;
    for (std::uint64_t n = random() % 60 + 1; n > 0; --n) { victim.scribble(random, first); }
    call();
    call();  // over what the first one has left
  }
}

TEST_P(HostileCalls, OverBytesThatAThreadWritesMeanwhileAnswer) {
#if defined(__SANITIZE_THREAD__)
  if (std::string(GetParam().name) == "KeepAnArena") { GTEST_SKIP() << "an arena is the application's plain memory"; }
#endif
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> first = behind_the_control_page;  // so that writers get on
  std::thread guest([&] {
    std::mt19937_64 random(32);
    while (!done) { victim.scribble(random, first); }
  });
  const int rounds = effort(60, 1000);
  for (int round = 0; round < rounds; ++round) {
    first = round * 3 < rounds * 2 ? behind_the_control_page : behind_the_header;
    victim.restore();
    call();
  }
  done = true;
  guest.join();
}

TEST_P(HostileCalls, OverBytesThatAnotherProcessWritesMeanwhileAnswer) {
  const pid_t guest = ::fork();
  ASSERT_GE(guest, 0);
  if (guest == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::mt19937_64 random(33);
    for (std::uint64_t n = 0;; ++n) { victim.scribble(random, n % 4096 == 0 ? 0 : behind_the_header); }
  }
  for (int round = 0; round < effort(60, 1000); ++round) {
    victim.restore();
    call();
  }
  int status = 0;
  EXPECT_EQ(::waitpid(guest, &status, WNOHANG), 0) << "it wrote until now";
  ::kill(guest, SIGKILL);
  ::waitpid(guest, &status, 0);
}

/// Without a hostile word each call has its answer: else nothing of the above is shown.
TEST(HostileCallsOf, AGoodRegionAreAnsweredInFull) {
  Victim victim;
  std::uint64_t found = 0;
  const auto region = Region::open(victim.path(), Access::ReadWrite).value();
  for (const auto& described : region.schema().stores) {
    const Store store = region.store(described.name).value();
    for (TableIndex table = 0; table < described.tables.size(); ++table) {
      EXPECT_GT(store.count(table), 0U) << described.tables[table].name;
      ASSERT_TRUE(store.scan(table, {}, [&](const Store::Record&) { return ++found != 0; }).ok());
    }
  }
  EXPECT_GT(found, 60U);
  const Store state = region.store("state").value();
  const Store heap = region.store("heap").value();
  auto of_state = state.become_writer(Term{1}).value();
  auto of_heap = heap.become_writer(Term{1}).value();
  const auto& shipped = Good::get().shipped;
  EXPECT_TRUE(of_state.apply(shipped.state).ok());
  EXPECT_TRUE(of_heap.apply(shipped.heap).ok());
  EXPECT_EQ(state.capacity(state.table("blobs").value()), 60U) << "what is shipped makes tables grow";
}

}  // namespace
}  // namespace understudy::shm::hostile
