// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/config.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace understudy {
namespace {

class ConfigTest : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    path_ = testing::TempDir() + "config_test_" + std::to_string(getpid()) + ".toml";
    std::ofstream(path_) << text;
    return path_;
  }
  ~ConfigTest() override { std::remove(path_.c_str()); }
  std::string path_;
};

TEST_F(ConfigTest, ReadsValuesAndDefaults) {
  ConfigReader reader(write("name = \"blade-1\"\nport = 7400\n[[role]]\nid = \"role-1\"\n"));
  auto root = reader.root();
  EXPECT_EQ(root.string("name", "a name"), "blade-1");
  EXPECT_EQ(root.integer("port", "a port", 1, 65535), 7400);
  EXPECT_EQ(root.integer_or("backlog", 5, "a count", 1, 10), 5);
  auto roles = root.tables("role");
  ASSERT_EQ(roles.size(), 1U);
  EXPECT_EQ(roles[0].string("id", "an id"), "role-1");
  EXPECT_TRUE(reader.finish().ok());
}

TEST_F(ConfigTest, AnUnknownKeyIsOneLineWithFileAndLineAndTheKnownKeys) {
  ConfigReader reader(write("name = \"x\"\nnmae = \"y\"\n"));
  auto root = reader.root();
  (void)root.string("name", "a name");
  const auto finished = reader.finish();
  ASSERT_FALSE(finished.ok());
  EXPECT_EQ(finished.error().message, path_ + ":2: unknown key \"nmae\" in the file; known here: name");
}

TEST_F(ConfigTest, AWrongTypeSaysWhatToWrite) {
  ConfigReader reader(write("\nport = \"many\"\n"));
  auto root = reader.root();
  (void)root.integer("port", "a port number", 1, 65535);
  EXPECT_EQ(reader.finish().error().message,
            path_ + ":2: \"port\" in the file is wrong; write a port number, 1 to 65535");
}

TEST_F(ConfigTest, AMissingFileIsAnErrorOfTheSameForm) {
  ConfigReader reader("/nonexistent/understudy.toml");
  EXPECT_NE(reader.finish().error().message.find("/nonexistent/understudy.toml:"), std::string::npos);
}

}  // namespace
}  // namespace understudy
