// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_observer.hpp"

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <vector>

namespace understudy::link::bfd {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t port = 37841;  // not 3784: a real daemon on the machine stays undisturbed
constexpr auto deadline = 20s;

IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

class ObserverTest : public ::testing::Test {
 protected:
  static BfdService::Options service(const char* local) {
    BfdService::Options options;
    options.local_addresses = {address(local)};
    options.port = port;
    return options;
  }
  std::unique_ptr<Observer> observe(const char* local, Duration unknown_max) {
    Observer::Options options{service(local), unknown_max};
    auto started = Observer::start(io, options, [this](const IpAddress&, Vote vote) { told.push_back(vote); });
    EXPECT_TRUE(started.ok());
    return std::move(started).value();
  }
  /// Runs the loop until so many votes were told.
  bool run_until_told(std::size_t count) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (told.size() < count && std::chrono::steady_clock::now() < end) { io.run_one_until(end); }
    return told.size() >= count;
  }

  boost::asio::io_context io;
  // An observer of a peer that is up waits for nothing by itself: the loop would end before the next event is posted.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  std::vector<Vote> told;
};

TEST_F(ObserverTest, WhoNeverSpeaksIsDownAfterTheBound) {
  auto observer = observe("127.0.0.51", 200ms);
  ASSERT_TRUE(observer->add_peer(address("127.0.0.52"), {20ms, 3}).ok());
  ASSERT_TRUE(run_until_told(1));
  EXPECT_EQ(told, std::vector{Vote::Down});
}

TEST_F(ObserverTest, APeerIsUpAndUnknownAfterItsOrderlyStop) {
  auto observer = observe("127.0.0.53", deadline);
  ASSERT_TRUE(observer->add_peer(address("127.0.0.54"), {20ms, 3}).ok());
  auto peer = BfdService::start(service("127.0.0.54"), [](const PeerEvent&) {});
  ASSERT_TRUE(peer.ok());
  ASSERT_TRUE(peer.value()->add_peer(address("127.0.0.53"), {20ms, 3}).ok());
  ASSERT_TRUE(run_until_told(1));
  EXPECT_EQ(told.back(), Vote::Up);
  peer.value()->stop();
  while (told.back() == Vote::Up) { ASSERT_TRUE(run_until_told(told.size() + 1)); }
  // A machine that lost us for a moment may have shown Down in between; the orderly stop is what stays.
  EXPECT_EQ(told.back(), Vote::Unknown);
}

TEST_F(ObserverTest, ARemovedPeerIsNotToldAbout) {
  auto observer = observe("127.0.0.55", 50ms);
  ASSERT_TRUE(observer->add_peer(address("127.0.0.56"), {20ms, 3}).ok());
  ASSERT_TRUE(observer->remove_peer(address("127.0.0.56")).ok());
  ASSERT_TRUE(observer->add_peer(address("127.0.0.57"), {20ms, 3}).ok());
  ASSERT_TRUE(run_until_told(1));  // the second one's bound lies behind the first one's
  EXPECT_EQ(told.size(), 1u);
}

}  // namespace
}  // namespace understudy::link::bfd
