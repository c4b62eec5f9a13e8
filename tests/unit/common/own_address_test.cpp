// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/own_address.hpp"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>

namespace understudy {
namespace {

bool is_own(const char* text) { return is_own_address(IpAddress::parse(text).value()); }

TEST(OwnAddress, WhateverTheLoopbackAnswersToIsOwn) {
  EXPECT_TRUE(is_own("127.0.0.1"));
  EXPECT_TRUE(is_own("127.0.0.250"));
  EXPECT_TRUE(is_own("127.255.255.254"));
}

TEST(OwnAddress, EveryAddressThatTheKernelListsIsOwn) {
  ifaddrs* first = nullptr;
  ASSERT_EQ(getifaddrs(&first), 0);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, freeifaddrs);
  for (const auto* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) { continue; }
    IpAddress address;
    if (one->ifa_addr->sa_family == AF_INET) {
      address.family = 4;
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, 4);
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      address.family = 6;
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr, 16);
    } else {
      continue;
    }
    EXPECT_TRUE(is_own_address(address)) << one->ifa_name << " " << address.to_string();
  }
}

TEST(OwnAddress, AddressesOfDocumentationAreNobodys) {
  EXPECT_FALSE(is_own("192.0.2.1"));
  EXPECT_FALSE(is_own("2001:db8::1"));
}

TEST(OwnAddress, AnIPv6AddressThatBeginsLikeTheLoopbackNetworkIsNotOwn) {
  EXPECT_FALSE(is_own("7f00::1"));
  EXPECT_FALSE(is_own("7f00:1::"));
}

TEST(OwnAddress, NoAddressIsNotOwn) { EXPECT_FALSE(is_own_address(IpAddress{})); }

}  // namespace
}  // namespace understudy
