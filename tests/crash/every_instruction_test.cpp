// SPDX-License-Identifier: Apache-2.0
/// The product's library as the compiler made it, without any hook: a writer's process is stopped after every single
/// instruction, and whenever that has changed a byte of the region a fresh process opens it and goes on writing a copy.
///
/// The other tests of prefixes ask whether the source's order is good. This one asks whether it is also the order of
/// the machine's stores: a relaxed store that the compiler had moved behind its publication is an image like any other
/// here. Covers: shared-mem/src/put.cpp
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "fresh_process.hpp"
#include "image_check.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::size_t watched_bytes = crash_region_bytes / 4;  ///< all that the schema uses

using Changes = std::vector<std::vector<Step>>;

/// What the writer's process does when it is watched; change n is in flight when the counter says n.
using Work = std::function<void(StoreWriter& writer, const std::string& path, std::atomic<std::uint64_t>& in_flight)>;

[[noreturn]] void work_watched(const std::string& path, const Work& work, std::atomic<std::uint64_t>& in_flight) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) { ::_exit(2); }
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { ::_exit(3); }
  auto writer = region->store("state").value().become_writer(Term{1});
  if (!writer) { ::_exit(4); }
  // A first record: what is made once in a program's life is not what is to be seen.
  if (!writer->put(0, as_bytes_of(Key{1}), value_bytes_of(region->schema().stores[0].tables[0].kind, 1))) {
    ::_exit(5);
  }
  ::raise(SIGSTOP);
  work(*writer, path, in_flight);
  ::_exit(0);
}

class EveryInstruction : public testing::TestWithParam<TableKind> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "a sanitizer's build is not the product's";
#endif
    ASSERT_TRUE(Region::create(file.path(), crash_region_bytes, crash_schema(GetParam())).ok());
    states.push_back(after({}, {{1, 1}}));
    counter = new (::mmap(nullptr, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
        std::atomic<std::uint64_t>(0);
  }
  void TearDown() override {
    if (counter != nullptr) { ::munmap(counter, sizeof *counter); }
  }

  /// The writer's process, one instruction after the other.
  void watch(const Changes& changes, const Work& work) {
    for (const auto& steps : changes) { states.push_back(after(states.back(), steps)); }
    const pid_t child = ::fork();
    if (child == 0) { work_watched(file.path(), work, *counter); }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSTOPPED(status)) << "it ended with " << WEXITSTATUS(status);
    const std::byte* now = map_for_reading(file.path());
    no_region_in_children();
    std::vector<std::byte> seen(now, now + watched_bytes);
    while (violations.size() < 20) {
      if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 || ::waitpid(child, &status, 0) != child) {
        violations.emplace_back("the writer cannot be watched");
        break;
      }
      if (!WIFSTOPPED(status)) { break; }
      ++instructions;
      if (std::memcmp(seen.data(), now, watched_bytes) == 0) { continue; }
      std::memcpy(seen.data(), now, watched_bytes);
      ++images;
      look(changes);
    }
    if (WIFSTOPPED(status)) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      violations.push_back("the writer ended with " + std::to_string(status));
    }
    unmap(now);
  }
  void look(const Changes& changes) {
    const std::uint64_t n = *counter;
    if (n == 0) { return violations.push_back("a store before any change"); }
    const Told told = in_a_fresh_process(
        [&](Told& tell) {
          const auto found = check_reader(file.path(), states[n - 1], states[n], tell.violations);
          if (!found) { return; }
          copy_image(file.path(), copy.path());
          check_next_writer(copy.path(), *found, changes[n - 1], tell.violations);
        },
        Share::All);
    violations.insert(violations.end(), told.violations.begin(), told.violations.end());
    if (!told.violations.empty()) { violations.back() += " (image " + std::to_string(images) + ")"; }
  }

  ImageFile file{"instruction"};
  ImageFile copy{"instruction-copy"};
  std::atomic<std::uint64_t>* counter = nullptr;
  std::vector<Expected> states;  ///< before the first change, after it, ...
  std::vector<std::string> violations;
  std::uint64_t images = 0;
  std::uint64_t instructions = 0;
};
INSTANTIATE_TEST_SUITE_P(Of, EveryInstruction, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& of) { return of.param == TableKind::Blob ? "Blobs" : "Fixed"; });

/// Puts, updates, slots used again, a transaction, erases, and a rebuild, which has no steps.
TEST_P(EveryInstruction, LeavesTheStateBeforeOrAfterTheChangeInFlight) {
  Changes changes{{{2, 2}}, {{3, 3}}, {{2, 4}}, {{2, 5}}, {{4, 6}, {1, 7}, {3, std::nullopt}}, {{2, std::nullopt}},
                  {{2, 8}}};
  for (std::uint64_t n = 0; n < static_cast<std::uint64_t>(effort(5, 60)); ++n) {
    changes.push_back({{10 + n % 7, 100 + n}});
    if (n % 5 == 4) { changes.push_back({{10 + n % 7, std::nullopt}}); }
    if (n == 3) { changes.emplace_back(); }
  }
  watch(changes, [&](StoreWriter& writer, const std::string& /*path*/, std::atomic<std::uint64_t>& in_flight) {
    for (const auto& steps : changes) {
      ++in_flight;
      if (steps.empty() ? !writer.rebuild(0) : !write(writer, {}, steps)) { ::_exit(6); }
    }
  });
  EXPECT_TRUE(violations.empty()) << violations.front();
  EXPECT_EQ(*counter, changes.size());
  EXPECT_GT(images, changes.size() * 8);
  std::printf("%llu instructions, %llu of them stores to the region\n", static_cast<unsigned long long>(instructions),
              static_cast<unsigned long long>(images));
}

/// One that commits first and then writes the record, by itself in the same bytes.
TEST_P(EveryInstruction, OfAWriterThatCommitsFirstIsNoticed) {
  watch({{{2, 2}}}, [](StoreWriter& writer, const std::string& path, std::atomic<std::uint64_t>& in_flight) {
    auto* bytes = map_for_writing(path);
    layout::RegionHeader header;
    std::memcpy(&header, bytes, sizeof header);
    auto* committed = reinterpret_cast<std::uint64_t*>(bytes + header.stores[0].control_offset +
                                                       offsetof(layout::StoreControl, commit));
    ++in_flight;
    std::atomic_ref(*committed).store(2, std::memory_order_relaxed);
    std::atomic_ref(*committed).store(1, std::memory_order_relaxed);
    if (!write(writer, {}, {{2, 2}})) { ::_exit(6); }
  });
  EXPECT_FALSE(violations.empty());
}

}  // namespace
}  // namespace understudy::shm::crash
