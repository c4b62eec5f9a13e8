// SPDX-License-Identifier: Apache-2.0
/// Covers: host-agent/edge/leader_file.cpp
#include "edge/leader_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::host {
namespace {

using link::HeardLeader;

TEST(LeaderGuard, AnOlderLeaderOfTheSameStateIsNotObeyed) {
  const auto first = link::hear({}, "state-a", 7);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*first, (HeardLeader{"state-a", 7}));
  EXPECT_EQ(*link::hear(*first, "state-a", 7), *first) << "it came back";
  EXPECT_EQ(link::hear(*first, "state-a", 9)->token, 9U);
  const auto older = link::hear(*first, "state-a", 6);
  ASSERT_FALSE(older.ok());
  EXPECT_EQ(older.error().code, Errc::Refused);
  EXPECT_NE(older.error().message.find("token 6"), std::string::npos) << older.error().message;
  EXPECT_EQ(*link::hear(*first, "state-b", 1), (HeardLeader{"state-b", 1})) << "of another state nothing is known";
}

class LeaderFileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(run_dir); }
  ~LeaderFileTest() override { std::filesystem::remove_all(run_dir); }
  const std::string run_dir = testing::TempDir() + "leader_file_" + std::to_string(getpid());
};

TEST_F(LeaderFileTest, WhoWasHeardIsKnownToTheNextDaemon) {
  EXPECT_EQ(read_heard_leader(run_dir), HeardLeader{});
  const HeardLeader heard{"0123456789abcdef", 1ULL << 63};
  ASSERT_TRUE(write_heard_leader(run_dir, heard).ok());
  EXPECT_EQ(read_heard_leader(run_dir), heard);
}

TEST_F(LeaderFileTest, ADamagedFileIsNobody) {
  for (const auto* text : {"", "{", "[]", R"({"state_id":3,"token":1})", R"({"state_id":"a","token":-1})"}) {
    std::ofstream(run_dir + "/leader.json") << text;
    EXPECT_EQ(read_heard_leader(run_dir), HeardLeader{}) << text;
  }
}

}  // namespace
}  // namespace understudy::host
