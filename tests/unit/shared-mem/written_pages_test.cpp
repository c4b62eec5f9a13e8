// SPDX-License-Identifier: Apache-2.0
#include "written_pages.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>

#include "region_fixture.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

constexpr std::size_t pages = 1500;  // several page tables, and more ranges than one look can tell

/// A fresh file in /dev/shm, mapped twice: the second mapping is not watched.
class WrittenPagesTest : public testing::Test {
 protected:
  void SetUp() override {
    const int fd = ::open(file_.path().c_str(), O_RDWR | O_CREAT, 0600);
    ASSERT_EQ(::ftruncate(fd, static_cast<off_t>(pages * layout::page_bytes)), 0);
    for (auto* mapping : {&memory_, &other_}) {
      void* at = ::mmap(nullptr, pages * layout::page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      ASSERT_NE(at, MAP_FAILED);
      *mapping = {static_cast<std::byte*>(at), pages * layout::page_bytes};
    }
    auto watching = WrittenPages::watch(memory_);
    if (!watching) { GTEST_SKIP() << watching.error().message; }
    sut_.emplace(std::move(watching).value());
    fd_ = fd;
  }
  void TearDown() override {
    sut_.reset();
    for (const auto& mapping : {memory_, other_}) { ::munmap(mapping.data(), mapping.size()); }
    ::close(fd_);
  }
  std::set<std::uint64_t> taken() {
    std::vector<std::uint64_t> found;
    const auto looked = sut_->take(found);
    EXPECT_TRUE(looked) << looked.error().message;
    return {found.begin(), found.end()};
  }
  static bool has_all(const std::set<std::uint64_t>& found, const std::set<std::uint64_t>& wanted) {
    return std::ranges::includes(found, wanted);
  }

  RegionFile file_;
  int fd_ = -1;
  std::span<std::byte> memory_;
  std::span<std::byte> other_;
  std::optional<WrittenPages> sut_;
};

TEST_F(WrittenPagesTest, EveryWrittenPageIsToldOnce) {
  EXPECT_TRUE(taken().empty()) << "nothing was written yet";
  std::mt19937_64 random(1);
  for (int round = 0; round < 30; ++round) {
    std::set<std::uint64_t> written;
    for (std::uint64_t left = random() % (round % 3 == 0 ? 1000 : 10); left > 0; --left) {
      const std::uint64_t page = random() % pages;
      memory_[page * layout::page_bytes + random() % layout::page_bytes] = std::byte(round);
      written.insert(page);
    }
    EXPECT_TRUE(has_all(taken(), written)) << "round " << round;
    EXPECT_TRUE(taken().empty()) << "round " << round;
  }
}

TEST_F(WrittenPagesTest, APageThatWasOnlyReadOrWrittenElsewhereMayBeMissing) {
  volatile std::byte seen{};
  for (std::size_t page = 0; page < pages; ++page) { seen = memory_[page * layout::page_bytes]; }
  (void)seen;
  (void)taken();
  other_[5 * layout::page_bytes] = std::byte{1};
  memory_[6 * layout::page_bytes] = std::byte{1};
  EXPECT_EQ(taken(), std::set<std::uint64_t>{6});
}

TEST_F(WrittenPagesTest, WhatTheKernelWritesIsToldToo) {
  (void)taken();
  ASSERT_EQ(::pread(fd_, memory_.data() + 9 * layout::page_bytes, 100, 0), 100);
  EXPECT_TRUE(has_all(taken(), {9}));
}

TEST_F(WrittenPagesTest, PagesThatTheKernelDroppedFromTheMappingStayKnown) {
  (void)taken();
  memory_[3 * layout::page_bytes] = std::byte{1};
  EXPECT_TRUE(has_all(taken(), {3}));
  ASSERT_EQ(::madvise(memory_.data(), memory_.size(), MADV_DONTNEED), 0);
  memory_[4 * layout::page_bytes] = std::byte{1};
  EXPECT_TRUE(has_all(taken(), {4}));
}

TEST(WrittenPages, AMappingThatCannotBeWatchedIsToldWithAReason) {
  const int fd = ::open("/proc/self/exe", O_RDONLY);
  void* at = ::mmap(nullptr, layout::page_bytes, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  ASSERT_NE(at, MAP_FAILED);
  const auto refused = WrittenPages::watch({static_cast<std::byte*>(at), layout::page_bytes});
  ASSERT_FALSE(refused);
  EXPECT_FALSE(refused.error().message.empty());
  ::munmap(at, layout::page_bytes);
}

}  // namespace
}  // namespace understudy::shm
