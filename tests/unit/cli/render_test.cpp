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

TEST(Render, NoLineOfTheTableIsWiderThan100Columns) {
  std::istringstream lines(status_text(status()));
  for (std::string line; std::getline(lines, line);) { EXPECT_LE(line.size(), 100U) << line; }
  EXPECT_NE(status_text(status()).find("role-1              protected"), std::string::npos);
}

TEST(Render, EveryStatusTellsOfTheLease) {
  const auto text = status_text(status());
  EXPECT_NE(text.find("synced    armed     7\n"), std::string::npos) << text;
  EXPECT_NE(text.find("connected counting  100\n"), std::string::npos) << text;
  EXPECT_EQ(boost::json::parse(status_json(status())).at("roles").at(0).at("lease").as_string(), "armed");
}

TEST(Render, HowFarEachMirrorHasComeIsBelowItsRole) {
  EXPECT_EQ(status_text(status()).find("acknowledged"), std::string::npos) << "nothing was said of it";
  auto followed = status();
  followed.roles[0].sync = {
      BladeId{"blade-4"}, "stalled", {{"net", Sequence{104}, Sequence{80}}, {"app", Sequence{7}, Sequence{7}}}, 2500};
  EXPECT_NE(
      status_text(followed).find(
          "    mirror on blade-4, stream stalled, acknowledged: net 80 of 104, app 7 of 7; nothing new for 2 s\n"),
      std::string::npos)
      << status_text(followed);
  const auto sync = boost::json::parse(status_json(followed)).at("roles").at(0).at("sync");
  EXPECT_EQ(sync.at("standby").as_string(), "blade-4");
  EXPECT_EQ(sync.at("stream").as_string(), "stalled");
  EXPECT_EQ(sync.at("behind_ms").to_number<int>(), 2500);
  EXPECT_EQ(sync.at("stores").at(0).at("committed").to_number<int>(), 104);
  EXPECT_EQ(sync.at("stores").at(0).at("acknowledged").to_number<int>(), 80);
  for (int i = 0; i < 20; ++i) {
    followed.roles[0].sync.stores.push_back({std::string(60, 's'), Sequence{~0ULL}, Sequence{~0ULL}});
  }
  std::istringstream lines(status_text(followed));
  for (std::string line; std::getline(lines, line);) { EXPECT_LE(line.size(), 100U) << line; }
}

TEST(Render, AStandbyThatIsNotUsedIsShownAsASpare) {
  auto spare = status();
  spare.blades.push_back({BladeId{"blade-5"}, true, link::Vote::Up, false, false, "", true});
  EXPECT_NE(status_text(spare).find("connected   spare\n"), std::string::npos) << status_text(spare);
  const auto json = boost::json::parse(status_json(spare));
  EXPECT_TRUE(json.at("blades").at(2).at("spare").as_bool());
  EXPECT_FALSE(json.at("blades").at(1).at("spare").as_bool());
}

TEST(Render, WhoDecidesIsToldWhereThereAreSeveral) {
  auto several = status();
  EXPECT_EQ(status_text(several).find("CONTROL-SERVER"), std::string::npos);
  several.control_servers = {{"192.168.1.250:7400", "leads", 1'700'000'000'000'000'000},
                             {"192.168.1.251:7400", "absent", 0}};
  const auto text = status_text(several);
  EXPECT_NE(text.find("192.168.1.250:7400          leads     20"), std::string::npos) << text;
  EXPECT_NE(text.find("192.168.1.251:7400          absent\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("NOBODY DECIDES"), std::string::npos);
  several.control_alarm = "etcd has lost its quorum";
  EXPECT_NE(status_text(several).find("! NOBODY DECIDES: etcd has lost its quorum\n"), std::string::npos);
  const auto json = boost::json::parse(status_json(several));
  EXPECT_EQ(json.at("control_servers").at(1).at("state").as_string(), "absent");
  EXPECT_EQ(json.at("control_alarm").as_string(), "etcd has lost its quorum");
}

TEST(Render, EveryStatusTellsOfWitnessesAndPriorities) {
  EXPECT_EQ(status_text(status()).find("WITNESS"), std::string::npos) << "none, no table";
  auto watched = status();
  watched.witnesses.push_back({std::string(64, 'g'), "10.23.4.1", "icmp", link::Vote::Up});
  EXPECT_NE(status_text(watched).find("~ up            icmp      10.23.4.1\n"), std::string::npos)
      << status_text(watched);
  const auto json = boost::json::parse(status_json(watched));
  EXPECT_EQ(json.at("witnesses").at(0).at("vote").as_string(), "up");
  EXPECT_EQ(json.at("roles").at(0).at("priority").to_number<int>(), 7);
}

TEST(Render, WhyABladeIsHeldOutIsBelowIt) {
  const auto text = status_text(status());
  EXPECT_NE(text.find("isolated    standby\n    ! held out\n"), std::string::npos) << text;
  const auto json = boost::json::parse(status_json(status()));
  EXPECT_EQ(json.at("blades").at(1).at("detail").as_string(), "held out");
}

TEST(Render, AGroupWithoutAStandbySaysSo) {
  auto without = status();
  without.standby = BladeId{};
  EXPECT_NE(status_text(without).find("standby none: it has become an active"), std::string::npos);
}

TEST(Render, EveryStatusTellsHowBfdIsAuthenticated) {
  auto keyed = status();
  EXPECT_NE(status_text(keyed).find("BFD 50 ms x 3, not authenticated\n"), std::string::npos);
  keyed.bfd = {10, 3, link::BfdAuthentication::MeticulousSha1, 7};
  EXPECT_NE(status_text(keyed).find("BFD 10 ms x 3, meticulous-sha1 key 7\n"), std::string::npos);
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
  EXPECT_EQ(event_text(event).find('\n'), std::string::npos) << "a short one is one line";
  EXPECT_NE(event_text(event).find("isolate     2.500 ms, two lines"), std::string::npos) << event_text(event);
  auto wordy = event;
  for (int i = 0; i < 40; ++i) { wordy.text += " and on"; }
  std::istringstream lines(event_text(wordy));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_LE(line.size(), 100U) << line;
    EXPECT_EQ(line.find_first_not_of(' '), count == 0 ? 0U : 53U) << "below its own column: " << line;
  }
  EXPECT_GT(count, 3);
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
