// SPDX-License-Identifier: Apache-2.0
#include "edge/worker.hpp"

#include <gtest/gtest.h>

#include <future>

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

}  // namespace
}  // namespace understudy::control
