// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Waiting in tests whose own thread turns the io_context of what they test.

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>

#include "understudy/common/result.hpp"

namespace understudy::test {

/// Turns `io` until `condition` holds; false when `deadline` passed first.
template <class Condition>
bool run_until(boost::asio::io_context& io, const Condition& condition,
               std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
  const auto give_up = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) { return false; }
    io.restart();
    io.run_one_for(std::chrono::milliseconds(10));
  }
  return true;
}

/// The part of a fixture that has the io_context.
class Loop {
 protected:
  template <class Condition>
  bool run_until(const Condition& condition, std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
    return test::run_until(io_, condition, deadline);
  }
  /// Gives an order (a call that takes a `done`) and turns the loop until it is done.
  template <class Order>
  Status outcome(const Order& order) {
    std::optional<Status> result;
    order([&](Status status) { result = std::move(status); });
    EXPECT_FALSE(result) << "done was called from within the order";
    EXPECT_TRUE(run_until([&] { return result.has_value(); })) << "done was never called";
    return result.value_or(failure("never done"));
  }

  boost::asio::io_context io_;
};

}  // namespace understudy::test
