// SPDX-License-Identifier: Apache-2.0
#include "frame.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdio>

namespace lab {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint16_t number(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>((bytes[at] << 8) | bytes[at + 1]);
}

std::string mac_text(Bytes bytes) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                bytes[5]);
  return text;
}

std::string ip_text(int family, Bytes bytes) {
  char text[INET6_ADDRSTRLEN] = "?";
  inet_ntop(family, bytes.data(), text, sizeof text);
  return text;
}

bool is_zero(Bytes bytes) {
  for (const auto byte : bytes) {
    if (byte != 0) return false;
  }
  return true;
}

void read_arp(Bytes arp, Frame& frame) {
  if (arp.size() < 28 || number(arp, 2) != 0x0800) return;
  frame.kind = FrameKind::Arp;
  const auto sender = arp.subspan(14, 4), target = arp.subspan(24, 4);
  frame.source = ip_text(AF_INET, sender);
  frame.destination = ip_text(AF_INET, target);
  if (is_zero(sender)) return;  // a probe asks, it claims nothing
  frame.claims.push_back(frame.source);
  frame.is_announcement = frame.source == frame.destination;
}

void read_neighbour(Bytes icmp, Bytes source, Frame& frame) {
  constexpr std::uint8_t router_solicitation = 133, advertisement = 136, redirect = 137;
  if (icmp.empty() || icmp[0] < router_solicitation || icmp[0] > redirect) return;
  frame.kind = FrameKind::Neighbour;
  if (!is_zero(source)) frame.claims.push_back(frame.source);
  if (icmp[0] != advertisement || icmp.size() < 24) return;
  const auto target = ip_text(AF_INET6, icmp.subspan(8, 16));
  if (target != frame.source) frame.claims.push_back(target);
  frame.is_announcement = (icmp[4] & 0x40) == 0;  // not solicited
}

void read_transport(int protocol, Bytes bytes, Bytes source, Frame& frame) {
  if (protocol == IPPROTO_ICMPV6) return read_neighbour(bytes, source, frame);
  const std::size_t needed = protocol == IPPROTO_UDP ? 8 : protocol == IPPROTO_TCP ? 14 : SIZE_MAX;
  if (bytes.size() < needed) return;
  frame.kind = protocol == IPPROTO_UDP ? FrameKind::Udp : FrameKind::Tcp;
  frame.source_port = number(bytes, 0);
  frame.destination_port = number(bytes, 2);
  if (frame.kind == FrameKind::Udp) return;
  frame.tcp_sequence = (std::uint32_t{number(bytes, 4)} << 16) | number(bytes, 6);
  frame.tcp_flags = bytes[13];
}

void read_ipv4(Bytes packet, Frame& frame) {
  if (packet.size() < 20 || packet[0] >> 4 != 4) return;
  const std::size_t head = std::size_t{4} * (packet[0] & 15);
  if (head < 20 || packet.size() < head) return;
  frame.source = ip_text(AF_INET, packet.subspan(12, 4));
  frame.destination = ip_text(AF_INET, packet.subspan(16, 4));
  const bool later_fragment = (number(packet, 6) & 0x1fff) != 0;
  if (!later_fragment) read_transport(packet[9], packet.subspan(head), packet.subspan(12, 4), frame);
}

void read_ipv6(Bytes packet, Frame& frame) {
  if (packet.size() < 40) return;
  frame.source = ip_text(AF_INET6, packet.subspan(8, 16));
  frame.destination = ip_text(AF_INET6, packet.subspan(24, 16));
  read_transport(packet[6], packet.subspan(40), packet.subspan(8, 16), frame);
  // Neighbour discovery that a router has forwarded (Linux does, back out of the same port) claims nothing: every
  // receiver drops it (RFC 4861 7.1).
  if (frame.kind == FrameKind::Neighbour && packet[7] != 255) {
    frame.claims.clear();
    frame.is_announcement = false;
  }
}

}  // namespace

Frame read_frame(Bytes bytes) {
  Frame frame;
  if (bytes.size() < 14) return frame;
  frame.source_mac = mac_text(bytes.subspan(6, 6));
  const auto inside = bytes.subspan(14);
  switch (number(bytes, 12)) {
    case 0x0806:
      read_arp(inside, frame);
      break;
    case 0x0800:
      read_ipv4(inside, frame);
      break;
    case 0x86dd:
      read_ipv6(inside, frame);
      break;
    default:
      break;
  }
  return frame;
}

bool is_service_mac(const std::string& mac) { return mac.starts_with("02:e0:") || mac.starts_with("02:e1:"); }

std::uint64_t hash_of(Bytes bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const auto byte : bytes) hash = (hash ^ byte) * 0x100000001b3ULL;
  return hash;
}

}  // namespace lab
