// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/records.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "understudy/net/port_map.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::net {
namespace {

TEST(NetStoreSchema, TablesAreInTheOrderOfTheirIndexes) {
  const auto schema = net_store_schema(16384);
  EXPECT_EQ(schema.name, net_store_name);
  ASSERT_EQ(schema.tables.size(), 3U);
  EXPECT_EQ(schema.tables[RouteTable].name, "route");
  EXPECT_EQ(schema.tables[NeighborTable].name, "neighbor");
  EXPECT_EQ(schema.tables[FlowTable].name, "flow");
  EXPECT_EQ(schema.tables[FlowTable].capacity, 16384U);
}

TEST(NetStoreSchema, TheJournalIsAPowerOfTwoAndAtLeastAMebibyte) {
  for (const std::uint64_t capacity : {1ULL, 1000ULL, 16384ULL, 100000ULL, 10000000ULL}) {
    const auto bytes = net_store_schema(capacity).journal_bytes;
    EXPECT_TRUE(std::has_single_bit(bytes));
    EXPECT_GE(bytes, 1024U * 1024U);
    EXPECT_TRUE(shm::Region::size_needed({{net_store_schema(capacity)}}).ok()) << capacity;
  }
}

TEST(NetStoreSchema, ARegionOf16MebibytesHolds16384FlowsAndASmallApplication) {
  const shm::StoreSchema application{"sessions", {{"session", 16, 1024, 1024}}, 1024 * 1024};
  EXPECT_LE(shm::Region::size_needed({{net_store_schema(16384), application}}).value(), 16U * 1024U * 1024U);
}

TEST(PortName, RefusesWhatDoesNotFitAndReadsHostileBytes) {
  EXPECT_EQ(to_string(make_port_name("ext").value()), "ext");
  EXPECT_FALSE(make_port_name("").ok());
  EXPECT_FALSE(make_port_name("a-name-of-16-byte").ok());
  PortName unterminated;
  unterminated.fill('x');
  EXPECT_EQ(to_string(unterminated).size(), 16U);
}

}  // namespace
}  // namespace understudy::net
