// SPDX-License-Identifier: Apache-2.0
/// Kills real writer processes at random instants, one after another on the same region. What each of them changes is
/// known before, and how far it has come it says in a log outside the region:
///
///   the test   draws changes 1..n, forks ──> writer   log: in flight 17; makes change 17; log: done 17; ... killed
///              forks ──> a process that has nothing of the region opens it: exactly the state before change 17, or
///                        exactly the one after it
///              draws the next changes from what was found ──> the next writer
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <random>

#include "fresh_process.hpp"
#include "image_check.hpp"
#include "octets.hpp"
#include "store_model.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t pairs = capacity / 2;
enum Killed : TableIndex { fixed, blobs, flows, rules, pages };
constexpr std::uint32_t rule_bytes_max = 6000;

/// Rebuilding the fixed table takes long enough for many a kill to fall into it. The ring holds some ten transactions.
RegionSchema kill_schema() {
  return {{{"state",
            {{"fixed", 8, 24, capacity, TableKind::Hashed, 4000},
             {"blobs", 8, blob_bytes, capacity, TableKind::Blob, 60},
             {"flows", 37, 200, capacity, TableKind::Hashed, 60},
             {"rules", 16, rule_bytes_max, capacity, TableKind::Blob},
             {"pages", 8, 512, pairs, TableKind::Dense}},
            128 << 10}}};
}
constexpr std::uint64_t kill_region_bytes = 4 << 20;
const std::vector<std::size_t> room{capacity, capacity, capacity, capacity, pairs};

std::size_t bytes_of(TableIndex table, std::uint64_t seed) {
  constexpr std::array<std::size_t, 5> sizes{24, blob_bytes, 200, rule_bytes_max, 512};
  return table == blobs || table == rules ? seed % (sizes[table] + 1) : sizes[table];
}

/// How far the writer has come, in memory that is no part of the region: changes begun and ended.
struct Log {
  std::atomic<std::uint64_t> in_flight{0};
  std::atomic<std::uint64_t> done{0};
};

/// A transaction or a single change; without edits: the tables are rebuilt.
using Changes = std::vector<Edits>;

/// SIGKILL by the kernel's timer, so that how busy the machine is does not decide where.
void die_within_nanoseconds(std::uint64_t random, std::uint64_t window) {
  ::sigevent killed{};
  killed.sigev_notify = SIGEV_SIGNAL;
  killed.sigev_signo = SIGKILL;
  ::timer_t timer{};
  ::itimerspec at{};
  at.it_value.tv_nsec = static_cast<long>(1 + random % window);
  if (::timer_create(CLOCK_MONOTONIC, &killed, &timer) != 0 || ::timer_settime(timer, 0, &at, nullptr) != 0) {
    ::_exit(8);
  }
}

struct Death {
  std::size_t armed_at;  ///< before which change
  std::uint64_t window;  ///< nanoseconds from then on
  std::uint64_t random;
};

/// Makes the changes; then waits to be killed, or ends where it is not to be.
[[noreturn]] void make_changes(const std::string& path, const Changes& changes, Log& log, std::optional<Death> death) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::alarm(60);
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { ::_exit(2); }
  auto writer = region->store("state").value().become_writer(Term{1});
  if (!writer) { ::_exit(3); }
  for (std::size_t n = 0; n < changes.size(); ++n) {
    log.in_flight = n + 1;
    if (death && n == death->armed_at) { die_within_nanoseconds(death->random, death->window); }
    if (!changes[n].empty()) {
      if (!write(*writer, changes[n])) { ::_exit(4); }
    } else if (!writer->rebuild(fixed) || !writer->rebuild(blobs) || !writer->rebuild(flows)) {
      ::_exit(5);
    }
    log.done = n + 1;
  }
  while (death) { ::pause(); }
  ::_exit(0);
}

/// Long enough for the kill to fall into the changes, and into the end of a rebuild, whatever the machine's speed.
std::uint64_t next_window(std::uint64_t window, bool too_late) {
  constexpr std::uint64_t shortest = 2'000;
  constexpr std::uint64_t longest = 10'000'000;
  return std::clamp(too_late ? window / 2 : window + window / 8 + 1, shortest, longest);
}

/// A region and its writers, one after the other.
class KilledWriters {
 public:
  struct Count {
    int kills = 0;
    int in_a_change = 0;
    int in_a_rebuild = 0;
    std::uint64_t window = 50'000;
    std::uint64_t rebuild_window = 200'000;
  };

  KilledWriters(Count& count, std::mt19937_64& random) : count_(count), random_(random) {
    EXPECT_TRUE(Region::create(file_.path(), kill_region_bytes, kill_schema()).ok());
    model_.tables.resize(pools_.size());
    pools_[fixed] = neighbours(file_.path(), fixed, 40, octets_of);
    pools_[blobs] = neighbours(file_.path(), blobs, 40, octets_of);
    pools_[flows] = neighbours(file_.path(), flows, 40, flow6_key);
    pools_[rules] = neighbours(file_.path(), rules, 30, address_key);
    for (std::uint64_t page = 0; page < pairs; ++page) { pools_[pages].push_back(octets_of(page)); }
    log_ = new (::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Log;
  }
  ~KilledWriters() { ::munmap(log_, sizeof(Log)); }
  KilledWriters(const KilledWriters&) = delete;
  KilledWriters& operator=(const KilledWriters&) = delete;

  /// As long as the tables were not rebuilt the kill falls behind a rebuild's begin.
  void kill_one() {
    constexpr std::size_t most = 60;
    const bool rebuilds = !rebuilt_;
    const std::size_t armed_at = random_() % most;
    const Changes changes = draw(2 * most, rebuilds ? std::optional(armed_at) : std::nullopt);
    auto& window = rebuilds ? count_.rebuild_window : count_.window;
    const int status = write_and_end(changes, Death{armed_at, window, random_()});
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the writer ended by itself: " << WEXITSTATUS(status);
    ++count_.kills;
    const bool in_a_change = log_->in_flight > log_->done;
    const bool in_a_rebuild = in_a_change && changes[log_->in_flight - 1].empty();
    window = next_window(window, log_->done > (rebuilds ? armed_at : changes.size() - 1));
    count_.in_a_change += in_a_change ? 1 : 0;
    count_.in_a_rebuild += in_a_rebuild ? 1 : 0;
    check(changes);
  }
  /// The last one lives.
  void let_one_end() {
    const Changes changes = draw(20, {});
    ASSERT_EQ(write_and_end(changes, {}), 0);
    check(changes);
  }

 private:
  Changes draw(std::size_t count, std::optional<std::size_t> rebuild_at) {
    Model model = model_;
    Changes changes;
    for (std::size_t n = 0; n < count; ++n) {
      changes.push_back(n == rebuild_at ? Edits() : random_edits(random_, model, pools_, 8, room, bytes_of));
      model.apply(changes.back());
    }
    return changes;
  }

  int write_and_end(const Changes& changes, std::optional<Death> death) {
    log_->in_flight = 0;
    log_->done = 0;
    ++writers_;
    const pid_t child = ::fork();
    if (child == 0) { make_changes(file_.path(), changes, *log_, death); }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  /// A process that nothing of the region is mapped in finds the state before the change in flight, or after it.
  void check(const Changes& changes) {
    const std::uint64_t in_flight = log_->in_flight;
    for (std::uint64_t n = 0; n + 1 < in_flight; ++n) { model_.apply(changes[n]); }
    const Model then = in_flight == 0 ? model_ : model_.after(changes[in_flight - 1]);
    const Told told = in_a_fresh_process(
        [&](Told& tell) {
          const Image image{pools_, kill_schema().stores[0].journal_bytes};
          const Model* found = check_image(file_.path(), model_, then, image, tell.violations);
          if (found == nullptr) { return; }
          tell.found = true;
          tell.committed = found->committed;
          const auto region = Region::open(file_.path(), Access::ReadOnly).value();
          const Store store = region.store("state").value();
          tell.noted = store.capacity(fixed) != capacity ? 1 : 0;
          if (store.epoch() != writers_) { tell.violations.emplace_back("not the epoch of its last writer"); }
        },
        Share::All);
    ASSERT_TRUE(told.found && told.violations.empty())
        << "change " << in_flight << ": " << (told.violations.empty() ? "" : told.violations.front());
    if (log_->done == in_flight) { ASSERT_EQ(told.committed, then.committed) << "what was done is not there"; }
    if (told.committed == then.committed) { model_ = then; }
    rebuilt_ = told.noted != 0;
  }

  Count& count_;
  std::mt19937_64& random_;
  ImageFile file_{"kill"};
  Log* log_ = nullptr;
  Pools pools_{5};
  Model model_;
  bool rebuilt_ = false;
  std::uint64_t writers_ = 0;
};

TEST(AKilledWriter, LeavesTheStateBeforeOrAfterTheChangeInFlightAndItsSuccessorGoesOn) {
  constexpr int on_one_region = 10;
  constexpr int rebuilds_wanted = 20;
  const int kills = effort(300, 10000);
  std::mt19937_64 random(99);
  KilledWriters::Count count;
  for (int region = 0; (count.kills < kills || count.in_a_rebuild < rebuilds_wanted) && region < kills + 1000;
       ++region) {
    KilledWriters writers(count, random);
    for (int n = 0; n < on_one_region && !testing::Test::HasFailure(); ++n) { writers.kill_one(); }
    if (testing::Test::HasFailure()) { return; }
    writers.let_one_end();
  }
  EXPECT_GE(count.in_a_rebuild, rebuilds_wanted) << "within " << count.rebuild_window << " ns";
  EXPECT_GE(count.in_a_change, count.kills / 2) << "within " << count.window << " ns";
  std::printf("%d kills, %d of them within a change, %d within a rebuild\n", count.kills, count.in_a_change,
              count.in_a_rebuild);
}

}  // namespace
}  // namespace understudy::shm::crash
