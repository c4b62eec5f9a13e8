// SPDX-License-Identifier: Apache-2.0
/// What a control-server tells, and what it is told by an operator (see real_control_server.hpp).
/// Covers: control-server/edge/service_alarms.cpp, control-server/edge/service_commands.cpp, cli/commands.cpp,
/// cli/pki_commands.cpp
#include <sys/mount.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "real_control_server.hpp"

namespace understudy {
namespace {

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
