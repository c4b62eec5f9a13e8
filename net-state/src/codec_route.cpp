// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "attributes.hpp"
#include "understudy/net/codec.hpp"

namespace understudy::net {
namespace {

constexpr std::uint16_t states_with_a_mac = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

std::uint8_t family_of(unsigned char address_family) {
  return address_family == AF_INET ? 4 : address_family == AF_INET6 ? 6 : 0;
}
unsigned char address_family(std::uint8_t family) { return family == 4 ? AF_INET : AF_INET6; }
bool is_family(std::uint8_t family) { return family == 4 || family == 6; }
/// A guest may have written anything behind an IPv4 address.
bool is_none(const AddressBytes& address, std::uint8_t family) {
  return std::all_of(address.begin(), address.begin() + (family == 4 ? 4 : 16), [](auto byte) { return byte == 0; });
}
bool is_multicast(const AddressBytes& address, std::uint8_t family) {
  return family == 4 ? (address[0] & 0xf0) == 0xe0 : address[0] == 0xff;
}

/// Routes that come by themselves at the new place: with the addresses, or from what routers say there.
bool comes_by_itself(std::uint8_t protocol) {
  return protocol == RTPROT_KERNEL || protocol == RTPROT_REDIRECT || protocol == RTPROT_RA || protocol == RTPROT_UNSPEC;
}

}  // namespace

std::optional<RouteChange> decode_route(const nlmsghdr* message, const PortMap& ports) {
  if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE) { return {}; }
  if (mnl_nlmsg_get_payload_len(message) < sizeof(rtmsg)) { return {}; }
  const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  const std::uint8_t family = family_of(route->rtm_family);
  if (family == 0 || route->rtm_type != RTN_UNICAST || (route->rtm_flags & RTM_F_CLONED) != 0) { return {}; }
  if (comes_by_itself(route->rtm_protocol)) { return {}; }
  const auto attributes = Attributes::of_message(message, sizeof(rtmsg));
  RouteChange change;
  change.gone = message->nlmsg_type == RTM_DELROUTE;
  change.key.family = family;
  change.key.prefix_length = route->rtm_dst_len;
  change.key.tos = route->rtm_tos;
  change.key.table = attributes.get<std::uint32_t>(RTA_TABLE).value_or(route->rtm_table);
  change.key.priority = attributes.get<std::uint32_t>(RTA_PRIORITY).value_or(0);
  if (change.key.table == RT_TABLE_LOCAL) { return {}; }
  if (const auto destination = attributes.address(RTA_DST, family)) {
    change.key.destination = *destination;
  } else if (route->rtm_dst_len != 0) {
    return {};
  }
  if (is_multicast(change.key.destination, family)) { return {}; }
  const auto port = ports.port_of(attributes.get<std::int32_t>(RTA_OIF).value_or(0));
  if (!port) { return {}; }
  change.value.port = *port;
  change.value.gateway = attributes.address(RTA_GATEWAY, family).value_or(AddressBytes{});
  change.value.type = route->rtm_type;
  change.value.scope = route->rtm_scope;
  change.value.protocol = route->rtm_protocol;
  return change;
}

std::optional<NeighborChange> decode_neighbor(const nlmsghdr* message, const PortMap& ports) {
  if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH) { return {}; }
  if (mnl_nlmsg_get_payload_len(message) < sizeof(ndmsg)) { return {}; }
  const auto* neighbor = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
  const std::uint8_t family = family_of(neighbor->ndm_family);
  if (family == 0 || (neighbor->ndm_flags & NTF_PROXY) != 0 || (neighbor->ndm_state & NUD_NOARP) != 0) { return {}; }
  const auto port = ports.port_of(neighbor->ndm_ifindex);
  if (!port) { return {}; }
  const auto attributes = Attributes::of_message(message, sizeof(ndmsg));
  const auto address = attributes.address(NDA_DST, family);
  if (!address || is_multicast(*address, family)) { return {}; }
  NeighborChange change;
  change.key.address = *address;
  change.key.port = *port;
  change.key.family = family;
  const auto mac = attributes.get<std::array<std::uint8_t, 6>>(NDA_LLADDR);
  change.gone = message->nlmsg_type == RTM_DELNEIGH || !mac || (neighbor->ndm_state & states_with_a_mac) == 0;
  if (!change.gone) {
    change.value.mac = *mac;
    change.value.state = neighbor->ndm_state;
    change.value.flags = neighbor->ndm_flags & NTF_ROUTER;
  }
  return change;
}

nlmsghdr* encode_route(char* memory, const RouteKey& key, const RouteValue* value, const PortMap& ports) {
  if (!is_family(key.family) || key.prefix_length > (key.family == 4 ? 32 : 128)) { return nullptr; }
  if (key.table == 0 || key.table == RT_TABLE_LOCAL) { return nullptr; }
  const auto ifindex = value == nullptr ? std::nullopt : ports.ifindex_of(value->port);
  if (value != nullptr && (!ifindex || value->type != RTN_UNICAST)) { return nullptr; }
  nlmsghdr* const message = mnl_nlmsg_put_header(memory);
  message->nlmsg_type = value == nullptr ? RTM_DELROUTE : RTM_NEWROUTE;
  message->nlmsg_flags = value == nullptr ? std::uint16_t{0} : std::uint16_t{NLM_F_CREATE | NLM_F_REPLACE};
  auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
  route->rtm_family = address_family(key.family);
  route->rtm_dst_len = key.prefix_length;
  route->rtm_tos = key.tos;
  route->rtm_table =
      key.table < 256 ? static_cast<unsigned char>(key.table) : static_cast<unsigned char>(RT_TABLE_UNSPEC);
  route->rtm_scope = value == nullptr ? static_cast<unsigned char>(RT_SCOPE_NOWHERE) : value->scope;
  route->rtm_type = value == nullptr ? static_cast<unsigned char>(RTN_UNSPEC) : value->type;
  route->rtm_protocol = value == nullptr ? static_cast<unsigned char>(RTPROT_UNSPEC) : value->protocol;
  mnl_attr_put_u32(message, RTA_TABLE, key.table);
  if (key.prefix_length != 0) { mnl_attr_put(message, RTA_DST, address_bytes(key.family), key.destination.data()); }
  if (key.priority != 0) { mnl_attr_put_u32(message, RTA_PRIORITY, key.priority); }
  if (value != nullptr) {
    mnl_attr_put_u32(message, RTA_OIF, static_cast<std::uint32_t>(*ifindex));
    if (!is_none(value->gateway, key.family)) {
      mnl_attr_put(message, RTA_GATEWAY, address_bytes(key.family), value->gateway.data());
    }
  }
  return message;
}

nlmsghdr* encode_neighbor(char* memory, const NeighborKey& key, const NeighborValue* value, const PortMap& ports) {
  const auto ifindex = ports.ifindex_of(key.port);
  if (!is_family(key.family) || !ifindex) { return nullptr; }
  nlmsghdr* const message = mnl_nlmsg_put_header(memory);
  message->nlmsg_type = value == nullptr ? RTM_DELNEIGH : RTM_NEWNEIGH;
  message->nlmsg_flags = value == nullptr ? std::uint16_t{0} : std::uint16_t{NLM_F_CREATE | NLM_F_REPLACE};
  auto* neighbor = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ndmsg)));
  neighbor->ndm_family = address_family(key.family);
  neighbor->ndm_ifindex = *ifindex;
  if (value != nullptr) {
    // Stale is used at once and confirmed by a unicast probe in passing; what an operator pinned stays pinned.
    neighbor->ndm_state = (value->state & NUD_PERMANENT) != 0 ? std::uint16_t{NUD_PERMANENT} : std::uint16_t{NUD_STALE};
    neighbor->ndm_flags = value->flags & NTF_ROUTER;
    mnl_attr_put(message, NDA_LLADDR, value->mac.size(), value->mac.data());
  }
  mnl_attr_put(message, NDA_DST, address_bytes(key.family), key.address.data());
  return message;
}

bool same_in_kernel(const NeighborValue& a, const NeighborValue& b) { return a.mac == b.mac && a.flags == b.flags; }

bool same_in_kernel(const RouteValue& a, const RouteValue& b) {
  return a.gateway == b.gateway && a.port == b.port && a.type == b.type && a.scope == b.scope &&
         a.protocol == b.protocol;
}

}  // namespace understudy::net
