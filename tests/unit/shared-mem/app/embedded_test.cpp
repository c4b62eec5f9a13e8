// SPDX-License-Identifier: Apache-2.0
// Applications that run alone: started together, before their callbacks, at a region that cannot be looked at.
// Covers: shared-mem/src/app/lifecycle.cpp, shared-mem/src/new_file.cpp
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "understudy/app/lifecycle.hpp"

namespace understudy::app {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

bool readable(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

/// What two processes of one round have in common.
struct Round {
  std::atomic<int> ready;
  std::atomic<bool> go;
  std::atomic<int> done;
  std::atomic<bool> over;
  struct Copy {
    bool opened;
    bool writes;
    ino_t region;
    char why[256];
  };
  std::array<Copy, 2> copies;
};

template <class Condition>
void wait_for(const Condition& condition) {
  for (const auto give_up = Clock::now() + 20s; !condition() && Clock::now() < give_up;) { ::sched_yield(); }
}

class AloneTest : public testing::Test {
 protected:
  AloneTest() {
    char name[] = "/dev/shm/understudy-embedded-XXXXXX";
    directory_ = ::mkdtemp(name);
    embedded_.region_path = directory_ + "/own";
    for (const auto* variable : {"UNDERSTUDY_AGENT", "UNDERSTUDY_REGION", "UNDERSTUDY_STORE"}) { ::unsetenv(variable); }
  }
  ~AloneTest() override { std::filesystem::remove_all(directory_); }

  void run_copy(Round& round, Round::Copy& mine) const {
    ++round.ready;
    wait_for([&] { return round.go.load(); });
    const auto lifecycle = Lifecycle::from_environment(embedded_);
    const auto store = lifecycle ? lifecycle->open_store(shm::Access::ReadWrite) : lifecycle.error();
    mine.opened = store.ok();
    if (!store) { std::strncpy(mine.why, store.error().message.c_str(), sizeof mine.why - 1); }
    const auto writer = store ? store->become_writer(Term{1}) : store.error();
    mine.writes = writer.ok();
    struct stat file {};
    ::stat(embedded_.region_path.c_str(), &file);
    mine.region = file.st_ino;
    ++round.done;
    wait_for([&] { return round.over.load(); });
  }

  std::string directory_;
  Embedded embedded_{"", {"things", {{"numbers", 8, 8, 64}}, 64 * 1024}, 0};
};

TEST_F(AloneTest, OfTwoCopiesStartedTogetherOneWritesAndBothHaveItsRegion) {
  void* memory = ::mmap(nullptr, sizeof(Round), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  for (int number = 0; number < 100 && !HasFailure(); ++number) {
    auto& round = *new (memory) Round{};
    std::array<pid_t, 2> processes{};
    for (std::size_t i = 0; i < processes.size(); ++i) {
      processes[i] = ::fork();
      ASSERT_GE(processes[i], 0);
      if (processes[i] == 0) {
        run_copy(round, round.copies[i]);
        ::_exit(0);
      }
    }
    wait_for([&] { return round.ready == 2; });
    round.go = true;
    wait_for([&] { return round.done == 2; });
    round.over = true;
    for (const auto process : processes) { ::waitpid(process, nullptr, 0); }
    const auto& [first, second] = round.copies;
    EXPECT_TRUE(first.opened) << "round " << number << ": " << first.why;
    EXPECT_TRUE(second.opened) << "round " << number << ": " << second.why;
    EXPECT_NE(first.writes, second.writes) << "round " << number << ": one writer, and not two";
    EXPECT_EQ(first.region, second.region);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1) << "nothing is left beside it";
    std::filesystem::remove(embedded_.region_path);
  }
  ::munmap(memory, sizeof(Round));
}

TEST_F(AloneTest, ARegionThatCannotBeLookedAtIsLeftAsItIs) {
  std::filesystem::create_symlink(embedded_.region_path, embedded_.region_path);
  const auto opened = Lifecycle::from_environment(embedded_);
  ASSERT_FALSE(opened) << "somebody's region was replaced by an empty one";
  EXPECT_NE(opened.error().message.find(embedded_.region_path), std::string::npos) << opened.error().message;
  EXPECT_TRUE(std::filesystem::is_symlink(embedded_.region_path));
}

TEST_F(AloneTest, ADispatchBeforeTheCallbacksLosesNoActivation) {
  auto lifecycle = Lifecycle::from_environment(embedded_).value();
  EXPECT_TRUE(readable(lifecycle.fd()));
  lifecycle.dispatch();
  EXPECT_FALSE(readable(lifecycle.fd())) << "who polls would turn in circles";
  EXPECT_EQ(lifecycle.duty(), Duty::StandingBy);
  lifecycle.set_callbacks({[&](Term term) { lifecycle.active(term); }, {}, {}, {}});
  EXPECT_TRUE(readable(lifecycle.fd()));
  lifecycle.dispatch();
  EXPECT_EQ(lifecycle.duty(), Duty::Active);
  EXPECT_FALSE(readable(lifecycle.fd()));
}

}  // namespace
}  // namespace understudy::app
