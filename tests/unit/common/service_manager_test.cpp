// SPDX-License-Identifier: Apache-2.0
/// With a socket of the test's own in systemd's place.
#include "understudy/common/service_manager.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

namespace understudy {
namespace {

using namespace std::chrono_literals;

class ServiceManagerTest : public testing::Test {
 protected:
  ServiceManagerTest() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  ~ServiceManagerTest() override {
    for (const auto* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) { ::unsetenv(name); }
    ::close(socket_);
    ::unlink(path_.c_str());
  }
  void watch(const char* microseconds) {
    ::setenv("WATCHDOG_USEC", microseconds, 1);
    ::setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  }
  /// All that has come, a message a line, their own lines with ','.
  std::string seen() const {
    std::string all;
    char message[512];
    for (;;) {
      const auto got = ::recv(socket_, message, sizeof message, 0);
      if (got <= 0) { return all; }
      std::string one(message, static_cast<std::size_t>(got));
      for (auto& letter : one) { letter = letter == '\n' ? ',' : letter; }
      all += one + "\n";
    }
  }

  /// Until systemd's queue takes nothing more.
  void fill() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    for (bool took = true;
         took;) {  // a queue of net.unix.max_dgram_qlen may hold more than one sender may have under way
      const int filler = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      took = false;
      while (::sendto(filler, "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 1) {
        took = true;
      }
      EXPECT_EQ(errno, EAGAIN);
      ::close(filler);
    }
  }

  const std::string path_ = testing::TempDir() + "notify." + std::to_string(getpid());
  int socket_;
  boost::asio::io_context io_;
  std::string status_ = "well";
};

TEST_F(ServiceManagerTest, TellsThatItIsReadyFedWhileItsLoopRunsAndStops) {
  watch("30000");
  ServiceManager sut(io_, [&] { return status_; });
  EXPECT_EQ(seen(), "") << "not ready yet";
  sut.ready();
  EXPECT_EQ(seen(), "READY=1\nWATCHDOG=1,STATUS=well\n");
  EXPECT_EQ(seen(), "") << "a loop that does not run is not fed";
  io_.run_for(100ms);
  const auto beats = seen();
  EXPECT_NE(beats.find("WATCHDOG=1\nWATCHDOG=1\n"), std::string::npos) << beats;
  EXPECT_EQ(beats.find("STATUS"), std::string::npos) << "nothing new";
  status_ = "two\nlines";
  io_.restart();
  io_.run_for(50ms);
  EXPECT_NE(seen().find("WATCHDOG=1,STATUS=two lines\n"), std::string::npos);
  sut.stopping();
  EXPECT_EQ(seen(), "STOPPING=1\n");
}

TEST_F(ServiceManagerTest, ASystemdThatHangsIsNotWaitedForAndToldWhenItReadsAgain) {
  fill();
  watch("30000");
  std::promise<void> done;
  auto ended = done.get_future();
  std::thread loop([&] {
    ServiceManager sut(io_, [&] { return status_; });
    sut.ready();
    io_.run_for(50ms);
    done.set_value();
  });
  const bool waited = ended.wait_for(5s) == std::future_status::timeout;
  if (waited) {
    while (ended.wait_for(10ms) == std::future_status::timeout) { (void)seen(); }
  }
  loop.join();
  EXPECT_FALSE(waited) << "the loop that does the daemon's work stood still";
  (void)seen();

  ServiceManager sut(io_, [&] { return status_; });
  io_.restart();
  sut.ready();
  EXPECT_EQ(seen(), "READY=1\nWATCHDOG=1,STATUS=well\n");
}

TEST_F(ServiceManagerTest, ThatItIsReadyIsToldAgainWhenItDidNotArrive) {
  fill();
  watch("30000");
  ServiceManager sut(io_, [&] { return status_; });
  sut.ready();
  EXPECT_EQ(seen().find("READY"), std::string::npos) << "nothing went in, nobody waited";
  io_.run_for(50ms);
  EXPECT_NE(seen().find("READY=1,WATCHDOG=1,STATUS=well\n"), std::string::npos);
}

TEST_F(ServiceManagerTest, WithoutAWatchdogItTellsItsStatusOnly) {
  ServiceManager sut(io_, [&] { return status_; });
  sut.ready();
  EXPECT_EQ(seen(), "READY=1\nSTATUS=well\n");
}

TEST_F(ServiceManagerTest, WhereNobodyListensTheLoopHasNothingToDo) {
  ::unsetenv("NOTIFY_SOCKET");
  ServiceManager sut(io_, [&] { return status_; });
  sut.ready();
  EXPECT_EQ(io_.run_for(10ms), 0U);
}

}  // namespace
}  // namespace understudy
