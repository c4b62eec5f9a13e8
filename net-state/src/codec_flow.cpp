// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>

#include "attributes.hpp"
#include "understudy/net/codec.hpp"
#include "understudy/net/nat.hpp"

namespace understudy::net {
namespace {

constexpr std::uint32_t status_that_travels = IPS_SEEN_REPLY | IPS_ASSURED | IPS_FIXED_TIMEOUT;
constexpr std::uint8_t tcp_flags_that_travel =
    IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_CLOSE_INIT;

struct Tuple {
  AddressBytes source{};
  AddressBytes destination{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t family = 0;
  std::uint8_t protocol = 0;
};

/// Which attribute numbers an ICMP flavour uses for (id, type, code).
struct IcmpAttributes {
  std::uint16_t id, type, code;
};
IcmpAttributes icmp_attributes(std::uint8_t protocol) {
  if (protocol == IPPROTO_ICMPV6) { return {CTA_PROTO_ICMPV6_ID, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE}; }
  return {CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE};
}

std::optional<Tuple> read_tuple(const Attributes& tuple) {
  const auto ip = tuple.nested(CTA_TUPLE_IP);
  const auto proto = tuple.nested(CTA_TUPLE_PROTO);
  Tuple read;
  read.family = ip.has(CTA_IP_V4_SRC) ? 4 : 6;
  const auto source = ip.address(read.family == 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, read.family);
  const auto destination = ip.address(read.family == 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, read.family);
  const auto protocol = proto.get<std::uint8_t>(CTA_PROTO_NUM);
  if (!source || !destination || !protocol) { return {}; }
  read.source = *source;
  read.destination = *destination;
  read.protocol = *protocol;
  if (is_icmp(read.protocol)) {
    const auto number = icmp_attributes(read.protocol);
    const auto type = proto.get<std::uint8_t>(number.type).value_or(0);
    const auto code = proto.get<std::uint8_t>(number.code).value_or(0);
    read.source_port = proto.get<std::uint16_t>(number.id).value_or(0);
    read.destination_port = htons(static_cast<std::uint16_t>(type << 8 | code));
  } else if (read.protocol == IPPROTO_TCP || read.protocol == IPPROTO_UDP) {
    read.source_port = proto.get<std::uint16_t>(CTA_PROTO_SRC_PORT).value_or(0);
    read.destination_port = proto.get<std::uint16_t>(CTA_PROTO_DST_PORT).value_or(0);
  } else {
    return {};
  }
  return read;
}

bool is_local_business(const AddressBytes& address, std::uint8_t family) {
  if (family == 4) { return address[0] == 127 || (address[0] == 169 && address[1] == 254); }
  const bool loopback =
      address[15] == 1 && std::all_of(address.begin(), address.end() - 1, [](std::uint8_t byte) { return byte == 0; });
  return loopback || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

bool in_prefix(const AddressBytes& address, std::uint8_t family, const IpPrefix& prefix) {
  if (family != prefix.address.family) { return false; }
  const std::size_t bytes = prefix.length / 8;
  if (!std::equal(address.begin(), address.begin() + static_cast<std::ptrdiff_t>(bytes),
                  prefix.address.bytes.begin())) {
    return false;
  }
  const unsigned rest = prefix.length % 8U;
  if (rest == 0) { return true; }
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (address[bytes] & mask) == (prefix.address.bytes[bytes] & mask);
}

bool is_wanted(const Tuple& tuple, const FlowFilter& filter) {
  if (is_local_business(tuple.source, tuple.family) || is_local_business(tuple.destination, tuple.family)) {
    return false;
  }
  return std::none_of(filter.excluded.begin(), filter.excluded.end(), [&](const IpPrefix& prefix) {
    return in_prefix(tuple.source, tuple.family, prefix) || in_prefix(tuple.destination, tuple.family, prefix);
  });
}

void read_tcp(const Attributes& tcp, FlowChange& change) {
  const auto state = tcp.get<std::uint8_t>(CTA_PROTOINFO_TCP_STATE);
  if (!state) { return; }
  change.has_tcp = true;
  change.value.tcp_state = *state;
  change.value.tcp_wscale_original = tcp.get<std::uint8_t>(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL).value_or(0);
  change.value.tcp_wscale_reply = tcp.get<std::uint8_t>(CTA_PROTOINFO_TCP_WSCALE_REPLY).value_or(0);
  if (const auto flags = tcp.get<nf_ct_tcp_flags>(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL)) {
    change.value.tcp_flags_original = flags->flags & tcp_flags_that_travel;
  }
  if (const auto flags = tcp.get<nf_ct_tcp_flags>(CTA_PROTOINFO_TCP_FLAGS_REPLY)) {
    change.value.tcp_flags_reply = flags->flags & tcp_flags_that_travel;
  }
}

/// Half-open connections are not worth a record: the client repeats its SYN at the new place.
bool is_half_open(const FlowChange& change) {
  if (change.key.protocol != IPPROTO_TCP || !change.has_tcp) { return false; }
  return change.value.tcp_state == TCP_CONNTRACK_NONE || change.value.tcp_state == TCP_CONNTRACK_SYN_SENT ||
         change.value.tcp_state == TCP_CONNTRACK_SYN_SENT2;
}

void put_tuple(nlmsghdr* message, std::uint16_t type, const Tuple& tuple) {
  nlattr* const outer = mnl_attr_nest_start(message, type);
  nlattr* const ip = mnl_attr_nest_start(message, CTA_TUPLE_IP);
  const bool v4 = tuple.family == 4;
  mnl_attr_put(message, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, address_bytes(tuple.family), tuple.source.data());
  mnl_attr_put(message, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, address_bytes(tuple.family), tuple.destination.data());
  mnl_attr_nest_end(message, ip);
  nlattr* const proto = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(message, CTA_PROTO_NUM, tuple.protocol);
  if (is_icmp(tuple.protocol)) {
    const auto number = icmp_attributes(tuple.protocol);
    const auto type_and_code = ntohs(tuple.destination_port);
    mnl_attr_put_u16(message, number.id, tuple.source_port);
    mnl_attr_put_u8(message, number.type, static_cast<std::uint8_t>(type_and_code >> 8));
    mnl_attr_put_u8(message, number.code, static_cast<std::uint8_t>(type_and_code & 0xff));
  } else {
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, tuple.source_port);
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, tuple.destination_port);
  }
  mnl_attr_nest_end(message, proto);
  mnl_attr_nest_end(message, outer);
}

void put_nat(nlmsghdr* message, std::uint16_t type, std::uint8_t family, const AddressBytes& address,
             std::uint16_t port) {
  nlattr* const nat = mnl_attr_nest_start(message, type);
  mnl_attr_put(message, family == 4 ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP, address_bytes(family), address.data());
  mnl_attr_put(message, family == 4 ? CTA_NAT_V4_MAXIP : CTA_NAT_V6_MAXIP, address_bytes(family), address.data());
  if (port != 0) {
    nlattr* const proto = mnl_attr_nest_start(message, CTA_NAT_PROTO);
    mnl_attr_put_u16(message, CTA_PROTONAT_PORT_MIN, port);
    mnl_attr_put_u16(message, CTA_PROTONAT_PORT_MAX, port);
    mnl_attr_nest_end(message, proto);
  }
  mnl_attr_nest_end(message, nat);
}

void put_tcp_flags(nlmsghdr* message, std::uint16_t type, std::uint8_t recorded) {
  // Liberal: this kernel has not seen the windows of a connection that it takes over in the middle.
  const auto flags = static_cast<std::uint8_t>((recorded & tcp_flags_that_travel) | IP_CT_TCP_FLAG_BE_LIBERAL);
  const nf_ct_tcp_flags wire{flags, flags};
  mnl_attr_put(message, type, sizeof wire, &wire);
}

void put_tcp(nlmsghdr* message, const FlowValue& value) {
  nlattr* const info = mnl_attr_nest_start(message, CTA_PROTOINFO);
  nlattr* const tcp = mnl_attr_nest_start(message, CTA_PROTOINFO_TCP);
  mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_STATE, value.tcp_state);
  mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, value.tcp_wscale_original);
  mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_WSCALE_REPLY, value.tcp_wscale_reply);
  put_tcp_flags(message, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, value.tcp_flags_original);
  put_tcp_flags(message, CTA_PROTOINFO_TCP_FLAGS_REPLY, value.tcp_flags_reply);
  mnl_attr_nest_end(message, tcp);
  mnl_attr_nest_end(message, info);
}

bool is_encodable(const FlowKey& key, const FlowValue& value) {
  if (key.family != 4 && key.family != 6) { return false; }
  if (key.protocol == IPPROTO_TCP) {
    return value.tcp_state < TCP_CONNTRACK_MAX && value.tcp_wscale_original <= 14 && value.tcp_wscale_reply <= 14;
  }
  if (key.protocol == IPPROTO_ICMP) { return key.family == 4; }
  if (key.protocol == IPPROTO_ICMPV6) { return key.family == 6; }
  return key.protocol == IPPROTO_UDP;
}

nlmsghdr* put_headers(char* memory, FlowMessage what, std::uint8_t family) {
  nlmsghdr* const message = mnl_nlmsg_put_header(memory);
  std::uint16_t type = IPCTNL_MSG_CT_NEW;
  if (what == FlowMessage::Get) { type = IPCTNL_MSG_CT_GET; }
  if (what == FlowMessage::Delete) { type = IPCTNL_MSG_CT_DELETE; }
  message->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  if (what == FlowMessage::Create) { message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL; }
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  header->nfgen_family = family == 4 ? AF_INET : AF_INET6;
  header->version = NFNETLINK_V0;
  return message;
}

}  // namespace

std::optional<FlowChange> decode_flow(const nlmsghdr* message, const FlowFilter& filter) {
  if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_CTNETLINK) { return {}; }
  const auto type = NFNL_MSG_TYPE(message->nlmsg_type);
  if (type != IPCTNL_MSG_CT_NEW && type != IPCTNL_MSG_CT_DELETE) { return {}; }
  const auto attributes = Attributes::of_message(message, sizeof(nfgenmsg));
  const auto original = read_tuple(attributes.nested(CTA_TUPLE_ORIG));
  const auto reply = read_tuple(attributes.nested(CTA_TUPLE_REPLY));
  if (!original || !reply || reply->family != original->family || !is_wanted(*original, filter)) { return {}; }
  FlowChange change;
  change.gone = type == IPCTNL_MSG_CT_DELETE;
  change.key = {original->source,
                original->destination,
                original->source_port,
                original->destination_port,
                attributes.get<std::uint16_t>(CTA_ZONE).value_or(0),
                original->family,
                original->protocol};
  change.value.reply_source = reply->source;
  change.value.reply_destination = reply->destination;
  change.value.reply_source_port = reply->source_port;
  change.value.reply_destination_port = reply->destination_port;
  if (change.gone) { return change; }
  if (const auto status = attributes.get<std::uint32_t>(CTA_STATUS)) {
    change.has_status = true;
    change.value.status = ntohl(*status);
    if ((change.value.status & (IPS_DYING | IPS_TEMPLATE)) != 0) { return {}; }
  }
  change.value.timeout_seconds = ntohl(attributes.get<std::uint32_t>(CTA_TIMEOUT).value_or(0));
  change.value.mark = ntohl(attributes.get<std::uint32_t>(CTA_MARK).value_or(0));
  if (change.key.protocol == IPPROTO_TCP) {
    read_tcp(attributes.nested(CTA_PROTOINFO).nested(CTA_PROTOINFO_TCP), change);
  }
  if (is_half_open(change)) { return {}; }
  return change;
}

nlmsghdr* encode_flow(char* memory, FlowMessage what, const FlowKey& key, const FlowValue& value,
                      std::uint32_t timeout_seconds) {
  if (!is_encodable(key, value)) { return nullptr; }
  nlmsghdr* const message = put_headers(memory, what, key.family);
  put_tuple(message, CTA_TUPLE_ORIG,
            {key.source, key.destination, key.source_port, key.destination_port, key.family, key.protocol});
  if (key.zone != 0) { mnl_attr_put_u16(message, CTA_ZONE, key.zone); }
  if (what == FlowMessage::Get || what == FlowMessage::Delete) { return message; }
  mnl_attr_put_u32(message, CTA_TIMEOUT, htonl(timeout_seconds));
  if (what == FlowMessage::Timeout) { return message; }
  // Only settable bits; IPS_SRC_NAT and IPS_DST_NAT are not honoured here, the kernel sets them for CTA_NAT_*.
  mnl_attr_put_u32(message, CTA_STATUS, htonl((value.status & status_that_travels) | IPS_CONFIRMED));
  mnl_attr_put_u32(message, CTA_MARK, htonl(value.mark));
  if (key.protocol == IPPROTO_TCP) { put_tcp(message, value); }
  if (what == FlowMessage::Update) { return message; }
  const NatSeed seed = nat_seed(key, value);
  put_tuple(message, CTA_TUPLE_REPLY,
            {seed.reply_source, seed.reply_destination, seed.reply_source_port, seed.reply_destination_port, key.family,
             key.protocol});
  if (seed.source) { put_nat(message, CTA_NAT_SRC, key.family, seed.source_address, seed.source_port); }
  if (seed.destination) { put_nat(message, CTA_NAT_DST, key.family, seed.destination_address, seed.destination_port); }
  return message;
}

bool same_in_kernel(const FlowValue& a, const FlowValue& b) {
  return a.reply_source == b.reply_source && a.reply_destination == b.reply_destination &&
         a.reply_source_port == b.reply_source_port && a.reply_destination_port == b.reply_destination_port &&
         (a.status & status_that_travels) == (b.status & status_that_travels) && a.mark == b.mark &&
         a.tcp_state == b.tcp_state;
}

}  // namespace understudy::net
