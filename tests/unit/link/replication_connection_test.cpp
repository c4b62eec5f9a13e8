// SPDX-License-Identifier: Apache-2.0
/// What is said while a handler is still busy: at once, in order, and never half.
/// Covers: link/src/replication_connection.cpp
#include "replication_connection.hpp"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "support/pki.hpp"
#include "support/run_until.hpp"

namespace understudy::link::replication {
namespace {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

/// A waits for B's words; B is busy with A's first frame.
class TwoEnds : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
    tcp::socket to_b(io);
    to_b.connect(acceptor.local_endpoint());
    tcp::socket to_a = acceptor.accept();
    to_a.set_option(boost::asio::socket_base::send_buffer_size(4096));
    std::unique_ptr<tls::Session> of_a;
    std::unique_ptr<tls::Session> of_b;
    if (GetParam()) {
      pki.emplace();
      of_a = tls::Session::open(tls::End::Server, pki->credentials(tls::Kind::Blade, "blade-1")).value();
      of_b = tls::Session::open(tls::End::Client, pki->credentials(tls::Kind::Mirror, "blade-4", "role-1")).value();
    }
    a = std::make_shared<FrameConnection>(std::move(to_b), std::move(of_a));
    b = std::make_shared<FrameConnection>(std::move(to_a), std::move(of_b));
    Wire::Handlers of_a_end;
    of_a_end.on_frame = [this](const Frame& frame) {
      heard.push_back(frame.header.first.value);
      return Status{};
    };
    of_a_end.on_closed = [this](const std::string& why) { closed += why; };
    a->set_handlers(std::move(of_a_end));
    Wire::Handlers of_b_end;
    of_b_end.on_frame = [this](const Frame&) {
      while_busy();
      return Status{};
    };
    of_b_end.on_read_done = of_b_end.on_written = [this] {
      if (said && !b->writing() && !std::exchange(last_said, true)) { b->write(batch(frame_of(last_word, 100))); }
    };
    of_b_end.on_closed = [this](const std::string& why) { closed += why; };
    b->set_handlers(std::move(of_b_end));
    a->start();
    b->start();
    a->write(batch(frame_of(0, 10)));
  }
  static EncodedFrame frame_of(std::uint64_t number, std::size_t bytes) {
    return encode({FrameType::Heartbeat, 0, Term{1}, 0, Sequence{number}},
                  std::vector<std::byte>(bytes, std::byte(number)));
  }
  static std::vector<EncodedFrame> batch(EncodedFrame frame) {
    std::vector<EncodedFrame> all;
    all.push_back(std::move(frame));
    return all;
  }
  bool heard_all() {
    return test::run_until(
        io, [&] { return !heard.empty() && heard.back() == last_word; }, 10s);
  }

  static constexpr std::uint64_t last_word = 1'000'000;
  std::optional<test::Pki> pki;
  boost::asio::io_context io;
  std::shared_ptr<FrameConnection> a;
  std::shared_ptr<FrameConnection> b;
  std::function<void()> while_busy;
  bool said = false;
  bool last_said = false;
  std::vector<std::uint64_t> heard;
  std::string closed;
};
INSTANTIATE_TEST_SUITE_P(Over, TwoEnds, testing::Values(false, true),
                         [](const auto& tls) { return tls.param ? "Tls" : "PlainText"; });

TEST_P(TwoEnds, HearEachOtherWhileOneIsBusy) {
  std::size_t arrived = 0;
  while_busy = [&] {
    for (std::uint64_t number = 1; number <= 5; ++number) { b->say_now(frame_of(number, 100)); }
    said = true;
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (a->waiting_bytes() == 0 && std::chrono::steady_clock::now() < until) {}
    arrived = a->waiting_bytes();
  };
  ASSERT_TRUE(heard_all()) << closed;
  EXPECT_GT(arrived, 100U) << "it was on its way before the handler returned";
  EXPECT_EQ(heard, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, last_word}));
}

/// Nobody reads meanwhile.
TEST_P(TwoEnds, HearNothingTornWhereTheSocketIsFull) {
  while_busy = [&] {
    for (std::uint64_t number = 1; number <= 50; ++number) { b->say_now(frame_of(number, 300'000)); }
    said = true;
  };
  ASSERT_TRUE(heard_all()) << closed;
  EXPECT_GT(heard.size(), 1U);
  EXPECT_LT(heard.size(), 50U) << "else the socket was never full";
  for (std::size_t i = 0; i + 1 < heard.size(); ++i) { EXPECT_EQ(heard[i], i + 1); }
}

}  // namespace
}  // namespace understudy::link::replication
