// SPDX-License-Identifier: Apache-2.0
#include "edge/held_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::host {
namespace {

class HeldFileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(run_dir); }
  ~HeldFileTest() override { std::filesystem::remove_all(run_dir); }
  static HeldRecord record() {
    HeldRecord made;
    made.spec.id = RoleId{"role-1"};
    made.spec.number = 1;
    made.spec.ruleset = "table inet gateway {\n}\n";
    made.stage = RoleStage::Moving;
    made.term = Term{2};
    made.move_term = Term{3};
    made.spent = Term{7};
    made.spoiled = true;
    made.highest = Term{9};
    made.lease = link::ArmLease{made.spec.id, Term{2}, 1ULL << 63, 2000, 3000};
    made.mirror = link::RunMirror{made.spec, Term{1}, BladeId{"blade-1"}, {}, {}};
    return made;
  }
  std::string run_dir = testing::TempDir() + "held_file_" + std::to_string(getpid());
};

TEST_F(HeldFileTest, SurvivesItsFileInEveryStage) {
  for (int i = 0; i <= static_cast<int>(RoleStage::Moving); ++i) {
    auto written = record();
    written.stage = static_cast<RoleStage>(i);
    written.moved = i == 2;
    if (i % 2 == 0) { written.mirror.reset(); }
    if (i % 3 == 0) { written.lease.reset(); }
    ASSERT_TRUE(write_held(run_dir, "boot", written));
    const auto read = read_held(run_dir, "boot");
    ASSERT_EQ(read.problems, std::vector<std::string>{});
    ASSERT_EQ(read.records.size(), 1U);
    EXPECT_EQ(read.records[0], written) << to_string(written.stage);
  }
  ASSERT_TRUE(give_up_held(run_dir, "boot", {RoleId{"role-1"}, Term{9}}));
  const auto left = read_held(run_dir, "boot");
  EXPECT_TRUE(left.records.empty());
  EXPECT_EQ(left.given_up, (std::vector<GivenUp>{{RoleId{"role-1"}, Term{9}}}));
}

/// The very bytes that a host-agent of an earlier version may find, or leave.
TEST_F(HeldFileTest, WhatWasGivenUpIsReadAsItWasWrittenOnce) {
  std::ofstream(run_dir + "/given-up-role-1.json") << R"({"boot_id":"boot","role":"role-1","highest":9})"
                                                   << "\n";
  auto read = read_held(run_dir, "boot");
  EXPECT_EQ(read.problems, std::vector<std::string>{});
  EXPECT_EQ(read.given_up, (std::vector<GivenUp>{{RoleId{"role-1"}, Term{9}}}));
  read = read_held(run_dir, "another boot");
  EXPECT_TRUE(read.given_up.empty()) << "its regions are gone with that boot";
  EXPECT_FALSE(std::filesystem::exists(run_dir + "/given-up-role-1.json"));
}

TEST_F(HeldFileTest, WhatWasGivenUpAndIsDamagedIsTold) {
  std::ofstream(run_dir + "/given-up-role-1.json") << R"({"boot_id":"boot","role":"role-1"})";
  const auto read = read_held(run_dir, "boot");
  EXPECT_TRUE(read.given_up.empty());
  ASSERT_EQ(read.problems.size(), 1U);
  EXPECT_NE(read.problems[0].find("highest"), std::string::npos) << read.problems[0];
}

TEST_F(HeldFileTest, OneThatWasWrittenBeforeTheHighestTermWasKeptIsRead) {
  ASSERT_TRUE(write_held(run_dir, "boot", record()));
  const std::string path = run_dir + "/held-role-1.json";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string field = R"("highest":9,)";
  ASSERT_NE(text.find(field), std::string::npos);
  std::ofstream(path) << text.erase(text.find(field), field.size());
  const auto read = read_held(run_dir, "boot");
  ASSERT_EQ(read.problems, std::vector<std::string>{});
  auto expected = record();
  expected.highest = Term{};
  EXPECT_EQ(read.records, std::vector<HeldRecord>{expected});
}

TEST_F(HeldFileTest, OfAnotherBootItMeansNothing) {
  ASSERT_TRUE(write_held(run_dir, "boot", record()));
  const auto read = read_held(run_dir, "another boot");
  EXPECT_TRUE(read.records.empty());
  EXPECT_TRUE(read.problems.empty());
}

TEST_F(HeldFileTest, OneThatWasWrittenBeforeThereWereLeasesIsReadAndHasNone) {
  ASSERT_TRUE(write_held(run_dir, "boot", record()));
  const std::string path = run_dir + "/held-role-1.json";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto begin = text.find(R"("lease":)");
  ASSERT_NE(begin, std::string::npos);
  text.erase(begin, text.find('}', begin) + 2 - begin);  // the comma after it goes too
  std::ofstream(path) << text;
  const auto read = read_held(run_dir, "boot");
  ASSERT_EQ(read.problems, std::vector<std::string>{});
  auto expected = record();
  expected.lease.reset();
  EXPECT_EQ(read.records, std::vector<HeldRecord>{expected});
}

TEST_F(HeldFileTest, ALeaseThatIsDamagedIsTold) {
  ASSERT_TRUE(write_held(run_dir, "boot", record()));
  const std::string path = run_dir + "/held-role-1.json";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string length = R"("length_ms":2000)";
  text.replace(text.find(length), length.size(), R"("length_ms":5000000000)");
  std::ofstream(path) << text;
  const auto read = read_held(run_dir, "boot");
  EXPECT_TRUE(read.records.empty());
  ASSERT_EQ(read.problems.size(), 1U);
  EXPECT_NE(read.problems[0].find("length_ms is 5000000000"), std::string::npos) << read.problems[0];
}

TEST_F(HeldFileTest, DamageIsToldAndHidesNoOtherRole) {
  ASSERT_TRUE(write_held(run_dir, "boot", record()));
  std::ofstream(run_dir + "/held-role-0.json") << "{\"boot_id\": 3";
  const auto read = read_held(run_dir, "boot");
  EXPECT_EQ(read.records.size(), 1U);
  ASSERT_EQ(read.problems.size(), 1U);
  EXPECT_NE(read.problems[0].find("held-role-0.json is not JSON"), std::string::npos) << read.problems[0];
}

}  // namespace
}  // namespace understudy::host
