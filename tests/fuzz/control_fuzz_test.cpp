// SPDX-License-Identifier: Apache-2.0
/// Some thousand hostile messages of the control API in the ordinary run; coverage-guided by fuzz.sh (label full).
/// Covers: link/src/control_api_convert_orders.cpp, link/src/control_api_convert_reports.cpp,
/// link/src/control_api_convert_status.cpp, link/src/guest_channel.cpp
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include "control_check.hpp"
#include "message_mutator.hpp"

namespace understudy::link::fuzz {
namespace {

constexpr int versions_of_each = 120;

class HostileControlApi : public ::testing::Test {
 protected:
  void expect_well_met(const Seed& seed) {
    const auto found = check(seed.what, seed.bytes);
    EXPECT_EQ(found.problem, "");
    ++(found.valid ? valid_ : found.parsed ? refused_ : no_message_);
  }
  google::protobuf::LogSilencer silent_;  // protobuf tells each text that is no UTF-8
  std::mt19937_64 random_{20};
  int valid_ = 0;
  int refused_ = 0;
  int no_message_ = 0;
};

TEST_F(HostileControlApi, ValidMessagesOfEveryKindAreTakenAndComeBackEqual) {
  const auto all = seeds();
  for (const auto& seed : all) { expect_well_met(seed); }
  EXPECT_EQ(valid_, static_cast<int>(all.size()));
}

TEST_F(HostileControlApi, FieldsThatAreChangedAreRefusedOrComeBackEqual) {
  for (const auto& seed : seeds()) {
    const auto message = message_of(seed.what);
    for (int version = 0; message && version < versions_of_each; ++version) {
      ASSERT_TRUE(message->ParseFromString(seed.bytes));
      for (auto changes = 1 + random_() % 3; changes > 0; --changes) { understudy::fuzz::mutate(*message, random_); }
      expect_well_met({seed.what, message->SerializeAsString()});
    }
  }
  // Each of the three ways was gone often: else the changes would be too small or too large to find anything.
  EXPECT_GT(valid_, 500);
  EXPECT_GT(refused_, 500);
  EXPECT_GT(no_message_, 50);
}

TEST_F(HostileControlApi, BytesThatAreChangedAreRefusedOrComeBackEqual) {
  for (const auto& seed : seeds()) {
    for (int version = 0; version < versions_of_each; ++version) {
      Seed changed = seed;
      for (auto changes = 1 + random_() % 3; changes > 0; --changes) {
        changed.bytes[random_() % changed.bytes.size()] = static_cast<char>(random_());
      }
      if (random_() % 4 == 0) { changed.bytes.resize(random_() % changed.bytes.size() + 1); }
      expect_well_met(changed);
    }
  }
  EXPECT_GT(valid_, 100);
  EXPECT_GT(refused_, 100);
  EXPECT_GT(no_message_, 100);
}

/// A role's mirror is one of several on its blade: what it says may cost its own role, and no stream.
TEST_F(HostileControlApi, AGuestsWordsEndNoBladesStream) {
  const std::string nonces[] = {std::string(65, 'n'), R"(a\u0000b)", R"(\u00e9)", "a b", std::string(100000, 'n')};
  for (const auto& nonce : nonces) {
    expect_well_met({What::GuestLine, R"({"event":"hello","boot_nonce":")" + nonce +
                                          R"(","instance":"i","version":"","bundle":"","activity":"idle","term":0,)"
                                          R"("memory":"","load_ns":0,"private_load_ns":0})"});
  }
  const std::string phases[] = {R"("drain":-1)", R"("drain":1e308)", R"("drain":1e13)", R"("\u0000":1)",
                                '"' + std::string(5000, 'p') + R"(":1)"};
  for (const auto& phase : phases) {
    expect_well_met({What::GuestLine, R"({"event":"ready","term":1,"phases":{)" + phase + "}}"});
  }
  EXPECT_EQ(refused_, static_cast<int>(std::size(nonces) + std::size(phases)));
}

}  // namespace
}  // namespace understudy::link::fuzz
