// SPDX-License-Identifier: Apache-2.0
#include "results.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace lab {
namespace {

namespace fs = std::filesystem;

class ResultsTest : public testing::Test {
 protected:
  ResultsTest() { fs::create_directories(directory); }
  ~ResultsTest() override { fs::remove_all(directory); }
  [[nodiscard]] static std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
  }
  std::string directory = testing::TempDir() + "lab_results_" + std::to_string(getpid());
  std::string path = directory + "/probe.json";
};

TEST_F(ResultsTest, AResultIsOneLineOfJsonAndNothingBesideIt) {
  write_result(path, {{"sent", 7}, {"error", nullptr}, {"name", "a\nb"}});
  EXPECT_EQ(text_of(path), "{\"sent\":7,\"error\":null,\"name\":\"a\\nb\"}\n");
  EXPECT_EQ(files(), 1U);
}

TEST_F(ResultsTest, ALaterResultReplacesTheWholeEarlierOne) {
  write_result(path, {{"text", std::string(10'000, 'x')}});
  write_result(path, {{"sent", 1}});
  EXPECT_EQ(text_of(path), "{\"sent\":1}\n");
}

TEST_F(ResultsTest, AnOpenReaderKeepsTheFileThatItOpened) {
  write_result(path, {{"sent", 1}});
  std::ifstream reader(path);
  write_result(path, {{"sent", 2}});
  std::string line;
  std::getline(reader, line);
  EXPECT_EQ(line, "{\"sent\":1}");
}

TEST_F(ResultsTest, WhatCannotBeWrittenThrowsWithItsPath) {
  for (const auto& wrong : {directory + "/none/probe.json", directory}) {
    try {
      write_result(wrong, {{"sent", 1}});
      ADD_FAILURE() << wrong << " was written";
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find("write " + wrong), std::string::npos) << error.what();
    }
  }
}

TEST_F(ResultsTest, AFullDiskLeavesTheEarlierResult) {
  write_result(path, {{"sent", 1}});
  const auto beside = path + "." + std::to_string(getpid());
  fs::create_symlink("/dev/full", beside);
  EXPECT_THROW(write_result(path, {{"sent", 2}}), std::system_error);
  EXPECT_EQ(text_of(path), "{\"sent\":1}\n");
}

}  // namespace
}  // namespace lab
