// SPDX-License-Identifier: Apache-2.0
/// Power that a person orders: when it may be, and that nothing is switched which is not in the event log.
#include "edge/power_orders.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "edge/store.hpp"

namespace understudy::control {
namespace {

const BladeId kFirst{"blade-1"};
const BladeId kStandby{"blade-3"};

link::GroupStatus group(const std::string& state, const Place& place) {
  link::GroupStatus status;
  status.standby = kStandby;
  for (const auto* name : {"blade-1", "blade-2", "blade-3"}) { status.blades.emplace_back().blade = BladeId{name}; }
  status.roles.push_back({RoleId{"role-1"}, state, place, Term{1}, state == "protected", "", ""});
  status.roles.push_back({RoleId{"role-2"}, "protected", {BladeId{"blade-2"}, PlaceKind::Host}, Term{1}, true, "", ""});
  for (auto& role : status.roles) { role.sync.standby = kStandby; }
  return status;
}

std::string refusal(const link::GroupStatus& status, const PowerOrder& order, bool has_driver = true) {
  const auto answer = check_power(status, order, has_driver);
  return answer ? "" : answer.error().message;
}

TEST(CheckPower, OffIsRefusedWhereARoleWouldBeLost) {
  const Place host{kFirst, PlaceKind::Host};
  const Place mirror{kStandby, PlaceKind::Mirror};
  const PowerOrder first{kFirst};
  const PowerOrder standby{kStandby};
  EXPECT_EQ(refusal(group("protected", host), first), "") << "its mirror takes over";
  EXPECT_EQ(refusal(group("lost", host), first), "");
  EXPECT_EQ(refusal(group("taking-over", host), first), "") << "it is what is wanted";
  EXPECT_EQ(refusal(group("on-mirror", mirror), first), "") << "it serves nothing";
  EXPECT_EQ(refusal(group("protected", host), standby), "") << "actives serve on";
  for (const auto* state : {"starting", "exposed"}) {
    EXPECT_NE(refusal(group(state, host), first).find("nobody else could serve it; --force"), std::string::npos);
    EXPECT_EQ(refusal(group(state, host), {kFirst, false, true}), "");
    EXPECT_EQ(refusal(group(state, host), standby), "");
  }
  for (const auto* state : {"on-mirror", "moving", "on-host"}) {
    EXPECT_NE(refusal(group(state, mirror), standby).find("role-1 is "), std::string::npos) << state;
  }
  EXPECT_NE(refusal(group("taking-over", host), standby).find("role-1 is taking-over"), std::string::npos);
}

TEST(CheckPower, OnIsRefusedWhereBeingOffMayBeTheProof) {
  const Place host{kFirst, PlaceKind::Host};
  EXPECT_EQ(refusal(group("lost", host), {kFirst, true}), "");
  EXPECT_EQ(refusal(group("taking-over", host), {BladeId{"blade-2"}, true}), "");
  EXPECT_NE(refusal(group("taking-over", host), {kFirst, true}).find("being taken over from blade-1"),
            std::string::npos);
  EXPECT_EQ(refusal(group("taking-over", host), {kFirst, true, true}), "");
}

TEST(CheckPower, UnknownBladesAndGroupsWithoutPowerAreTold) {
  const auto status = group("protected", {kFirst, PlaceKind::Host});
  EXPECT_EQ(refusal(status, {BladeId{"blade-9"}}), "there is no blade \"blade-9\" in this group");
  EXPECT_NE(refusal(status, {kFirst, false, true}, false).find("no [power]"), std::string::npos);
}

class PowerByHandTest : public testing::Test {
 protected:
  PowerByHandTest() : folder_(testing::TempDir() + "power_orders_test_" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    const auto unit = folder_ + "/unit";
    std::ofstream(unit) << "#!/bin/sh\ncd " << folder_
                        << "\ncase $1 in on|off) echo $1 >$2 ;; status) cat $2 2>/dev/null || echo on ;; esac\n";
    chmod(unit.c_str(), 0755);
    config_.power_driver = ServerConfig::Power::Command;
    config_.power_command = {unit};
    config_.state_path = folder_ + "/control.db";
    config_.group.blades.push_back({kFirst, IpAddress{}, {}, false});
  }
  ~PowerByHandTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::vector<link::EventRecord> log() const {
    auto store = Store::open(config_.state_path);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return store.value()->events_after(0, 100).value();
  }
  [[nodiscard]] bool is_touched() const { return std::filesystem::exists(folder_ + "/blade-1"); }

  const std::string folder_;
  ServerConfig config_;
  PowerByHand order_{"off", kFirst, "root at here, logged in as alice", "a DIMM is bad"};
};

TEST_F(PowerByHandTest, WhoWhatAndWhyAreInTheEventLogAndWhatCameOfIt) {
  const auto on = power_by_hand(config_, order_);
  ASSERT_TRUE(on.ok()) << on.error().message;
  EXPECT_FALSE(on.value());
  const auto events = log();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, "command");
  EXPECT_EQ(events[0].text,
            "root at here, logged in as alice: power off blade-1 without a control-server, because: a DIMM is bad");
  EXPECT_GT(events[0].time_ns, 1'600'000'000'000'000'000);
  EXPECT_EQ(events[1].kind, "power");
  EXPECT_EQ(events[1].text, "powered off as ordered, confirmed");
  order_.what = "status";
  EXPECT_FALSE(power_by_hand(config_, order_).value());
  EXPECT_EQ(log().size(), 2U) << "a look changes nothing";
}

TEST_F(PowerByHandTest, AUnitThatRefusesIsToldThere) {
  std::ofstream(folder_ + "/unit") << "#!/bin/sh\necho 'no such outlet' >&2\nexit 1\n";
  EXPECT_FALSE(power_by_hand(config_, order_).ok());
  const auto events = log();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].severity, link::Severity::Alarm);
  EXPECT_NE(events[1].text.find("no such outlet"), std::string::npos) << events[1].text;
}

TEST_F(PowerByHandTest, WhileAControlServerDecidesItIsAskedInstead) {
  const auto daemons = Store::open(config_.state_path);
  ASSERT_TRUE(daemons.ok());
  order_.unlogged = true;
  const auto refused = power_by_hand(config_, order_);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("`understudy power off blade-1 --reason ...`"), std::string::npos)
      << refused.error().message;
  EXPECT_FALSE(is_touched());
}

TEST_F(PowerByHandTest, NothingIsSwitchedThatCannotBeWrittenDownButByWhoSaysSo) {
  config_.state_path = folder_ + "/nowhere/control.db";
  const auto refused = power_by_hand(config_, order_);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("--unlogged"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(is_touched());
  order_.unlogged = true;
  const auto done = power_by_hand(config_, order_);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_TRUE(is_touched());
}

TEST_F(PowerByHandTest, WithoutAReasonNothingIsSwitchedButLookedAt) {
  for (const auto* reason : {"", "  "}) {
    order_.reason = reason;
    const auto refused = power_by_hand(config_, order_);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Errc::BadInput);
    EXPECT_NE(refused.error().message.find("say why"), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(is_touched());
  order_.what = "status";
  EXPECT_TRUE(power_by_hand(config_, order_).ok());
}

TEST_F(PowerByHandTest, WhatMakesNoSenseIsRefused) {
  order_.what = "cycle";
  EXPECT_EQ(power_by_hand(config_, order_).error().code, Errc::BadInput);
  order_ = {"off", BladeId{"blade-9"}, "", ""};
  EXPECT_EQ(power_by_hand(config_, order_).error().code, Errc::BadInput);
  order_ = {"off", kFirst, "", ""};
  config_.power_driver = ServerConfig::Power::None;
  EXPECT_EQ(power_by_hand(config_, order_).error().code, Errc::BadInput);
  EXPECT_FALSE(std::filesystem::exists(config_.state_path));
}

TEST(WhoIsHere, NamesUserAndMachine) { EXPECT_NE(who_is_here().find(" at "), std::string::npos) << who_is_here(); }

}  // namespace
}  // namespace understudy::control
