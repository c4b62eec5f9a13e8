// SPDX-License-Identifier: Apache-2.0
/// What a blade says of itself as a place for its role: the real core, real commands, and the carriers of real cables:
///     host e0 (external) ──── o0     host e1 (intranet-2) ──── o1
/// Covers: host-agent/edge/health_runner.cpp
#include "edge/health_runner.hpp"

#include <sys/stat.h>

#include <fstream>

#include "../net-state/lab.hpp"
#include "core/blade.hpp"
#include "support/run_until.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/net/carrier.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
using link::UnfitCause;
using net::test::TestNamespace;

const RoleId kRole{"role-2"};

class HealthRunnerTest : public testing::Test, protected understudy::test::Loop {
 protected:
  /// How it ended: empty, well.
  std::string run(const std::vector<std::string>& command, std::uint32_t deadline_ms = 10'000,
                  const std::string& network_namespace = {}) {
    std::optional<std::string> answer;
    sut_.run(kRole, {command, 1000, deadline_ms, 1}, network_namespace, [&](const std::string& how) {
      EXPECT_FALSE(answer) << "answered twice";
      answer = how;
    });
    EXPECT_FALSE(answer) << "answered from within the call";
    EXPECT_TRUE(run_until([&] { return answer.has_value(); }));
    return answer.value_or("never answered");
  }
  std::string shell(const std::string& line, std::uint32_t deadline_ms = 10'000) {
    return run({"/bin/sh", "-c", line}, deadline_ms);
  }
  /// Starts a child that outlives the shell, and writes its number down.
  [[nodiscard]] std::string leaves_a_child() const {
    return "sleep 600 & echo $! > " + file_ + ".new; mv " + file_ + ".new " + file_ + "; ";
  }
  [[nodiscard]] bool child_is_gone() const {
    pid_t child = 0;
    std::ifstream(file_) >> child;
    std::filesystem::remove(file_);
    EXPECT_GT(child, 1);
    return understudy::test::eventually([&] {
      std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
      std::string pid;
      std::string name;
      std::string state;
      return !(stat >> pid >> name >> state) || state == "Z";
    });
  }
  const std::string file_ = testing::TempDir() + "health-child-" + std::to_string(::getpid());
  std::optional<HealthRunner> runner_{std::in_place, io_};
  HealthRunner& sut_ = *runner_;
};

TEST_F(HealthRunnerTest, ItsEndIsTheAnswerWithTheLastLineOfWhatItSaid) {
  EXPECT_EQ(shell("echo all is well; exit 0"), "");
  EXPECT_EQ(shell("echo first; echo 'no \033[31mdatabase' >&2; echo; exit 3"), "ended with status 3: no [31mdatabase");
  EXPECT_EQ(shell("exit 1"), "ended with status 1");
  EXPECT_EQ(shell("kill -9 $$"), "ended by signal 9");
  EXPECT_NE(run({"/nowhere/check"}).find("/nowhere/check cannot be started"), std::string::npos);
}

TEST_F(HealthRunnerTest, MuchOutputIsReadAndForgotten) {
  const auto how = shell("yes 0123456789 | head -c 3000000; echo; printf '%0500d' 7; exit 1");
  EXPECT_EQ(how, "ended with status 1: " + std::string(200, '0'));
}

TEST_F(HealthRunnerTest, ItKnowsItsRole) {
  EXPECT_EQ(shell("echo $UNDERSTUDY_ROLE; exit 1"), "ended with status 1: role-2");
}

TEST_F(HealthRunnerTest, PastItsDeadlineItIsKilledWithAllThatItStarted) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(shell(leaves_a_child() + "wait", 200), "it did not end within 200 ms and was killed");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  EXPECT_TRUE(child_is_gone()) << "it runs on";
}

TEST_F(HealthRunnerTest, WhatItLeavesBehindHoldsNobodyUpAndIsKilled) {
  EXPECT_EQ(shell(leaves_a_child() + "echo gone; exit 1"), "ended with status 1: gone");
  EXPECT_TRUE(child_is_gone()) << "every check leaves one more";
  EXPECT_EQ(shell(leaves_a_child() + "exit 0"), "");
  EXPECT_TRUE(child_is_gone()) << "of one that is well, too";
}

TEST_F(HealthRunnerTest, NothingOfItOutlivesItsRunner) {
  sut_.run(kRole, {{"/bin/sh", "-c", leaves_a_child() + "wait"}, 1000, 60'000, 1}, "",
           [](const std::string&) { ADD_FAILURE() << "nobody is there to be told"; });
  ASSERT_TRUE(run_until([&] { return std::filesystem::exists(file_); }));
  runner_.reset();
  EXPECT_TRUE(child_is_gone());
}

TEST_F(HealthRunnerTest, OfOneRoleNoSecondCommandRunsBesideTheFirst) {
  std::vector<std::string> answers;
  const auto done = [&](const std::string& how) { answers.push_back(how); };
  sut_.run(kRole, {{"/bin/sleep", "600"}, 1000, 300, 1}, "", done);
  sut_.run(kRole, {{"/bin/true"}, 1000, 300, 1}, "", done);
  sut_.run(RoleId{"role-3"}, {{"/bin/true"}, 1000, 5000, 1}, "", done);
  ASSERT_TRUE(run_until([&] { return answers.size() == 3; }));
  EXPECT_EQ(answers[0], "the one before has not ended, although it was killed");
  EXPECT_EQ(answers[1], "");
  EXPECT_EQ(answers[2], "it did not end within 300 ms and was killed");
  EXPECT_EQ(run({"/bin/true"}), "") << "and then there is room again";
}

TEST_F(HealthRunnerTest, ItRunsInTheRolesNetworkNamespace) {
  UNDERSTUDY_NEEDS_ROOT();
  const TestNamespace where("health");
  struct stat there {};
  ASSERT_EQ(::stat(where.path().c_str(), &there), 0);
  const auto how = run({"/bin/sh", "-c", "stat -L -c %i /proc/self/ns/net; exit 1"}, 10'000, where.path());
  EXPECT_EQ(how, "ended with status 1: " + std::to_string(there.st_ino));
  EXPECT_NE(run({"/bin/true"}, 10'000, "/run/netns/nowhere").find("/run/netns/nowhere"), std::string::npos);
}

// --- the core with them ---

class FitnessOfABlade : public testing::Test, protected understudy::test::Loop {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    host_.emplace("fitness");
    outside_.emplace("outside");
    connect(*host_, "e0", *outside_, "o0");
    connect(*host_, "e1", *outside_, "o1");
    carriers_.emplace(host_->in([] { return net::CarrierWatch::open({"e0", "e1"}).value(); }));
    spec_.id = kRole;
    spec_.ports = {{"ext", "external", {}, {}}, {"int", "intranet-2", {}, {}}};
    spec_.link_down_ms = 200;
  }
  void TearDown() override { std::filesystem::remove(ill_); }

  void step(const Event& event) {
    for (const auto& effect : blade_.step(boot_now(), event)) {
      if (const auto* check = std::get_if<CheckHealth>(&effect)) {
        runner_.run(check->role, spec_.health, "", [this](const std::string& failure) {
          step(HealthAnswered{kRole, failure});
        });
      }
      const auto* sent = std::get_if<SendReport>(&effect);
      if (sent == nullptr) { continue; }
      if (const auto* unfit = std::get_if<link::RoleUnfit>(&sent->report)) { unfit_.push_back(*unfit); }
      if (const auto* fit = std::get_if<link::RoleFit>(&sent->report)) { fit_.push_back(*fit); }
    }
  }
  void serve() {
    step(OrderArrived{link::ServeRole{spec_, Term{1}}});
    step(StepDone{kRole, Step::PrepareHost});
    step(StepDone{kRole, Step::OpenHostGate});
  }
  /// The agent's loop: deadlines, and the kernel's word about links.
  template <class Condition>
  bool serves_until(const Condition& condition) {
    return run_until([&] {
      if (const auto due = blade_.next_deadline(); due && *due <= boot_now()) { step(Tick{}); }
      pollfd told{carriers_->fd(), POLLIN, 0};
      if (!looked_ || ::poll(&told, 1, 0) == 1) { look(); }
      return condition();
    });
  }
  void look() {
    looked_ = true;
    const auto carriers = carriers_->look().value();
    step(LinkChanged{"external", carriers.at("e0")});
    step(LinkChanged{"intranet-2", carriers.at("e1")});
  }

  std::optional<TestNamespace> host_;
  std::optional<TestNamespace> outside_;
  std::optional<net::CarrierWatch> carriers_;
  bool looked_ = false;
  link::RoleSpec spec_;
  std::string ill_ = testing::TempDir() + "health-ill-" + std::to_string(::getpid());
  Blade blade_{BladeId{"blade-2"}, "boot"};
  HealthRunner runner_{io_};
  std::vector<link::RoleUnfit> unfit_;
  std::vector<link::RoleFit> fit_;
};

TEST_F(FitnessOfABlade, ACommandThatFailsIsUnfitWithWhatItSaidAndOneThatSucceedsIsFit) {
  spec_.health = {{"/bin/sh", "-c", "test ! -e " + ill_ + " || { echo the disk is full; exit 1; }"}, 50, 5000, 2};
  serve();
  std::ofstream(ill_) << "";
  ASSERT_TRUE(serves_until([&] { return !unfit_.empty(); }));
  EXPECT_EQ(unfit_[0].detail, "its health command failed 2 times in a row: ended with status 1: the disk is full");
  EXPECT_TRUE(fit_.empty());
  std::filesystem::remove(ill_);
  ASSERT_TRUE(serves_until([&] { return !fit_.empty(); }));
  EXPECT_EQ(fit_[0].cause, UnfitCause::Health);
  EXPECT_EQ(unfit_.size(), 1U);
}

TEST_F(FitnessOfABlade, ACableThatIsPulledIsUnfitAndOneThatIsPutBackIsFit) {
  serve();
  ASSERT_TRUE(serves_until([&] { return looked_; }));
  auto outside = outside_->links();
  ASSERT_OK(outside.set_up("o0", false));
  const auto pulled = boot_now();
  ASSERT_TRUE(serves_until([&] { return !unfit_.empty(); }));
  EXPECT_GE(boot_now() - pulled, 190ms) << "one that blinks is not down";
  EXPECT_EQ(unfit_[0].cause, UnfitCause::Link);
  EXPECT_EQ(unfit_[0].networks, std::vector<std::string>{"external"});
  ASSERT_OK(outside.set_up("o0", true));
  ASSERT_TRUE(serves_until([&] { return !fit_.empty(); }));
}

}  // namespace
}  // namespace understudy::host
