// SPDX-License-Identifier: Apache-2.0
#include "edge/drill.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "support/run_until.hpp"

namespace understudy::host {
namespace {

class DrillTest : public testing::Test, protected test::Loop {
 protected:
  ~DrillTest() override { std::remove(log.c_str()); }
  Status drill(const std::string& script) {
    std::optional<Status> result;
    run_drill(io_, {"sh", "-c", script, "drill"}, "role-2", log, [&](Status status) {
      EXPECT_FALSE(result) << "told twice";
      result = std::move(status);
    });
    EXPECT_TRUE(run_until([&] { return result.has_value(); }));
    return result.value_or(failure("never told"));
  }
  [[nodiscard]] std::string logged() const {
    std::ifstream file(log);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string log = testing::TempDir() + "drill_test_" + std::to_string(getpid());
};

TEST_F(DrillTest, GetsTheRoleAsItsLastArgumentAndItsOutputIsKept) {
  const auto done = drill("echo \"$# $1\"; echo told >&2");
  EXPECT_TRUE(done.ok()) << (done ? "" : done.error().message);
  EXPECT_EQ(logged(), "1 role-2\ntold\n");
}

TEST_F(DrillTest, AnExitStatusFailsTheStepAndIsTold) {
  const auto done = drill("exit 3");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message, "the drill sh ended with status 3");
}

TEST_F(DrillTest, ADrillThatIsKilledFailsTheStepToo) {
  const auto done = drill("kill -9 $$");
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message.find("the drill sh"), std::string::npos);
  EXPECT_NE(done.error().message.find("9"), std::string::npos) << done.error().message;
}

TEST_F(DrillTest, TheMovementWaitsWhileItRuns) {
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  const auto path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(gate[0]);
  std::optional<Status> result;
  run_drill(io_, {"sh", "-c", "echo waits; read word <" + path, "drill"}, "role-2", log,
            [&](Status status) { result = std::move(status); });
  ASSERT_TRUE(run_until([&] { return logged() == "waits\n"; }));
  io_.poll();
  EXPECT_FALSE(result);
  ASSERT_EQ(write(gate[1], "go\n", 3), 3);
  EXPECT_TRUE(run_until([&] { return result.has_value(); }));
  EXPECT_TRUE(result && result->ok());
  close(gate[0]);
  close(gate[1]);
}

TEST_F(DrillTest, AProgramThatIsNotThereFailsTheStep) {
  std::optional<Status> result;
  run_drill(io_, {"/no/such/drill"}, "role-2", log, [&](Status status) { result = std::move(status); });
  ASSERT_TRUE(run_until([&] { return result.has_value(); }));
  ASSERT_FALSE(result->ok());
  EXPECT_NE(result->error().message.find("/no/such/drill"), std::string::npos) << result->error().message;
}

TEST_F(DrillTest, ALogThatCannotBeMadeFailsTheStep) {
  log = "/no/such/directory/log";
  EXPECT_FALSE(drill("true").ok());
}

}  // namespace
}  // namespace understudy::host
