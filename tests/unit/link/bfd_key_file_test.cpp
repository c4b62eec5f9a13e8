// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_key_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::link::bfd {
namespace {

class BfdKeyFile : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  ~BfdKeyFile() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text, mode_t mode = 0600) const {
    std::filesystem::remove(path_);
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
  }
  [[nodiscard]] std::string complaint(const std::string& text, mode_t mode = 0600) const {
    write(text, mode);
    const auto key = read_key_file(path_, 20);
    return key ? "no complaint" : key.error().message.substr(path_.size());
  }
  /// What [bfd] with these lines reads as, or its problem without the file's name.
  Authentication read(const std::string& lines, KeyFile key_file = KeyFile::Read) {
    std::ofstream(config_) << "[bfd]\n" << lines;
    ConfigReader reader(config_);
    auto root = reader.root();
    auto table = root.table("bfd");
    auto authentication = read_authentication(table, config_, key_file);
    const auto done = reader.finish();
    problem_ = done ? "" : done.error().message.substr(config_.size());
    return authentication;
  }
  const std::string folder_ = testing::TempDir() + "bfd_key_file_" + std::to_string(getpid());
  const std::string path_ = folder_ + "/bfd.key";
  const std::string config_ = folder_ + "/group.toml";
  std::string problem_;
};

TEST_F(BfdKeyFile, ReadsOneLineWithOrWithoutItsEnd) {
  for (const auto* text : {"twenty-bytes-of-key!\n", "twenty-bytes-of-key!"}) {
    write(text);
    EXPECT_EQ(read_key_file(path_, 20).value(), "twenty-bytes-of-key!");
  }
  write(" k\n");
  EXPECT_EQ(read_key_file(path_, 20).value(), " k") << "a space is a character as any other";
}

TEST_F(BfdKeyFile, AFileThatOthersMayReadIsRefused) {
  for (const mode_t mode : {0640u, 0604u, 0620u, 0601u, 0777u}) {
    EXPECT_EQ(complaint("key\n", mode), " is open to others than its owner; chmod 600 it") << std::oct << mode;
  }
  EXPECT_EQ(complaint("key\n", 0400), "no complaint");
  if (geteuid() == 0) {
    write("key\n");
    ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
    EXPECT_NE(read_key_file(path_, 20).error().message.find("belongs to another user"), std::string::npos);
  }
}

TEST_F(BfdKeyFile, WhatIsNoKeyIsRefusedAndNotQuoted) {
  const std::string expected = " is not one line of 1 to 20 printable ASCII characters";
  for (const auto* text : {"", "\n", "one\ntwo\n", "key\n\n", "twenty-one-bytes-key!!\n", "k\xc3\xa4se\n", "a\tb\n"}) {
    EXPECT_EQ(complaint(text), expected) << text;
  }
  EXPECT_EQ(complaint(std::string(1000, 'x')), expected);
  EXPECT_EQ(complaint(std::string("a\0b", 3)), expected);
}

TEST_F(BfdKeyFile, WhatIsNoFileIsRefusedAndNotWaitedFor) {
  EXPECT_NE(read_key_file(path_, 20).error().message.find("No such file"), std::string::npos);
  EXPECT_NE(read_key_file(folder_, 20).error().message.find("no regular file"), std::string::npos);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(read_key_file(path_, 20).error().message.find("no regular file"), std::string::npos);
}

TEST_F(BfdKeyFile, TheTableNamesKindNumberAndFile) {
  write("sesame\n");
  const Authentication expected{BfdAuthentication::MeticulousSha1, 9, "sesame"};
  EXPECT_EQ(read("auth = \"meticulous-sha1\"\nkey_id = 9\nkey_file = \"bfd.key\"\n"), expected) << problem_;
  EXPECT_EQ(read("auth = \"meticulous-sha1\"\nkey_id = 9\nkey_file = \"" + path_ + "\"\n"), expected) << problem_;
  EXPECT_EQ(read("auth = \"sha1\"\nkey_file = \"bfd.key\"\n").key_id, 1) << problem_;
  EXPECT_EQ(read(""), Authentication{}) << problem_;
  EXPECT_EQ(problem_, "");
  std::filesystem::remove(path_);
  EXPECT_EQ(read("auth = \"simple\"\nkey_file = \"bfd.key\"\n", KeyFile::Ignore).type, BfdAuthentication::Simple);
  EXPECT_EQ(problem_, "") << "a file that is checked elsewhere need not have its key beside it";
}

TEST_F(BfdKeyFile, EachMistakeInTheTableIsTold) {
  write("a-password-of-20-char\n");
  (void)read("auth = \"md5\"\n");
  EXPECT_EQ(problem_, ":2: \"md5\" is no BFD authentication; write none, simple, sha1 or meticulous-sha1");
  (void)read("auth = \"none\"\nkey_file = \"bfd.key\"\n");
  EXPECT_EQ(problem_, ":3: auth is \"none\", which uses no key; write auth, or remove this");
  (void)read("key_id = 1\n");
  EXPECT_EQ(problem_, ":2: auth is \"none\", which uses no key; write auth, or remove this");
  (void)read("auth = \"sha1\"\nkey_id = 256\nkey_file = \"bfd.key\"\n");
  EXPECT_NE(problem_.find("0 to 255"), std::string::npos) << problem_;
  (void)read("auth = \"sha1\"\n");
  EXPECT_NE(problem_.find("key_file"), std::string::npos) << problem_;
  (void)read("auth = \"simple\"\nkey_file = \"bfd.key\"\n");
  EXPECT_EQ(problem_, ":3: " + path_ + " is not one line of 1 to 16 printable ASCII characters");
}

}  // namespace
}  // namespace understudy::link::bfd
