// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>
#include <vector>

#include "attributes.hpp"
#include "flows.hpp"
#include "understudy/net/codec.hpp"

namespace understudy::net::test {
namespace {

/// Loopback stands for the port: it is there in every namespace.
const PortMap& ports() {
  static const PortMap map = PortMap::resolve({{"ext", "lo"}}).value();
  return map;
}
PortName ext() { return make_port_name("ext").value(); }

struct Memory {
  alignas(nlmsghdr) char bytes[1024] = {};
};

RouteKey route_key(const char* destination, std::uint8_t length) {
  RouteKey key;
  key.destination = bytes(destination);
  key.family = IpAddress::parse(destination).value().family;
  key.prefix_length = length;
  key.table = RT_TABLE_MAIN;
  key.priority = 100;
  return key;
}
RouteValue route_value(const char* gateway) {
  RouteValue value;
  value.gateway = bytes(gateway);
  value.port = ext();
  value.type = RTN_UNICAST;
  value.scope = RT_SCOPE_UNIVERSE;
  value.protocol = RTPROT_STATIC;
  return value;
}

TEST(RouteCodec, WhatIsEncodedIsDecodedInBothFamilies) {
  const std::tuple<const char*, int, const char*> cases[] = {
      {"10.99.0.0", 16, "10.23.4.1"}, {"0.0.0.0", 0, "10.23.4.1"}, {"fd00:99::", 32, "fe80::1"}, {"::", 0, "fe80::1"}};
  for (const auto& [destination, length, gateway] : cases) {
    Memory memory;
    const auto key = route_key(destination, static_cast<std::uint8_t>(length));
    const auto value = route_value(gateway);
    const auto change = decode_route(encode_route(memory.bytes, key, &value, ports()), ports());
    ASSERT_TRUE(change) << destination;
    EXPECT_FALSE(change->gone);
    EXPECT_EQ(std::memcmp(&change->key, &key, sizeof key), 0) << destination;
    EXPECT_EQ(std::memcmp(&change->value, &value, sizeof value), 0) << destination;
  }
}

TEST(RouteCodec, RoutesThatComeByThemselvesAreSkipped) {
  for (const auto& [protocol, kept] : {std::pair<std::uint8_t, bool>{RTPROT_KERNEL, false},
                                       {RTPROT_RA, false},
                                       {RTPROT_REDIRECT, false},
                                       {RTPROT_STATIC, true},
                                       {RTPROT_BOOT, true},
                                       {RTPROT_BIRD, true},
                                       {RTPROT_ZEBRA, true}}) {
    Memory memory;
    const auto key = route_key("10.99.0.0", 16);
    auto value = route_value("10.23.4.1");
    value.protocol = protocol;
    EXPECT_EQ(decode_route(encode_route(memory.bytes, key, &value, ports()), ports()).has_value(), kept)
        << int{protocol};
  }
}

TEST(RouteCodec, UnknownPortsClonedRoutesAndMulticastAreSkipped) {
  Memory memory;
  const auto key = route_key("10.99.0.0", 16);
  const auto value = route_value("10.23.4.1");
  nlmsghdr* const message = encode_route(memory.bytes, key, &value, ports());
  EXPECT_FALSE(decode_route(message, PortMap()));
  static_cast<rtmsg*>(mnl_nlmsg_get_payload(message))->rtm_flags = RTM_F_CLONED;
  EXPECT_FALSE(decode_route(message, ports()));
  const auto multicast = route_key("ff00::", 8);
  const auto multicast_value = route_value("::");
  EXPECT_FALSE(decode_route(encode_route(memory.bytes, multicast, &multicast_value, ports()), ports()));
}

TEST(RouteCodec, HostileRecordsAreNotEncoded) {
  Memory memory;
  const auto good = route_key("10.99.0.0", 16);
  const auto value = route_value("10.23.4.1");
  auto key = good;
  key.prefix_length = 33;
  EXPECT_EQ(encode_route(memory.bytes, key, &value, ports()), nullptr);
  key = good;
  key.family = 9;
  EXPECT_EQ(encode_route(memory.bytes, key, &value, ports()), nullptr);
  key = good;
  key.table = RT_TABLE_LOCAL;
  EXPECT_EQ(encode_route(memory.bytes, key, &value, ports()), nullptr);
  auto other = value;
  other.port.fill('x');  // no terminating 0, no such port
  EXPECT_EQ(encode_route(memory.bytes, good, &other, ports()), nullptr);
  other = value;
  other.type = RTN_LOCAL;
  EXPECT_EQ(encode_route(memory.bytes, good, &other, ports()), nullptr);
}

TEST(RouteCodec, WhatLiesBehindAnIpv4AddressIsNoGateway) {
  Memory memory;
  auto value = route_value("0.0.0.0");
  value.gateway[15] = 1;
  const auto* message = encode_route(memory.bytes, route_key("10.99.0.0", 16), &value, ports());
  ASSERT_NE(message, nullptr);
  EXPECT_FALSE(Attributes::of_message(message, sizeof(rtmsg)).has(RTA_GATEWAY));
}

TEST(NeighborCodec, WhatIsEncodedIsDecodedAsStale) {
  for (const char* address : {"10.23.4.1", "fd00:23:4::1"}) {
    Memory memory;
    NeighborKey key;
    key.address = bytes(address);
    key.family = IpAddress::parse(address).value().family;
    key.port = ext();
    NeighborValue value;
    value.mac = {2, 0, 0, 0, 0, 9};
    value.state = NUD_REACHABLE;
    value.flags = NTF_ROUTER;
    const auto change = decode_neighbor(encode_neighbor(memory.bytes, key, &value, ports()), ports());
    ASSERT_TRUE(change);
    EXPECT_FALSE(change->gone);
    EXPECT_EQ(std::memcmp(&change->key, &key, sizeof key), 0);
    EXPECT_TRUE(same_in_kernel(change->value, value));
    EXPECT_EQ(change->value.state, NUD_STALE);
  }
}

TEST(NeighborCodec, ANeighborWithoutAMacIsGone) {
  for (const auto& [state, gone] : {std::pair<std::uint16_t, bool>{NUD_FAILED, true},
                                    {NUD_INCOMPLETE, true},
                                    {NUD_REACHABLE, false},
                                    {NUD_DELAY, false},
                                    {NUD_PROBE, false}}) {
    Memory memory;
    NeighborKey key;
    key.address = bytes("10.23.4.1");
    key.family = 4;
    key.port = ext();
    const NeighborValue value;
    nlmsghdr* const message = encode_neighbor(memory.bytes, key, &value, ports());
    static_cast<ndmsg*>(mnl_nlmsg_get_payload(message))->ndm_state = state;
    const auto change = decode_neighbor(message, ports());
    ASSERT_TRUE(change);
    EXPECT_EQ(change->gone, gone) << state;
  }
}

TEST(NeighborCodec, ProbingIsNoChange) {
  NeighborValue value;
  value.state = NUD_REACHABLE;
  NeighborValue other = value;
  other.state = NUD_PROBE;
  EXPECT_TRUE(same_in_kernel(value, other));
  other.mac[5] = 1;
  EXPECT_FALSE(same_in_kernel(value, other));
}

TEST(RouteCodec, NoPrefixOfAMessageMakesTheDecoderReadOutside) {
  Memory memory;
  const auto key = route_key("10.99.0.0", 16);
  const auto value = route_value("10.23.4.1");
  const nlmsghdr* const message = encode_route(memory.bytes, key, &value, ports());
  for (std::uint32_t cut = sizeof(nlmsghdr); cut < message->nlmsg_len; ++cut) {
    for (const std::uint16_t type : {RTM_NEWROUTE, RTM_NEWNEIGH}) {
      std::vector<char> copy(memory.bytes, memory.bytes + cut);
      auto* shortened = reinterpret_cast<nlmsghdr*>(copy.data());
      shortened->nlmsg_len = cut;
      shortened->nlmsg_type = type;
      (void)decode_route(shortened, ports());
      (void)decode_neighbor(shortened, ports());
    }
  }
}

}  // namespace
}  // namespace understudy::net::test
