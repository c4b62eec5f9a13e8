// SPDX-License-Identifier: Apache-2.0
#include "core/blade_book.hpp"

#include <gtest/gtest.h>

namespace understudy::control {
namespace {

GroupConfig two_and_a_standby() {
  GroupConfig config;
  for (const auto* id : {"blade-2", "blade-1", "blade-3"}) {
    config.blades.push_back({BladeId{id}, IpAddress::parse("192.168.1.1").value(), {std::string(id) + "-ext"}, false});
  }
  config.blades[1].standby = true;
  return config;
}

TEST(BladeBook, HoldsEveryBladeOfTheGroupWithItsConfiguration) {
  const BladeBook sut(two_and_a_standby());
  ASSERT_EQ(sut.all().size(), 3U);
  for (const auto& [id, blade] : sut.all()) {
    EXPECT_EQ(blade.config.id, id);
    EXPECT_EQ(blade.config.switch_ports, std::vector<std::string>{id.value + "-ext"});
  }
  EXPECT_EQ(sut.standbys(), std::vector<BladeId>{BladeId{"blade-1"}});
  EXPECT_TRUE(sut.is_standby(BladeId{"blade-1"}));
  EXPECT_FALSE(sut.is_standby(BladeId{"blade-2"}));
}

TEST(BladeBook, NothingIsBelievedOfABladeBeforeItWasSeen) {
  const BladeBook sut(two_and_a_standby());
  const auto& blade = sut.at(BladeId{"blade-2"});
  EXPECT_FALSE(blade.connected);
  EXPECT_FALSE(blade.sign_of_life);
  EXPECT_TRUE(blade.boot_id.empty());
  EXPECT_FALSE(blade.isolated || blade.looking);
  EXPECT_FALSE(blade.powered_off || blade.powering_off);
}

TEST(BladeBook, WhatIsWrittenOfOneBladeIsReadOfThatOneOnly) {
  BladeBook sut(two_and_a_standby());
  sut.at(BladeId{"blade-2"}).isolated = true;
  sut.find(BladeId{"blade-2"})->boot_id = "7c1e";
  const auto& read = std::as_const(sut);
  EXPECT_TRUE(read.at(BladeId{"blade-2"}).isolated);
  EXPECT_EQ(read.find(BladeId{"blade-2"})->boot_id, "7c1e");
  EXPECT_FALSE(read.at(BladeId{"blade-3"}).isolated);
  EXPECT_TRUE(read.at(BladeId{"blade-3"}).boot_id.empty());
}

TEST(BladeBook, ABladeOfAnotherGroupIsNotFoundAndNotMade) {
  BladeBook sut(two_and_a_standby());
  for (const auto* stranger : {"blade-4", "", "blade-", "BLADE-1"}) {
    EXPECT_EQ(sut.find(BladeId{stranger}), nullptr) << stranger;
    EXPECT_EQ(std::as_const(sut).find(BladeId{stranger}), nullptr) << stranger;
  }
  EXPECT_EQ(sut.all().size(), 3U);
}

TEST(BladeBook, Misuse_AskingForABladeThatTheConfigurationDoesNotNameIsABug) {
  BladeBook sut(two_and_a_standby());
  EXPECT_DEATH((void)sut.at(BladeId{"blade-4"}), "bug:");
  EXPECT_DEATH((void)std::as_const(sut).at(BladeId{"blade-4"}), "bug:");
}

}  // namespace
}  // namespace understudy::control
