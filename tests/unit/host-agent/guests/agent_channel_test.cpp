// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/agent_channel.hpp"

#include <gtest/gtest.h>

#include "fake_qemu.hpp"

namespace understudy::host {
namespace {

namespace guest = link::guest;

class AgentChannelTest : public testing::Test {
 protected:
  bool run_until(const std::function<bool()>& condition) { return test::run_until(io, condition); }
  void connect() {
    sut.open(peer.path());
    ASSERT_TRUE(run_until([&] { return peer.accepted() && peer.has_heard("identify"); }));
  }
  void say_hello(const std::string& instance) {
    peer.say("\n" + guest::to_line(guest::Hello{"boot", instance, "0.1", "", guest::Activity::Idle, Term{}, "", 0, 0}));
  }

  boost::asio::io_context io;
  test::Peer peer;
  std::vector<std::string> hellos;
  std::vector<guest::GuestEvent> events;
  int lost = 0;
  AgentChannel sut{io,
                   "mirror-role-1",
                   {[this](const guest::Hello& hello) { hellos.push_back(hello.instance); },
                    [this](const guest::GuestEvent& event) { events.push_back(event); }, [this] { ++lost; }}};
};

TEST_F(AgentChannelTest, OrdersAreRefusedUntilAHelloAndSentAfterIt) {
  connect();
  EXPECT_EQ(sut.send(guest::Announce{}).error().code, Errc::Refused);
  say_hello("a");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 1; }));
  ASSERT_TRUE(sut.send(guest::Announce{}));
  ASSERT_TRUE(run_until([&] { return peer.has_heard("announce"); }));
}

TEST_F(AgentChannelTest, EventsBeforeAHelloAreNobodysBusiness) {
  connect();
  peer.say(guest::to_line(guest::Alarm{"old"}));
  say_hello("a");
  peer.say(guest::to_line(guest::Alarm{"new"}));
  ASSERT_TRUE(run_until([&] { return !events.empty(); }));
  EXPECT_EQ(std::get<guest::Alarm>(events[0]).text, "new");
}

TEST_F(AgentChannelTest, ARestartedAgentOpensANewConversationAndARepeatedHelloDoesNot) {
  connect();
  say_hello("a");
  say_hello("a");
  say_hello("b");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 2; }));
  EXPECT_EQ(hellos, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(lost, 1);
}

TEST_F(AgentChannelTest, NewsOfThePortInEitherOrderWithTheHelloEndInAConversation) {
  connect();
  say_hello("a");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 1; }));
  // The restarted agent's hello is heard first, the news of its predecessor's end after it.
  say_hello("b");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 2; }));
  sut.on_guest_end(false);
  EXPECT_FALSE(sut.in_conversation());
  const auto asked = peer.heard().size();
  sut.on_guest_end(true);
  ASSERT_TRUE(run_until([&] { return peer.heard().find("identify", asked) != std::string::npos; }));
  say_hello("b");
  ASSERT_TRUE(run_until([&] { return sut.in_conversation(); }));
}

TEST_F(AgentChannelTest, GarbageIsCountedAndSkipped) {
  connect();
  say_hello("a");
  peer.say("garbage\n{\"event\":\"boom\"}\n" + std::string("\0\xff\n", 3) + "{\"event\":[]}\n");
  peer.say(guest::to_line(guest::Announced{}));
  ASSERT_TRUE(run_until([&] { return !events.empty(); }));
  EXPECT_TRUE(std::holds_alternative<guest::Announced>(events[0]));
  EXPECT_EQ(sut.bad_line_count(), 4U);
  EXPECT_TRUE(sut.in_conversation());
}

TEST_F(AgentChannelTest, ALostConnectionIsMadeAgain) {
  connect();
  say_hello("a");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 1; }));
  peer.hang_up();
  ASSERT_TRUE(run_until([&] { return lost == 1 && peer.accepted() && peer.has_heard("identify"); }));
  say_hello("a");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 2; })) << "the same agent, another conversation";
}

TEST_F(AgentChannelTest, AGuestThatDoesNotReadMakesSendingFailAndNotTheHostGrow) {
  connect();
  say_hello("a");
  ASSERT_TRUE(run_until([&] { return hellos.size() == 1; }));
  guest::Configure big;
  big.mirror.spec.ruleset = std::string(1 << 20, 'x');
  Status sent;
  int count = 0;
  while (sent && count < 1000) {
    sent = sut.send(big);
    ++count;
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::Full);
  EXPECT_LT(count, 100);
}

}  // namespace
}  // namespace understudy::host
