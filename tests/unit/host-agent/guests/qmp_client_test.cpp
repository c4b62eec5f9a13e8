// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/qmp_client.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "fake_qemu.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;

class QmpClientTest : public testing::Test {
 protected:
  bool run_until(const std::function<bool()>& condition) { return test::run_until(io, condition); }

  void become_ready() {
    sut.connect(qemu.path(), 10s, [this](const Status& status) { connected = status; });
    ASSERT_TRUE(run_until([&] { return qemu.accepted(); }));
    qemu.say("{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n");
    ASSERT_TRUE(run_until([&] { return qemu.has_heard("qmp_capabilities"); }));
    qemu.say("{\"return\": {}, \"id\": " + id_of("qmp_capabilities") + "}\r\n");
    ASSERT_TRUE(run_until([&] { return connected.has_value(); }));
    ASSERT_TRUE(*connected);
  }
  /// The id of the newest command of that name.
  std::string id_of(const std::string& command) {
    const auto& heard = qemu.heard();
    const auto at = heard.rfind("\"execute\":\"" + command + "\"");
    const auto id = heard.find("\"id\":", at);
    return heard.substr(id + 5, heard.find_first_of(",}", id) - id - 5);
  }

  boost::asio::io_context io;
  test::Peer qemu;
  std::vector<QmpEvent> events;
  std::vector<std::string> closed;
  std::optional<Status> connected;
  QmpClient sut{io,
                {[this](const QmpEvent& event) { events.push_back(event); },
                 [this](const Error& error) { closed.push_back(error.message); }}};
};

TEST_F(QmpClientTest, NegotiatesThenAnswersCommandsById) {
  become_ready();
  std::vector<std::string> order;
  sut.execute("first", {}, 5s, [&](Result<boost::json::value> answer) {
    order.push_back(answer ? boost::json::serialize(*answer) : answer.error().message);
  });
  sut.execute("second", {{"x", 1}}, 5s,
              [&](Result<boost::json::value> answer) { order.push_back(answer ? "value" : answer.error().message); });
  ASSERT_TRUE(run_until([&] { return qemu.has_heard("second"); }));
  qemu.say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": " + id_of("second") + "}\r\n");
  qemu.say("{\"return\": {\"a\": 1}, \"id\": " + id_of("first") + "}\r\n");
  ASSERT_TRUE(run_until([&] { return order.size() == 2; }));
  EXPECT_EQ(order, (std::vector<std::string>{"QEMU refused: no", "{\"a\":1}"}));
}

TEST_F(QmpClientTest, FreezeIsDoneAtTheEventAndNotAtTheLaterReply) {
  become_ready();
  int done = 0;
  sut.freeze(5s, [&](const Result<Duration>& took) { done += took ? 1 : 100; });
  ASSERT_TRUE(run_until([&] { return qemu.has_heard("stop"); }));
  qemu.say("{\"event\": \"STOP\", \"timestamp\": {}}\r\n");
  ASSERT_TRUE(run_until([&] { return done == 1; }));
  qemu.say("{\"return\": {}, \"id\": " + id_of("stop") + "}\r\n");
  ASSERT_TRUE(run_until([&] { return events.size() == 1; }));
  EXPECT_EQ(done, 1);
}

TEST_F(QmpClientTest, ACommandWithoutAnswerExpiresAndItsLateAnswerIsDropped) {
  become_ready();
  std::vector<Errc> codes;
  sut.powerdown(20ms, [&](const Status& status) { codes.push_back(status ? Errc::Failed : status.error().code); });
  sut.freeze(20ms, [&](const Result<Duration>& took) { codes.push_back(took ? Errc::Failed : took.error().code); });
  ASSERT_TRUE(run_until([&] { return codes.size() == 2; }));
  EXPECT_EQ(codes, (std::vector<Errc>{Errc::Expired, Errc::Expired}));
  qemu.say("{\"return\": {}, \"id\": " + id_of("system_powerdown") + "}\r\n{\"event\": \"POWERDOWN\"}\r\n");
  ASSERT_TRUE(run_until([&] { return !events.empty(); }));
  EXPECT_EQ(codes.size(), 2U);
}

TEST_F(QmpClientTest, WhatIsPendingFailsWhenTheConnectionEnds) {
  become_ready();
  int failed = 0;
  sut.thaw(5s, [&](const Status& status) { failed += status ? 0 : 1; });
  sut.freeze(5s, [&](const Result<Duration>& took) { failed += took ? 0 : 1; });
  ASSERT_TRUE(run_until([&] { return qemu.has_heard("stop"); }));
  qemu.hang_up();
  ASSERT_TRUE(run_until([&] { return failed == 2 && closed.size() == 1; }));
  EXPECT_FALSE(sut.ready());
  std::optional<Status> refused;
  sut.quit(5s, [&](const Status& status) { refused = status; });
  ASSERT_TRUE(run_until([&] { return refused.has_value(); }));
  EXPECT_EQ(refused->error().code, Errc::Refused);
}

TEST_F(QmpClientTest, BytesThatAreNoQmpEndTheConnection) {
  for (const std::string& garbage :
       {std::string("no json\n"), std::string("[1]\n"), std::string(200000, '[') + "\n", std::string("\xff\xfe\n")}) {
    connected.reset();
    closed.clear();
    qemu.hang_up();
    become_ready();
    qemu.say(garbage);
    ASSERT_TRUE(run_until([&] { return closed.size() == 1; })) << garbage.substr(0, 20);
  }
}

TEST_F(QmpClientTest, AnOverlongLineCostsNoMemoryAndTheNextOneIsRead) {
  become_ready();
  for (int piece = 0; piece < 40; ++piece) {
    qemu.say(std::string(65536, 'x'));
    io.restart();
    io.run_for(1ms);
  }
  // What did not fit into the socket was not said; the line ends here in any case.
  bool heard_event = false;
  ASSERT_TRUE(run_until([&] {
    qemu.say("\n{\"event\": \"RESUME\"}\n");
    heard_event = !events.empty();
    return heard_event || !closed.empty();
  }));
  EXPECT_TRUE(heard_event) << (closed.empty() ? "" : closed[0]);
}

TEST_F(QmpClientTest, ConnectIsTriedUntilQemuHasItsSocket) {
  unlink(qemu.path().c_str());
  sut.connect(qemu.path(), 10s, [this](const Status& status) { connected = status; });
  io.run_for(50ms);
  EXPECT_FALSE(connected.has_value());
  qemu.listen();
  ASSERT_TRUE(run_until([&] { return qemu.accepted(); }));
}

TEST_F(QmpClientTest, ASocketThatSaysNothingIsGivenUpAtTheDeadline) {
  sut.connect(qemu.path(), 100ms, [this](const Status& status) { connected = status; });
  ASSERT_TRUE(run_until([&] { return connected.has_value(); }));
  EXPECT_EQ(connected->error().code, Errc::Expired);
}

}  // namespace
}  // namespace understudy::host
