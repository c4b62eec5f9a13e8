// SPDX-License-Identifier: Apache-2.0
// Operators' commands, the log that they are written into first, and a disk that takes nothing.
#include "edge/commands.hpp"

#include <gtest/gtest.h>

#include "full_disk.hpp"
#include "support/run_until.hpp"

namespace understudy::control {
namespace {

using Texts = std::vector<std::string>;

class CommandsTest : public testing::Test, protected test::Loop {
 protected:
  void SetUp() override {
    ASSERT_TRUE(log_.use(disk_).ok());
    disk_.full = false;
  }
  void order(const std::string& what) {
    Commands::Order order;
    order.command = {"operator alice", "tests", [this] { return gone_; }};
    order.unlogged = unlogged_;
    order.what = what;
    order.role = RoleId{"role-1"};
    order.check = [this]() -> Result<std::string> {
      return may_ ? Result<std::string>(std::string("begun")) : failure("it is not on-mirror", Errc::Refused);
    };
    order.act = [this] {
      written_before_ = disk_.written.size();
      ++acts_;
      if (ends_meanwhile_) { leads_ = false; }
    };
    sut_.carry_out(std::move(order), [this](const Result<std::string>& answer) { answers_.push_back(answer); });
  }
  [[nodiscard]] Texts written() {
    log_.flush();
    Texts texts;
    for (const auto& event : disk_.written) { texts.push_back(event.text); }
    return texts;
  }

  FullDisk disk_;
  EventLog log_{io_, [] {}};
  bool leads_ = true;
  bool may_ = true;
  bool gone_ = false;
  Commands::Order::Unlogged unlogged_ = Commands::Order::Unlogged::Never;
  bool ends_meanwhile_ = false;
  int acts_ = 0;
  std::size_t written_before_ = 0;
  std::vector<Result<std::string>> answers_;
  Commands sut_{log_, [this] { return leads_; }};
};

TEST_F(CommandsTest, ACommandIsOnTheDiskBeforeItIsDone) {
  order("move role-1");
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_EQ(answers_[0].value(), "begun");
  EXPECT_EQ(acts_, 1);
  EXPECT_EQ(written_before_, 1U);
  EXPECT_EQ(written(), Texts{"operator alice: move role-1, because: tests"});
  EXPECT_EQ(disk_.written[0].role, RoleId{"role-1"});
}

TEST_F(CommandsTest, AFullDiskRefusesItWithAClearLineAndNothingIsDone) {
  disk_.full = true;
  order("move role-1");
  order("move role-1");
  ASSERT_EQ(answers_.size(), 2U);
  for (const auto& answer : answers_) {
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Errc::Refused);
    EXPECT_NE(answer.error().message.find("nothing is done: no command is carried out that is not in the event log"),
              std::string::npos);
    EXPECT_NE(answer.error().message.find("disk is full"), std::string::npos);
  }
  EXPECT_EQ(acts_, 0);
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return !log_.failing(); }));
  for (const auto& text : written()) { EXPECT_NE(text.find("; not done: "), std::string::npos) << text; }
  EXPECT_EQ(written().size(), 2U);
}

TEST_F(CommandsTest, WhatIsForcedIsDoneWithAFullDiskAndIsInTheLogWhenItHasRoom) {
  disk_.full = true;
  unlogged_ = Commands::Order::Unlogged::IfForced;
  order("power off blade-1");
  ASSERT_FALSE(answers_[0].ok());
  EXPECT_NE(answers_[0].error().message.find("; --force does it all the same"), std::string::npos);
  EXPECT_EQ(acts_, 0);
  unlogged_ = Commands::Order::Unlogged::Now;
  order("power off blade-1 by force");
  ASSERT_TRUE(answers_[1].ok()) << answers_[1].error().message;
  EXPECT_EQ(acts_, 1);
  EXPECT_NE(answers_[1].value().find("begun; the event log cannot be written (database or disk is full)"),
            std::string::npos)
      << answers_[1].value();
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return !log_.failing(); }));
  const auto texts = written();
  ASSERT_EQ(texts.size(), 2U);
  EXPECT_EQ(texts[1],
            "operator alice: power off blade-1 by force, because: tests; done although the event log could not be "
            "written then: database or disk is full");
  leads_ = false;
  order("power off blade-1 by force");
  EXPECT_EQ(answers_[2].error().code, Errc::Expired) << "force is no lead";
  EXPECT_EQ(acts_, 1);
}

TEST_F(CommandsTest, ForWhoDoesNotWaitAnyMoreNothingIsDone) {
  gone_ = true;
  order("power off blade-1");
  EXPECT_EQ(acts_, 0) << "it was told that it failed, and may have ordered it elsewhere";
  ASSERT_EQ(written().size(), 2U);
  EXPECT_NE(written()[1].find("; not done: who ordered it does not wait"), std::string::npos) << written()[1];
}

TEST_F(CommandsTest, WhoDoesNotLeadAnyMoreDoesNothingAndSaysSo) {
  leads_ = false;
  order("move role-1");
  ASSERT_EQ(answers_.size(), 1U);
  ASSERT_FALSE(answers_[0].ok()) << "it was dropped, and answered as begun";
  EXPECT_EQ(answers_[0].error().code, Errc::Expired);
  EXPECT_EQ(acts_, 0);
  EXPECT_TRUE(written().empty());
}

TEST_F(CommandsTest, WhoseTenureEndsWhileItActsDoesNotSayThatItIsDone) {
  ends_meanwhile_ = true;
  order("move role-1");
  ASSERT_EQ(answers_.size(), 1U);
  ASSERT_FALSE(answers_[0].ok());
  EXPECT_EQ(answers_[0].error().code, Errc::Expired);
}

TEST_F(CommandsTest, WhatMayNotBeIsToldAndNotDone) {
  may_ = false;
  order("move role-1");
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_FALSE(answers_[0].ok());
  EXPECT_EQ(acts_, 0);
  EXPECT_EQ(written(), Texts{"operator alice: move role-1, because: tests; not done: it is not on-mirror"});
}

}  // namespace
}  // namespace understudy::control
