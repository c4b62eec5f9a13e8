// SPDX-License-Identifier: Apache-2.0
/// Names and lookups; the loopback is the interface that every namespace has. Interfaces that come and go:
/// tests/integration/net-state/links_test.cpp.
#include "understudy/net/port_map.hpp"

#include <gtest/gtest.h>
#include <net/if.h>

namespace understudy::net {
namespace {

PortName port(const std::string& text) { return make_port_name(text).value(); }

TEST(PortNameTest, TakesOneToFifteenBytes) {
  EXPECT_EQ(to_string(port("e")), "e");
  EXPECT_EQ(to_string(port("fifteen--bytes-")), "fifteen--bytes-");
  for (const auto* wrong : {"", "sixteen-bytes---", "much longer than any port name"}) {
    const auto made = make_port_name(wrong);
    ASSERT_FALSE(made.ok()) << wrong;
    EXPECT_EQ(made.error().code, Errc::BadInput);
    EXPECT_NE(made.error().message.find(wrong), std::string::npos) << made.error().message;
  }
}

TEST(PortNameTest, IsPaddedWithZerosSoThatEqualNamesAreEqualBytes) {
  const auto name = port("ext");
  EXPECT_EQ(std::string(name.begin(), name.end()), std::string("ext") + std::string(13, '\0'));
}

TEST(PortNameTest, HostileBytesWithoutAnEndAreReadToTheirSixteenth) {
  PortName hostile;
  hostile.fill('x');
  EXPECT_EQ(to_string(hostile), std::string(16, 'x'));
  EXPECT_EQ(to_string(PortName{}), "");
}

TEST(PortMapTest, APortAndItsInterfaceAreFoundByEachOther) {
  const auto map = PortMap::resolve({{"ext", "lo"}});
  ASSERT_TRUE(map.ok()) << map.error().message;
  const auto loopback = static_cast<int>(::if_nametoindex("lo"));
  EXPECT_EQ(map->ifindex_of(port("ext")), loopback);
  EXPECT_EQ(map->port_of(loopback), port("ext"));
  EXPECT_TRUE(map->has_interface("lo"));
}

TEST(PortMapTest, WhatIsNotInItIsNotFound) {
  const auto map = PortMap::resolve({{"ext", "lo"}});
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->ifindex_of(port("int")), std::nullopt);
  EXPECT_EQ(map->ifindex_of(PortName{}), std::nullopt);
  EXPECT_EQ(map->port_of(0), std::nullopt);
  EXPECT_EQ(map->port_of(-1), std::nullopt);
  EXPECT_EQ(map->port_of(1 << 30), std::nullopt);
  EXPECT_FALSE(map->has_interface("ext")) << "a port's name is not an interface's";
  PortName hostile;
  hostile.fill('\xff');
  EXPECT_EQ(map->ifindex_of(hostile), std::nullopt);
}

TEST(PortMapTest, AnEmptyMapMatchesNothing) {
  PortMap map;
  map.refresh();
  EXPECT_EQ(map.port_of(1), std::nullopt);
  EXPECT_FALSE(map.has_interface(""));
}

TEST(PortMapTest, Misuse_AMissingInterfaceAndAWrongNameAreNamed) {
  const auto missing = PortMap::resolve({{"ext", "lo"}, {"int", "no-such-link"}});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Errc::NotFound);
  EXPECT_EQ(missing.error().message, "port int: there is no interface no-such-link");
  EXPECT_EQ(PortMap::resolve({{"", "lo"}}).error().code, Errc::BadInput);
}

}  // namespace
}  // namespace understudy::net
