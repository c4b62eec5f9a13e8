// SPDX-License-Identifier: Apache-2.0
#include "bfd_sequence_file.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::link::bfd {
namespace {

constexpr std::uint32_t clock_now = 5'000'000;

class BfdSequenceFile : public testing::Test {
 protected:
  ~BfdSequenceFile() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] SequenceFile open(const std::string& boot = "boot-1", std::uint32_t clock = clock_now) const {
    auto opened = SequenceFile::open(path_, boot, clock);
    EXPECT_TRUE(opened.ok()) << (opened ? "" : opened.error().message);
    return std::move(opened).value();
  }
  const std::string folder_ = testing::TempDir() + "bfd_sequence_file_" + std::to_string(getpid());
  const std::string path_ = folder_ + "/run/agent.bfd";
  const IpAddress peer_ = IpAddress::parse("192.168.1.250").value();
  const IpAddress other_ = IpAddress::parse("fd00::250").value();
};

TEST_F(BfdSequenceFile, BeginsAtTheClockAndGoesOnWhereTheLastOneStopped) {
  {
    auto file = open();
    EXPECT_EQ(*file.slot_of(peer_), clock_now);
    *file.slot_of(peer_) += 7;
    *file.slot_of(other_) += 1;
  }
  auto file = open("boot-1", clock_now + 100'000);
  EXPECT_EQ(*file.slot_of(peer_), clock_now + 7) << "exactly: a peer's window is a few numbers wide";
  EXPECT_EQ(*file.slot_of(other_), clock_now + 1);
  struct stat found {};
  ASSERT_EQ(stat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

TEST_F(BfdSequenceFile, AFolderThatCannotBeMadeIsNamed) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ + "/run") << "a file";
  const auto opened = SequenceFile::open(path_, "boot-1", clock_now);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(folder_ + "/run cannot be made"), std::string::npos) << opened.error().message;
}

TEST_F(BfdSequenceFile, AKilledProcessLeavesEveryNumberThatItHadWritten) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto file = open();
    auto* kept = file.slot_of(peer_);
    for (;;) {
      ++*kept;  // before the packet goes out
      if (write(ends[1], kept, sizeof *kept) != sizeof *kept) { _exit(1); }
    }
  }
  std::uint32_t sent = 0;
  for (int i = 0; i < 1000; ++i) { ASSERT_EQ(read(ends[0], &sent, sizeof sent), ssize_t{sizeof sent}); }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ends[1]);
  while (read(ends[0], &sent, sizeof sent) > 0) {}
  close(ends[0]);
  auto file = open();
  EXPECT_GE(*file.slot_of(peer_), sent);
  EXPECT_LE(*file.slot_of(peer_), sent + 1);
}

TEST_F(BfdSequenceFile, OnAnotherBootNumbersGoOnFromTheClockOrFromTheFileWhateverIsFurther) {
  {
    auto file = open();
    *file.slot_of(peer_) += 7;
    *file.slot_of(other_) = clock_now + 2'000'000;
  }
  {
    auto file = open("boot-2", clock_now + 1'000'000);
    EXPECT_EQ(*file.slot_of(peer_), clock_now + 1'000'000);
    EXPECT_EQ(*file.slot_of(other_), clock_now + 2'000'000) << "the clock was put back";
  }
  auto wrapped = open("boot-3", 5);  // half a year later the number begins anew; "further" is circular
  EXPECT_EQ(*wrapped.slot_of(peer_), clock_now + 1'000'000);
  auto after = open("boot-4", 0x90000000);
  EXPECT_EQ(*after.slot_of(peer_), clock_now + 1'000'000) << "more than half of the circle ahead is behind";
}

TEST_F(BfdSequenceFile, WhatIsNoSuchFileIsBegunAnew) {
  std::filesystem::create_directories(folder_ + "/run");
  for (const std::string text : {"", "short", "a longer text than the magic number, but of another length"}) {
    std::ofstream(path_) << text;
    EXPECT_EQ(*open().slot_of(peer_), clock_now);
  }
  const auto whole = std::filesystem::file_size(path_);
  std::ofstream(path_) << std::string(whole, '\xff');
  EXPECT_EQ(*open().slot_of(peer_), clock_now);
}

TEST_F(BfdSequenceFile, HasRoomForManyPeersAndSaysWhenItIsFull) {
  auto file = open();
  int peers = 0;
  for (IpAddress peer = peer_; peers < 1000 && file.slot_of(peer) != nullptr; ++peers) {
    *file.slot_of(peer) = static_cast<std::uint32_t>(peers);
    peer.bytes[2] = static_cast<std::uint8_t>(peers / 200);
    peer.bytes[3] = static_cast<std::uint8_t>(peers % 200);
  }
  EXPECT_EQ(peers, 126);
  EXPECT_EQ(*file.slot_of(peer_), 0u);
}

TEST_F(BfdSequenceFile, AFileThatCannotBeMadeIsAnError) {
  std::filesystem::create_directories(path_);  // a directory in its place
  EXPECT_FALSE(SequenceFile::open(path_, "boot-1", clock_now).ok());
}

TEST(BfdSequenceClock, OnlyGrows) {
  const auto first = sequence_of_clock();
  EXPECT_LE(sequence_of_clock() - first, 256u * 60) << "no step back";
  EXPECT_FALSE(this_boot().empty());
}

}  // namespace
}  // namespace understudy::link::bfd
