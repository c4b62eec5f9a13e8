// SPDX-License-Identifier: Apache-2.0
/// Two real control-servers and a real etcd, with host-agents played by this test (see control_server_test.cpp): the
/// one that leads is killed, paused or loses etcd at the worst moments. Covers: control-server/edge/service_lead.cpp,
/// control-server/edge/event_log.cpp
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "edge/etcd_values.hpp"
#include "etcd_cluster.hpp"
#include "played_chassis.hpp"

namespace understudy {
namespace {

using namespace std::chrono_literals;

constexpr const char* kServers[] = {"127.0.0.250", "127.0.0.251"};

class SeveralServersTest : public PlayedChassisTest {
 protected:
  SeveralServersTest() : PlayedChassisTest("several_servers_test") {}
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(PlayedChassisTest::SetUp());
    if (IsSkipped()) { return; }
    etcd_.emplace(1, folder_ + "/etcd");
    for (const unsigned i : {0U, 1U}) { start_server(i); }
    for (auto* blade : {&*active_, &*standby_}) { blade->servers = {kServers[0], kServers[1]}; }
    bring_up();
  }
  void TearDown() override {
    for (const unsigned i : {0U, 1U}) { show_if_failed(log_of(i)); }
    for (auto& server : servers_) { server.reset(); }
    etcd_.reset();
    PlayedChassisTest::TearDown();
  }

  [[nodiscard]] std::string log_of(unsigned i) const { return folder_ + "/server-" + std::to_string(i) + ".log"; }
  void start_server(unsigned i) {
    const auto number = std::to_string(i);
    const std::string control = R"(listen = ")" + std::string(kServers[i]) + R"(:7400"
servers = ["127.0.0.250:7400", "127.0.0.251:7400"]
run_dir = ")" + folder_ + "/run-" +
                                number + R"("
[control.etcd]
endpoints = ["http://127.0.0.1:2379"]
prefix = "understudy/test"
lease_s = 3
plain_text = true
)";
    std::filesystem::create_directories(folder_ + "/run-" + number);
    std::ofstream(folder_ + "/group-" + number + ".toml")
        << played_group(control, pki_->issue(tls::Kind::ControlServer, "control-" + number));
    servers_[i].emplace(std::vector<std::string>{CONTROL_SERVER, "--config", folder_ + "/group-" + number + ".toml"},
                        log_of(i));
  }

  std::string operate(const std::string& arguments, int* status = nullptr, const std::string& at = "") {
    return operate_at(at.empty() ? asked_ : at, arguments, status);
  }
  boost::json::value told() {
    boost::system::error_code error;
    auto json = boost::json::parse(operate("status --json"), error);
    return error ? boost::json::value() : json;
  }
  /// Of the only role; "" when nobody leads.
  std::string state() {
    const auto json = told();
    const auto* roles = json.is_object() ? json.as_object().if_contains("roles") : nullptr;
    if (roles == nullptr || roles->as_array().empty()) { return ""; }
    return std::string(roles->at(0).at("state").as_string());
  }
  int term() {
    const auto json = told();
    return json.at("roles").at(0).at("term").to_number<int>();
  }
  /// Number of the one that leads; 2: nobody.
  unsigned leader() {
    const auto json = told();
    const auto* servers = json.is_object() ? json.as_object().if_contains("control_servers") : nullptr;
    for (unsigned i = 0; servers != nullptr && i < servers->as_array().size(); ++i) {
      if (servers->at(i).at("state").as_string() == "leads") { return i; }
    }
    return 2;
  }
  unsigned find_leader() {
    unsigned found = 2;
    EXPECT_TRUE(run_until([&] { return (found = leader()) < 2; })) << operate("status");
    return found % 2;
  }
  void mirror(Blade& blade) {
    blade.obey = [this, &blade](const Order& order) {
      auto& client = *blade.client;
      if (const auto* mirror = std::get_if<RunMirror>(&order)) {
        blade.held = {{mirror->spec.id, mirror->term, PlaceKind::Mirror, false}};
        blade.after_hello = {MirrorState{mirror->spec.id, mirror->term, MirrorPhase::Synced, "nonce", ""},
                             PeerVote{mirror->spec.id, BladeId{"blade-1"}, mirror_sees_}};
        for (const auto& report : blade.after_hello) { client.send(report); }
      } else if (const auto* activate = std::get_if<Activate>(&order)) {
        isolated_at_activation_ = isolation_->are_isolated({"b1-ext"}).value();
        if (!activates_) { return; }
        blade.held = {{activate->role, activate->term, PlaceKind::Mirror, true}};
        blade.after_hello.clear();
        client.send(Activated{activate->role, activate->term, {{"handover", 1.5}}});
      }
    };
  }
  void bring_up() {
    serve(*active_);
    mirror(*standby_);
    active_->power_on();
    standby_->power_on();
    ASSERT_TRUE(run_until([&] {
      return state() == "protected" && active_->got<ServeRole>() != nullptr &&
             operate("status --json").find("\"bfd\":\"unknown\"") == std::string::npos;
    })) << operate("status");
    operate("policy manual");
  }
  void lose_active() {
    active_->die();
    active_->client.reset();
    mirror_sees_ = Vote::Down;
    const PeerVote down{RoleId{"role-1"}, BladeId{"blade-1"}, Vote::Down};
    standby_->after_hello.back() = down;
    standby_->client->send(down);
  }
  [[nodiscard]] std::size_t activations() const {
    std::size_t count = 0;
    for (const auto& order : standby_->orders) { count += std::holds_alternative<Activate>(order) ? 1U : 0U; }
    return count;
  }
  /// What etcd holds of the role, with the leader's token that wrote it.
  std::string in_etcd() {
    control::EtcdClient client(etcd_->settings());
    const auto read = client.call("kv/range", control::etcd::range_one(etcd_->settings().at("owner/role-1")));
    return read ? control::etcd::key_values(read.value()).value().at(0).value : "";
  }
  bool log_has(unsigned i, const std::string& words) const {
    std::ifstream log(log_of(i));
    std::stringstream text;
    text << log.rdbuf();
    return text.str().find(words) != std::string::npos;
  }

  std::optional<test::EtcdCluster> etcd_;
  std::optional<Child> servers_[2];
  std::string asked_ = "127.0.0.250:7400,127.0.0.251:7400";  ///< by the operator's command
  bool activates_ = true;
  Vote mirror_sees_ = Vote::Up;  ///< the active, whenever it is asked
};

TEST_F(SeveralServersTest, AnotherLeadsWhenTheLeaderIsKilledAndNothingIsDisturbed) {
  const auto first = find_leader();
  const auto orders = active_->orders.size();
  const auto heard = active_->heard;
  servers_[first]->kill_now();
  ASSERT_TRUE(run_until([&] { return leader() == 1 - first && state() == "protected"; })) << operate("status");
  ASSERT_TRUE(run_until([&] { return active_->heard.token > heard.token && active_->client->connected(); }));
  EXPECT_EQ(term(), 1);
  EXPECT_NE(operate("status").find("movement manual"), std::string::npos) << "an operator's choice stays";
  EXPECT_EQ(active_->orders.size(), orders);
  EXPECT_EQ(active_->heard.state_id, heard.state_id);
  EXPECT_EQ(active_->attached_to, std::string(kServers[1 - first]) + ":7400");
  EXPECT_NE(operate("status").find(std::string(kServers[first]) + ":7400            absent"), std::string::npos)
      << operate("status");
  const auto events = operate("events");  // of both, in one log
  EXPECT_NE(events.find(std::string(kServers[first]) + ":7400 leads"), std::string::npos) << events;
  EXPECT_NE(events.find(std::string(kServers[1 - first]) + ":7400 leads"), std::string::npos) << events;
  // It comes back and follows: its changes are the leader's business, and are brought there.
  start_server(first);
  const auto follower = std::string(kServers[first]) + ":7400";
  ASSERT_TRUE(run_until([&] { return operate("status").find(follower + "            follows") != std::string::npos; }));
  int status = 1;
  EXPECT_NE(operate("policy always --reason because", &status, follower).find("now always"), std::string::npos);
  EXPECT_EQ(status, 0);
  EXPECT_NE(operate("status", nullptr, follower).find("movement always"), std::string::npos);
  EXPECT_NE(operate("events --json", nullptr, follower).find("policy always, because: because"), std::string::npos);
}

TEST_F(SeveralServersTest, ATakeoverThatTheKilledLeaderBeganIsFinishedByTheNextAndNotDoneTwice) {
  const auto first = find_leader();
  activates_ = false;  // the order comes, its answer does not: the leader dies in between
  lose_active();
  ASSERT_TRUE(run_until([&] { return activations() == 1; })) << operate("status");
  servers_[first]->kill_now();
  (void)isolation_->readmit({"b1-ext"});  // the evidence is gone meanwhile: it is to be looked at again
  activates_ = true;
  ASSERT_TRUE(run_until([&] { return leader() == 1 - first && state() == "on-mirror"; })) << operate("status");
  EXPECT_EQ(term(), 2);
  EXPECT_EQ(activations(), 2U);
  EXPECT_EQ(standby_->got<Activate>()->term, Term{2});
  EXPECT_TRUE(isolated_at_activation_);
}

TEST_F(SeveralServersTest, APausedLeaderThatGoesOnWritesNothingAndOrdersNothing) {
  const auto first = find_leader();
  servers_[first]->signal(SIGSTOP);
  asked_ = std::string(kServers[1 - first]) + ":7400";  // the paused one answers nothing, slowly
  lose_active();
  ASSERT_TRUE(run_until([&] { return leader() == 1 - first && state() == "on-mirror"; }, 40s)) << operate("status");
  const auto stored = in_etcd();
  const auto orders = standby_->orders.size();
  const auto token = standby_->heard.token;
  servers_[first]->signal(SIGCONT);  // all that the active's death brings comes to it at once
  ASSERT_TRUE(run_until([&] { return log_has(first, "leads no more"); }));
  ASSERT_TRUE(run_until([&] {
    return operate("status").find(std::string(kServers[first]) + ":7400            follows") != std::string::npos;
  }));
  EXPECT_EQ(in_etcd(), stored);
  EXPECT_EQ(standby_->orders.size(), orders);
  EXPECT_EQ(standby_->heard.token, token);
  EXPECT_EQ(leader(), 1 - first);
  EXPECT_FALSE(log_has(first, "taking-over")) << "it decided, although it was paused beyond its lease";
  EXPECT_FALSE(isolation_->are_isolated({"b2-ext"}).value());
}

TEST_F(SeveralServersTest, AnEtcdThatIsFullIsInTheStatusThoughItAnswersAndNoCommandIsDone) {
  find_leader();
  control::EtcdClient hand(etcd_->settings());
  const auto full = [&](const char* action) {
    return hand.call("maintenance/alarm", {{"action", action}, {"memberID", "0"}, {"alarm", "NOSPACE"}}).ok();
  };
  ASSERT_TRUE(full("ACTIVATE"));
  ASSERT_TRUE(run_until([&] {
    return operate("status").find("! NOBODY DECIDES: etcd cannot be written") != std::string::npos;
  })) << operate("status");
  int status = 0;
  EXPECT_NE(operate("policy always --reason tests", &status).find("nothing is done: no command"), std::string::npos);
  EXPECT_EQ(status, 1);
  EXPECT_NE(operate("status").find("movement manual"), std::string::npos);
  ASSERT_TRUE(full("DEACTIVATE"));
  ASSERT_TRUE(run_until([&] {
    operate("status", &status);
    return status == 0;
  })) << operate("status");
  EXPECT_TRUE(run_until([&] {
    operate("policy always --reason tests", &status);
    return status == 0;
  }));
  EXPECT_NE(operate("status").find("movement always"), std::string::npos);
}

TEST_F(SeveralServersTest, WithoutEtcdNothingIsDecidedItIsToldAndThenItGoesOn) {
  const auto led = std::string(kServers[find_leader()]) + ":7400";
  etcd_->signal(0, SIGSTOP);
  ASSERT_TRUE(run_until([&] { return leader() == 2; }));
  ASSERT_TRUE(run_until([&] {
    return operate("status").find("! NOBODY DECIDES: etcd does not answer") != std::string::npos;
  })) << operate("status");
  EXPECT_NE(operate("status").find("http://127.0.0.1:2379"), std::string::npos) << operate("status");
  ASSERT_TRUE(run_until([&] {  // the other one may have noticed first
    return operate("status", nullptr, led).find("role-1              unknown") != std::string::npos;
  })) << operate("status", nullptr, led);
  int status = 0;
  const auto shown = operate("status", &status, led);
  EXPECT_EQ(status, 3) << "shown, and nobody decides";
  EXPECT_NE(shown.find("role-1              unknown       blade-1/host                1"), std::string::npos)
      << "where it was when that one led: " << shown;
  EXPECT_NE(shown.find("blade-1             unknown"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("connected"), std::string::npos) << "nobody knows: " << shown;
  EXPECT_NE(shown.find("! PLAIN TEXT: etcd is spoken to without protection"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("[tls]"), std::string::npos) << "the other wires have TLS: " << shown;
  EXPECT_NE(operate("policy always", &status).find("nothing is decided"), std::string::npos);
  EXPECT_EQ(status, 1);
  lose_active();
  EXPECT_FALSE(run_until([&] { return activations() > 0; }, 2s)) << "nobody leads";
  EXPECT_FALSE(isolation_->are_isolated({"b1-ext"}).value());
  etcd_->signal(0, SIGCONT);
  ASSERT_TRUE(run_until([&] { return state() == "on-mirror"; }, 40s)) << operate("status");
  EXPECT_EQ(activations(), 1U);
  EXPECT_EQ(term(), 2);
}

}  // namespace
}  // namespace understudy
