// SPDX-License-Identifier: Apache-2.0
/// How a conversation with a guest begins: hello, echo, what the hello tells of the region's speed. The guest and its
/// QEMU are played here, by a process that only sleeps and the sockets that its record names.
/// Covers: host-agent/edge/guests/guest.cpp
#include "edge/guests/guest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fake_qemu.hpp"
#include "understudy/shm/echo.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::host {
namespace {

namespace guest = link::guest;
using ::testing::HasSubstr;

constexpr std::uint64_t region_bytes = 1 << 20;

class GuestGreeting : public testing::Test, protected test::Loop {
 protected:
  GuestGreeting() {
    std::filesystem::create_directories(run_dir_);
    record_.role = "role-1";
    record_.agent_socket = agent_.path();
    record_.qmp_socket = qmp_.path();
    record_.console_log = run_dir_ + "/console.log";
    record_.qemu_log = run_dir_ + "/qemu.log";
    record_.region_path = "/dev/shm/guest-greeting-" + std::to_string(getpid());
    record_.region_bytes = region_bytes;
    EXPECT_TRUE(shm::Region::create(record_.region_path, region_bytes, {{{"s", {{"t", 8, 8, 8}}, 65536}}}));
  }
  ~GuestGreeting() override {
    sut_.reset();
    if (process_) { EXPECT_TRUE(kill_process(process_->pidfd)); }
    std::filesystem::remove_all(run_dir_);
    std::filesystem::remove(record_.region_path);
  }
  void meet() {
    SpawnOptions sleeping;
    sleeping.command = {"sleep", "60"};
    sleeping.output_path = record_.qemu_log;
    auto spawned = spawn(sleeping, [&](const ProcessIdentity& identity) {
      record_.process = identity;
      return write_record(run_dir_, record_);
    });
    ASSERT_TRUE(spawned) << spawned.error().message;
    process_.emplace(std::move(spawned).value());
    GuestCallbacks callbacks;
    callbacks.on_hello = [this](const guest::Hello&) { said_.push_back("hello"); };
    callbacks.on_slow_memory = [this](const std::string& text) { said_.push_back(text); };
    auto adopted = Guest::adopt(io_, run_dir_, "role-1", std::move(callbacks), std::chrono::seconds(20));
    ASSERT_TRUE(adopted) << adopted.error().message;
    sut_ = std::move(adopted).value();
    ASSERT_TRUE(run_until([&] { return agent_.accepted() && agent_.has_heard("identify"); }));
  }
  /// A guest-agent's first words, and what an honest one answers.
  void greet(const std::string& instance, double load_ns) {
    const auto conversations = said_.size();
    const auto heard = agent_.heard().size();
    agent_.say("\n" + guest::to_line(guest::Hello{"boot", instance, "0.1", "", guest::Activity::Idle, Term{},
                                                  "ivshmem BAR resource2", load_ns, 4}));
    ASSERT_TRUE(run_until([&] { return agent_.heard().find("\"echo\"", heard) != std::string::npos; }));
    auto echo = shm::Echo::open(record_.region_path, region_bytes).value();
    const guest::Echoed answer{echo.hear(shm::Echo::Side::Host), shm::Echo::make_nonce(), ""};
    echo.say(shm::Echo::Side::Guest, answer.said);
    agent_.say(guest::to_line(answer));
    ASSERT_TRUE(run_until([&] { return said_.size() > conversations && said_.back() == "hello"; }));
  }

  const std::string run_dir_ = testing::TempDir() + "guest_greeting_" + std::to_string(getpid());
  test::Peer agent_;
  test::Peer qmp_;
  GuestRecord record_;
  std::optional<SpawnedProcess> process_;
  std::unique_ptr<Guest> sut_;
  std::vector<std::string> said_;
};

TEST_F(GuestGreeting, ASlowRegionIsToldOnceBeforeTheHello) {
  ASSERT_NO_FATAL_FAILURE(meet());
  ASSERT_NO_FATAL_FAILURE(greet("a", 180));
  ASSERT_EQ(said_.size(), 2U);
  EXPECT_THAT(said_[0], HasSubstr("mirror-role-1: its region (ivshmem BAR resource2) is slow"));
  EXPECT_THAT(said_[0], HasSubstr("45 times as long"));
  ASSERT_NO_FATAL_FAILURE(greet("b", 180));
  EXPECT_EQ(said_.size(), 3U) << "a restarted guest-agent measures the same";
}

TEST_F(GuestGreeting, AFastOneIsNot) {
  ASSERT_NO_FATAL_FAILURE(meet());
  ASSERT_NO_FATAL_FAILURE(greet("a", 5));
  EXPECT_EQ(said_, (std::vector<std::string>{"hello"}));
}

}  // namespace
}  // namespace understudy::host
