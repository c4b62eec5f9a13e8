// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Flow records written as a person reads them.

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>

#include "understudy/common/net_types.hpp"
#include "understudy/net/codec.hpp"

namespace understudy::net::test {

inline AddressBytes bytes(const char* address) { return IpAddress::parse(address).value().bytes; }

inline FlowKey flow_key(std::uint8_t protocol, const char* source, std::uint16_t source_port, const char* destination,
                        std::uint16_t destination_port) {
  FlowKey key;
  key.source = bytes(source);
  key.destination = bytes(destination);
  key.source_port = htons(source_port);
  key.destination_port = htons(destination_port);
  key.family = IpAddress::parse(source).value().family;
  key.protocol = protocol;
  return key;
}

inline FlowValue replied_by(const char* source, std::uint16_t source_port, const char* destination,
                            std::uint16_t destination_port) {
  FlowValue value;
  value.reply_source = bytes(source);
  value.reply_destination = bytes(destination);
  value.reply_source_port = htons(source_port);
  value.reply_destination_port = htons(destination_port);
  value.status = IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED;
  value.timeout_seconds = 300;
  return value;
}

/// A TCP connection of 10.50.1.2:4000 to 10.23.4.1:80 behind 10.23.4.121:61000.
inline FlowKey tcp_key() { return flow_key(IPPROTO_TCP, "10.50.1.2", 4000, "10.23.4.1", 80); }
inline FlowValue tcp_value() {
  FlowValue value = replied_by("10.23.4.1", 80, "10.23.4.121", 61000);
  value.tcp_state = TCP_CONNTRACK_ESTABLISHED;
  value.tcp_wscale_original = 7;
  value.tcp_wscale_reply = 9;
  value.tcp_flags_original = IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM;
  value.tcp_flags_reply = IP_CT_TCP_FLAG_WINDOW_SCALE;
  value.mark = 0x1234;
  return value;
}

}  // namespace understudy::net::test
