// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>

#include "understudy/net/announce.hpp"

namespace understudy::net {
namespace {

const MacAddress mac = MacAddress::parse("02:e0:00:00:00:01").value();

std::uint32_t sum16(const std::uint8_t* bytes, std::size_t count) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < count; i += 2) { sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]); }
  return sum;
}

TEST(GratuitousArp, RequestAndReplyAreAsRfc5227AndItsReadersWant) {
  const auto address = IpAddress::parse("10.23.4.121").value();
  const Frame request = gratuitous_arp(ArpForm::Request, mac, address);
  const Frame wanted{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xe0, 0,  0, 0,   1, 0x08, 0x06, 0, 1, 8, 0,  6,  4, 0,
                     1,    2,    0xe0, 0,    0,    0,    1, 10,   23, 4, 121, 0, 0,    0,    0, 0, 0, 10, 23, 4, 121};
  EXPECT_EQ(request, wanted);
  const Frame reply = gratuitous_arp(ArpForm::Reply, mac, address);
  ASSERT_EQ(reply.size(), 42U);
  EXPECT_EQ(reply[21], 2);
  EXPECT_EQ(reply[32], 0xff);
}

TEST(NeighborAdvertisement, HasOverrideTheAllNodesGroupHopLimitAndAValidChecksum) {
  const Frame frame = unsolicited_neighbor_advertisement(mac, IpAddress::parse("fd00:23:4::121").value(), true);
  ASSERT_EQ(frame.size(), 14U + 40U + 32U);
  EXPECT_EQ(frame[0], 0x33);
  EXPECT_EQ(frame[5], 1);
  EXPECT_EQ(frame[14 + 6], 58);
  EXPECT_EQ(frame[14 + 7], 255);
  EXPECT_EQ(frame[14 + 24], 0xff);
  EXPECT_EQ(frame[54], 136);
  EXPECT_EQ(frame[58], 0xa0) << "router and override";
  // Sum over addresses, length, next header and message is ffff when the checksum is right.
  std::uint32_t sum = sum16(frame.data() + 22, 32) + 32 + 58 + sum16(frame.data() + 54, 32);
  while (sum >> 16 != 0) { sum = (sum & 0xffff) + (sum >> 16); }
  EXPECT_EQ(sum, 0xffffU);
  EXPECT_EQ(unsolicited_neighbor_advertisement(mac, IpAddress::parse("fe80::1").value(), false)[58], 0x20);
}

}  // namespace
}  // namespace understudy::net
