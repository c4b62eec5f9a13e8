// SPDX-License-Identifier: Apache-2.0
// Regions are made beside the loop: whoever needs the loop has it meanwhile, and nothing is left of what nobody wants.
#include "edge/region_maker.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <fstream>
#include <vector>

#include "support/eventually.hpp"
#include "support/held_back.hpp"
#include "support/run_until.hpp"

namespace understudy::host {
namespace {

class RegionMakerTest : public testing::Test, protected test::Loop {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "region_maker_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override {
    slow_.let_go();
    sut_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  RegionOrder order(const std::string& name, bool keep = false) {
    shm::StoreSchema store;
    store.name = "state";
    store.journal_bytes = 64 * 1024;
    store.tables = {{"numbers", 8, 8, 16}};
    const shm::RegionSchema schema{{store}};
    return {folder_ + "/" + name, shm::Region::size_needed(schema).value(), schema, 0, keep};
  }
  /// The first region named "slow" is made when the test lets it go, all others at once.
  Result<shm::Region> create(const RegionOrder& of) {
    if (of.path.ends_with("slow")) { slow_.wait(); }
    return RegionMaker::create_file(of);
  }
  RegionMaker::Made into(std::vector<Result<std::optional<shm::Region>>>& results) {
    return [&results](Result<std::optional<shm::Region>> made) { results.push_back(std::move(made)); };
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::string folder_;
  test::HeldBack slow_;
  std::shared_ptr<int> wanted_ = std::make_shared<int>(0);
  std::unique_ptr<RegionMaker> sut_ = std::make_unique<RegionMaker>(io_, [this](const auto& of) { return create(of); });
  std::vector<Result<std::optional<shm::Region>>> slow_made_;
  std::vector<Result<std::optional<shm::Region>>> made_;
};

TEST_F(RegionMakerTest, WhileOneIsMadeTheLoopTurnsAndAnotherRoleGetsItsOwn) {
  sut_->make(order("slow"), wanted_, into(slow_made_));
  ASSERT_TRUE(run_until([&] { return slow_.waits(); }));
  int ticks = 0;  // of a watchdog, a lease, a gate
  boost::asio::steady_timer timer(io_);
  std::function<void()> tick = [&] {
    timer.expires_after(std::chrono::milliseconds(1));
    timer.async_wait([&](const auto& error) {
      if (!error && ++ticks < 20) { tick(); }
    });
  };
  tick();
  sut_->make(order("quick"), wanted_, into(made_));
  ASSERT_TRUE(run_until([&] { return ticks == 20 && !made_.empty(); }));
  EXPECT_TRUE(made_.front().ok());
  EXPECT_TRUE(slow_.waits() && slow_made_.empty());
  slow_.let_go();
  ASSERT_TRUE(run_until([&] { return !slow_made_.empty(); }));
  ASSERT_TRUE(slow_made_.front().ok());
  EXPECT_TRUE((*slow_made_.front())->store("state").ok());
}

TEST_F(RegionMakerTest, ALaterOrderForTheSameFileComesBehindAndKeepsWhatIsThere) {
  sut_->make(order("slow", true), wanted_, into(slow_made_));
  auto later = std::make_shared<int>(0);
  sut_->make(order("slow", true), later, into(made_));
  ASSERT_TRUE(run_until([&] { return slow_.waits(); }));
  wanted_.reset();  // the first order is overtaken
  slow_.let_go();
  ASSERT_TRUE(run_until([&] { return !made_.empty(); }));
  ASSERT_TRUE(made_.front().ok());
  EXPECT_TRUE(slow_made_.empty());
  EXPECT_TRUE(shm::Region::open(order("slow").path, shm::Access::ReadOnly).ok());
  EXPECT_EQ(files(), 1U);
}

TEST_F(RegionMakerTest, WhatSomebodyElseMadeMeanwhileIsKept) {
  std::optional<FileIdentity> of_another;
  sut_ = std::make_unique<RegionMaker>(io_, [&](const RegionOrder& of) {
    EXPECT_TRUE(shm::Region::create(of.path, of.bytes, of.schema));
    of_another = file_identity(of.path);
    return RegionMaker::create_file(of);
  });
  sut_->make(order("one", true), wanted_, into(made_));
  ASSERT_TRUE(run_until([&] { return !made_.empty(); }));
  ASSERT_TRUE(made_.front().ok()) << made_.front().error().message;
  EXPECT_FALSE(made_.front()->has_value()) << "it was not made, it was there";
  EXPECT_EQ(file_identity(order("one").path), of_another);
}

TEST_F(RegionMakerTest, WhatCannotBeLookedAtIsKept) {
  const auto path = order("one").path;
  std::filesystem::create_symlink(path, path);
  sut_->make(order("one", true), wanted_, into(made_));
  ASSERT_TRUE(run_until([&] { return !made_.empty(); }));
  EXPECT_TRUE(std::filesystem::is_symlink(path)) << "somebody's region was replaced by an empty one";
}

TEST_F(RegionMakerTest, WhatNobodyWantsAnyMoreIsRemovedAndNotTold) {
  sut_->make(order("slow"), wanted_, into(slow_made_));
  sut_->make(order("slow"), wanted_, into(slow_made_));  // not begun yet: never made
  ASSERT_TRUE(run_until([&] { return slow_.waits(); }));
  wanted_.reset();
  slow_.let_go();
  auto now = std::make_shared<int>(0);
  sut_->make(order("quick"), now, into(made_));
  ASSERT_TRUE(run_until([&] { return !made_.empty() && files() == 1; })) << "only the wanted one is there";
  EXPECT_TRUE(slow_made_.empty());
  EXPECT_EQ(slow_.came(), 1);
}

TEST_F(RegionMakerTest, GivenUpInTheLastMomentItIsRemovedUnlessASuccessorHasIt) {
  const auto file = order("one").path;
  for (const bool succeeded : {false, true}) {
    wanted_ = std::make_shared<int>(0);
    auto later = std::make_shared<int>(0);
    sut_->make(order("one"), wanted_, into(slow_made_));
    if (succeeded) { sut_->make(order("one", true), later, into(made_)); }
    ASSERT_TRUE(test::eventually([&] { return file_identity(file).has_value(); }));
    wanted_.reset();  // it is made, and the loop has not heard of it
    ASSERT_TRUE(run_until([&] { return succeeded ? !made_.empty() : files() == 0; })) << succeeded;
    EXPECT_TRUE(slow_made_.empty());
  }
  EXPECT_TRUE(shm::Region::open(file, shm::Access::ReadOnly).ok());
}

TEST_F(RegionMakerTest, AFailureIsTold) {
  auto refused = order("none");
  refused.bytes += 1;
  sut_->make(refused, wanted_, into(made_));
  ASSERT_TRUE(run_until([&] { return !made_.empty(); }));
  EXPECT_EQ(made_.front().error().code, Errc::BadInput);
}

TEST_F(RegionMakerTest, ADaemonThatStopsWaitsForNoRegion) {
  sut_->make(order("slow"), wanted_, into(slow_made_));
  sut_->make(order("slow"), wanted_, into(slow_made_));
  ASSERT_TRUE(run_until([&] { return slow_.waits(); }));
  sut_.reset();  // returns, or the test hangs
  EXPECT_TRUE(slow_.waits());
  slow_.let_go();
  ASSERT_TRUE(test::eventually([&] { return file_identity(order("slow").path).has_value(); }));
  io_.restart();
  io_.poll();
  EXPECT_TRUE(slow_made_.empty());
  EXPECT_EQ(slow_.came(), 1) << "what was not begun is not begun any more";
}

TEST_F(RegionMakerTest, TheNextStartRemovesWhatAKilledDaemonHadNotFinished) {
  std::ofstream(folder_ + "/understudy-role-1.new.77.0") << "memory that nobody would ever free";
  ASSERT_TRUE(RegionMaker::create_file(order("understudy-role-2")).ok());
  std::ofstream(folder_ + "/another.new.77.0") << "not ours";
  sut_->remove_left_behind(folder_, "understudy-");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/understudy-role-1.new.77.0"));
  EXPECT_EQ(files(), 2U);
}

TEST_F(RegionMakerTest, TheNextStartLeavesTheRegionsOfRolesWhateverTheyAreCalled) {
  const std::vector<std::string> roles{"understudy-web.new.eu", "understudy-web.new.7", "understudy-web.new.7.1"};
  for (const auto& role : roles) { ASSERT_TRUE(RegionMaker::create_file(order(role)).ok()); }
  sut_->remove_left_behind(folder_, "understudy-");
  for (const auto& role : roles) { EXPECT_TRUE(std::filesystem::exists(order(role).path)) << role; }
}

TEST_F(RegionMakerTest, OnlyTheVeryFileIsRemoved) {
  ASSERT_TRUE(RegionMaker::create_file(order("one")).ok());
  const auto former = file_identity(order("one").path);
  ASSERT_TRUE(RegionMaker::create_file(order("one")).ok());
  sut_->remove(order("one").path, former);
  EXPECT_EQ(files(), 1U);
  sut_->remove(order("one").path, file_identity(order("one").path));
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace understudy::host
