// SPDX-License-Identifier: Apache-2.0
#include "frame.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace lab {
namespace {

TEST(Frame, GratuitousArpClaimsItsAddress) {
  const auto got = read_frame(gratuitous_arp());
  EXPECT_EQ(got.kind, FrameKind::Arp);
  EXPECT_EQ(got.source_mac, "02:e0:00:00:00:02");
  EXPECT_EQ(got.claims, std::vector<std::string>{"10.23.4.122"});
  EXPECT_TRUE(got.is_announcement);
}

TEST(Frame, ArpRequestClaimsTheSenderAndIsNoAnnouncement) {
  const auto got = read_frame(arp_request());
  EXPECT_EQ(got.claims, std::vector<std::string>{"10.23.4.122"});
  EXPECT_FALSE(got.is_announcement);
}

TEST(Frame, ArpProbeClaimsNothing) {
  auto bytes = gratuitous_arp();
  for (std::size_t at = 28; at < 32; ++at) bytes[at] = 0;
  EXPECT_TRUE(read_frame(bytes).claims.empty());
}

TEST(Frame, NeighbourAdvertisementClaimsSourceAndTarget) {
  const auto got = read_frame(neighbour_advertisement());
  EXPECT_EQ(got.kind, FrameKind::Neighbour);
  EXPECT_EQ(got.claims, (std::vector<std::string>{"fe80::1", "fd00:50:2::1"}));
  EXPECT_TRUE(got.is_announcement);
  EXPECT_FALSE(read_frame(neighbour_advertisement(true)).is_announcement);
}

TEST(Frame, ForwardedNeighbourDiscoveryClaimsNothing) {
  auto bytes = neighbour_advertisement();
  bytes[14 + 7] = 254;  // hop limit
  EXPECT_TRUE(read_frame(bytes).claims.empty());
}

TEST(Frame, TcpFlagsPortsAndSequence) {
  const auto got = read_frame(tcp_v4("02"));
  EXPECT_EQ(got.kind, FrameKind::Tcp);
  EXPECT_EQ(got.source, "10.50.2.2");
  EXPECT_EQ(got.destination, "10.23.4.1");
  EXPECT_EQ(got.source_port, 49153);
  EXPECT_EQ(got.destination_port, 8080);
  EXPECT_EQ(got.tcp_flags, tcp_syn);
  EXPECT_EQ(got.tcp_sequence, 0x01020304U);
}

TEST(Frame, UdpOverIpv6) {
  const auto got = read_frame(udp_v6());
  EXPECT_EQ(got.kind, FrameKind::Udp);
  EXPECT_EQ(got.source_port, 7007);
  EXPECT_TRUE(is_service_mac(got.source_mac));
}

TEST(Frame, EveryPrefixOfAFrameIsReadWithoutTouchingWhatIsNotThere) {
  for (const auto& whole : {gratuitous_arp(), neighbour_advertisement(), tcp_v4("04"), udp_v6()}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const FrameBytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_LE(read_frame(part).claims.size(), 2U);
    }
  }
}

TEST(Frame, IpHeadsThatLieAboutTheirLengthAreNotFollowed) {
  auto bytes = tcp_v4("02");
  bytes[14] = 0x4f;  // 60 bytes of head in a packet of 40
  EXPECT_EQ(read_frame(bytes).kind, FrameKind::Other);
  bytes[14] = 0x41;
  EXPECT_EQ(read_frame(bytes).kind, FrameKind::Other);
}

TEST(Frame, HashTellsFramesApart) { EXPECT_NE(hash_of(gratuitous_arp()), hash_of(arp_request())); }

}  // namespace
}  // namespace lab
