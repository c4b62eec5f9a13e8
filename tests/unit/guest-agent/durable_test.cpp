// SPDX-License-Identifier: Apache-2.0
#include "edge/durable.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/sample_mirror.hpp"

namespace understudy::guest {
namespace {

class DurableTest : public ::testing::Test {
 protected:
  DurableTest() { std::filesystem::create_directories(directory); }
  ~DurableTest() override { std::filesystem::remove_all(directory); }

  std::string directory = ::testing::TempDir() + "durable." + std::to_string(getpid());
  link::RunMirror mirror = test::sample_mirror();
  Durable sut{directory};
};

TEST_F(DurableTest, AFreshGuestServesNothing) { EXPECT_FALSE(sut.serving()); }

TEST_F(DurableTest, AConfigurationAloneIsNoService) {
  ASSERT_TRUE(sut.hold(mirror).ok());
  EXPECT_FALSE(sut.serving());
}

TEST_F(DurableTest, ANewAgentFindsTermAndConfiguration) {
  ASSERT_TRUE(sut.hold(mirror).ok());
  ASSERT_TRUE(sut.remember_serving(Term{8}).ok());
  const auto found = Durable(directory).serving();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->term, Term{8});
  EXPECT_EQ(found->mirror.spec.id, mirror.spec.id);
  EXPECT_EQ(found->mirror.spec.ruleset, mirror.spec.ruleset);
}

TEST_F(DurableTest, WhatIsForgottenServesNoMore) {
  ASSERT_TRUE(sut.hold(mirror).ok());
  ASSERT_TRUE(sut.remember_serving(Term{8}).ok());
  sut.forget_serving();
  EXPECT_FALSE(sut.serving());
}

TEST_F(DurableTest, ATakeoverThatFailedIsKnownToTheNextAgent) {
  EXPECT_FALSE(sut.tried());
  ASSERT_TRUE(sut.remember_serving(Term{8}).ok());
  EXPECT_FALSE(sut.tried());
  sut.forget_serving();
  EXPECT_EQ(Durable(directory).tried(), Term{8});
  sut.forget_serving();
  EXPECT_EQ(sut.tried(), Term{8}) << "there was none since";
}

TEST_F(DurableTest, HalfAFileIsNothing) {
  ASSERT_TRUE(sut.hold(mirror).ok());
  ASSERT_TRUE(sut.remember_serving(Term{8}).ok());
  const auto path = directory + "/mirror.json";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_FALSE(sut.serving());
}

TEST_F(DurableTest, ATermThatIsNoNumberIsNothing) {
  ASSERT_TRUE(sut.hold(mirror).ok());
  std::ofstream(directory + "/serving") << "8 or so";
  EXPECT_FALSE(sut.serving());
}

TEST_F(DurableTest, WhichCopyWasSyncedOutlivesTheAgent) {
  EXPECT_FALSE(sut.whole());
  ASSERT_TRUE(sut.remember_whole(Term{3}).ok());
  EXPECT_EQ(Durable(directory).whole(), Term{3});
}

TEST_F(DurableTest, ADirectoryThatIsNotThereIsAnError) {
  EXPECT_FALSE(Durable(directory + "/missing").remember_serving(Term{8}).ok());
}

}  // namespace
}  // namespace understudy::guest
