// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Kernel network state as records of the role's region. Bytes only: fixed width, no padding, network byte
/// order for addresses and ports, host order for numbers. Records name logical ports ("ext", "int"), never an
/// ifindex, since the same record is installed on another machine.

#include <array>
#include <cstdint>
#include <type_traits>

#include "understudy/shm/schema.hpp"

namespace understudy::net {

using AddressBytes = std::array<std::uint8_t, 16>;
using PortName = std::array<char, 16>;  ///< logical port, 0-padded

/// Kind 1, path information: a kernel route.
struct RouteKey {
  AddressBytes destination{};
  std::uint8_t family = 0;  ///< 4 or 6
  std::uint8_t prefix_length = 0;
  std::uint8_t tos = 0;
  std::uint8_t reserved = 0;
  std::uint32_t table = 0;
  std::uint32_t priority = 0;
  std::uint32_t reserved2 = 0;
};
struct RouteValue {
  AddressBytes gateway{};  ///< all 0: none
  PortName port{};
  std::uint8_t type = 0;      ///< RTN_*
  std::uint8_t scope = 0;     ///< RT_SCOPE_*
  std::uint8_t protocol = 0;  ///< RTPROT_*
  std::uint8_t reserved[5]{};
};

/// Kinds 2 and 3: ARP cache and neighbour cache.
struct NeighborKey {
  AddressBytes address{};
  PortName port{};
  std::uint8_t family = 0;
  std::uint8_t reserved[7]{};
};
struct NeighborValue {
  std::array<std::uint8_t, 6> mac{};
  std::uint16_t state = 0;  ///< NUD_*
  std::uint8_t flags = 0;   ///< NTF_ROUTER ...
  std::uint8_t reserved[7]{};
};

/// Kinds 4 and 6: a TCP/UDP/ICMP flow and its NAT mapping, keyed by its original direction.
struct FlowKey {
  AddressBytes source{};
  AddressBytes destination{};
  std::uint16_t source_port = 0;       ///< network order; ICMP: id
  std::uint16_t destination_port = 0;  ///< network order; ICMP: type << 8 | code
  std::uint16_t zone = 0;
  std::uint8_t family = 0;
  std::uint8_t protocol = 0;  ///< IPPROTO_*
};
struct FlowValue {
  AddressBytes reply_source{};  ///< the translated reply tuple, as the kernel shows it
  AddressBytes reply_destination{};
  std::uint16_t reply_source_port = 0;
  std::uint16_t reply_destination_port = 0;
  std::uint32_t status = 0;           ///< IPS_*
  std::uint32_t timeout_seconds = 0;  ///< remaining
  std::uint32_t mark = 0;
  std::uint8_t tcp_state = 0;  ///< TCP_CONNTRACK_*
  std::uint8_t tcp_wscale_original = 0;
  std::uint8_t tcp_wscale_reply = 0;
  std::uint8_t tcp_flags_original = 0;
  std::uint8_t tcp_flags_reply = 0;
  std::uint8_t reserved[7]{};
};

static_assert(sizeof(RouteKey) == 32 && sizeof(RouteValue) == 40);
static_assert(sizeof(NeighborKey) == 40 && sizeof(NeighborValue) == 16);
static_assert(sizeof(FlowKey) == 40 && sizeof(FlowValue) == 60);
static_assert(std::has_unique_object_representations_v<RouteKey> &&
              std::has_unique_object_representations_v<RouteValue>);
static_assert(std::has_unique_object_representations_v<NeighborKey>);
static_assert(std::has_unique_object_representations_v<NeighborValue>);
static_assert(std::has_unique_object_representations_v<FlowKey> && std::has_unique_object_representations_v<FlowValue>);

/// Tables of the store "net", in this order (the TableIndex).
enum NetTable : std::uint32_t { RouteTable = 0, NeighborTable = 1, FlowTable = 2 };
inline constexpr const char* net_store_name = "net";
shm::StoreSchema net_store_schema(std::uint64_t flow_capacity);

}  // namespace understudy::net
