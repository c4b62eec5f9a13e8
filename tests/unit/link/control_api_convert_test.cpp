// SPDX-License-Identifier: Apache-2.0
/// Covers: link/src/control_api_convert_orders.cpp, link/src/control_api_convert_reports.cpp,
/// link/src/control_api_convert_status.cpp, link/src/control_api_status.cpp
#include "control_api_convert.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "control_api_test_data.hpp"

namespace understudy::link {
namespace {

TEST(ControlApiConvert, EveryOrderComesBackAsItWas) {
  for (const auto& order : test::every_order()) {
    pb::Order wire;
    ASSERT_TRUE(wire.ParseFromString(to_proto(order).SerializeAsString()));
    const auto back = from_proto(wire);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back.value(), order) << "variant " << order.index();
  }
}

TEST(ControlApiConvert, EveryReportComesBackAsItWas) {
  for (const auto& report : test::every_report()) {
    pb::Report wire;
    ASSERT_TRUE(wire.ParseFromString(to_proto(report).SerializeAsString()));
    const auto back = from_proto(wire);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back.value(), report) << "variant " << report.index();
  }
}

TEST(ControlApiConvert, TheTestDataCoversEveryAlternative) {
  EXPECT_EQ(test::every_order().size(), std::variant_size_v<Order>);
  EXPECT_EQ(test::every_report().size(), std::variant_size_v<Report>);
  for (std::size_t i = 0; i < test::every_order().size(); ++i) { EXPECT_EQ(test::every_order()[i].index(), i); }
  for (std::size_t i = 0; i < test::every_report().size(); ++i) { EXPECT_EQ(test::every_report()[i].index(), i); }
}

TEST(ControlApiConvert, AnAlarmMayHaveNoTopicOrNoDetail) {
  for (const auto& alarm : {RoleAlarm{RoleId{"role-1"}, Term{4}, "", "it happened once"},
                            RoleAlarm{RoleId{"role-1"}, Term{4}, "gate", ""}}) {
    const auto back = from_proto(to_proto(Report{alarm}));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back.value(), Report{alarm});
  }
}

TEST(ControlApiConvert, StatusAndEventsComeBackAsTheyWere) {
  const auto status = test::status();
  const auto back = from_proto(to_proto(status));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value(), status);
  const EventRecord event{7,         123456789, Severity::Alarm, "phase", RoleId{"role-1"}, BladeId{"blade-1"},
                          "isolate", 2.5,       "read back"};
  EXPECT_EQ(from_proto(to_proto(event)).value(), event);
}

void expect_refused(const pb::Order& wire, const std::string& words) {
  const auto order = from_proto(wire);
  ASSERT_FALSE(order.ok()) << words;
  EXPECT_EQ(order.error().code, Errc::BadInput);
  EXPECT_NE(order.error().message.find(words), std::string::npos) << order.error().message;
}

TEST(ControlApiConvert, WhatIsNotValidIsRefusedByMessageAndField) {
  const auto serve = to_proto(Order{ServeRole{test::spec(), Term{3}}});
  auto wire = serve;
  wire.mutable_serve_role()->set_term(0);
  expect_refused(wire, "ServeRole.term must be a term, 1 or more");
  wire = serve;
  wire.mutable_serve_role()->set_term(~std::uint64_t{0});
  expect_refused(wire, "ServeRole.term");
  wire = serve;
  wire.mutable_serve_role()->mutable_spec()->set_id("../etc");
  expect_refused(wire, "ServeRole.id must be 1 to 64 letters");
  wire = serve;
  wire.mutable_serve_role()->mutable_spec()->mutable_ports(0)->set_mac("12345");
  expect_refused(wire, "ServeRole.port.mac must be 6 bytes");
  wire = serve;
  wire.mutable_serve_role()->mutable_spec()->mutable_ports(0)->mutable_addresses(0)->set_length(33);
  expect_refused(wire, "ServeRole.port.address must be a prefix of a possible length");
  wire = serve;
  wire.mutable_serve_role()->mutable_spec()->mutable_ports(0)->mutable_addresses(0)->set_address("abcde");
  expect_refused(wire, "ServeRole.port.address must be 4 or 16 bytes");
  wire = serve;
  wire.mutable_serve_role()->mutable_spec()->set_region_bytes(3 << 20);
  expect_refused(wire, "ServeRole.region_bytes must be a power of two");
  wire = serve;
  wire.mutable_serve_role()->mutable_spec()->set_ruleset(std::string((1 << 20) + 1, 'x'));
  expect_refused(wire, "ServeRole.ruleset must be at most 1048576 bytes");
  wire = serve;
  for (int i = 0; i < 20; ++i) {
    *wire.mutable_serve_role()->mutable_spec()->add_ports() = serve.serve_role().spec().ports(0);
  }
  expect_refused(wire, "ServeRole.ports must be at most 16 entries");
  expect_refused(pb::Order(), "an order without a body");
}

TEST(ControlApiConvert, AnActivationWithoutStopEvidenceIsRefused) {
  expect_refused(to_proto(Order{Activate{RoleId{"role-1"}, Term{2}, StopEvidence::None, 1000}}),
                 "Activate.evidence must be a stop-evidence");
}

TEST(ControlApiConvert, ReportsAreCheckedToo) {
  const auto refuse = [](const pb::Report& wire, const std::string& words) {
    const auto report = from_proto(wire);
    ASSERT_FALSE(report.ok()) << words;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
  };
  pb::Report wire;
  refuse(wire, "a report without a body");
  wire.mutable_hello()->set_blade("");
  refuse(wire, "Hello.blade");
  wire.mutable_hello()->set_blade("blade-1");
  auto& held = *wire.mutable_hello()->add_held();
  held.set_role("role-1");
  held.set_term(1);
  refuse(wire, "Hello.held.kind must be a known enumerator, not 0");
  wire.mutable_mirror_state()->set_role("role-1");
  wire.mutable_mirror_state()->set_term(1);
  wire.mutable_mirror_state()->set_phase(static_cast<pb::MirrorPhase>(99));
  refuse(wire, "MirrorState.phase must be a known enumerator, not 99");
  auto& moved = *wire.mutable_moved();
  moved.set_role("role-1");
  moved.set_term(2);
  moved.add_phases()->set_ms(-1);
  refuse(wire, "Moved.phase.ms must be a duration");
}

TEST(ControlApiConvert, StatusAndEventsAreCheckedToo) {
  auto status = to_proto(test::status());
  status.mutable_roles(0)->set_blade("../etc");
  ASSERT_FALSE(from_proto(status).ok());
  EXPECT_NE(from_proto(status).error().message.find("GroupStatus.blade must be 1 to 64"), std::string::npos);
  status.mutable_roles(0)->set_blade("");  // owned by nobody
  EXPECT_TRUE(from_proto(status).ok());
  auto event = to_proto(EventRecord{});
  for (const double ms : {std::nan(""), HUGE_VAL}) {
    event.set_ms(ms);
    ASSERT_FALSE(from_proto(event).ok());
    EXPECT_NE(from_proto(event).error().message.find("Event.ms must be a number"), std::string::npos);
  }
}

TEST(ControlApiConvert, AStrangeDetailIsMadeHarmlessInsteadOfEndingTheStream) {
  const Report report =
      MirrorState{RoleId{"role-1"}, Term{1}, MirrorPhase::Failed, "n", std::string(5000, '\xff') + '\0'};
  pb::Report wire;
  ASSERT_TRUE(wire.ParseFromString(to_proto(report).SerializeAsString()));
  const auto back = from_proto(wire);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(std::get<MirrorState>(back.value()).detail, std::string(4096, '?'));
}

TEST(ControlApiConvert, OfAnOlderHostAgentNothingIsKnownOfAnOlderCopy) {
  pb::Report wire;
  wire.mutable_mirror_state()->set_role("role-1");
  wire.mutable_mirror_state()->set_term(1);
  wire.mutable_mirror_state()->set_phase(pb::MIRROR_PHASE_CONNECTED);
  wire.mutable_mirror_state()->set_whole(true);
  const auto report = from_proto(wire);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(std::get<MirrorState>(report.value()).whole);
  EXPECT_FALSE(std::get<MirrorState>(report.value()).older);
}

TEST(ControlApiConvert, PoliciesHaveOneNameEach) {
  for (const auto* text : {"always", "when-slow", "when-quiet", "manual"}) {
    ASSERT_TRUE(parse_movement_policy(text).ok());
    EXPECT_STREQ(to_string(parse_movement_policy(text).value()), text);
  }
  EXPECT_FALSE(parse_movement_policy("sometimes").ok());
}

}  // namespace
}  // namespace understudy::link
