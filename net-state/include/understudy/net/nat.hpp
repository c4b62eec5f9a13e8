// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a NATed flow is seeded: pure arithmetic on tuples.
///
/// The kernel shows a flow as two tuples, the original direction and the *translated* reply:
///
///     client C:c ──► server S:s, SNAT to N:n        original C:c → S:s      reply S:s → N:n
///     client C:c ──► service V:v, DNAT to B:b       original C:c → V:v      reply B:b → C:c
///
/// An entry that is created with both tuples as shown looks right and translates nothing. It must be created with the
/// *untranslated* reply (the original turned round) and the translation named apart: the kernel then computes the
/// reply tuple itself and hooks the entry into its NAT tables.

#include "understudy/net/records.hpp"

namespace understudy::net {

struct NatSeed {
  bool source = false;       ///< CTA_NAT_SRC to source_address, source_port
  bool destination = false;  ///< CTA_NAT_DST to destination_address, destination_port
  AddressBytes source_address{};
  AddressBytes destination_address{};
  std::uint16_t source_port = 0;  ///< network order; ICMP: the translated id
  std::uint16_t destination_port = 0;
  /// The untranslated reply tuple, in the layout of FlowValue's reply tuple.
  AddressBytes reply_source{};
  AddressBytes reply_destination{};
  std::uint16_t reply_source_port = 0;
  std::uint16_t reply_destination_port = 0;
};

NatSeed nat_seed(const FlowKey& key, const FlowValue& value);

[[nodiscard]] bool is_icmp(std::uint8_t protocol);
/// ICMP tuples: port fields of both directions hold the id (source) and type << 8 | code (destination), in network
/// order. Type 8 is answered by 0, 13 by 14 and so on; a type without an answer comes back unchanged.
std::uint16_t icmp_answer(std::uint8_t protocol, std::uint16_t type_and_code);

}  // namespace understudy::net
