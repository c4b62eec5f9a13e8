// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/process_end.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <functional>

namespace understudy {
namespace {

using Descriptor = boost::asio::posix::stream_descriptor;

/// A process that waits to be killed.
class Sleeper {
 public:
  Sleeper() : pid_(fork()) {
    if (pid_ == 0) {
      for (;;) { pause(); }
    }
    pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() {
    end();
    close(pidfd_);
  }
  [[nodiscard]] int pidfd() const { return pidfd_; }
  void kill() const { ::kill(pid_, SIGKILL); }
  void end() {
    if (pid_ > 0) {
      kill();
      waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
  }

 private:
  pid_t pid_;
  int pidfd_ = -1;
};

struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0); }
  ~Pipe() { close(ends[1]); }  // who waits owns the other
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void fill() const { EXPECT_EQ(write(ends[1], "x", 1), 1); }
  std::array<int, 2> ends{};
};

/// Two descriptors wake in the same turn; the first to be called closes the second and watches a process instead.
struct InPlaceOfAnother {
  boost::asio::io_context io;
  Pipe pipes[2];
  Descriptor first{io, pipes[0].ends[0]}, second{io, pipes[1].ends[0]}, watch{io};
  Sleeper sleeper;
  std::shared_ptr<int> owner = std::make_shared<int>(0);

  void run(const std::function<void()>& begin_to_watch) {
    const auto woken = [this, begin_to_watch](Descriptor& other) {
      return [this, begin_to_watch, &other](const boost::system::error_code& error) {
        if (error || watch.is_open()) { return; }
        other.close();
        watch.assign(dup(sleeper.pidfd()));
        begin_to_watch();
      };
    };
    first.async_wait(Descriptor::wait_read, woken(second));
    second.async_wait(Descriptor::wait_read, woken(first));
    pipes[0].fill();
    pipes[1].fill();
    io.run_for(std::chrono::milliseconds(50));
  }
};

TEST(ProcessEnd, AWaitMayEndForAnothersEvent) {
  InPlaceOfAnother place;
  bool woken = false;
  place.run([&] { place.watch.async_wait(Descriptor::wait_read, [&](const auto& error) { woken = !error; }); });
  if (!woken) { GTEST_SKIP() << "this version of Asio wakes nobody for another's event"; }
  EXPECT_FALSE(has_ended(place.sleeper.pidfd()));
}

TEST(ProcessEnd, IsNotHeardWhileTheProcessRuns) {
  InPlaceOfAnother place;
  int heard = 0;
  place.run([&] { when_ended(place.owner, place.watch, [&] { ++heard; }); });
  EXPECT_EQ(heard, 0);
  place.sleeper.kill();
  place.io.restart();
  place.io.run_for(std::chrono::seconds(10));
  EXPECT_EQ(heard, 1);
}

TEST(ProcessEnd, IsTheSameForAProcessThatHasBeenReaped) {
  Sleeper sleeper;
  EXPECT_FALSE(has_ended(sleeper.pidfd()));
  sleeper.end();
  EXPECT_TRUE(has_ended(sleeper.pidfd()));
}

TEST(ProcessEnd, IsNotToldToWhoHasLeft) {
  Sleeper sleeper;
  boost::asio::io_context io;
  Descriptor watch(io, dup(sleeper.pidfd()));
  auto owner = std::make_shared<int>(0);
  bool heard = false;
  when_ended(owner, watch, [&] { heard = true; });
  owner.reset();
  sleeper.kill();
  io.run_for(std::chrono::seconds(10));
  EXPECT_FALSE(heard);
}

}  // namespace
}  // namespace understudy
