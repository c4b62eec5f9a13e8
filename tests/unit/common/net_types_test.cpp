// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/net_types.hpp"

#include <gtest/gtest.h>

namespace understudy {
namespace {

TEST(MacAddress, ReadsBackWhatItWrote) {
  EXPECT_EQ(MacAddress::parse("02:0a:ff:00:00:01").value().to_string(), "02:0a:ff:00:00:01");
}

TEST(MacAddress, RefusesWhatIsNotSixBytes) {
  for (const auto* bad : {"", "02:00:00:00:00", "02-00-00-00-00-01", "02:00:00:00:00:0g", "02:00:00:00:00:011"}) {
    EXPECT_FALSE(MacAddress::parse(bad).ok()) << bad;
  }
}

TEST(IpPrefix, ReadsBothFamilies) {
  EXPECT_EQ(IpPrefix::parse("10.23.4.121/24").value().to_string(), "10.23.4.121/24");
  EXPECT_EQ(IpPrefix::parse("fd00:23::1/64").value().to_string(), "fd00:23::1/64");
}

TEST(IpPrefix, RefusesLengthsOutOfRangeAndLeftovers) {
  for (const auto* bad : {"10.0.0.1", "10.0.0.1/33", "fd00::1/129", "10.0.0.1/", "10.0.0.1/24x", "x/24"}) {
    EXPECT_FALSE(IpPrefix::parse(bad).ok()) << bad;
  }
}

TEST(IpAddress, KnowsItsLinkLocal) {
  EXPECT_TRUE(IpAddress::parse("fe80::1").value().is_link_local());
  EXPECT_FALSE(IpAddress::parse("fd00::1").value().is_link_local());
}

}  // namespace
}  // namespace understudy
