// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Records <-> netlink messages. Decoding takes what the kernel sends and drops what is not the role's (filters);
/// encoding takes records from a region, which a guest may have written: every field is checked.
///
/// Owns nothing, talks to nobody: the messages lie in the caller's memory.

#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/net/port_map.hpp"
#include "understudy/net/records.hpp"

namespace understudy::net {

struct RouteChange {
  RouteKey key;
  RouteValue value;
  bool gone = false;
};
struct NeighborChange {
  NeighborKey key;
  NeighborValue value;
  bool gone = false;  ///< deleted, or no MAC known any more
};
/// Events carry only what changed: a part that is absent keeps its recorded value. (An absent mark is 0.)
struct FlowChange {
  FlowKey key;
  FlowValue value;
  bool gone = false;
  bool has_status = false;
  bool has_tcp = false;
};

/// Which flows are nobody's business: those that touch one of these prefixes (the maintenance network).
struct FlowFilter {
  std::vector<IpPrefix> excluded;
};

/// Nothing: not the role's, or not well-formed. Kept are unicast routes of ordinary tables out of a mapped port that
/// somebody configured (the kernel's own come with the addresses).
std::optional<RouteChange> decode_route(const nlmsghdr* message, const PortMap& ports);
std::optional<NeighborChange> decode_neighbor(const nlmsghdr* message, const PortMap& ports);
/// TCP, UDP and ICMP; no loopback, no link-local, nothing excluded, no TCP that has not been answered yet.
std::optional<FlowChange> decode_flow(const nlmsghdr* message, const FlowFilter& filter);

/// The message, built at `memory` (1024 bytes), or nothing when the record cannot be what it claims to be, or names
/// a port that does not exist here.
nlmsghdr* encode_route(char* memory, const RouteKey& key, const RouteValue* value, const PortMap& ports);
nlmsghdr* encode_neighbor(char* memory, const NeighborKey& key, const NeighborValue* value, const PortMap& ports);

enum class FlowMessage {
  Create,   ///< with its NAT, fails with EEXIST
  Update,   ///< status, timeout, protocol state and mark of one that exists; NAT cannot be changed
  Timeout,  ///< only the remaining time
  Get,
  Delete,
};
nlmsghdr* encode_flow(char* memory, FlowMessage what, const FlowKey& key, const FlowValue& value,
                      std::uint32_t timeout_seconds);

/// Whether two records say the same of what matters: remaining time, probe state of a neighbour and volatile TCP
/// flags are not a change (rule 10: an install must not come back as news).
[[nodiscard]] bool same_in_kernel(const NeighborValue& a, const NeighborValue& b);
[[nodiscard]] bool same_in_kernel(const FlowValue& a, const FlowValue& b);
[[nodiscard]] bool same_in_kernel(const RouteValue& a, const RouteValue& b);

}  // namespace understudy::net
