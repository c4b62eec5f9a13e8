// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The probe's datagram, and the record of a reply: bytes as they travel and lie in the file (this machine's order:
/// both ends are the same machine).

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace lab {

struct ProbePacket {
  std::uint32_t magic = 0x55535042;
  std::uint32_t probe = 0;  ///< which probe: a reply to another one is not counted
  std::uint64_t sequence = 0;
  std::int64_t sent_ns = 0;
};
static_assert(sizeof(ProbePacket) == 24);

/// One line of the reply file.
struct ProbeReply {
  std::uint64_t sequence;
  std::int64_t sent_ns, received_ns;  ///< wall clock; received is the kernel's time stamp
};
static_assert(sizeof(ProbeReply) == 24);

/// A reply that belongs to this probe and to something that was sent.
inline std::optional<ProbePacket> read_probe(std::span<const char> bytes, std::uint32_t probe, std::uint64_t sent) {
  ProbePacket packet;
  if (bytes.size() != sizeof packet) return {};
  std::memcpy(&packet, bytes.data(), sizeof packet);
  if (packet.magic != ProbePacket{}.magic || packet.probe != probe || packet.sequence >= sent) return {};
  return packet;
}

}  // namespace lab
