// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/guest_record.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::host {
namespace {

class GuestRecordTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(run_dir); }
  ~GuestRecordTest() override { std::filesystem::remove_all(run_dir); }
  std::string run_dir = testing::TempDir() + "guest_record_" + std::to_string(getpid());
};

TEST_F(GuestRecordTest, SurvivesItsFile) {
  const GuestRecord record{"role-1", {4711, 123456789012345ULL, "boot"},
                           "tcg",    "/q",
                           "/a",     "",
                           "",       "/c",
                           "/l",     "/r",
                           1 << 20,  {{"ext", "tap0", MacAddress::parse("02:e0:00:00:00:01").value()}}};
  ASSERT_TRUE(write_record(run_dir, record));
  const auto read = read_record(run_dir, "role-1");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read.value(), record);
  EXPECT_EQ(recorded_roles(run_dir), (std::vector<std::string>{"role-1"}));
  remove_record(run_dir, "role-1");
  EXPECT_EQ(read_record(run_dir, "role-1").error().code, Errc::NotFound);
}

TEST_F(GuestRecordTest, DamageIsAnErrorAndNoProcess) {
  for (const std::string& text : {std::string(), std::string("{"), std::string("{}"), std::string("[1]"),
                                  std::string(R"({"role":"role-1","pid":-1})"), std::string(100000, ' ')}) {
    std::ofstream(record_path(run_dir, "role-1")) << text;
    EXPECT_FALSE(read_record(run_dir, "role-1")) << text.substr(0, 40);
  }
}

TEST_F(GuestRecordTest, OtherFilesAreNoRoles) {
  for (const char* name : {"mirror-.json", "mirror-a.console.log", "accelerator", "mirror-b.json.partial"}) {
    std::ofstream(run_dir + "/" + name) << "x";
  }
  EXPECT_TRUE(recorded_roles(run_dir).empty());
  EXPECT_TRUE(recorded_roles(run_dir + "/none").empty());
}

}  // namespace
}  // namespace understudy::host
