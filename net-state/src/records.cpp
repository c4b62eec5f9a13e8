// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/records.hpp"

#include <algorithm>
#include <bit>

namespace understudy::net {
namespace {
constexpr std::uint64_t route_capacity = 4096;
constexpr std::uint64_t neighbor_capacity = 4096;
constexpr std::uint64_t journal_bytes_min = 1024 * 1024;
constexpr std::uint64_t journal_bytes_max = 64 * 1024 * 1024;
}  // namespace

shm::StoreSchema net_store_schema(std::uint64_t flow_capacity) {
  // A flow is written about five times in its life and an entry takes some 160 bytes: with 64 bytes of ring for each
  // possible flow, a mirror that hangs for the time in which half of the flows change once is not lapped.
  const std::uint64_t journal = std::clamp(std::bit_ceil(flow_capacity * 64), journal_bytes_min, journal_bytes_max);
  return {net_store_name,
          {{"route", sizeof(RouteKey), sizeof(RouteValue), route_capacity},
           {"neighbor", sizeof(NeighborKey), sizeof(NeighborValue), neighbor_capacity},
           {"flow", sizeof(FlowKey), sizeof(FlowValue), flow_capacity}},
          journal};
}

}  // namespace understudy::net
