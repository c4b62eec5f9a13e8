// SPDX-License-Identifier: Apache-2.0
// Applications under an agent: in C the example, and one that makes every report there is; in C++ the program that the
// README shows first.
// Covers: shared-mem/src/c_api/lifecycle.cpp
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "process.hpp"
#include "support/supervisor_bench.hpp"

namespace understudy::app {
namespace {

using namespace std::chrono_literals;

class CApplication : public testing::Test, protected test::SupervisorBench {
 protected:
  CApplication() {
    char name[] = "/dev/shm/understudy-c-application-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~CApplication() override {
    supervisor_.reset();
    if (const auto left = find_running(directory_ + "/app.pid")) {
      EXPECT_TRUE(send_signal(left.value(), SIGKILL));
      ::waitpid(left.value().identity.pid, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }
  void start(const std::vector<std::string>& command, const std::string& store, bool with_region = true,
             const shm::TableSchema& table = {"counters", 8, 8, 16}) {
    const shm::RegionSchema schema{{{store, {table}, 64 * 1024}}};
    ApplicationOptions options;
    options.name = "app";
    options.command = command;
    options.run_dir = directory_;
    options.region_path = directory_ + "/region";
    options.region_bytes = shm::Region::size_needed(schema).value();
    options.store = store;
    options.log_path = directory_ + "/app.log";
    if (with_region) { region_ = shm::Region::create(options.region_path, options.region_bytes, schema).value(); }
    supervisor_ = std::make_unique<Supervisor>(
        io_, options, Supervisor::Callbacks{[this](const ApplicationExit& how) { exit_ = how; }, {}});
    const auto started = supervisor_->start();
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_TRUE(ready());
  }
  Status stand_by() {
    return outcome([&](auto done) { supervisor_->stand_by(order_deadline, done); });
  }
  void stop() {
    const auto stopped = outcome([&](auto done) { supervisor_->stop({5000ms, 5000ms, 5000ms}, done); });
    EXPECT_TRUE(stopped) << stopped.error().message;
    ASSERT_TRUE(exit_);
    EXPECT_TRUE(exit_->known && exit_->signal == 0 && exit_->status == 0) << exit_->describe();
  }
  /// What it has printed, to either.
  [[nodiscard]] std::string told() const {
    std::ifstream log(directory_ + "/app.log");
    return {std::istreambuf_iterator<char>(log), {}};
  }
  [[nodiscard]] shm::Store store(const std::string& name) const { return region_->store(name).value(); }

  std::string directory_;
  std::optional<shm::Region> region_;
  std::optional<ApplicationExit> exit_;
};

TEST_F(CApplication, TheExampleCountsOnThroughAMovementThatIsRolledBack) {
  start({COUNTER_C}, "counter");
  const auto counters = store("counter");
  const auto counted = [&] {
    const std::uint64_t key = 1;
    std::uint64_t count = 0;
    const auto got = counters.get(0, shm::as_bytes_of(key), std::as_writable_bytes(std::span(&count, 1)));
    EXPECT_TRUE(got || got.error().code == Errc::NotFound) << got.error().message;
    return got ? count : 0;
  };
  EXPECT_EQ(counted(), 0U) << "standing by";
  ASSERT_TRUE(activate(3));
  EXPECT_EQ(supervisor_->status().term, Term{3});
  ASSERT_TRUE(run_until([&] { return counted() >= 1; }));

  // A count is told outside only when the mirror holds it.
  auto agents = store("counter");
  EXPECT_TRUE(run_until([&] { return told().find("1 EXPOSED\n") != std::string::npos; })) << told();
  const Sequence held = counters.committed();
  ASSERT_TRUE(agents.set_mirrored({true, held}));
  EXPECT_TRUE(run_until([&] { return told().find("not told: the mirror of store") != std::string::npos; })) << told();
  ASSERT_TRUE(agents.set_mirrored({true, Sequence{held.value + 1000}}));
  EXPECT_TRUE(run_until([&] {
    const auto all = told();
    const auto last = all.rfind("not told");
    return all.find_first_of("0123456789", all.find('\n', last)) != std::string::npos;
  })) << told();

  ASSERT_TRUE(quiesce());
  EXPECT_TRUE(supervisor_->status().quiesced);
  const auto at_rest = counted();
  ASSERT_TRUE(activate(3)) << "rolled back";
  EXPECT_EQ(supervisor_->status().duty, Duty::Active);
  ASSERT_TRUE(run_until([&] { return counted() > at_rest; }));

  ASSERT_TRUE(stand_by());
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  const auto given_up = counters.become_writer(Term{4});
  EXPECT_TRUE(given_up) << "it has closed its writer: " << given_up.error().message;
  stop();
}

/// A get copies as many bytes as the region says: into an object of 8 no store of others may come.
TEST_F(CApplication, AStoreOfOtherSizesThanItsOwnIsNotOpened) {
  start({COUNTER_C}, "counter", true, {"counters", 8, 4096, 4});
  {
    auto others = store("counter").become_writer(Term{1}).value();
    const std::uint64_t key = 1;
    const std::vector<std::byte> value(4096, std::byte{0x41});
    ASSERT_TRUE(others.put(0, shm::as_bytes_of(key), value));
  }
  const auto refused = activate(3);
  ASSERT_FALSE(refused) << "it has 8 bytes for a value of 4096";
  EXPECT_EQ(refused.error().code, Errc::Refused);
  EXPECT_NE(refused.error().message.find("of another schema than this program's"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(store("counter").committed(), Sequence{1}) << "and is left alone";
  stop();
}

TEST_F(CApplication, WhatHappensToItIsToldWithItsReason) {
  start({LIFECYCLE_TEST_APP_C}, "things", false);
  const auto refused = activate(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::Refused);
  EXPECT_NE(refused.error().message.find("is absent"), std::string::npos) << refused.error().message;
  stop();
}

TEST_F(CApplication, AWriterThatItLostIsTold) {
  start({LIFECYCLE_TEST_APP_C, "loses-writer"}, "things");
  static_cast<void>(activate(1));  // it was active for a moment
  ASSERT_TRUE(run_until([&] { return supervisor_->status().reason == "a newer writer"; }));
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  stop();
}

TEST_F(CApplication, ThatIsQuiescedHasClosedItsWriter) {
  start({LIFECYCLE_TEST_APP_C, "needs-quiescing"}, "things");
  EXPECT_TRUE(supervisor_->status().needs_quiescing);
  ASSERT_TRUE(activate(1));
  EXPECT_FALSE(store("things").become_writer(Term{2})) << "it writes";
  ASSERT_TRUE(quiesce());
  EXPECT_TRUE(supervisor_->status().quiesced);
  EXPECT_TRUE(store("things").become_writer(Term{1}));
  ASSERT_TRUE(activate(1)) << "rolled back";
  ASSERT_TRUE(stand_by());
  stop();
}

TEST_F(CApplication, ThatIsNotQuiescedInTimeIsToldSo) {
  start({LIFECYCLE_TEST_APP_C, "never-quiesces"}, "things");
  ASSERT_TRUE(activate(1));
  EXPECT_EQ(quiesce(50ms).error().code, Errc::Expired);
  EXPECT_FALSE(supervisor_->status().quiesced);
  stop();
}

class TheProgramThatTheReadmeShows : public CApplication {
 protected:
  static constexpr const char* store_name = "shop";
  void start_it(bool first) { start({README_PROGRAM}, store_name, first, {"visits", 8, 8, 1000}); }
  [[nodiscard]] std::uint64_t visits() const {
    const std::uint64_t key = 7;
    std::uint64_t count = 0;
    const auto got = store(store_name).get(0, shm::as_bytes_of(key), std::as_writable_bytes(std::span(&count, 1)));
    EXPECT_TRUE(got || got.error().code == Errc::NotFound) << got.error().message;
    return count;
  }
};

/// As on an active, through a movement that is rolled back, and again where the role is served next.
TEST_F(TheProgramThatTheReadmeShows, IsServedByAnAgentInTwoLives) {
  start_it(true);
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  EXPECT_EQ(visits(), 0U) << "standing by it writes nothing";
  ASSERT_TRUE(activate(1));
  EXPECT_EQ(supervisor_->status().duty, Duty::Active);
  EXPECT_EQ(visits(), 1U);
  EXPECT_EQ(store(store_name).term(), Term{1});
  ASSERT_TRUE(quiesce());
  EXPECT_TRUE(supervisor_->status().quiesced);
  ASSERT_TRUE(activate(1)) << "rolled back";
  EXPECT_EQ(supervisor_->status().duty, Duty::Active);
  ASSERT_TRUE(quiesce());
  stop();
  EXPECT_EQ(told(), "");

  exit_.reset();
  supervisor_.reset();
  start_it(false);
  const auto before = store(store_name).committed();
  EXPECT_EQ(visits(), 1U) << "what it has written in its first life";
  ASSERT_TRUE(activate(2));
  EXPECT_EQ(supervisor_->status().term, Term{2});
  EXPECT_EQ(store(store_name).term(), Term{2});
  EXPECT_GT(store(store_name).committed(), before);
  ASSERT_TRUE(stand_by());
  const auto given_up = store(store_name).become_writer(Term{3});
  EXPECT_TRUE(given_up) << "it has closed its writer: " << given_up.error().message;
  stop();
}

}  // namespace
}  // namespace understudy::app
