// SPDX-License-Identifier: Apache-2.0
#include "edge/policy_record.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "edge/store.hpp"

namespace understudy::control {
namespace {

using link::MovementPolicy;

class PolicyRecordTest : public testing::Test {
 protected:
  PolicyRecordTest() : path_(testing::TempDir() + "policy-" + std::to_string(getpid()) + ".db") {}
  ~PolicyRecordTest() override {
    for (const auto* suffix : {"", ".lock", "-wal", "-shm"}) { std::filesystem::remove(path_ + suffix); }
  }
  /// As a new life of the control-server reads it.
  std::optional<MovementPolicy> restarted(MovementPolicy in_file) {
    return read_policy(*Store::open(path_).value(), in_file).value();
  }
  void keep(const std::string& record) { ASSERT_TRUE(Store::open(path_).value()->keep(kPolicyKey, record).ok()); }
  std::string path_;
};

TEST_F(PolicyRecordTest, WhatAnOperatorChoseOutlivesTheDaemonUntilTheFileIsChanged) {
  EXPECT_EQ(restarted(MovementPolicy::Always), std::nullopt) << "nobody has chosen";
  keep(policy_record(MovementPolicy::Manual, MovementPolicy::Always));
  EXPECT_EQ(restarted(MovementPolicy::Always), MovementPolicy::Manual);
  EXPECT_EQ(restarted(MovementPolicy::WhenQuiet), std::nullopt) << "the file is the newer word";
  keep(policy_record(MovementPolicy::WhenSlow, MovementPolicy::Always));
  EXPECT_EQ(restarted(MovementPolicy::Always), MovementPolicy::WhenSlow) << "the last choice";
}

TEST_F(PolicyRecordTest, ARecordThatCannotBeReadIsNone) {
  for (const auto* text : {"", "manual", "manual over", "over always", "never over always"}) {
    keep(text);
    EXPECT_EQ(restarted(MovementPolicy::Always), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace understudy::control
