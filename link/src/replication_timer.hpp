// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What both ends of the product have around their state machines: the io_context's timers, the clock, the log.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "replication_edge.hpp"
#include "understudy/common/log.hpp"

namespace understudy::link::replication {

class IoTimer final : public Timer {
 public:
  IoTimer(boost::asio::io_context& io, std::function<void()> due)
      : state_(std::make_shared<State>(io, std::move(due))) {}
  ~IoTimer() override { cancel(); }
  IoTimer(const IoTimer&) = delete;
  IoTimer& operator=(const IoTimer&) = delete;

  void set(Time at) override {
    state_->timer.expires_at(at);
    // One that is on its way already when it is set anew is none.
    state_->timer.async_wait(
        [weak = std::weak_ptr(state_), mine = ++state_->times](const boost::system::error_code& error) {
          const auto state = weak.lock();  // outlives a timer that goes in what is due
          if (!error && state && state->times == mine) { state->due(); }
        });
  }
  void cancel() override {
    ++state_->times;
    state_->timer.cancel();
  }

 private:
  struct State {
    State(boost::asio::io_context& io, std::function<void()> what) : timer(io), due(std::move(what)) {}
    boost::asio::steady_timer timer;
    std::function<void()> due;
    std::uint64_t times = 0;
  };
  std::shared_ptr<State> state_;
};

/// The parts of an Edge that are the same at both ends.
template <class Base>
class IoEdge : public Base {
 public:
  explicit IoEdge(boost::asio::io_context& io) : io_(io) {}
  [[nodiscard]] Time now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] std::unique_ptr<Timer> make_timer(std::function<void()> due) override {
    return std::make_unique<IoTimer>(io_, std::move(due));
  }
  void tell(Edge::Level level, const std::string& what) override {
    switch (level) {
      case Edge::Level::Debug:
        return log::debug("{}", what);
      case Edge::Level::Info:
        return log::info("{}", what);
      case Edge::Level::Warn:
        return log::warn("{}", what);
    }
  }
  void tell(const Error& error) override { log::error("replication: {}", log::describe(error)); }

 protected:
  boost::asio::io_context& io_;
};

}  // namespace understudy::link::replication
