// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/nat.hpp"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

namespace understudy::net {

bool is_icmp(std::uint8_t protocol) { return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6; }

std::uint16_t icmp_answer(std::uint8_t protocol, std::uint16_t type_and_code) {
  const auto host = ntohs(type_and_code);
  const auto type = static_cast<std::uint8_t>(host >> 8);
  static constexpr std::uint8_t pairs_v4[][2] = {{ICMP_ECHO, ICMP_ECHOREPLY},
                                                 {ICMP_TIMESTAMP, ICMP_TIMESTAMPREPLY},
                                                 {ICMP_INFO_REQUEST, ICMP_INFO_REPLY},
                                                 {ICMP_ADDRESS, ICMP_ADDRESSREPLY}};
  static constexpr std::uint8_t pairs_v6[][2] = {{ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY}, {139, 140}};
  std::uint8_t answer = type;
  const auto look_up = [&](const auto& pairs) {
    for (const auto& pair : pairs) {
      if (pair[0] == type) { answer = pair[1]; }
      if (pair[1] == type) { answer = pair[0]; }
    }
  };
  if (protocol == IPPROTO_ICMPV6) {
    look_up(pairs_v6);
  } else {
    look_up(pairs_v4);
  }
  return htons(static_cast<std::uint16_t>(answer << 8 | (host & 0xff)));
}

NatSeed nat_seed(const FlowKey& key, const FlowValue& value) {
  const bool icmp = is_icmp(key.protocol);
  NatSeed seed;
  seed.reply_source = key.destination;
  seed.reply_destination = key.source;
  seed.reply_source_port = icmp ? key.source_port : key.destination_port;
  seed.reply_destination_port = icmp ? icmp_answer(key.protocol, key.destination_port) : key.source_port;

  // The id of an ICMP flow counts as its source port in both manipulations; only source NAT carries it here.
  const std::uint16_t source_port = icmp ? value.reply_source_port : value.reply_destination_port;
  seed.source = value.reply_destination != key.source || source_port != key.source_port;
  if (seed.source) {
    seed.source_address = value.reply_destination;
    seed.source_port = source_port;
  }
  seed.destination =
      value.reply_source != key.destination || (!icmp && value.reply_source_port != key.destination_port);
  if (seed.destination) {
    seed.destination_address = value.reply_source;
    seed.destination_port = icmp ? std::uint16_t{0} : value.reply_source_port;
  }
  return seed;
}

}  // namespace understudy::net
