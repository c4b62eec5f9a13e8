// SPDX-License-Identifier: Apache-2.0
#include "render.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <sstream>

namespace understudy::cli {
namespace {

link::GroupStatus status() {
  link::GroupStatus status{BladeId{"blade-4"}, link::MovementPolicy::Always, {}, {}, {}};
  status.roles.push_back(
      {RoleId{"role-1"}, "protected", {BladeId{"blade-1"}, PlaceKind::Host}, Term{3}, true, "synced", "", "armed", 7});
  status.roles.push_back({RoleId{std::string(64, 'r')},
                          "taking-over",
                          {BladeId{std::string(64, 'b')}, PlaceKind::Mirror},
                          Term{123456789},
                          false,
                          "connected",
                          std::string(300, 'x') + " and words " + std::string(90, 'y'),
                          "counting"});
  status.blades.push_back({BladeId{"blade-1"}, true, link::Vote::Up, false, false, ""});
  status.blades.push_back({BladeId{"blade-4"}, false, link::Vote::Down, true, true, "held out"});
  return status;
}

std::string shown(const link::GroupStatus& status) { return status_text(status, 1'700'000'000'123'000'000); }

TEST(Render, NoLineIsWiderThan100ColumnsButForLongNamesWhichAreNeverCut) {
  auto ordinary = status();
  ordinary.roles[1].role = RoleId{"role-2"};
  ordinary.roles[1].place.blade = BladeId{"blade-2"};
  std::istringstream lines(shown(ordinary));
  for (std::string line; std::getline(lines, line);) { EXPECT_LE(line.size(), 100U) << line; }
  EXPECT_NE(shown(ordinary).find("role-1              protected"), std::string::npos);
  const auto wide = shown(status());
  EXPECT_NE(wide.find(std::string(64, 'r') + " taking-over"), std::string::npos) << wide;
  EXPECT_NE(wide.find(" " + std::string(64, 'b') + "/mirror "), std::string::npos) << wide;
  EXPECT_NE(wide.find("role-1" + std::string(59, ' ') + "protected"), std::string::npos) << "in its column: " << wide;
  auto long_standby = ordinary;
  long_standby.standby = BladeId{std::string(64, 's')};
  long_standby.power = std::string(64, 'p');
  std::istringstream first(shown(long_standby));
  std::string line;
  std::getline(first, line);
  EXPECT_LE(line.size(), 100U) << line;
}

TEST(Render, EveryStatusSaysWhenItWasAskedFor) {
  EXPECT_TRUE(shown(status()).starts_with("2023-11-1")) << shown(status());
  EXPECT_NE(shown(status()).find(".123, standby blade-4, movement always\nBFD "), std::string::npos);
}

TEST(Render, PortsAreToldAsFarAsAnybodyKnows) {
  auto told = status();
  told.blades[0].ports = "partly";
  told.blades[1].ports = "unknown";
  told.blades[1].agent = "unknown";
  EXPECT_NE(shown(told).find("up        partly\n"), std::string::npos) << shown(told);
  EXPECT_NE(shown(told).find("unknown       down      unknown     standby\n"), std::string::npos) << shown(told);
  const auto json = boost::json::parse(status_json(told));
  EXPECT_EQ(json.at("blades").at(0).at("ports").as_string(), "partly");
  EXPECT_EQ(json.at("blades").at(1).at("agent").as_string(), "unknown");
  EXPECT_FALSE(json.at("blades").at(0).at("isolated").as_bool()) << "as before";
  EXPECT_EQ(boost::json::parse(status_json(status())).at("blades").at(1).at("ports").as_string(), "isolated");
}

TEST(Render, ARoleOfWhichNothingIsKnownIsShown) {
  auto nobody = status();
  nobody.roles = {{RoleId{"role-1"}, "unknown", {}, {}, false, "unknown", "", "unknown"}};
  EXPECT_NE(
      shown(nobody).find("role-1              unknown       -                           -       unknown   unknown"),
      std::string::npos)
      << shown(nobody);
}

TEST(Render, PlainTextIsToldOfTheWireThatHasIt) {
  auto plain = status();
  EXPECT_EQ(shown(plain).find("PLAIN TEXT"), std::string::npos);
  plain.store_plain_text = true;
  EXPECT_NE(shown(plain).find("! PLAIN TEXT: etcd is spoken to without protection"), std::string::npos);
  EXPECT_EQ(shown(plain).find("[tls]"), std::string::npos) << "the wires are protected";
  EXPECT_TRUE(boost::json::parse(status_json(plain)).at("group").at("store_plain_text").as_bool());
  plain.plain_text = true;
  EXPECT_NE(
      shown(plain).find("! PLAIN TEXT: the wires have no protection ([tls] plain_text = true)\n! PLAIN TEXT: etcd"),
      std::string::npos);
}

TEST(Render, EveryStatusTellsOfTheLease) {
  const auto text = shown(status());
  EXPECT_NE(text.find("synced    armed     7\n"), std::string::npos) << text;
  EXPECT_NE(text.find("connected counting  100\n"), std::string::npos) << text;
  EXPECT_EQ(boost::json::parse(status_json(status())).at("roles").at(0).at("lease").as_string(), "armed");
}

TEST(Render, HowFarEachMirrorHasComeIsBelowItsRole) {
  EXPECT_EQ(shown(status()).find("acknowledged"), std::string::npos) << "nothing was said of it";
  auto followed = status();
  followed.roles.resize(1);  // the other one's names are long
  followed.roles[0].sync = {
      BladeId{"blade-4"}, "stalled", {{"net", Sequence{104}, Sequence{80}}, {"app", Sequence{7}, Sequence{7}}}, 2500};
  EXPECT_NE(
      shown(followed).find(
          "    mirror on blade-4, stream stalled, acknowledged: net 80 of 104, app 7 of 7; nothing new for 2 s\n"),
      std::string::npos)
      << shown(followed);
  const auto sync = boost::json::parse(status_json(followed)).at("roles").at(0).at("sync");
  EXPECT_EQ(sync.at("standby").as_string(), "blade-4");
  EXPECT_EQ(sync.at("stream").as_string(), "stalled");
  EXPECT_EQ(sync.at("behind_ms").to_number<int>(), 2500);
  EXPECT_EQ(sync.at("stores").at(0).at("committed").to_number<int>(), 104);
  EXPECT_EQ(sync.at("stores").at(0).at("acknowledged").to_number<int>(), 80);
  for (int i = 0; i < 20; ++i) {
    followed.roles[0].sync.stores.push_back({std::string(60, 's'), Sequence{~0ULL}, Sequence{~0ULL}});
  }
  std::istringstream lines(shown(followed));
  for (std::string line; std::getline(lines, line);) { EXPECT_LE(line.size(), 100U) << line; }
}

TEST(Render, AStandbyThatIsNotUsedIsShownAsASpare) {
  auto spare = status();
  spare.blades.push_back({BladeId{"blade-5"}, true, link::Vote::Up, false, false, "", true});
  EXPECT_NE(shown(spare).find("connected   spare\n"), std::string::npos) << shown(spare);
  const auto json = boost::json::parse(status_json(spare));
  EXPECT_TRUE(json.at("blades").at(2).at("spare").as_bool());
  EXPECT_FALSE(json.at("blades").at(1).at("spare").as_bool());
}

TEST(Render, WhoDecidesIsToldWhereThereAreSeveral) {
  auto several = status();
  EXPECT_EQ(shown(several).find("CONTROL-SERVER"), std::string::npos);
  several.control_servers = {{"192.168.1.250:7400", "leads", 1'700'000'000'000'000'000},
                             {"192.168.1.251:7400", "absent", 0}};
  auto longer = several;
  longer.control_servers.push_back({"[fd00:1111:2222:3333:4444:5555:6666:7777]:7400", "follows", 0});
  EXPECT_NE(shown(longer).find("[fd00:1111:2222:3333:4444:5555:6666:7777]:7400 follows\n"), std::string::npos);
  const auto text = shown(several);
  EXPECT_NE(text.find("192.168.1.250:7400          leads     20"), std::string::npos) << text;
  EXPECT_NE(text.find("192.168.1.251:7400          absent\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("NOBODY DECIDES"), std::string::npos);
  several.control_alarm = "etcd has lost its quorum";
  EXPECT_NE(shown(several).find("! NOBODY DECIDES: etcd has lost its quorum\n"), std::string::npos);
  const auto json = boost::json::parse(status_json(several));
  EXPECT_EQ(json.at("control_servers").at(1).at("state").as_string(), "absent");
  EXPECT_EQ(json.at("control_alarm").as_string(), "etcd has lost its quorum");
}

TEST(Render, EveryStatusTellsOfWitnessesAndPriorities) {
  EXPECT_EQ(shown(status()).find("WITNESS"), std::string::npos) << "none, no table";
  auto watched = status();
  watched.witnesses.push_back({std::string(64, 'g'), "10.23.4.1", "icmp", link::Vote::Up});
  EXPECT_NE(shown(watched).find("g up            icmp      10.23.4.1\n"), std::string::npos) << shown(watched);
  const auto json = boost::json::parse(status_json(watched));
  EXPECT_EQ(json.at("witnesses").at(0).at("vote").as_string(), "up");
  EXPECT_EQ(json.at("roles").at(0).at("priority").to_number<int>(), 7);
}

TEST(Render, WhyABladeIsHeldOutIsBelowIt) {
  const auto text = shown(status());
  EXPECT_NE(text.find("isolated    standby\n    ! held out\n"), std::string::npos) << text;
  const auto json = boost::json::parse(status_json(status()));
  EXPECT_EQ(json.at("blades").at(1).at("detail").as_string(), "held out");
}

TEST(Render, AGroupWithoutAStandbySaysSo) {
  auto without = status();
  without.standby = BladeId{};
  EXPECT_NE(shown(without).find("standby none: it has become an active"), std::string::npos);
}

TEST(Render, EveryStatusNamesThePowerDriver) {
  EXPECT_EQ(shown(status()).find("power"), std::string::npos) << "of a control-server that does not tell";
  auto without = status();
  without.power = "none";
  EXPECT_NE(shown(without).find(", power none\n"), std::string::npos) << shown(without);
  EXPECT_EQ(boost::json::parse(status_json(without)).at("group").at("power").as_string(), "none");
}

TEST(Render, EveryStatusTellsHowBfdIsAuthenticated) {
  auto keyed = status();
  EXPECT_NE(shown(keyed).find("BFD 50 ms x 3, not authenticated\n"), std::string::npos);
  keyed.bfd = {10, 3, link::BfdAuthentication::MeticulousSha1, 7};
  EXPECT_NE(shown(keyed).find("BFD 10 ms x 3, meticulous-sha1 key 7\n"), std::string::npos);
  const auto json = boost::json::parse(status_json(keyed));
  EXPECT_EQ(json.at("group").at("bfd").at("authentication").as_string(), "meticulous-sha1");
  EXPECT_EQ(json.at("group").at("bfd").at("key_id").to_number<int>(), 7);
}

TEST(Render, StatusAsJsonHasTheDocumentedKeys) {
  const auto json = boost::json::parse(status_json(status())).as_object();
  EXPECT_EQ(json.at("group").at("standby").as_string(), "blade-4");
  EXPECT_EQ(json.at("group").at("movement").as_string(), "always");
  EXPECT_EQ(json.at("group").at("bfd").at("authentication").as_string(), "none");
  const auto& role = json.at("roles").as_array().at(0);
  EXPECT_EQ(role.at("role").as_string(), "role-1");
  EXPECT_EQ(role.at("place").at("blade").as_string(), "blade-1");
  EXPECT_EQ(role.at("place").at("kind").as_string(), "host");
  EXPECT_EQ(role.at("term").to_number<int>(), 3);
  EXPECT_TRUE(role.at("protected").as_bool());
  EXPECT_EQ(role.at("mirror_phase").as_string(), "synced");
  EXPECT_EQ(role.at("detail").as_string(), "");
  const auto& blade = json.at("blades").as_array().at(1);
  EXPECT_EQ(blade.at("agent").as_string(), "lost");
  EXPECT_EQ(blade.at("bfd").as_string(), "down");
  EXPECT_TRUE(blade.at("isolated").as_bool());
}

TEST(Render, EventsFitAHundredColumns) {
  const link::EventRecord event{7,
                                1'700'000'000'123'000'000,
                                link::Severity::Alarm,
                                "phase",
                                RoleId{"role-1"},
                                BladeId{"blade-1"},
                                "isolate",
                                2.5,
                                "two\nlines"};
  EventLines sut;
  EXPECT_EQ(sut.text(event).find('\n'), std::string::npos) << "a short one is one line";
  EXPECT_NE(sut.text(event).find("isolate     2.500 ms, two lines"), std::string::npos) << sut.text(event);
  EXPECT_NE(sut.text(event).find(" role-1 blade-1 phase "), std::string::npos) << "both names: " << sut.text(event);
  auto wordy = event;
  for (int i = 0; i < 40; ++i) { wordy.text += " and on"; }
  std::istringstream lines(sut.text(wordy));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_LE(line.size(), 100U) << line;
    EXPECT_EQ(line.find_first_not_of(' '), count == 0 ? 0U : 58U) << "below its own column: " << line;
  }
  EXPECT_GT(count, 3);
  auto far = event;
  far.role = RoleId{std::string(64, 'r')};
  far.blade = BladeId{std::string(64, 'b')};
  EXPECT_NE(sut.text(far).find(std::string(64, 'r') + " " + std::string(64, 'b') + " phase\n        isolate"),
            std::string::npos)
      << "no name is cut: " << sut.text(far);
  auto control = event;
  control.role = {};
  control.blade = {};
  control.kind = "leader";
  EXPECT_NE(sut.text(control).find("alarm   " + std::string(25, ' ') + "leader"), std::string::npos)
      << "the column has grown: " << sut.text(control);
  const auto json = boost::json::parse(event_json(event)).as_object();
  EXPECT_EQ(json.at("id").to_number<int>(), 7);
  EXPECT_EQ(json.at("time_ns").as_int64(), 1'700'000'000'123'000'000);
  EXPECT_EQ(json.at("severity").as_string(), "alarm");
  EXPECT_EQ(json.at("kind").as_string(), "phase");
  EXPECT_EQ(json.at("phase").as_string(), "isolate");
  EXPECT_EQ(json.at("ms").as_double(), 2.5);
}

}  // namespace
}  // namespace understudy::cli
