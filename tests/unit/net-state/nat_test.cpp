// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/nat.hpp"

#include <gtest/gtest.h>

#include "flows.hpp"

namespace understudy::net::test {
namespace {

TEST(NatSeed, AFlowWithoutNatHasNone) {
  const auto key = flow_key(IPPROTO_UDP, "fd00:50:1::2", 5000, "fd00:23:4::1", 53);
  const auto seed = nat_seed(key, replied_by("fd00:23:4::1", 53, "fd00:50:1::2", 5000));
  EXPECT_FALSE(seed.source);
  EXPECT_FALSE(seed.destination);
  EXPECT_EQ(seed.reply_source, key.destination);
  EXPECT_EQ(seed.reply_destination, key.source);
}

TEST(NatSeed, SourceNatKeepsTheUntranslatedReplyAndNamesTheTranslation) {
  const auto seed = nat_seed(tcp_key(), tcp_value());
  ASSERT_TRUE(seed.source);
  EXPECT_FALSE(seed.destination);
  EXPECT_EQ(seed.source_address, bytes("10.23.4.121"));
  EXPECT_EQ(seed.source_port, htons(61000));
  EXPECT_EQ(seed.reply_source, bytes("10.23.4.1"));
  EXPECT_EQ(seed.reply_destination, bytes("10.50.1.2"));
  EXPECT_EQ(seed.reply_source_port, htons(80));
  EXPECT_EQ(seed.reply_destination_port, htons(4000));
}

TEST(NatSeed, SourceNatOfThePortAloneIsSourceNat) {
  const auto seed = nat_seed(tcp_key(), replied_by("10.23.4.1", 80, "10.50.1.2", 61000));
  ASSERT_TRUE(seed.source);
  EXPECT_EQ(seed.source_address, bytes("10.50.1.2"));
  EXPECT_EQ(seed.source_port, htons(61000));
}

TEST(NatSeed, DestinationNatToAnotherPort) {
  const auto key = flow_key(IPPROTO_TCP, "10.23.4.1", 40000, "10.23.4.121", 8080);
  const auto seed = nat_seed(key, replied_by("10.50.1.2", 80, "10.23.4.1", 40000));
  EXPECT_FALSE(seed.source);
  ASSERT_TRUE(seed.destination);
  EXPECT_EQ(seed.destination_address, bytes("10.50.1.2"));
  EXPECT_EQ(seed.destination_port, htons(80));
  EXPECT_EQ(seed.reply_source, bytes("10.23.4.121"));
  EXPECT_EQ(seed.reply_source_port, htons(8080));
}

TEST(NatSeed, BothAtOnce) {
  const auto key = flow_key(IPPROTO_UDP, "10.50.1.2", 4000, "10.50.1.1", 53);
  const auto seed = nat_seed(key, replied_by("10.23.4.1", 5353, "10.23.4.121", 1024));
  ASSERT_TRUE(seed.source);
  ASSERT_TRUE(seed.destination);
  EXPECT_EQ(seed.source_address, bytes("10.23.4.121"));
  EXPECT_EQ(seed.destination_address, bytes("10.23.4.1"));
  EXPECT_EQ(seed.destination_port, htons(5353));
}

TEST(NatSeed, AnEchoWithATranslatedIdCarriesItAsSourcePort) {
  const auto key = flow_key(IPPROTO_ICMP, "10.50.1.2", 77, "10.23.4.1", 8 << 8);
  const auto seed = nat_seed(key, replied_by("10.23.4.1", 99, "10.23.4.121", 0));
  ASSERT_TRUE(seed.source);
  EXPECT_FALSE(seed.destination);
  EXPECT_EQ(seed.source_port, htons(99));
  EXPECT_EQ(seed.reply_source_port, htons(77));
  EXPECT_EQ(seed.reply_destination_port, htons(0));  // echo reply
}

TEST(NatSeed, EchoAndItsAnswerAreEachOthers) {
  EXPECT_EQ(icmp_answer(IPPROTO_ICMP, htons(8 << 8)), htons(0));
  EXPECT_EQ(icmp_answer(IPPROTO_ICMP, htons(0)), htons(8 << 8));
  EXPECT_EQ(icmp_answer(IPPROTO_ICMPV6, htons(128 << 8)), htons(129 << 8));
  EXPECT_EQ(icmp_answer(IPPROTO_ICMPV6, htons(8 << 8)), htons(8 << 8));
}

}  // namespace
}  // namespace understudy::net::test
