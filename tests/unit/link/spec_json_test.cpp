// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/spec_json.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "support/sample_mirror.hpp"

namespace understudy::link {
namespace {

namespace json = boost::json;

TEST(SpecJson, AMirrorOrderSurvivesTheWayThroughText) {
  const auto order = test::sample_mirror();
  const auto read = run_mirror_from_json(json::parse(json::serialize(to_json(order))));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read.value(), order);
}

TEST(SpecJson, UnsetAddressesStayUnset) {
  RoleSpec spec;
  spec.id = RoleId{"role-1"};
  const auto read = role_spec_from_json(to_json(spec));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read.value(), spec);
}

TEST(SpecJson, NumbersAbove63BitsAreKept) {
  auto order = test::sample_mirror();
  order.term.value = 0xffff'ffff'ffff'fffeU;
  const auto read = run_mirror_from_json(json::parse(json::serialize(to_json(order))));
  ASSERT_TRUE(read);
  EXPECT_EQ(read.value().term.value, 0xffff'ffff'ffff'fffeU);
}

/// Every member of the message, replaced by something of the wrong type and by nothing at all, is refused.
void refuse_each_damage(const json::value& root, json::value& place, const std::string& path) {
  if (auto* object = place.if_object(); object != nullptr) {
    for (auto& member : *object) {
      const std::string name = path + "/" + std::string(member.key());
      refuse_each_damage(root, member.value(), name);
      const json::value kept = member.value();
      for (const json::value& wrong : {json::value(true), json::value(-1), json::value("\x01no such\n")}) {
        if (wrong.kind() == kept.kind() && (wrong.is_bool() || path.empty())) { continue; }
        if (wrong.is_string() && kept.is_string()) { continue; }  // text is text; addresses have their own test
        member.value() = wrong;
        EXPECT_FALSE(run_mirror_from_json(root)) << name << " = " << json::serialize(wrong);
      }
      member.value() = kept;
    }
  } else if (auto* array = place.if_array(); array != nullptr) {
    for (auto& element : *array) {
      refuse_each_damage(root, element, path + "[]");
      const json::value kept = element;
      element = 17.5;
      EXPECT_FALSE(run_mirror_from_json(root)) << path << "[]";
      element = kept;
    }
  }
}

TEST(SpecJson, EveryMemberOfAWrongTypeIsRefused) {
  json::value root = to_json(test::sample_mirror());
  refuse_each_damage(root, root, "");
  EXPECT_TRUE(run_mirror_from_json(root));
}

TEST(SpecJson, WhatADaemonWroteDownBeforeHealthWasKnownIsReadWithoutAny) {
  auto root = to_json(test::sample_mirror());
  root.as_object()["spec"].as_object().erase("health");
  root.as_object()["spec"].as_object().erase("link_down_ms");
  const auto read = run_mirror_from_json(root);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read.value().spec.health, HealthSpec{});
  EXPECT_EQ(read.value().spec.link_down_ms, kLinkDownMs);
}

TEST(SpecJson, AMissingMemberIsNamed) {
  auto root = to_json(test::sample_mirror());
  root.as_object()["spec"].as_object().erase("region_bytes");
  const auto read = run_mirror_from_json(root);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("region_bytes"), std::string::npos) << read.error().message;
}

TEST(SpecJson, ARecordOfAnOlderDaemonNamesNoMirrorsBlade) {
  auto root = to_json(test::sample_mirror());
  root.as_object()["spec"].as_object().erase("mirror_blade");
  const auto read = run_mirror_from_json(root);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read.value().spec.mirror_blade.empty());
}

TEST(SpecJson, AWrongAddressIsRefused) {
  auto root = to_json(test::sample_mirror());
  root.as_object()["active_address"] = "192.168.1.2000";
  EXPECT_FALSE(run_mirror_from_json(root));
}

}  // namespace
}  // namespace understudy::link
