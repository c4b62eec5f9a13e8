// SPDX-License-Identifier: Apache-2.0
#include "edge/worker.hpp"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

namespace understudy::control {
namespace {

using namespace std::chrono_literals;

TEST(WorkerForEachBladeTest, WhatHangsForOneBladeKeepsNoOtherWaiting) {
  std::promise<void> answer;
  std::promise<void> other;
  WorkerForEachBlade workers;
  workers.of(BladeId{"blade-1"}).add([&] { answer.get_future().wait(); });
  workers.of(BladeId{"blade-2"}).add([&] { other.set_value(); });
  EXPECT_EQ(other.get_future().wait_for(10s), std::future_status::ready);
  answer.set_value();
}

/// Ten looks of ten seconds each, and an isolation behind them.
TEST(WorkerTest, WhatChangesSomethingGoesBeforeEveryLookThatWaits) {
  std::promise<void> began;
  std::promise<void> go_on;
  std::promise<void> done;
  std::vector<std::string> order;
  Worker worker;
  worker.add_look([&] {
    order.emplace_back("look under way");
    EXPECT_FALSE(worker.is_wanted());
    began.set_value();
    go_on.get_future().wait();
    EXPECT_TRUE(worker.is_wanted());
  });
  worker.add_look([&] {
    order.emplace_back("look");
    done.set_value();
  });
  began.get_future().wait();
  worker.add([&] { order.emplace_back("isolate"); });
  worker.add([&] { order.emplace_back("readmit"); });
  go_on.set_value();
  ASSERT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_EQ(order, (std::vector<std::string>{"look under way", "isolate", "readmit", "look"}));
}

}  // namespace
}  // namespace understudy::control
