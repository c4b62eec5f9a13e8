// SPDX-License-Identifier: Apache-2.0
#include "edge/recent_alarms.hpp"

#include <gtest/gtest.h>

namespace understudy::control {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

TEST(RecentAlarmsTest, TellsTheNewestFewForAnHour) {
  RecentAlarms sut;
  const Instant start{Duration{100h}};
  EXPECT_TRUE(sut.lines(start).empty());
  sut.tell("refused: a", start);
  sut.tell("refused: b", start + 10min);
  EXPECT_EQ(sut.lines(start + 10min), (Lines{"refused: b (just now)", "refused: a (10 min ago)"}));
  sut.tell("refused: a", start + 20min);
  EXPECT_EQ(sut.lines(start + 20min), (Lines{"refused: a (just now)", "refused: b (10 min ago)"}));
  sut.tell("network: c", start + 21min);
  sut.tell("refused: d", start + 22min);
  sut.tell("refused: e", start + 22min);
  EXPECT_EQ(sut.lines(start + 22min).size(), 4U);
  EXPECT_EQ(sut.lines(start + 22min).back(), "2 more within the hour: understudy events --severity warning");
  EXPECT_EQ(sut.lines(start + 81min),
            (Lines{"refused: e (59 min ago)", "refused: d (59 min ago)", "network: c (60 min ago)"}));
  EXPECT_TRUE(sut.lines(start + 83min).empty());
  for (int number = 0; number < 1000; ++number) { sut.tell(std::to_string(number), start + 90min); }
  EXPECT_EQ(sut.lines(start + 90min).back(), "29 more within the hour: understudy events --severity warning");
}

}  // namespace
}  // namespace understudy::control
