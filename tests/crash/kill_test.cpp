// SPDX-License-Identifier: Apache-2.0
/// Kills real writer processes at random instants, one after another on the same region. Each must find what the
/// killed ones committed and go on; the invariant is one that only whole transactions keep.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "image_check.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t pairs = capacity / 2;

/// Round r writes key k and key k + pairs with the same seed, or erases both, as one transaction.
[[noreturn]] void write_for_ever(const std::string& path, std::uint64_t seed) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { ::_exit(2); }
  auto writer = region->store("state").value().become_writer(Term{1});
  if (!writer) { ::_exit(3); }
  std::mt19937_64 random(seed);
  for (;;) {
    const Key low{random() % pairs};
    const Key high{low.id + pairs};
    const Value value = value_of(random());
    if (!writer->begin()) { ::_exit(4); }
    if (random() % 3 == 0 && writer->erase(0, as_bytes_of(low)).ok()) {
      if (!writer->erase(0, as_bytes_of(high))) { ::_exit(5); }
    } else if (!writer->put(0, as_bytes_of(low), as_bytes_of(value)) ||
               !writer->put(0, as_bytes_of(high), as_bytes_of(value))) {
      ::_exit(6);
    }
    if (!writer->commit()) { ::_exit(7); }
  }
}

void check_pairs(const Store& store) {
  std::uint64_t present = 0;
  for (std::uint64_t id = 0; id < pairs; ++id) {
    Value low{};
    Value high{};
    const auto low_got = store.get(0, as_bytes_of(Key{id}), std::as_writable_bytes(std::span(&low, 1)));
    const auto high_got = store.get(0, as_bytes_of(Key{id + pairs}), std::as_writable_bytes(std::span(&high, 1)));
    ASSERT_EQ(low_got.ok(), high_got.ok()) << "half a transaction at " << id;
    ASSERT_EQ(low, high) << "half a transaction at " << id;
    if (!low_got) { continue; }
    ASSERT_EQ(low, value_of(low.words[0])) << "torn value";
    present += 2;
  }
  ASSERT_EQ(store.count(0), present);
}

TEST(AKilledWriter, LeavesWholeTransactionsAndItsSuccessorGoesOn) {
  ImageFile file("kill");
  ASSERT_TRUE(Region::create(file.path(), crash_region_bytes, crash_schema()).ok());
  const auto region = Region::open(file.path(), Access::ReadOnly).value();
  const Store store = region.store("state").value();
  std::mt19937_64 random(99);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t before = store.committed().value;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) { write_for_ever(file.path(), static_cast<std::uint64_t>(round)); }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (store.committed().value < before + 100 && std::chrono::steady_clock::now() < deadline &&
           ::waitpid(child, nullptr, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    for (std::uint64_t spin = random() % 20000; spin > 0; --spin) { asm volatile(""); }  // any instant will do
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_GE(store.committed().value, before + 100) << "round " << round << ": the writer did not come to write";
    check_pairs(store);
    if (HasFatalFailure()) { FAIL() << "round " << round; }
  }
  EXPECT_EQ(store.epoch(), 300U);
}

}  // namespace
}  // namespace understudy::shm::crash
