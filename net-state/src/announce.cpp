// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/announce.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace understudy::net {
namespace {

constexpr std::array<std::uint8_t, 6> broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::array<std::uint8_t, 6> all_nodes_mac{0x33, 0x33, 0, 0, 0, 1};
constexpr std::array<std::uint8_t, 16> all_nodes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr std::uint8_t next_header_icmp6 = 58;
constexpr std::size_t advertisement_bytes = 32;  // ICMPv6 header and target (24), target link-layer option (8)

template <class Bytes>
void append(Frame& frame, const Bytes& bytes, std::size_t count) {
  frame.insert(frame.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
}
void append16(Frame& frame, unsigned value) {
  frame.push_back(static_cast<std::uint8_t>(value >> 8));
  frame.push_back(static_cast<std::uint8_t>(value & 0xff));
}
void append_ethernet(Frame& frame, const std::array<std::uint8_t, 6>& to, const MacAddress& from, unsigned type) {
  append(frame, to, 6);
  append(frame, from.bytes, 6);
  append16(frame, type);
}

/// RFC 8200 8.1: over source, destination, length, next header and the message.
std::uint16_t icmp6_checksum(const std::array<std::uint8_t, 16>& source, const Frame& message) {
  Frame pseudo;
  append(pseudo, source, 16);
  append(pseudo, all_nodes, 16);
  append16(pseudo, 0);
  append16(pseudo, static_cast<unsigned>(message.size()));
  append16(pseudo, 0);
  append16(pseudo, next_header_icmp6);
  append(pseudo, message, message.size());
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < pseudo.size(); i += 2) {
    sum += static_cast<std::uint32_t>(pseudo[i] << 8 | pseudo[i + 1]);
  }
  while (sum >> 16 != 0) { sum = (sum & 0xffff) + (sum >> 16); }
  return static_cast<std::uint16_t>(~sum & 0xffff);
}

Status send_frame(int socket, int ifindex, const Frame& frame, const std::string& interface) {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = ifindex;
  to.sll_halen = 6;
  std::copy(frame.begin(), frame.begin() + 6, to.sll_addr);
  const ssize_t sent =
      ::sendto(socket, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  // The gate's egress drop shows as ENOBUFS: closed is a state, not a failure of the announcement.
  if (sent < 0 && errno != ENOBUFS) { return failure("cannot announce on " + interface + ": " + std::strerror(errno)); }
  return {};
}

}  // namespace

Frame gratuitous_arp(ArpForm form, const MacAddress& mac, const IpAddress& address) {
  UNDERSTUDY_ASSERT(address.is_v4());
  Frame frame;
  append_ethernet(frame, broadcast, mac, ETHERTYPE_ARP);
  append16(frame, 1);  // Ethernet
  append16(frame, ETHERTYPE_IP);
  frame.push_back(6);
  frame.push_back(4);
  append16(frame, static_cast<unsigned>(form));
  append(frame, mac.bytes, 6);
  append(frame, address.bytes, 4);
  append(frame, form == ArpForm::Reply ? broadcast : std::array<std::uint8_t, 6>{}, 6);
  append(frame, address.bytes, 4);
  return frame;
}

Frame unsolicited_neighbor_advertisement(const MacAddress& mac, const IpAddress& address, bool router) {
  UNDERSTUDY_ASSERT(address.family == 6);
  Frame message{136, 0, 0, 0, static_cast<std::uint8_t>((router ? 0x80 : 0) | 0x20), 0, 0, 0};
  append(message, address.bytes, 16);
  message.push_back(2);  // target link-layer address
  message.push_back(1);
  append(message, mac.bytes, 6);
  const std::uint16_t checksum = icmp6_checksum(address.bytes, message);
  message[2] = static_cast<std::uint8_t>(checksum >> 8);
  message[3] = static_cast<std::uint8_t>(checksum & 0xff);

  Frame frame;
  append_ethernet(frame, all_nodes_mac, mac, ETHERTYPE_IPV6);
  append(frame, std::array<std::uint8_t, 4>{0x60, 0, 0, 0}, 4);
  append16(frame, advertisement_bytes);
  frame.push_back(next_header_icmp6);
  frame.push_back(255);
  append(frame, address.bytes, 16);
  append(frame, all_nodes, 16);
  append(frame, message, message.size());
  return frame;
}

Status announce(const std::string& interface, const MacAddress& mac, const std::vector<IpAddress>& addresses,
                bool router) {
  const int ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (ifindex == 0) { return failure("cannot announce: there is no interface " + interface, Errc::NotFound); }
  const int socket = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);  // protocol 0: receives nothing
  if (socket < 0) { return failure(std::string("cannot open a packet socket: ") + std::strerror(errno)); }
  Status sent;
  for (const IpAddress& address : addresses) {
    if (address.is_v4()) {
      sent = send_frame(socket, ifindex, gratuitous_arp(ArpForm::Request, mac, address), interface);
      if (sent) { sent = send_frame(socket, ifindex, gratuitous_arp(ArpForm::Reply, mac, address), interface); }
    } else if (address.family == 6) {
      sent = send_frame(socket, ifindex, unsolicited_neighbor_advertisement(mac, address, router), interface);
    }
    if (!sent) { break; }
  }
  ::close(socket);
  return sent;
}

}  // namespace understudy::net
