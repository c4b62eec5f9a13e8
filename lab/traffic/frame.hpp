// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What an Ethernet frame says, as far as the lab looks: pure, every byte bounds-checked.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lab {

enum class FrameKind { Arp, Neighbour, Udp, Tcp, Other };

struct Frame {
  FrameKind kind = FrameKind::Other;
  std::string source_mac;
  std::string source, destination;  ///< IP addresses as text
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t tcp_flags = 0;
  std::uint32_t tcp_sequence = 0;
  /// Addresses that the sender says are its own: ARP sender, neighbour advertisement's target, IP source of ND.
  std::vector<std::string> claims;
  bool is_announcement = false;  ///< gratuitous ARP or unsolicited neighbour advertisement
};

inline constexpr std::uint8_t tcp_syn = 0x02, tcp_rst = 0x04, tcp_ack = 0x10;

Frame read_frame(std::span<const std::uint8_t> bytes);

/// A role's service MAC: 02:e0 (external) or 02:e1 (intranet).
bool is_service_mac(const std::string& mac);

/// FNV-1a over the frame's bytes: the same frame at two ports has the same hash.
std::uint64_t hash_of(std::span<const std::uint8_t> bytes);

}  // namespace lab
