// SPDX-License-Identifier: Apache-2.0
/// Kills real writer processes at random instants, one after another on the same region. Each must find what the
/// killed ones committed and go on; the invariant is one that only whole transactions keep.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include "image_check.hpp"
#include "octets.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t pairs = capacity / 2;
constexpr TableIndex fixed = 0;
constexpr TableIndex blobs = 1;
constexpr TableIndex flows = 2;
constexpr TableIndex rules = 3;
constexpr TableIndex pages = 4;
constexpr std::uint32_t flow_bytes = 200;
constexpr std::uint32_t rule_bytes_max = 6000;
constexpr std::uint32_t page_bytes = 512;

/// Rebuilding the fixed table takes long enough for many a kill to fall into it. The ring holds some ten transactions.
RegionSchema kill_schema() {
  return {{{"state",
            {{"fixed", 8, 24, capacity, TableKind::Hashed, 4000},
             {"blobs", 8, blob_bytes, capacity, TableKind::Blob, 60},
             {"flows", 37, flow_bytes, capacity, TableKind::Hashed, 60},
             {"rules", 16, rule_bytes_max, capacity, TableKind::Blob},
             {"pages", 8, page_bytes, pairs, TableKind::Dense}},
            64 << 10}}};
}
constexpr std::uint64_t kill_region_bytes = 4 << 20;

/// Bytes that follow from the seed, which they begin with.
Octets filled(std::size_t bytes, std::uint64_t seed) {
  Octets value(bytes);
  for (std::size_t at = 0; at < bytes; at += 8, seed = seed * 0x9e3779b97f4a7c15 + 1) {
    std::memcpy(value.data() + at, &seed, std::min<std::size_t>(8, bytes - at));
  }
  return value;
}
Octets rule_of(std::uint64_t seed) { return filled(8 + seed % (rule_bytes_max - 7), seed); }

/// By the kernel's timer, whose default is death, so that how busy the machine is does not decide where.
void die_within_microseconds(std::uint64_t random, std::uint64_t window) {
  ::itimerval at{};
  at.it_value.tv_usec = static_cast<suseconds_t>(1 + random % window);
  ::setitimer(ITIMER_REAL, &at, nullptr);
}

/// Each transaction writes key k of "fixed", key k + pairs of "blobs" and the keys that follow from k of the other
/// tables with the same seed, or erases all of them. `window`: microseconds from the rebuild's start within which it is
/// killed.
[[noreturn]] void write_for_ever(const std::string& path, std::uint64_t seed, std::uint64_t window) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { ::_exit(2); }
  auto writer = region->store("state").value().become_writer(Term{1});
  if (!writer) { ::_exit(3); }
  std::mt19937_64 random(seed);
  for (int n = 0;; ++n) {
    if (n == 100) {
      die_within_microseconds(random(), window);
      if (!writer->rebuild(fixed) || !writer->rebuild(blobs) || !writer->rebuild(flows)) { ::_exit(8); }
    }
    const Key low{random() % pairs};
    const Key high{low.id + pairs};
    const std::uint64_t value = random();
    if (!writer->begin()) { ::_exit(4); }
    if (random() % 3 == 0 && writer->erase(fixed, as_bytes_of(low)).ok()) {
      if (!writer->erase(blobs, as_bytes_of(high)) || !writer->erase(flows, flow6_key(low.id)) ||
          !writer->erase(rules, address_key(low.id)) || !writer->erase(pages, as_bytes_of(low))) {
        ::_exit(5);
      }
    } else if (!writer->put(fixed, as_bytes_of(low), value_bytes_of(TableKind::Hashed, value)) ||
               !writer->put(blobs, as_bytes_of(high), value_bytes_of(TableKind::Blob, value)) ||
               !writer->put(flows, flow6_key(low.id), filled(flow_bytes, value)) ||
               !writer->put(rules, address_key(low.id), rule_of(value)) ||
               !writer->put(pages, as_bytes_of(low), filled(page_bytes, value))) {
      ::_exit(6);
    }
    if (!writer->commit()) { ::_exit(7); }
  }
}

/// The tables of larger keys and values: there with that seed, or not at all.
void check_others(const Store& store, std::uint64_t id, std::optional<std::uint64_t> seed) {
  Octets flow(flow_bytes);
  Octets page(page_bytes);
  Octets rule(rule_bytes_max);
  const auto rule_got = store.get_blob(rules, address_key(id), rule);
  ASSERT_EQ(store.get(flows, flow6_key(id), flow).ok(), seed.has_value()) << "half a transaction at " << id;
  ASSERT_EQ(store.get(pages, as_bytes_of(Key{id}), page).ok(), seed.has_value()) << "half a transaction at " << id;
  ASSERT_EQ(rule_got.ok(), seed.has_value()) << "half a transaction at " << id;
  if (!seed) { return; }
  rule.resize(*rule_got);
  ASSERT_TRUE(flow == filled(flow_bytes, *seed) && page == filled(page_bytes, *seed) && rule == rule_of(*seed))
      << "half a transaction, or torn, at " << id;
}

void check_pairs(const Store& store) {
  std::uint64_t present = 0;
  for (std::uint64_t id = 0; id < pairs; ++id) {
    Value low{};
    std::vector<std::byte> high(blob_bytes);
    const auto low_got = store.get(fixed, as_bytes_of(Key{id}), std::as_writable_bytes(std::span(&low, 1)));
    const auto high_got = store.get_blob(blobs, as_bytes_of(Key{id + pairs}), high);
    ASSERT_EQ(low_got.ok(), high_got.ok()) << "half a transaction at " << id;
    const auto seed = low_got ? std::optional(low.words[0]) : std::nullopt;
    ASSERT_NO_FATAL_FAILURE(check_others(store, id, seed));
    if (!low_got) { continue; }
    high.resize(*high_got);
    ASSERT_EQ(low, value_of(low.words[0])) << "torn value";
    ASSERT_EQ(high, value_bytes_of(TableKind::Blob, low.words[0])) << "half a transaction, or a torn blob, at " << id;
    ++present;
  }
  ASSERT_EQ(store.count(fixed), present);
  for (const TableIndex table : {blobs, flows, rules, pages}) { ASSERT_EQ(store.count(table), present); }
}

/// Shorter after a writer that had rebuilt its table before it died, longer after one that had not: a rebuild is
/// met about twice in three whatever the machine's speed, and its last instants are met too.
std::uint64_t next_window(std::uint64_t window, bool rebuilt) {
  constexpr std::uint64_t shortest = 4;
  constexpr std::uint64_t longest = 10'000;
  return std::clamp(rebuilt ? window / 2 : window + window / 4 + 1, shortest, longest);
}

/// Writers on one region, each killed. How many died while the table was still being rebuilt or before.
int kill_writers(const std::string& path, int rounds, std::mt19937_64& random, std::uint64_t& window) {
  EXPECT_TRUE(Region::create(path, kill_region_bytes, kill_schema()).ok());
  const auto region = Region::open(path, Access::ReadOnly).value();
  const Store store = region.store("state").value();
  int not_rebuilt = 0;
  for (int round = 0; round < rounds && !testing::Test::HasFatalFailure(); ++round) {
    const bool was_rebuilt = store.capacity(fixed) != capacity;
    const std::uint64_t before = store.committed().value;
    const pid_t child = ::fork();
    if (child == 0) { write_for_ever(path, random(), window); }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (store.committed().value < before + 200 && std::chrono::steady_clock::now() < deadline &&
           ::waitpid(child, nullptr, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    for (std::uint64_t spin = random() % 20000; spin > 0; --spin) { asm volatile(""); }  // any instant will do
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_GE(store.committed().value, before + 200) << "round " << round << ": the writer did not come to write";
    const bool rebuilt = store.capacity(fixed) != capacity;
    if (!was_rebuilt) { window = next_window(window, rebuilt); }
    not_rebuilt += rebuilt ? 0 : 1;
    check_pairs(store);
  }
  EXPECT_EQ(store.epoch(), static_cast<std::uint64_t>(rounds));
  return not_rebuilt;
}

TEST(AKilledWriter, LeavesWholeTransactionsAndItsSuccessorGoesOn) {
  constexpr int on_one_region = 10;
  ImageFile file("kill");
  std::mt19937_64 random(99);
  constexpr int wanted = 20;
  const int regions = effort(300, 10000) / on_one_region;
  std::uint64_t window = 200;
  int not_rebuilt = 0;
  for (int region = 0; (region < regions || not_rebuilt < wanted) && region < regions + 1000 && !HasFailure();
       ++region) {
    not_rebuilt += kill_writers(file.path(), on_one_region, random, window);
  }
  EXPECT_GE(not_rebuilt, wanted) << "kills while the table was being rebuilt, last within " << window << " us";
  RecordProperty("killed_while_rebuilding", not_rebuilt);
}

}  // namespace
}  // namespace understudy::shm::crash
