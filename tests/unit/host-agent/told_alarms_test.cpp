// SPDX-License-Identifier: Apache-2.0
#include "edge/told_alarms.hpp"

#include <gtest/gtest.h>

#include <set>

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
using Reports = ToldAlarms::Reports;

class ToldAlarmsTest : public testing::Test {
 protected:
  Reports heard(const std::string& topic, const std::string& text) {
    return sut_.heard(now_, role_, Term{3}, topic, text);
  }
  Instant now_{1h};
  const RoleId role_{"role-1"};
  ToldAlarms sut_;
};

TEST_F(ToldAlarmsTest, WhatWasSaidWhileNobodyListenedIsToldAfterTheHelloAndWhatStandsAnewEachTime) {
  EXPECT_EQ(heard("", "it happened"), Reports{});
  EXPECT_EQ(heard("gate", "it does not close"), Reports{});
  const link::RoleAlarm event{role_, Term{3}, "", "it happened"};
  const link::RoleAlarm standing{role_, Term{3}, "gate", "it does not close"};
  EXPECT_EQ(sut_.connected(), (Reports{event, standing}));
  sut_.lost();
  EXPECT_EQ(sut_.connected(), Reports{standing}) << "an event is told once";
  EXPECT_EQ(heard("gate", "it does not close"), Reports{}) << "nothing new";
  EXPECT_EQ(sut_.over(role_, "gate"), (Reports{{role_, Term{3}, "gate", ""}}));
  EXPECT_EQ(sut_.over(role_, "gate"), Reports{});
  EXPECT_EQ(sut_.connected(), Reports{});
}

TEST_F(ToldAlarmsTest, WhatStandsEndsWithItsRole) {
  (void)sut_.connected();
  ASSERT_EQ(heard("table-0", "full").size(), 1U);
  EXPECT_EQ(sut_.gone(std::set{role_}), Reports{});
  EXPECT_EQ(sut_.gone(std::set<RoleId>{}), (Reports{{role_, Term{3}, "table-0", ""}}));
}

TEST_F(ToldAlarmsTest, ATopicIsOverByTheBeginningOfItsNameToo) {
  (void)sut_.connected();
  for (const auto* topic : {"mirror-kernel", "mirror-table-1", "gate"}) { (void)heard(topic, "x"); }
  EXPECT_EQ(sut_.over(role_, "mirror-").size(), 2U);
  EXPECT_EQ(sut_.over(RoleId{"role-2"}, "gate").size(), 0U);
}

TEST_F(ToldAlarmsTest, AGuestThatSaysMoreThanAnHonestOneFillsNoLogAndNoStatus) {
  (void)sut_.connected();
  std::size_t told = 0;
  for (int i = 0; i < 1000; ++i) { told += heard("", "the same").size(); }
  EXPECT_EQ(told, 1U);
  for (int i = 0; i < 1000; ++i) {
    told += heard("", std::to_string(i)).size() + heard("t" + std::to_string(i), "x").size();
    told += heard("t", std::to_string(i)).size();
    (void)sut_.over(role_, "t");
  }
  EXPECT_EQ(told, ToldAlarms::most);
  now_ = now_ + ToldAlarms::again;
  EXPECT_EQ(heard("", "the same").size(), 1U) << "it still is so";
  told = 0;
  for (int i = 0; i < 100; ++i) { told += heard("t" + std::to_string(i), "x").size(); }
  EXPECT_EQ(told, ToldAlarms::standing_most);
  EXPECT_EQ(sut_.heard(now_, RoleId{"role-2"}, Term{1}, "", "of another role").size(), 1U);
}

}  // namespace
}  // namespace understudy::host
