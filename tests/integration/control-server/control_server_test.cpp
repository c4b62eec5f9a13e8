// SPDX-License-Identifier: Apache-2.0
/// What a control-server decides, and what it does after a restart (see real_control_server.hpp).
/// Covers: control-server/edge/service.cpp, control-server/edge/service_witnesses.cpp,
/// control-server/edge/service_power.cpp
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "../link/network_namespace.hpp"
#include "real_control_server.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy {
namespace {

TEST_F(ControlServerTest, ABladesDeathIsTakenOverMovedAndToldPhaseByPhase) {
  bring_up();
  EXPECT_FALSE(isolation_->are_isolated({"b1-ext"}).value());
  active_->die();
  standby_->client->send(PeerVote{RoleId{"role-1"}, BladeId{"blade-1"}, Vote::Down});
  ASSERT_TRUE(run_until_state("on-host")) << operate("status") << operate("events");
  EXPECT_TRUE(isolated_at_activation_) << "the old place is silent before the mirror speaks";
  EXPECT_FALSE(isolation_->are_isolated({"b2-ext"}).value());
  ASSERT_NE(standby_->got<Activate>(), nullptr);
  EXPECT_EQ(standby_->got<Activate>()->evidence, StopEvidence::Isolated);
  EXPECT_EQ(role_status().at("term").to_number<int>(), 3);
  EXPECT_EQ(role_status().at("place").at("blade").as_string(), "blade-2");
  std::istringstream lines(operate("events --json"));
  std::set<std::string> phases;
  std::int64_t last = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto event = boost::json::parse(line);
    EXPECT_GT(event.at("id").as_int64(), last);
    last = event.at("id").as_int64();
    EXPECT_GT(event.at("time_ns").as_int64(), 1'600'000'000'000'000'000);
    if (event.at("kind").as_string() == "phase") { phases.insert(std::string(event.at("phase").as_string())); }
  }
  for (const auto* phase : {"detect", "decide", "isolate", "activate", "handover", "prepare", "freeze", "resume"}) {
    EXPECT_TRUE(phases.contains(phase)) << phase;
  }
}

TEST_F(ControlServerTest, AKilledControlServerComesBackToWhatIsThere) {
  bring_up();
  const auto id = active_->state_id;
  const auto orders = active_->orders.size();
  operate("policy manual");
  server_->kill_now();
  start_server();
  ASSERT_TRUE(run_until([&] {
    const auto role = role_status();
    return role.is_object() && role.at("protected").as_bool();
  })) << operate("status");
  EXPECT_EQ(role_status().at("term").to_number<int>(), 1);
  EXPECT_EQ(active_->orders.size(), orders) << "the serving blade is not disturbed";
  EXPECT_EQ(active_->state_id, id);
  EXPECT_NE(operate("status").find("movement manual"), std::string::npos) << "an operator's choice stays";
  EXPECT_NE(operate("events --json").find("is manual, as an operator chose, and not the file's always"),
            std::string::npos);
}

TEST_F(ControlServerTest, ASecondOneAndAWrongFileEndWithOneLine) {
  bring_up();
  Child second({CONTROL_SERVER, "--config", folder_ + "/group.toml"}, folder_ + "/second.log");
  ASSERT_TRUE(run_until([&] {
    std::ifstream log(folder_ + "/second.log");
    std::stringstream text;
    text << log.rdbuf();
    return text.str().find("belongs to a running control-server") != std::string::npos;
  }));
  std::ofstream(folder_ + "/wrong.toml") << "[control]\nlisten = \"x\"\n";
  const std::string check = std::string(CONTROL_SERVER) + " --check --config " + folder_;
  EXPECT_EQ(WEXITSTATUS(std::system((check + "/wrong.toml 2>" + folder_ + "/wrong.log").c_str())), 2);
  EXPECT_EQ(WEXITSTATUS(std::system((check + "/group.toml >/dev/null").c_str())), 0);
  std::ifstream log(folder_ + "/wrong.log");
  std::string line;
  std::getline(log, line);
  EXPECT_NE(line.find("wrong.toml:2: "), std::string::npos) << line;
  EXPECT_FALSE(std::getline(log, line));
}

TEST_F(ControlServerTest, APortThatTheSwitchDoesNotHaveIsNoStopEvidence) {
  bring_up();
  ASSERT_EQ(std::system("ip link set b1-ext name b1-away"), 0);
  lose_active();
  EXPECT_TRUE(run_until_detail("the switch has no port \"b1-ext\"")) << operate("status") << operate("events");
  EXPECT_EQ(role_status().at("state").as_string(), "taking-over");
  EXPECT_EQ(standby_->got<Activate>(), nullptr);
  EXPECT_EQ(std::system("ip link set b1-away name b1-ext"), 0);
}

TEST_F(ControlServerTest, ADeadStandbyIsToldAndThenExposesItsRoles) {
  bring_up();
  standby_->die();
  ASSERT_TRUE(run_until_detail("blade-2 is silent: as far as anybody can tell the mirror's sync has stopped"))
      << operate("status") << operate("events");
  EXPECT_EQ(role_status().at("state").as_string(), "protected") << "its stream still stands";
  standby_->client.reset();
  ASSERT_TRUE(run_until_state("exposed")) << operate("status") << operate("events");
  int status = 0;
  operate("status", &status);
  EXPECT_EQ(status, 4) << "a script must see it";
  EXPECT_TRUE(run_until_detail("blade-2 is silent and its host-agent is lost")) << operate("status");
}

TEST_F(ControlServerTest, ARoleWhoseServingMirrorsBladeDiesIsLost) {
  bring_up();
  operate("policy manual");
  lose_active();
  ASSERT_TRUE(run_until_state("on-mirror")) << operate("status") << operate("events");
  standby_->die();
  standby_->client.reset();
  ASSERT_TRUE(run_until_state("lost")) << operate("status") << operate("events");
  EXPECT_TRUE(run_until_detail("blade-2, whose mirror serves the role, is silent: nothing can take over"));
}

TEST_F(ControlServerTest, ABladeThatPosesAsAnotherIsRefusedAndTold) {
  bring_up();
  lose_active();
  active_->client.reset();
  ASSERT_TRUE(run_until_state("on-host")) << operate("status") << operate("events");
  const auto before = role_status();
  // blade-1's certificate, and the word of blade-2: were it heard, the role would be taken from who serves it.
  active_->claimed = BladeId{"blade-2"};
  active_->held = {};
  active_->power_on();
  EXPECT_TRUE(run_until([&] {
    return operate("events --json").find("blade blade-1 says that it is blade-2: a blade speaks for itself only") !=
           std::string::npos;
  })) << operate("events");
  EXPECT_EQ(role_status(), before);
  EXPECT_TRUE(standby_->client->connected());
}

TEST_F(ControlServerTest, ABladeThatIsHeldOutStaysSoOverARestartUntilItIsLetBack) {
  server_->terminate();
  witnesses_ = "[hold_out]\nfailures = 1\n";
  start_server();
  bring_up();
  standby_->client.reset();
  standby_->boot = "another";
  standby_->held = {};
  standby_->power_on();
  const auto told = [&](const std::string& what, const std::string& words) {
    return run_until([&] { return operate(what).find(words) != std::string::npos; });
  };
  ASSERT_TRUE(told("events --json", "held out after 1 failures")) << operate("events");
  server_->kill_now();
  start_server();
  ASSERT_TRUE(told("events --json", "still held out after 1 failures")) << operate("events");
  ASSERT_TRUE(run_until_state("exposed")) << operate("status");
  int status = -1;
  EXPECT_NE(operate("let-back blade-1", &status).find("is not held out"), std::string::npos);
  EXPECT_EQ(status, 1);
  EXPECT_NE(operate("let-back blade-2 --reason 'a new fan'", &status).find("blade-2 is let back"), std::string::npos);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(run_until_state("protected")) << operate("status");
  EXPECT_NE(operate("events --json").find("operator alice: let-back blade-2, because: a new fan"), std::string::npos);
  server_->kill_now();
  start_server();
  ASSERT_TRUE(run_until_state("protected")) << operate("status");
  EXPECT_EQ(operate("status").find("held out"), std::string::npos) << "it was let back for good";
}

/// One active, and the control-server on the standby: it hears no other blade. Witnesses by ICMPv6 and BFD, in a
/// network namespace behind a cable, and a process.
TEST_F(ControlServerTest, WithoutAnyWitnessNobodyIsDeadAndWithOneThePairFailsOver) {
  server_->terminate();
  test::NetworkNamespace there;
  ASSERT_TRUE(there.good());
  ASSERT_EQ(std::system(("ip link add vw type veth peer name vp netns " + there.id() +
                         " && ip addr add fd09::1/64 dev vw nodad && ip link set vw up")
                            .c_str()),
            0);
  ASSERT_TRUE(there.ip("addr add fd09::2/64 dev vp nodad") && there.ip("link set vp up"));
  std::optional<Child> router(std::in_place, std::vector<std::string>{BFD_SPEAKER, "127.0.0.4", kServer},
                              folder_ + "/router.log");
  on_blade_ = "blade = \"blade-2\"\n";
  witnesses_ =
      "[[witness]]\nname = \"switch-a\"\naddress = \"fd09::2\"\nmethod = \"icmp\"\n"
      "[[witness]]\nname = \"router\"\naddress = \"127.0.0.4\"\nmethod = \"bfd\"\n";
  start_server();
  bring_up();
  const auto seen = [&](const std::string& witness, const std::string& vote) {
    return run_until([&] {
      const auto told = boost::json::parse(operate("status --json"));
      for (const auto& one : told.at("witnesses").as_array()) {
        if (one.at("witness").as_string() == witness) { return one.at("vote").as_string() == vote; }
      }
      return false;
    });
  };
  ASSERT_TRUE(seen("switch-a", "up") && seen("router", "up")) << operate("status");
  const auto status = operate("status");
  EXPECT_NE(status.find("router              up            bfd       127.0.0.4"), std::string::npos) << status;

  router.reset();
  ASSERT_TRUE(there.ip("link set vp down"));
  lose_active();
  EXPECT_TRUE(run_until_detail("no witness is reached either")) << operate("status") << operate("events");
  EXPECT_EQ(standby_->got<Activate>(), nullptr);
  EXPECT_FALSE(isolation_->are_isolated({"b1-ext"}).value());
  EXPECT_TRUE(seen("switch-a", "down") && seen("router", "down"));

  ASSERT_TRUE(there.ip("link set vp up") && there.ip("addr replace fd09::2/64 dev vp nodad"));
  ASSERT_TRUE(run_until_state("on-host")) << operate("status") << operate("events");
  const auto events = operate("events");
  for (const auto* words : {"witness switch-a (fd09::2) is lost", "no witness is reached: ", "is back"}) {
    EXPECT_NE(events.find(words), std::string::npos) << words << events;
  }
  EXPECT_EQ(std::system("ip link del vw"), 0);
}

}  // namespace
}  // namespace understudy
