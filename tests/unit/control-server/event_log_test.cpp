// SPDX-License-Identifier: Apache-2.0
// The event log on the state store's own disk, while that disk takes nothing.
#include "edge/event_log.hpp"

#include <gtest/gtest.h>

#include "full_disk.hpp"
#include "support/run_until.hpp"

namespace understudy::control {
namespace {

class EventLogTest : public testing::Test, protected test::Loop {
 protected:
  void SetUp() override { ASSERT_TRUE(sut_.use(disk_).ok()); }
  void add(const std::string& text) {
    link::EventRecord event;
    event.text = text;
    sut_.add(event);
  }
  [[nodiscard]] std::vector<std::string> written() const {
    std::vector<std::string> texts;
    for (const auto& event : disk_.written) { texts.push_back(std::to_string(event.id) + " " + event.text); }
    return texts;
  }
  FullDisk disk_;
  int told_ = 0;
  EventLog sut_{io_, [this] { ++told_; }};
};

using Texts = std::vector<std::string>;

TEST_F(EventLogTest, WhatAFullDiskRefusesIsWrittenWhenItHasRoom) {
  add("power off blade-2, by alice");
  ASSERT_TRUE(run_until([&] { return disk_.tries > 0; }));
  EXPECT_TRUE(sut_.failing());
  EXPECT_EQ(told_, 0);
  for (int number = 0; number < 20; ++number) { sut_.flush(); }
  add("taken over");
  ASSERT_TRUE(run_until([&] { return disk_.tries > 2; })) << "it tries again by itself";
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return !disk_.written.empty(); }));
  EXPECT_EQ(written(), (Texts{"41 power off blade-2, by alice", "42 taken over"}));
  EXPECT_FALSE(sut_.failing());
  EXPECT_EQ(told_, 1);
  EXPECT_LT(disk_.tries, 20) << "nobody but the timer tries";
  add("protected");
  sut_.flush();
  EXPECT_EQ(written().back(), "43 protected") << "numbers go on";
}

TEST_F(EventLogTest, OfMoreThanCanBeKeptTheNewestAre) {
  for (int number = 0; number < 5000; ++number) { add(std::to_string(number)); }
  sut_.flush();
  disk_.full = false;
  add("last");
  ASSERT_TRUE(run_until([&] { return disk_.written.size() == 2000U; }));
  EXPECT_EQ(written().back(), "2040 last");
}

TEST_F(EventLogTest, WhoWaitsIsToldThatItIsWrittenAndOfAFullDiskThatItIsNot) {
  link::EventRecord event;
  event.text = "policy manual, by alice";
  std::vector<Status> told;
  const auto tell = [&](const Status& done) { told.push_back(done); };
  add("a vote");
  sut_.write(event, tell);
  ASSERT_EQ(told.size(), 1U) << "at once";
  EXPECT_FALSE(told[0].ok());
  sut_.write(event, tell);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].error().message, "database or disk is full");
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return !sut_.failing(); }));
  EXPECT_EQ(written(), Texts{"41 a vote"}) << "what was refused is not told as done";
  sut_.write(event, tell);
  ASSERT_EQ(told.size(), 3U);
  EXPECT_TRUE(told[2].ok());
  EXPECT_EQ(written().back(), "42 policy manual, by alice");
}

}  // namespace
}  // namespace understudy::control
