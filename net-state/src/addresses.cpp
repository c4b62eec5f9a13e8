// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>

#include <cerrno>

#include "attributes.hpp"
#include "links_impl.hpp"

namespace understudy::net {
namespace {

unsigned char address_family(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }
std::size_t bytes_of(const IpAddress& address) { return address.is_v4() ? 4 : 16; }

}  // namespace

IpPrefix link_local_of(const MacAddress& mac) {
  IpPrefix prefix;
  prefix.address.family = 6;
  prefix.length = 64;
  const auto& from = mac.bytes;
  prefix.address.bytes = {
      0xfe,    0x80,    0,    0,    0,       0,       0,      0, static_cast<std::uint8_t>(from[0] ^ 0x02),
      from[1], from[2], 0xff, 0xfe, from[3], from[4], from[5]};
  return prefix;
}

Status Links::add_address(const std::string& name, const IpPrefix& address) {
  const auto index = index_of(name);
  if (!index) { return index.error(); }
  LinkRequest request;
  auto* info = request.header<ifaddrmsg>(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  info->ifa_family = address_family(address.address);
  info->ifa_prefixlen = address.length;
  info->ifa_index = static_cast<std::uint32_t>(index.value());
  mnl_attr_put(request.message, IFA_LOCAL, bytes_of(address.address), address.address.bytes.data());
  mnl_attr_put(request.message, IFA_ADDRESS, bytes_of(address.address), address.address.bytes.data());
  if (!address.address.is_v4()) { mnl_attr_put_u32(request.message, IFA_FLAGS, IFA_F_NODAD); }
  return impl_->talk(request, "cannot add address " + address.to_string() + " to " + name);
}

Status Links::delete_address(const std::string& name, const IpPrefix& address) {
  const auto index = index_of(name);
  if (!index) { return index.error(); }
  LinkRequest request;
  auto* info = request.header<ifaddrmsg>(RTM_DELADDR);
  info->ifa_family = address_family(address.address);
  info->ifa_prefixlen = address.length;
  info->ifa_index = static_cast<std::uint32_t>(index.value());
  mnl_attr_put(request.message, IFA_LOCAL, bytes_of(address.address), address.address.bytes.data());
  const auto answer = impl_->socket.talk(request.message);
  if (!answer) { return answer.error(); }
  if (answer.value() == EADDRNOTAVAIL) {
    return failure(name + " has no address " + address.to_string(), Errc::NotFound);
  }
  if (answer.value() != 0) {
    return netlink_failure("cannot delete address " + address.to_string() + " of " + name, answer.value());
  }
  return {};
}

Result<std::vector<IpPrefix>> Links::addresses(const std::string& name) {
  const auto index = index_of(name);
  if (!index) { return index.error(); }
  LinkRequest request;
  request.header<ifaddrmsg>(RTM_GETADDR);
  std::vector<IpPrefix> found;
  const auto dumped = impl_->socket.dump(request.message, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(message) < sizeof(ifaddrmsg)) { return; }
    const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
    if (info->ifa_index != static_cast<std::uint32_t>(index.value())) { return; }
    if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) { return; }
    const std::uint8_t family = info->ifa_family == AF_INET ? 4 : 6;
    const auto attributes = Attributes::of_message(message, sizeof(ifaddrmsg));
    auto bytes = attributes.address(IFA_LOCAL, family);
    if (!bytes) { bytes = attributes.address(IFA_ADDRESS, family); }
    if (bytes) { found.push_back({{family, *bytes}, info->ifa_prefixlen}); }
  });
  if (!dumped) { return dumped.error(); }
  return found;
}

Status Links::set_route(const IpPrefix& destination, const IpAddress& gateway, const std::string& interface) {
  LinkRequest request;
  auto* route = request.header<rtmsg>(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  route->rtm_family = address_family(destination.address);
  route->rtm_dst_len = destination.length;
  route->rtm_table = RT_TABLE_MAIN;
  route->rtm_protocol = RTPROT_STATIC;
  route->rtm_scope = gateway.family == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  route->rtm_type = RTN_UNICAST;
  if (destination.length != 0) {
    mnl_attr_put(request.message, RTA_DST, bytes_of(destination.address), destination.address.bytes.data());
  }
  if (gateway.family != 0) {
    if (gateway.family != destination.address.family) {
      return failure("route " + destination.to_string() + " has a gateway of the other family", Errc::BadInput);
    }
    mnl_attr_put(request.message, RTA_GATEWAY, bytes_of(gateway), gateway.bytes.data());
  }
  if (!interface.empty()) {
    const auto index = index_of(interface);
    if (!index) { return index.error(); }
    mnl_attr_put_u32(request.message, RTA_OIF, static_cast<std::uint32_t>(index.value()));
  }
  return impl_->talk(request, "cannot set route " + destination.to_string() + " via " + gateway.to_string());
}

Status Links::delete_route(const IpPrefix& destination) {
  LinkRequest request;
  auto* route = request.header<rtmsg>(RTM_DELROUTE);
  route->rtm_family = address_family(destination.address);
  route->rtm_dst_len = destination.length;
  route->rtm_table = RT_TABLE_MAIN;
  route->rtm_scope = RT_SCOPE_NOWHERE;
  if (destination.length != 0) {
    mnl_attr_put(request.message, RTA_DST, bytes_of(destination.address), destination.address.bytes.data());
  }
  return impl_->talk(request, "cannot delete route " + destination.to_string());
}

}  // namespace understudy::net
