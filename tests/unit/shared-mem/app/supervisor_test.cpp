// SPDX-License-Identifier: Apache-2.0
// Supervisor and Lifecycle as they are used: an application process of its own, a real socket, real signals.
// Covers: shared-mem/src/app/connection.cpp, shared-mem/src/app/process.cpp
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "process.hpp"
#include "support/supervisor_bench.hpp"

namespace understudy::app {
namespace {

using namespace std::chrono_literals;

class LifecycleSupervisor : public testing::Test, protected test::SupervisorBench {
 protected:
  LifecycleSupervisor() {
    char name[] = "/tmp/understudy-supervisor-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~LifecycleSupervisor() override {
    supervisor_.reset();
    // Whatever a failed test left behind: only the process that our own pid file names, beyond doubt.
    if (const auto left = find_running(pid_path())) {
      EXPECT_TRUE(send_signal(left.value(), SIGKILL));
      ::waitpid(left.value().identity.pid, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] std::string pid_path() const { return directory_ + "/app.pid"; }

  void make(const std::vector<std::string>& arguments = {}) {
    ApplicationOptions options;
    options.name = "app";
    options.command = {LIFECYCLE_TEST_APP};
    options.command.insert(options.command.end(), arguments.begin(), arguments.end());
    options.run_dir = directory_;
    options.region_path = directory_ + "/region";
    options.region_bytes = 1 << 20;
    options.store = "things";
    options.log_path = directory_ + "/app.log";
    options.environment = extra_environment_;
    make(options);
  }
  void make(const ApplicationOptions& options) {
    supervisor_ = std::make_unique<Supervisor>(
        io_, options, Supervisor::Callbacks{[this](const ApplicationExit& how) { exit_ = how; }, {}});
  }
  void start(const std::vector<std::string>& arguments = {}) {
    make(arguments);
    const auto started = supervisor_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  Status stop(Supervisor::StopDeadlines deadlines = {2000ms, 5000ms, 5000ms}) {
    return outcome([&](auto done) { supervisor_->stop(deadlines, done); });
  }

  std::string directory_;
  std::vector<std::pair<std::string, std::string>> extra_environment_;
  std::optional<ApplicationExit> exit_;
};

TEST_F(LifecycleSupervisor, AnApplicationGetsReadyActiveQuiescedActiveAgainAndEnds) {
  start();
  EXPECT_FALSE(supervisor_->adopted());
  ASSERT_TRUE(ready());
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  ASSERT_TRUE(activate(3));
  EXPECT_EQ(supervisor_->status().duty, Duty::Active);
  EXPECT_EQ(supervisor_->status().term, Term{3});
  ASSERT_TRUE(quiesce());
  EXPECT_TRUE(supervisor_->status().quiesced);
  ASSERT_TRUE(activate(3)) << "a movement that was rolled back";
  ASSERT_TRUE(outcome([&](auto done) { supervisor_->stand_by(8s, done); }));
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  ASSERT_TRUE(stop());
  ASSERT_TRUE(exit_);
  EXPECT_TRUE(exit_->known && exit_->expected);
  EXPECT_EQ(exit_->status, 0);
  EXPECT_EQ(exit_->signal, 0);
  EXPECT_FALSE(std::filesystem::exists(pid_path()));
}

TEST_F(LifecycleSupervisor, AnOrderBeforeTheApplicationHasConnectedIsSentWhenItDoes) {
  start();
  EXPECT_FALSE(supervisor_->status().connected);
  ASSERT_TRUE(activate(1));
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, WhatTheApplicationRefusesIsToldWithItsReason) {
  start();
  ASSERT_TRUE(activate(5));
  const auto refused = activate(4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::Refused);
  EXPECT_NE(refused.error().message.find("term 4 is below 5"), std::string::npos) << refused.error().message;
  EXPECT_EQ(supervisor_->status().term, Term{5});
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AnActivationThatFailsIsToldAtOnceAndNotAtTheDeadline) {
  start({"cannot-activate"});
  const auto failed = activate(5, 1h);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::Refused);
  EXPECT_NE(failed.error().message.find("the store is damaged"), std::string::npos);
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AMissedDeadlineIsExpiredAndTheApplicationRunsOn) {
  start({"never-quiesces"});
  ASSERT_TRUE(activate(1));
  const auto late = quiesce(50ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::Expired);
  EXPECT_TRUE(supervisor_->status().running);
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AnApplicationsWordThatItNeedsQuiescingIsKnownWhenItIsReady) {
  start();
  ASSERT_TRUE(ready());
  EXPECT_FALSE(supervisor_->status().needs_quiescing);
  ASSERT_TRUE(stop());
  start({"needs-quiescing"});
  ASSERT_TRUE(ready());
  EXPECT_TRUE(supervisor_->status().needs_quiescing);
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AnApplicationsWordThatItsBladeIsUnfitIsKnownAndGoesWithIt) {
  start({"is-unfit"});
  ASSERT_TRUE(activate(3));
  EXPECT_TRUE(run_until([&] { return supervisor_->status().unfit == "96 degrees"; }));
  EXPECT_EQ(supervisor_->status().duty, Duty::Active) << "it serves on";
  supervisor_->kill_now();
  EXPECT_TRUE(run_until([&] { return exit_.has_value(); }));
  EXPECT_EQ(supervisor_->status().unfit, "");
  EXPECT_TRUE(supervisor_->start());
}

TEST_F(LifecycleSupervisor, FitAgainIsKnownToo) {
  start({"was-unfit"});
  ASSERT_TRUE(activate(3));
  EXPECT_TRUE(quiesce());  // what was said before its answer has been heard
  EXPECT_EQ(supervisor_->status().unfit, "");
}

TEST_F(LifecycleSupervisor, ANewOrderReplacesTheOneUnderWay) {
  start({"never-activates"});
  ASSERT_TRUE(ready());
  std::optional<Status> first;
  supervisor_->activate(Term{1}, 1h, [&](Status status) { first = std::move(status); });
  ASSERT_TRUE(outcome([&](auto done) { supervisor_->stand_by(8s, done); }));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->error().code, Errc::Refused);
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AnApplicationThatLostItsStoreIsSeenStandingBy) {
  start({"loses-writer"});
  supervisor_->activate(Term{1}, 8s, {});
  EXPECT_TRUE(run_until([&] { return supervisor_->status().reason == "a newer writer"; }));
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, ACrashIsReportedWithItsSignalAndFailsTheOrderUnderWay) {
  start({"never-activates"});
  ASSERT_TRUE(ready());
  std::optional<Status> order;
  supervisor_->activate(Term{1}, 1h, [&](Status status) { order = std::move(status); });
  supervisor_->kill_now();
  ASSERT_TRUE(run_until([&] { return exit_ && order; }));
  EXPECT_TRUE(exit_->known);
  EXPECT_FALSE(exit_->expected);
  EXPECT_EQ(exit_->signal, SIGKILL);
  EXPECT_FALSE(*order);
  EXPECT_FALSE(supervisor_->status().running);
}

TEST_F(LifecycleSupervisor, AnExitStatusIsReportedAndTheApplicationCanBeStartedAgain) {
  start({"exits=3"});
  ASSERT_TRUE(run_until([&] { return exit_.has_value(); }));
  EXPECT_EQ(exit_->status, 3);
  EXPECT_EQ(exit_->describe(), "ended with status 3");
  exit_.reset();
  ASSERT_TRUE(supervisor_->start());
  ASSERT_TRUE(run_until([&] { return exit_.has_value(); }));
  EXPECT_EQ(exit_->status, 3);
}

TEST_F(LifecycleSupervisor, AfterACrashTheNextProcessIsActivated) {
  start();
  ASSERT_TRUE(activate(2));
  const auto first = supervisor_->status().pid;
  supervisor_->kill_now();
  ASSERT_TRUE(run_until([&] { return exit_.has_value(); }));
  ASSERT_TRUE(supervisor_->start());
  EXPECT_NE(supervisor_->status().pid, first);
  ASSERT_TRUE(activate(2));
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, WhoIgnoresTheOrderGetsSigtermWhoIgnoresThatSigkill) {
  start({"ignores-stop"});
  ASSERT_TRUE(ready());
  ASSERT_TRUE(stop({50ms, 8000ms, 5000ms}));
  ASSERT_TRUE(exit_);
  EXPECT_EQ(exit_->signal, SIGTERM);
  exit_.reset();
  start({"ignores-stop", "ignores-sigterm"});
  ASSERT_TRUE(ready());
  ASSERT_TRUE(stop({50ms, 50ms, 8000ms}));
  ASSERT_TRUE(exit_);
  EXPECT_EQ(exit_->signal, SIGKILL);
}

TEST_F(LifecycleSupervisor, ANewAgentInTheSameProcessFindsTheApplicationServing) {
  start();
  ASSERT_TRUE(activate(7));
  const auto pid = supervisor_->status().pid;
  supervisor_.reset();
  start();
  EXPECT_TRUE(supervisor_->adopted());
  EXPECT_EQ(supervisor_->status().pid, pid);
  ASSERT_TRUE(run_until([&] { return supervisor_->status().connected; }));
  EXPECT_EQ(supervisor_->status().duty, Duty::Active);
  EXPECT_EQ(supervisor_->status().term, Term{7});
  ASSERT_TRUE(activate(8));
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AnAgentThatWasKilledLeavesTheApplicationToTheNextOne) {
  // Parent is told through the pipe that the child's application is active; then the child, an agent, is killed.
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t agent = ::fork();
  ASSERT_GE(agent, 0);
  if (agent == 0) {
    make();
    const bool fine = supervisor_->start().ok() && activate(4).ok();
    [[maybe_unused]] const auto written = ::write(pipe_ends[1], fine ? "y" : "n", 1);
    for (;;) { ::pause(); }
  }
  ::close(pipe_ends[1]);
  char answer = 0;
  ASSERT_EQ(::read(pipe_ends[0], &answer, 1), 1);
  ::close(pipe_ends[0]);
  EXPECT_EQ(answer, 'y');
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(agent, nullptr, 0), agent);

  start();
  EXPECT_TRUE(supervisor_->adopted());
  ASSERT_TRUE(run_until([&] { return supervisor_->status().connected; }));
  EXPECT_EQ(supervisor_->status().duty, Duty::Active);
  EXPECT_EQ(supervisor_->status().term, Term{4});
  ASSERT_TRUE(quiesce());
  ASSERT_TRUE(stop());
  ASSERT_TRUE(exit_);
  EXPECT_FALSE(exit_->known) << "not our child";
}

TEST_F(LifecycleSupervisor, APidFileOfAnotherProcessIsNotBelieved) {
  std::ofstream(pid_path()) << ::getpid() << " 1\n";  // a pid that is used again: another start time
  start();
  EXPECT_FALSE(supervisor_->adopted());
  EXPECT_NE(supervisor_->status().pid, ::getpid());
  ASSERT_TRUE(ready());
  ASSERT_TRUE(stop());
  std::ofstream(pid_path()) << "nonsense\n";
  ASSERT_TRUE(supervisor_->start());
  EXPECT_FALSE(supervisor_->adopted());
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, AProgramThatCannotBeStartedIsSaidSoAndLeavesNothing) {
  ApplicationOptions options;
  options.name = "app";
  options.command = {"/nonexistent/program"};
  options.run_dir = directory_;
  make(options);
  const auto started = supervisor_->start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("/nonexistent/program"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(pid_path()));
  options.command = {"relative"};
  make(options);
  EXPECT_EQ(supervisor_->start().error().code, Errc::BadInput);
  options.command = {LIFECYCLE_TEST_APP};
  options.network_namespace = "/nonexistent/namespace";
  make(options);
  EXPECT_NE(supervisor_->start().error().message.find("/nonexistent/namespace"), std::string::npos);
}

TEST_F(LifecycleSupervisor, AStrangerOnTheSocketIsNotHeard) {
  start({"never-activates"});
  ASSERT_TRUE(ready());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, supervisor_->socket_path().c_str(), sizeof(address.sun_path) - 1);
  Descriptor stranger(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ASSERT_EQ(::connect(stranger.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string lie =
      R"({"duty":"active","term":9,"ready":true,"quiesced":false,"order":1,"refused":false,"reason":""})"
      "\n";
  ::send(stranger.get(), lie.data(), lie.size(), MSG_NOSIGNAL);
  char byte = 0;
  EXPECT_TRUE(run_until([&] {
    const auto got = ::recv(stranger.get(), &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  })) << "it was not hung up on";
  EXPECT_EQ(supervisor_->status().duty, Duty::StandingBy);
  EXPECT_TRUE(supervisor_->status().connected) << "the application's own connection stays";
  ASSERT_TRUE(stop());
}

TEST_F(LifecycleSupervisor, TheApplicationGetsItsEnvironmentAndAGroupOfItsOwn) {
  extra_environment_ = {{"UNDERSTUDY_TEST_WORD", "hello"}};
  start();
  ASSERT_TRUE(ready());
  const auto pid = supervisor_->status().pid;
  EXPECT_EQ(::getpgid(pid), pid);
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ");
  const std::string environment((std::istreambuf_iterator<char>(file)), {});
  for (const auto& entry : {std::string("UNDERSTUDY_TEST_WORD=hello"), "UNDERSTUDY_REGION=" + directory_ + "/region",
                            std::string("UNDERSTUDY_REGION_BYTES=1048576"), std::string("UNDERSTUDY_STORE=things"),
                            "UNDERSTUDY_AGENT=" + supervisor_->socket_path()}) {
    EXPECT_NE(environment.find(entry), std::string::npos) << entry;
  }
  EXPECT_EQ(environment.find("UNDERSTUDY_REGION_OFFSET"), std::string::npos) << "the region begins the file";
  ASSERT_TRUE(stop());
}

}  // namespace
}  // namespace understudy::app
