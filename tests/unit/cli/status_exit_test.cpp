// SPDX-License-Identifier: Apache-2.0
/// What a status and a choice of events mean for a script, and where alarms of the whole group are shown.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "render.hpp"

namespace understudy::cli {
namespace {

link::GroupStatus with(const std::string& state, bool is_protected, const std::string& detail = "") {
  link::GroupStatus status{BladeId{"blade-4"}, link::MovementPolicy::Always, {}, {}, {}};
  status.roles.push_back({RoleId{"role-0"},
                          "protected",
                          {BladeId{"blade-1"}, PlaceKind::Host},
                          Term{3},
                          true,
                          "synced",
                          "a standing alarm of no weight",
                          "armed",
                          7});
  status.roles.push_back(
      {RoleId{"role-1"}, state, {BladeId{"blade-1"}, PlaceKind::Host}, Term{3}, is_protected, "", detail, "", 7});
  return status;
}

TEST(StatusExit, SaysToAScriptWhetherARoleIsInDanger) {
  struct Case {
    const char* state;
    bool is_protected;
    const char* detail;
    int exits;
  };
  for (const auto& one :
       {Case{"protected", true, "", 0}, Case{"starting", false, "", 0}, Case{"moving", false, "", 0},
        Case{"unknown", false, "", 0}, Case{"taking-over", false, "", 0},
        Case{"taking-over", false, "no stop-evidence: the switch does not answer", kInDanger},
        Case{"exposed", false, "", kInDanger}, Case{"lost", false, "", kInDanger},
        Case{"on-mirror", false, "", kInDanger}, Case{"on-host", false, "", kInDanger}, Case{"on-host", true, "", 0}}) {
    EXPECT_EQ(status_exit(with(one.state, one.is_protected, one.detail)), one.exits) << one.state << " " << one.detail;
  }
  auto nobody = with("lost", false);
  nobody.control_alarm = "etcd has lost its quorum";
  EXPECT_EQ(status_exit(nobody), kNobodyDecides);
}

TEST(StatusExit, AlarmsOfTheGroupStandAboveItsRoles) {
  auto status = with("protected", true);
  status.alarms = {"BFD is not authenticated", "refused: a stranger (just now)"};
  const auto text = status_text(status, 1);
  const auto at = text.find("! BFD is not authenticated\n! refused: a stranger (just now)\n");
  EXPECT_NE(at, std::string::npos) << text;
  EXPECT_LT(at, text.find("ROLE "));
  const auto json = boost::json::parse(status_json(status));
  EXPECT_EQ(json.at("alarms").at(1).as_string(), "refused: a stranger (just now)");
}

TEST(EventFilterTest, TakesARoleAndWhatIsAsBadOrWorse) {
  link::EventRecord event;
  event.role = RoleId{"role-1"};
  event.severity = link::Severity::Warning;
  EXPECT_TRUE(EventFilter{}.takes(event) && EventFilter{}.takes_all());
  EXPECT_TRUE((EventFilter{"role-1", link::Severity::Warning}.takes(event)));
  EXPECT_FALSE((EventFilter{"role-2", link::Severity::Info}.takes(event)));
  EXPECT_FALSE((EventFilter{"", link::Severity::Alarm}.takes(event)));
  EXPECT_EQ(parse_severity("alarm").value(), link::Severity::Alarm);
  EXPECT_FALSE(parse_severity("loud").ok());
}

}  // namespace
}  // namespace understudy::cli
