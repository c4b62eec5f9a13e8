// SPDX-License-Identifier: Apache-2.0
/// The real control-server and the real operator's command, with host-agents played by this test: in a network
/// namespace of its own, with a Linux bridge as the switch. What a blade says is played, what it suffers is real: its
/// ports are isolated in the kernel, its BFD dies by SIGKILL.
/// Covers: control-server/edge/service.cpp, control-server/edge/service_alarms.cpp,
/// control-server/edge/service_commands.cpp, control-server/edge/service_witnesses.cpp,
/// control-server/edge/service_power.cpp, cli/commands.cpp, cli/pki_commands.cpp
#include <gtest/gtest.h>

#include <sys/mount.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "../link/network_namespace.hpp"
#include "played_chassis.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy {
namespace {

using namespace std::chrono_literals;
using namespace link;

class ControlServerTest : public PlayedChassisTest {
 protected:
  ControlServerTest() : PlayedChassisTest("control_server_test") {}
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(PlayedChassisTest::SetUp());
    if (IsSkipped()) { return; }
    server_files_ = pki_->issue(tls::Kind::ControlServer, "control");
    start_server();
  }
  void TearDown() override {
    show_if_failed(folder_ + "/server.log");
    server_.reset();
    PlayedChassisTest::TearDown();
  }

  [[nodiscard]] std::string group_file() const {
    return played_group("listen = \"127.0.0.250:7400\"\nstate = \"" + state_folder_.value_or(folder_) +
                            "/control.db\"\n" + on_blade_,
                        server_files_) +
           witnesses_;
  }

  void start_server() {
    std::ofstream(folder_ + "/group.toml") << group_file();
    server_.emplace(std::vector<std::string>{CONTROL_SERVER, "--config", folder_ + "/group.toml"},
                    folder_ + "/server.log");
  }

  std::string operate(const std::string& arguments, int* status = nullptr) {
    return operate_at(std::string(kServer) + ":7400", arguments, status);
  }
  boost::json::value role_status() {
    boost::system::error_code error;
    const auto json = boost::json::parse(operate("status --json"), error);
    if (error) { return nullptr; }
    return json.at("roles").at(0);
  }
  /// Polls the status between turns of the loop.
  bool run_until_state(const std::string& state) {
    return run_until([&] {
      const auto role = role_status();
      return role.is_object() && role.at("state").as_string() == state;
    });
  }

  void obedient_standby() {
    standby_->obey = [this](const Order& order) {
      auto& client = *standby_->client;
      if (const auto* mirror = std::get_if<RunMirror>(&order)) {
        standby_->held = {{mirror->spec.id, mirror->term, PlaceKind::Mirror, false}};
        client.send(MirrorState{mirror->spec.id, mirror->term, MirrorPhase::Synced, "nonce", ""});
        client.send(PeerVote{mirror->spec.id, BladeId{"blade-1"}, Vote::Up});
      } else if (const auto* activate = std::get_if<Activate>(&order)) {
        isolated_at_activation_ = isolation_->are_isolated({"b1-ext"}).value();
        standby_->held = {{activate->role, activate->term, PlaceKind::Mirror, true}};
        client.send(Activated{activate->role, activate->term, {{"handover", 1.5}}});
      } else if (const auto* move = std::get_if<Move>(&order)) {
        standby_->held = {{move->role, move->term, PlaceKind::Host, true}};
        client.send(Moved{move->role, move->term, {{"prepare", 20}, {"freeze", 0.5}, {"resume", 1}}});
      } else if (std::holds_alternative<ReleaseMirrors>(order)) {
        client.send(MirrorsReleased{0, 250});
      }
    };
  }
  void bring_up() {
    serve(*active_);
    obedient_standby();
    active_->power_on();
    standby_->power_on();
    ASSERT_TRUE(run_until([&] {
      const auto role = role_status();
      return role.is_object() && role.at("protected").as_bool() && active_->got<ServeRole>() != nullptr &&
             operate("status --json").find("\"bfd\":\"unknown\"") == std::string::npos;
    })) << operate("status");
  }

  void lose_active() {
    active_->die();
    standby_->client->send(PeerVote{RoleId{"role-1"}, BladeId{"blade-1"}, Vote::Down});
  }
  bool run_until_detail(const std::string& words) {
    return run_until([&] {
      const auto role = role_status();
      return role.is_object() && role.at("detail").as_string().find(words) != boost::json::string::npos;
    });
  }

  std::optional<std::string> state_folder_;
  std::string on_blade_;               ///< a line of [control]
  std::string witnesses_;              ///< tables of group.toml
  tls::CredentialFiles server_files_;  ///< none: plain text
  std::optional<Child> server_;
};

TEST_F(ControlServerTest, WhatAMirrorHasAcknowledgedIsInEveryStatusAndAMirrorThatStopsIsAnAlarm) {
  bring_up();
  const auto tell = [&](SyncStream stream, std::uint64_t committed, std::uint64_t acknowledged) {
    active_->client->send(SyncProgress{RoleId{"role-1"},
                                       active_->got<ServeRole>()->term,
                                       stream,
                                       {{"net", Sequence{committed}, Sequence{acknowledged}}}});
  };
  const auto shows = [&](const std::string& words) {
    return run_until([&] { return operate("status").find(words) != std::string::npos; });
  };
  tell(SyncStream::Synced, 1180, 1180);
  EXPECT_TRUE(shows("mirror on blade-2, stream synced, acknowledged: net 1180 of 1180\n")) << operate("status");
  tell(SyncStream::Stalled, 1204, 1180);
  EXPECT_TRUE(run_until_detail("store \"net\": blade-1 has committed up to 1204, acknowledged is 1180"));
  EXPECT_TRUE(role_status().at("protected").as_bool()) << "for a moment it is as good as its last change";
  EXPECT_EQ(role_status().at("sync").at("stores").at(0).at("acknowledged").to_number<int>(), 1180);
  EXPECT_NE(operate("events --json").find("acknowledges nothing any more"), std::string::npos);
  tell(SyncStream::Synced, 1204, 1204);
  EXPECT_TRUE(shows("acknowledged: net 1204 of 1204\n")) << operate("status");
  EXPECT_EQ(role_status().at("detail").as_string(), "");
}

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

TEST_F(ControlServerTest, WhatABladeTellsAPersonStandsInTheStatusUntilItIsOver) {
  bring_up();
  EXPECT_NE(operate("status").find(", power none\n"), std::string::npos) << operate("status");
  active_->client->send(RoleAlarm{RoleId{"role-1"}, Term{1}, "table-0", "table \"flows\" is full"});
  ASSERT_TRUE(run_until_detail("blade-1: table \"flows\" is full")) << operate("status");
  EXPECT_NE(operate("events").find("role-1 blade-1 alarm      blade-1: table \"flows\" is full"), std::string::npos)
      << operate("events");
  active_->client->send(RoleAlarm{RoleId{"role-1"}, Term{1}, "table-0", ""});
  ASSERT_TRUE(run_until([&] {
    const auto role = role_status();
    return role.is_object() && role.at("detail").as_string().empty();
  })) << operate("status");
  EXPECT_NE(operate("events").find("over: blade-1: table"), std::string::npos);
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

TEST_F(ControlServerTest, EveryCommandIsAnEventWithWhoAndWhyAndAViewersIsRefused) {
  server_->terminate();
  const auto unit = folder_ + "/unit";
  std::ofstream(unit) << "#!/bin/sh\ncd " << folder_
                      << "\ncase $1 in on|off) echo $1 >$2 ;; status) cat $2 2>/dev/null || echo on ;; esac\n";
  ASSERT_EQ(chmod(unit.c_str(), 0755), 0);
  witnesses_ = "[power]\ndriver = \"command\"\ncommand = [\"" + unit + "\"]\n";
  start_server();
  bring_up();
  int status = -1;
  EXPECT_NE(operate("power off blade-2 --reason 'its fan'", &status).find("is being powered off"), std::string::npos);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(run_until([&] {
    return operate("events --json").find("powered off as ordered, confirmed") != std::string::npos;
  })) << operate("events");
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/blade-2"));
  EXPECT_NE(operate("power on blade-9 --reason x", &status).find("no blade"), std::string::npos);
  EXPECT_EQ(status, 1);
  operate("policy manual --reason 'the night shift is thin'", &status);
  EXPECT_EQ(status, 0);
  operate("move role-1 --reason 'a wrong one'", &status);
  EXPECT_EQ(status, 1);
  for (const auto* silent :
       {"move role-1", "switchover role-1 --force", "power off blade-2", "move role-1 --reason ' '"}) {
    EXPECT_NE(operate(silent, &status).find("say why"), std::string::npos) << silent;
    EXPECT_EQ(status, 2) << silent;
  }
  operate("policy manual", &status);
  EXPECT_EQ(status, 0);
  const auto events = operate("events --json");
  EXPECT_NE(events.find("operator alice: policy manual, because: the night shift is thin"), std::string::npos)
      << events;
  EXPECT_NE(events.find("operator alice: policy manual, no reason given"), std::string::npos) << events;
  EXPECT_NE(events.find("operator alice: power off blade-2, because: its fan"), std::string::npos) << events;
  EXPECT_NE(events.find("operator alice: power on blade-9, because: x; not done: "), std::string::npos) << events;
  EXPECT_NE(events.find("operator alice: move role-1, because: a wrong one; not done: "), std::string::npos) << events;
  operator_files_ = pki_->issue(tls::Kind::Viewer, "bob");
  EXPECT_NE(operate("status", &status).find("protected"), std::string::npos);
  EXPECT_EQ(status, 0);
  EXPECT_NE(operate("policy always", &status).find("viewer bob may not change anything"), std::string::npos);
  EXPECT_EQ(status, 1);
  EXPECT_NE(operate("power on blade-2 --reason x", &status).find("viewer bob may not change anything"),
            std::string::npos);
  EXPECT_NE(operate("status").find("movement manual"), std::string::npos);
  EXPECT_NE(operate("events --json").find("viewer bob may not change anything"), std::string::npos);
}

TEST_F(ControlServerTest, PlainTextIsShownByEveryStatusAndNobodyIsMixed) {
  server_->terminate();
  server_files_ = {};
  start_server();
  int status = 0;
  ASSERT_TRUE(run_until([&] { return operate("status", &status).find("plain_text") != std::string::npos; }));
  EXPECT_EQ(status, 1) << "TLS does not speak to a plain server";
  operator_files_ = {};
  active_->wire = standby_->wire = tls::Wire::plain();
  bring_up();
  EXPECT_NE(operate("status").find("! PLAIN TEXT: the wires have no protection"), std::string::npos);
  EXPECT_NE(operate("status --json").find("\"plain_text\":true"), std::string::npos);
  EXPECT_NE(operate("events --json").find("plain_text = true: the wires are not encrypted"), std::string::npos);
}

/// A file system of a megabyte. It is seen by this thread and its children only, and ends with the test.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
    good_ = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            mount("small", path_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() { umount2(path_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool good() const { return good_; }
  void fill() const {
    std::ofstream file(path_ + "/filler", std::ios::binary);
    while (file << std::string(4096, 'x') << std::flush) {}
  }
  void make_room() const { std::filesystem::remove(path_ + "/filler"); }

 private:
  std::string path_;
  bool good_ = false;
};

TEST_F(ControlServerTest, AFullDiskIsInEveryStatusAndNoCommandIsDoneThatIsNotInTheLog) {
  server_->terminate();
  const SmallDisk disk(folder_ + "/disk");
  ASSERT_TRUE(disk.good());
  state_folder_ = folder_ + "/disk";
  start_server();
  bring_up();
  int status = -1;
  operate("policy manual", &status);
  ASSERT_EQ(status, 0);
  disk.fill();
  const auto exits = [&](int wanted) {
    return run_until([&] {
      operate("status", &status);
      return status == wanted;
    });
  };
  ASSERT_TRUE(exits(3)) << "nothing happens in the group, and it must be seen all the same" << operate("status");
  EXPECT_NE(operate("status").find("! NOBODY DECIDES: the state store"), std::string::npos) << operate("status");
  EXPECT_NE(operate("status --json").find("cannot be written: no decision can be stored"), std::string::npos);
  const auto answer = operate("policy always --reason 'it is quiet'", &status);
  EXPECT_EQ(status, 1);
  EXPECT_NE(answer.find("nothing is done: no command is carried out that is not in the event log"), std::string::npos)
      << answer;
  EXPECT_NE(operate("status").find("movement manual"), std::string::npos);
  disk.make_room();
  ASSERT_TRUE(exits(0)) << operate("status");
  EXPECT_TRUE(run_until([&] {
    return operate("events --json").find("policy always, because: it is quiet; not done: ") != std::string::npos;
  })) << operate("events");
  operate("policy always", &status);
  EXPECT_EQ(status, 0);
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

TEST_F(ControlServerTest, ACertificateThatEndsStandsInTheStatusUntilItIsRenewedOrItsBladeHasGone) {
  server_->terminate();
  witnesses_ = "warn_days = 3\n";  // the end of [tls]
  for (auto* blade : {&*active_, &*standby_}) {
    blade->wire = {false, pki_->issue(tls::Kind::Blade, blade->id.value, "", 2)};
  }
  start_server();
  bring_up();
  const auto alarms = [&] { return boost::json::serialize(boost::json::parse(operate("status --json")).at("alarms")); };
  const std::string ends = "the certificate of blade blade-";
  EXPECT_NE(alarms().find(ends + "1 ends at "), std::string::npos) << alarms();
  EXPECT_NE(alarms().find(ends + "2 ends at "), std::string::npos) << alarms();
  EXPECT_NE(alarms().find("BFD is not authenticated"), std::string::npos) << alarms();
  pki_->issue(tls::Kind::Blade, "blade-1", "", 20);
  EXPECT_TRUE(run_until([&] { return alarms().find(ends + "1") == std::string::npos; })) << alarms();
  EXPECT_NE(alarms().find(ends + "2"), std::string::npos) << alarms();
  ASSERT_TRUE(run_until_state("protected")) << operate("status");
  EXPECT_EQ(active_->orders.size(), 1U) << "who serves is not disturbed";
  standby_->client.reset();
  EXPECT_TRUE(run_until([&] { return alarms().find(ends) == std::string::npos; })) << alarms();
}

TEST_F(ControlServerTest, ABladeIsHeardBeyondItsCertificatesEndAndTheStatusSaysSo) {
  server_->terminate();
  const auto end = time(nullptr) + 12;
  for (auto* blade : {&*active_, &*standby_}) {
    const auto made = tls::pki_issue(pki_->folder(), tls::Kind::Blade, blade->id.value, "", {end - 86'400, end}, true);
    ASSERT_TRUE(made.ok()) << made.error().message;
    blade->wire = {false, {pki_->folder() + "/ca.crt", made->certificate, made->key}};
  }
  start_server();
  bring_up();
  const auto alarms = [&] { return boost::json::serialize(boost::json::parse(operate("status --json")).at("alarms")); };
  EXPECT_TRUE(run_until([&] {
    return alarms().find("the certificate of blade blade-1 has ended at ") != std::string::npos;
  })) << alarms();
  EXPECT_NE(alarms().find("cannot come back once that is interrupted"), std::string::npos) << alarms();
  EXPECT_FALSE(run_until([&] { return !active_->client->connected() || !standby_->client->connected(); }, 2500ms));
  EXPECT_TRUE(run_until_state("protected")) << operate("status");
}

TEST_F(ControlServerTest, EventsAreChosenByNumberRoleAndSeverity) {
  bring_up();
  for (const auto* policy : {"manual", "always", "manual", "always"}) { operate(std::string("policy ") + policy); }
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  const auto all = operate("events --json --last 0");
  EXPECT_EQ(operate("events --json"), all) << "there are fewer than it shows by itself";
  ASSERT_GT(lines(all), 6);
  const auto two = operate("events --json --last 2");
  EXPECT_EQ(lines(two), 2);
  EXPECT_TRUE(all.ends_with(two));
  EXPECT_EQ(operate("events --json --since 0"), all);
  const auto of_role = operate("events --json --role role-1");
  EXPECT_GT(lines(of_role), 0);
  EXPECT_LT(lines(of_role), lines(all));
  EXPECT_EQ(lines(operate("events --json --role role-1 --last 1")), 1);
  EXPECT_NE(operate("events --json --severity alarm").find("BFD is not authenticated"), std::string::npos);
  EXPECT_EQ(operate("events --json --severity alarm").find("policy manual"), std::string::npos);
  int status = -1;
  operate("events --severity loud", &status);
  EXPECT_EQ(status, 2);
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

TEST_F(ControlServerTest, TheOperatorsCommandAnswersClearly) {
  bring_up();
  int status = -1;
  EXPECT_NE(operate("status", &status).find("role-1              protected"), std::string::npos);
  EXPECT_EQ(status, 0);
  EXPECT_NE(operate("move role-1 --reason x", &status)
                .find("role-1 is protected; only a role that is on-mirror can be moved"),
            std::string::npos);
  EXPECT_EQ(status, 1);
  EXPECT_NE(operate("move role-9 --reason x", &status).find("there is no role \"role-9\""), std::string::npos);
  EXPECT_EQ(status, 1);
  EXPECT_NE(operate("policy manual", &status).find("now manual"), std::string::npos);
  EXPECT_EQ(status, 0);
  operate("policy never", &status);
  EXPECT_EQ(status, 2);
  operate("dance", &status);
  EXPECT_EQ(status, 2);
  EXPECT_EQ(server_->terminate(), 0);
  const auto output = operate("status", &status);
  EXPECT_EQ(status, 1);
  EXPECT_NE(output.find("understudy: the control-server at 127.0.0.250:7400 cannot be reached"), std::string::npos);
  EXPECT_NE(output.find("nothing fails over, until one is back; roles serve on"), std::string::npos) << output;
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 1) << output;
  operate("events", &status);
  EXPECT_EQ(status, 1);
}

}  // namespace
}  // namespace understudy
