// SPDX-License-Identifier: Apache-2.0
/// Client and server of the control API, over loopback, on one io_context as in the daemons.
/// Covers: link/src/control_api_calls.cpp, link/src/control_api_client.cpp, link/src/control_api_operator.cpp,
/// link/src/control_api_server.cpp
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <thread>

#include "control_api_test_data.hpp"
#include "support/run_until.hpp"
#include "understudy/link/control_api_client.hpp"
#include "understudy/link/control_api_operator.hpp"
#include "understudy/link/control_api_server.hpp"
#include "understudy/link/leader_guard.hpp"

namespace understudy::link {
namespace {

using namespace std::chrono_literals;

/// A server that writes down what it is told, and keeps an event log in memory.
struct Server {
  explicit Server(boost::asio::io_context& io_context) : io(io_context) {}

  void listen(int port = 0) {
    ControlApiHandlers handlers;
    handlers.on_report = [this](SessionId id, const Report& report) { reports.emplace_back(id, report); };
    handlers.on_detached = [this](SessionId id, const std::string& /*why*/) { detached.push_back(id); };
    handlers.bfd = BfdParameters{20, 7, BfdAuthentication::None, 0};
    handlers.status = [] { return test::status(); };
    handlers.move_role = [this](const Command& command, const RoleId& role, const CommandAnswer& answer) {
      commands.push_back(command);
      if (role.value == "role-8") { return answer(failure("its tenure has ended", Errc::Expired)); }
      if (role.value != "role-1") { return answer(failure("no role " + role.value, Errc::NotFound)); }
      answer(std::string("moving"));
    };
    handlers.let_back = [this](const Command& command, const BladeId& blade, const CommandAnswer& answer) {
      commands.push_back(command);
      if (never_answers) { return unanswered.push_back(answer); }
      boost::asio::post(io, [answer, blade] { answer(blade.value + " is back"); });  // an answer may come later
    };
    handlers.power = [this](const Command& command, const BladeId& blade, bool on, bool force,
                            const CommandAnswer& answer) {
      commands.push_back(command);
      answer(blade.value + (on ? " on" : " off") + (force ? " by force" : ""));
    };
    handlers.switchover = [this](const Command& command, const RoleId& role, bool force, const CommandAnswer& answer) {
      commands.push_back(command);
      answer(role.value + (force ? " by force" : " if it can"));
    };
    handlers.set_movement_policy = [this](const Command& command, MovementPolicy policy, const CommandAnswer& answer) {
      commands.push_back(command);
      answer(std::string(to_string(policy)));
    };
    handlers.events_after = [this](std::uint64_t after, std::size_t limit, const EventsAnswer& answer) {
      std::vector<EventRecord> found;
      for (const auto& event : events) {
        if (event.id > after && found.size() < limit) { found.push_back(event); }
      }
      answer(found);
    };
    auto made = ControlApiServer::listen(io, "127.0.0.1:" + std::to_string(port), tls::Wire::plain(), "state-1",
                                         std::move(handlers));
    ASSERT_TRUE(made.ok()) << made.error().message;
    api = std::move(made).value();
  }
  void add_event(std::uint64_t id) {
    EventRecord event;
    event.id = id;
    event.kind = "state";
    events.push_back(event);
    if (api) { api->wake_followers(); }
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(api->port()); }

  boost::asio::io_context& io;
  std::unique_ptr<ControlApiServer> api;
  std::vector<std::pair<SessionId, Report>> reports;
  std::vector<SessionId> detached;
  std::vector<EventRecord> events;
  std::vector<Command> commands;
  bool never_answers = false;  ///< what is let back
  std::vector<CommandAnswer> unanswered;
};

/// A host-agent's side: says Hello on every connection.
struct Agent {
  Agent(boost::asio::io_context& io, std::vector<std::string> addresses,
        std::function<Status(const std::string&, std::uint64_t)> admit = {}) {
    ControlClientOptions options;
    options.addresses = std::move(addresses);
    options.wire = tls::Wire::plain();
    ControlClientCallbacks callbacks;
    callbacks.admit = std::move(admit);
    callbacks.on_connected = [this](const std::string& /*address*/, const std::string& id) {
      ++connections;
      state_id = id;
      EXPECT_TRUE(client->send(Hello{BladeId{"blade-1"}, "boot", {}}));
    };
    callbacks.on_bfd = [this](const BfdParameters& told) { bfd = told; };
    callbacks.on_order = [this](const Order& order) { orders.push_back(order); };
    callbacks.on_lost = [this](const std::string& /*why*/) { ++losses; };
    client.emplace(io, std::move(options), std::move(callbacks));
  }
  std::optional<ControlClient> client;
  std::vector<Order> orders;
  std::string state_id;
  std::optional<BfdParameters> bfd;
  int connections = 0;
  int losses = 0;
};

class ControlApiLoopback : public testing::Test, protected understudy::test::Loop {
 protected:
  /// Runs a blocking call on a thread while the loop runs here.
  template <class Call>
  auto with_loop(Call call) {
    std::optional<decltype(call())> result;
    std::atomic<bool> done = false;
    std::thread thread([&] {
      result.emplace(call());
      done = true;
    });
    EXPECT_TRUE(run_until([&] { return done.load(); }));
    thread.join();
    return std::move(*result);
  }
  Server server_{io_};
};

TEST_F(ControlApiLoopback, HelloIsFirstThenReportsAndOrdersComeInOrder) {
  server_.listen();
  Agent agent(io_, {server_.address()});
  EXPECT_FALSE(agent.client->send(Serving{RoleId{"role-1"}, Term{1}})) << "before it is connected";
  agent.client->start();
  ASSERT_TRUE(run_until([&] { return server_.reports.size() == 1; }));
  EXPECT_EQ(agent.state_id, "state-1");
  EXPECT_EQ(agent.bfd, (BfdParameters{20, 7, BfdAuthentication::None, 0})) << "how this blade is watched";
  for (const auto& report : test::every_report()) { EXPECT_TRUE(agent.client->send(report)); }
  const auto session = server_.reports[0].first;
  for (const auto& order : test::every_order()) { EXPECT_TRUE(server_.api->send(session, order)); }
  ASSERT_TRUE(run_until([&] {
    return server_.reports.size() == 1 + test::every_report().size() &&
           agent.orders.size() == test::every_order().size();
  }));
  EXPECT_EQ(agent.orders, test::every_order());
  for (std::size_t i = 0; i < test::every_report().size(); ++i) {
    EXPECT_EQ(server_.reports[i + 1].second, test::every_report()[i]);
  }
}

TEST_F(ControlApiLoopback, OneThatFollowsNamesTheLeaderAndItIsAttachedToAtOnce) {
  Server leader(io_);
  leader.listen();
  leader.api->lead("state-1", 7);
  server_.listen();
  server_.api->follow(leader.address());
  Agent agent(io_, {server_.address(), leader.address()});
  agent.client->start();
  ASSERT_TRUE(run_until([&] { return agent.connections == 1; }));
  ASSERT_TRUE(run_until([&] { return leader.reports.size() == 1; }));
  EXPECT_TRUE(server_.reports.empty());
  // An operator's change goes the same way, and is done once; of the status the leader's word counts.
  const auto answer = with_loop([&] {
    OperatorClient client(server_.address(), tls::Wire::plain());
    return client.let_back(BladeId{"blade-2"}, "");
  });
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(leader.commands.size(), 1U);
  EXPECT_TRUE(server_.commands.empty());
  // The lead is lost: the session ends, and the next leader is met.
  leader.api->follow(server_.address());
  server_.api->lead("state-1", 9);
  ASSERT_TRUE(run_until([&] { return agent.connections == 2 && server_.reports.size() == 1; }));
}

TEST_F(ControlApiLoopback, NobodyLeadsIsTold) {
  server_.listen();
  server_.api->follow("");
  const auto answer = with_loop([&] {
    OperatorClient client(server_.address(), tls::Wire::plain());
    return client.let_back(BladeId{"blade-2"}, "");
  });
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, Errc::Refused);
  EXPECT_NE(answer.error().message.find("nothing is decided"), std::string::npos) << answer.error().message;
}

TEST_F(ControlApiLoopback, AnOlderLeaderThanOneThatWasHeardIsLeftAlone) {
  Server older(io_);
  older.listen();
  older.api->lead("state-1", 3);
  server_.listen();
  server_.api->lead("state-1", 7);
  HeardLeader heard{"state-1", 5};
  Agent agent(io_, {older.address(), server_.address()},
              [&](const std::string& state_id, std::uint64_t token) -> Status {
                auto now = hear(heard, state_id, token);
                if (!now) { return now.error(); }
                heard = *std::move(now);
                return {};
              });
  agent.client->start();
  ASSERT_TRUE(run_until([&] { return agent.connections == 1; }));
  EXPECT_TRUE(older.reports.empty()) << "not even a Hello";
  EXPECT_EQ(heard.token, 7U);
}

TEST_F(ControlApiLoopback, EventsGoOnWhereAnotherServerIsReached) {
  server_.listen();
  Server other(io_);
  other.listen();
  for (const std::uint64_t id : {1U, 2U}) { server_.add_event(id); }
  for (const std::uint64_t id : {1U, 2U, 3U}) { other.add_event(id); }
  std::vector<std::uint64_t> seen;
  const auto done = with_loop([&] {
    OperatorClient client(server_.address() + "," + other.address(), tls::Wire::plain());
    return client.watch_events(0, true, [&](const EventRecord& event) {
      seen.push_back(event.id);
      if (event.id == 2) {
        boost::asio::post(io_, [&] { server_.api.reset(); });
      }
      return event.id < 3;
    });
  });
  EXPECT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST_F(ControlApiLoopback, AChangeThatWasSentAndNotAnsweredIsNotOrderedElsewhere) {
  server_.listen();
  server_.never_answers = true;
  Server other(io_);
  other.listen();
  OperatorClient client(server_.address() + "," + other.address(), tls::Wire::plain(), 500ms);
  const auto done = with_loop([&] { return client.let_back(BladeId{"blade-3"}, "mended"); });
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message.find("whether it is done is not known"), std::string::npos) << done.error().message;
  ASSERT_EQ(server_.commands.size(), 1U);
  EXPECT_TRUE(other.commands.empty());
  EXPECT_TRUE(run_until([&] { return server_.commands[0].is_gone(); })) << "the server does not see that it has gone";
  server_.unanswered.at(0)(std::string("late"));
  EXPECT_TRUE(server_.commands[0].is_gone()) << "answered, and its call is no more";
}

TEST_F(ControlApiLoopback, AChangeGoesElsewhereWhereOneSaysNothing) {
  server_.listen();
  const int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(silent, 1), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto first = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  OperatorClient client(first + "," + server_.address(), tls::Wire::plain(), 1s);
  const auto done = with_loop([&] { return client.let_back(BladeId{"blade-3"}, "mended"); });
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(server_.commands.size(), 1U);
  EXPECT_FALSE(server_.commands[0].is_gone == nullptr);
  close(silent);
}

TEST_F(ControlApiLoopback, TheClientComesBackAfterTheServerWasRestarted) {
  server_.listen();
  const int port = server_.api->port();
  Agent agent(io_, {server_.address()});
  agent.client->start();
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(run_until([&] { return server_.reports.size() == static_cast<std::size_t>(round); })) << round;
    server_.api.reset();
    ASSERT_TRUE(run_until([&] { return agent.losses == round; })) << round;
    EXPECT_FALSE(agent.client->connected());
    server_.listen(port);
  }
  ASSERT_TRUE(run_until([&] { return agent.connections == 4; }));
}

TEST_F(ControlApiLoopback, TheClientTriesTheNextAddressWhenOneRefusesOrSaysNothing) {
  server_.listen();
  // A socket that accepts (by its backlog) and never answers.
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(silent, 4), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  Agent agent(io_, {"127.0.0.1:" + std::to_string(ntohs(address.sin_port)), "127.0.0.1:1", server_.address()});
  agent.client->start();
  EXPECT_TRUE(run_until([&] { return server_.reports.size() == 1; }));
  EXPECT_EQ(agent.losses, 0) << "what was never connected is not lost";
  close(silent);
}

TEST_F(ControlApiLoopback, AnAgentThatGoesAwayIsDetachedOnce) {
  server_.listen();
  {
    Agent agent(io_, {server_.address()});
    agent.client->start();
    ASSERT_TRUE(run_until([&] { return server_.reports.size() == 1; }));
  }
  ASSERT_TRUE(run_until([&] { return !server_.detached.empty(); }));
  EXPECT_EQ(server_.detached, std::vector<SessionId>{server_.reports[0].first});
  EXPECT_FALSE(server_.api->send(server_.reports[0].first, Move{RoleId{"role-1"}, Term{2}}));
}

TEST_F(ControlApiLoopback, AClosedSessionComesAgain) {
  server_.listen();
  Agent agent(io_, {server_.address()});
  agent.client->start();
  ASSERT_TRUE(run_until([&] { return server_.reports.size() == 1; }));
  server_.api->close(server_.reports[0].first);
  ASSERT_TRUE(run_until([&] { return server_.reports.size() == 2; }));
  EXPECT_EQ(agent.losses, 1);
  EXPECT_NE(server_.reports[0].first, server_.reports[1].first);
}

TEST_F(ControlApiLoopback, TheClientCanBeDestroyedInEveryStage) {
  server_.listen();
  for (int handled = 0; handled < 8; ++handled) {
    Agent agent(io_, {server_.address()});
    agent.client->start();
    io_.restart();
    for (int i = 0; i < handled; ++i) { io_.run_one_for(50ms); }
  }
  SUCCEED();
}

TEST_F(ControlApiLoopback, OperatorsGetStatusAndClearAnswers) {
  server_.listen();
  OperatorClient client(server_.address(), tls::Wire::plain(), 10s);
  const auto status = with_loop([&] { return client.status(); });
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(status.value(), test::status());
  EXPECT_EQ(with_loop([&] { return client.move_role(RoleId{"role-1"}, "the fan is loud"); }).value(), "moving");
  EXPECT_EQ(server_.commands.at(0).reason, "the fan is loud");
  EXPECT_NE(server_.commands.at(0).who.find("127.0.0.1"), std::string::npos) << server_.commands.at(0).who;
  EXPECT_NE(server_.commands.at(0).who.find("in plain text"), std::string::npos);
  const auto refused = with_loop([&] { return client.move_role(RoleId{"role-9"}, "x"); });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "no role role-9");
  EXPECT_EQ(refused.error().code, Errc::NotFound);
  const auto ended = with_loop([&] { return client.move_role(RoleId{"role-8"}, "tests"); });
  ASSERT_FALSE(ended.ok()) << "whose tenure has ended says who leads";
  EXPECT_NE(ended.error().message.find("does not lead"), std::string::npos) << ended.error().message;
  EXPECT_EQ(with_loop([&] { return client.let_back(BladeId{"blade-3"}, "mended"); }).value(), "blade-3 is back");
  EXPECT_FALSE(with_loop([&] { return client.let_back(BladeId{"no name"}, ""); }).ok());
  const BladeId third{"blade-3"};
  EXPECT_EQ(with_loop([&] { return client.power(third, false, false, "a DIMM is bad"); }).value(), "blade-3 off");
  EXPECT_EQ(server_.commands.back().reason, "a DIMM is bad");
  EXPECT_EQ(with_loop([&] { return client.power(third, true, true, "it is mended"); }).value(), "blade-3 on by force");
  EXPECT_FALSE(with_loop([&] { return client.power(BladeId{"no name"}, true, false, "x"); }).ok());
  for (const bool force : {false, true}) {
    const auto answer = with_loop([&] { return client.switchover(RoleId{"role-1"}, force, "a fan is to be changed"); });
    EXPECT_EQ(answer.value(), force ? "role-1 by force" : "role-1 if it can");
    EXPECT_EQ(server_.commands.back().reason, "a fan is to be changed");
  }
  EXPECT_FALSE(with_loop([&] { return client.switchover(RoleId{"no name"}, false, "x"); }).ok());
  EXPECT_EQ(with_loop([&] { return client.set_movement_policy(MovementPolicy::Manual, ""); }).value(), "manual");
}

TEST_F(ControlApiLoopback, WhatStopsOrMovesARoleIsNotDoneWithoutAReason) {
  server_.listen();
  OperatorClient client(server_.address(), tls::Wire::plain(), 10s);
  for (const std::string reason : {"", " ", "\t\n "}) {
    for (const auto& answer : {with_loop([&] { return client.move_role(RoleId{"role-1"}, reason); }),
                               with_loop([&] { return client.switchover(RoleId{"role-1"}, true, reason); }),
                               with_loop([&] { return client.power(BladeId{"blade-3"}, true, true, reason); })}) {
      ASSERT_FALSE(answer.ok());
      EXPECT_EQ(answer.error().code, Errc::BadInput);
      EXPECT_NE(answer.error().message.find("say why"), std::string::npos) << answer.error().message;
    }
  }
  EXPECT_TRUE(server_.commands.empty());
  EXPECT_TRUE(with_loop([&] { return client.let_back(BladeId{"blade-3"}, ""); }).ok());
  EXPECT_EQ(server_.commands.size(), 1U) << "it is recorded that no reason was given";
}

TEST_F(ControlApiLoopback, AnUnreachableServerIsOneClearSentence) {
  OperatorClient client("127.0.0.1:1", tls::Wire::plain(), 2s);
  const auto status = client.status();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("the control-server at 127.0.0.1:1 cannot be reached"), std::string::npos);
}

TEST_F(ControlApiLoopback, EventsAreToldInOrderAndFollowed) {
  server_.listen();
  for (std::uint64_t id = 1; id <= 1000; ++id) { server_.add_event(id); }
  OperatorClient client(server_.address(), tls::Wire::plain(), 10s);
  std::vector<std::uint64_t> ids;
  const auto all = with_loop([&] {
    return client.watch_events(10, false, [&](const EventRecord& event) {
      ids.push_back(event.id);
      return true;
    });
  });
  EXPECT_TRUE(all.ok());
  ASSERT_EQ(ids.size(), 990U);
  EXPECT_EQ(ids.front(), 11U);
  EXPECT_EQ(ids.back(), 1000U);

  std::atomic<std::uint64_t> last = 0;
  std::thread follower([&] {
    (void)client.watch_events(990, true, [&](const EventRecord& event) {
      last = event.id;
      return event.id < 1005;
    });
  });
  ASSERT_TRUE(run_until([&] { return last == 1000; }));
  for (std::uint64_t id = 1001; id <= 1005; ++id) { server_.add_event(id); }
  EXPECT_TRUE(run_until([&] { return last == 1005; }));
  client.stop();
  follower.join();
}

TEST_F(ControlApiLoopback, ASecondServerOnThePortFails) {
  server_.listen();
  ControlApiHandlers handlers;
  const auto second = ControlApiServer::listen(io_, server_.address(), tls::Wire::plain(), "state-2", handlers);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("cannot listen at " + server_.address()), std::string::npos);
}

TEST_F(ControlApiLoopback, AStoppingServerAnswersWhoWaits) {
  server_.listen();
  OperatorClient client(server_.address(), tls::Wire::plain(), 20s);
  std::atomic<bool> asked = false;
  std::optional<Result<GroupStatus>> status;
  std::thread thread([&] {
    asked = true;
    status.emplace(client.status());  // nobody runs the loop, so no handler answers
  });
  while (!asked) { std::this_thread::yield(); }
  server_.api.reset();
  thread.join();
  EXPECT_FALSE(status->ok());
}

}  // namespace
}  // namespace understudy::link
