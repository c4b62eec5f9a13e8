// SPDX-License-Identifier: Apache-2.0
#include "probe_packet.hpp"

#include <gtest/gtest.h>

namespace lab {
namespace {

std::span<const char> bytes_of(const ProbePacket& packet) {
  return {reinterpret_cast<const char*>(&packet), sizeof packet};
}

TEST(ProbePacket, AReplyOfThisProbeIsRead) {
  const ProbePacket packet{ProbePacket{}.magic, 7, 41, 5};
  const auto got = read_probe(bytes_of(packet), 7, 42);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->sequence, 41U);
}

TEST(ProbePacket, OthersAreNot) {
  const ProbePacket packet{ProbePacket{}.magic, 7, 41, 5}, foreign{1, 7, 41, 5};
  EXPECT_FALSE(read_probe(bytes_of(packet), 8, 42)) << "another probe";
  EXPECT_FALSE(read_probe(bytes_of(packet), 7, 41)) << "never sent";
  EXPECT_FALSE(read_probe(bytes_of(foreign), 7, 42)) << "another program";
  EXPECT_FALSE(read_probe(bytes_of(packet).subspan(1), 7, 42)) << "cut off";
}

}  // namespace
}  // namespace lab
