// SPDX-License-Identifier: Apache-2.0
/// Witnesses that are asked by real ICMP echoes over a cable that is pulled, IPv4 and IPv6, by the kernel's ping
/// sockets and by raw ones.
///
///   [ here: 10.9.0.1, fd09::1 ]────────cable────────[ there: 10.9.0.2, fd09::2 ]
///
/// Covers: control-server/edge/icmp_echo.cpp, control-server/edge/icmp_watch.cpp
#include "edge/icmp_watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "../link/network_namespace.hpp"
#include "support/eventually.hpp"
#include "support/run_until.hpp"
#include "support/without_capabilities.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::control {
namespace {

using namespace std::chrono_literals;
using link::Vote;

IpAddress address(const std::string& text) { return IpAddress::parse(text).value(); }

class IcmpWatchTest : public testing::TestWithParam<bool>, protected test::Loop {
 protected:
  void SetUp() override {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for network namespaces"; }
    here_.emplace();
    there_.emplace();
    ASSERT_TRUE(here_->good() && there_->good());
    ASSERT_TRUE(here_->ip("link add va type veth peer name vb netns " + there_->id()));
    ASSERT_TRUE(here_->ip("addr add 10.9.0.1/24 dev va") && here_->ip("addr add fd09::1/64 dev va nodad") &&
                here_->ip("link set va up"));
    ASSERT_TRUE(there_->ip("addr add 10.9.0.2/24 dev vb") && there_->ip("addr add fd09::2/64 dev vb nodad") &&
                there_->ip("link set vb up"));
    permit_ping_sockets(GetParam());
  }
  void permit_ping_sockets(bool permitted) {
    here_->run([&] { std::ofstream("/proc/sys/net/ipv4/ping_group_range") << (permitted ? "0 0" : "1 0"); });
  }
  void watch() {
    std::vector<WitnessConfig> witnesses;
    for (const auto* where : {"10.9.0.2", "fd09::2"}) {
      witnesses.push_back({where, address(where), WitnessConfig::By::Icmp, 10ms, 3});
    }
    here_->run([&] {
      auto sockets = open_icmp(witnesses, address("10.9.0.1"));
      ASSERT_TRUE(sockets.ok()) << sockets.error().message;
      ASSERT_EQ(sockets->size(), 2U);
      for (const auto& socket : sockets.value()) { EXPECT_EQ(socket.is_raw(), !GetParam()); }
      sut_.emplace(io_, std::move(sockets).value(), witnesses, [this](const WitnessSeen& seen) {
        last_[seen.name] = seen;
        ++told_;
      });
    });
  }
  bool both(Vote vote) {
    return run_until([&] { return last_["10.9.0.2"].vote == vote && last_["fd09::2"].vote == vote; });
  }

  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> waits_{io_.get_executor()};
  std::optional<test::NetworkNamespace> here_;
  std::optional<test::NetworkNamespace> there_;
  std::map<std::string, WitnessSeen> last_;
  int told_ = 0;
  std::optional<IcmpWatch> sut_;
};

TEST_P(IcmpWatchTest, ACableThatIsPulledLosesThemAndTheyAreBackWithIt) {
  const auto began = boot_now();
  watch();
  ASSERT_TRUE(both(Vote::Up));
  for (const auto& [name, seen] : last_) {
    ASSERT_TRUE(run_until([&, name = name] { return last_[name].answered_since.has_value(); })) << name;
    EXPECT_GE(*last_[name].answered_since, began) << name;
  }
  const auto pulled = boot_now();
  ASSERT_TRUE(there_->ip("link set vb down"));
  ASSERT_TRUE(both(Vote::Down));
  for (const auto& [name, seen] : last_) { EXPECT_FALSE(seen.answered_since) << name; }
  ASSERT_TRUE(there_->ip("link set vb up") && there_->ip("addr replace fd09::2/64 dev vb nodad"));
  ASSERT_TRUE(both(Vote::Up));
  for (const auto& [name, seen] : last_) {
    ASSERT_TRUE(run_until([&, name = name] { return last_[name].answered_since.has_value(); })) << name;
    EXPECT_GT(*last_[name].answered_since, pulled) << name << ": what was before is another run";
  }
}

TEST_P(IcmpWatchTest, AnswersOfOthersAreNone) {
  watch();
  ASSERT_TRUE(both(Vote::Up));
  // Another asks the same witness from the same machine: its answers come to a raw socket of ours too.
  here_->run([&] {
    auto other = IcmpSocket::open(true, address("10.9.0.1"));
    ASSERT_TRUE(other.ok()) << other.error().message;
    std::optional<IcmpSocket::Answer> answer;
    const auto heard = [&] { return (answer = other->receive()).has_value(); };
    EXPECT_FALSE(test::eventually(heard, 100ms)) << "some ten answers to the watch go by; it has asked nothing yet";
    ASSERT_TRUE(other->send(address("10.9.0.2"), {0, 7}).ok());
    ASSERT_TRUE(test::eventually(heard));
    EXPECT_EQ(answer->from, address("10.9.0.2"));
    EXPECT_EQ(answer->echo, (Echo{0, 7})) << "its own, and none of the watch's";
  });
}

TEST_P(IcmpWatchTest, WhatWasNotHeardYetWhenItEndsIsNeverTold) {
  const auto answers = [&] {
    int found = 0;
    here_->run([&] {  // two lines: the names, and as many numbers
      std::ifstream file("/proc/thread-self/net/snmp");
      std::vector<std::string> names;
      for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::vector<std::string> all{std::istream_iterator<std::string>(words), {}};
        if (all.empty() || all[0] != "Icmp:") { continue; }
        if (names.empty()) {
          names = all;
          continue;
        }
        const auto at = std::find(names.begin(), names.end(), "InEchoReps") - names.begin();
        found = std::stoi(all.at(static_cast<std::size_t>(at)));
      }
    });
    return found;
  };
  watch();
  ASSERT_TRUE(test::eventually([&] { return answers() >= 2; })) << "one is told by now, and waits";
  sut_.reset();
  io_.poll();
  EXPECT_EQ(told_, 0);
}

INSTANTIATE_TEST_SUITE_P(BySocket, IcmpWatchTest, testing::Bool(),
                         [](const auto& one) { return one.param ? "ping" : "raw"; });

TEST(IcmpSocketTest, WithoutPermissionItIsOneLineThatSaysWhatToDo) {
  if (geteuid() != 0) { GTEST_SKIP() << "needs root for its network namespace"; }
  test::NetworkNamespace here;
  here.run([&] {
    std::ofstream("/proc/sys/net/ipv4/ping_group_range") << "1 0";
    const auto said = test::said_without_capabilities([] {
      const auto refused = IcmpSocket::open(true, {});
      return refused ? std::string("opened") : refused.error().message;
    });
    EXPECT_NE(said.find("net.ipv4.ping_group_range=\"0 0\""), std::string::npos) << said;
  });
}

}  // namespace
}  // namespace understudy::control
