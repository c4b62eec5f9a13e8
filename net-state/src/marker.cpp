// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/marker.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

namespace understudy::net {
namespace {

constexpr std::uint16_t ethertype = 0x88b5;  // IEEE 802: local experimental 1
constexpr std::uint16_t every_ethertype = 0x0003;
constexpr std::uint32_t magic = 0x55734d6b;  // "UsMk"
constexpr std::array<std::uint8_t, 6> to_no_bridge{0x01, 0x80, 0xc2, 0x00, 0x00, 0x03};
constexpr std::array<std::uint8_t, 6> from_host{0x02, 'U', 's', 'M', 'k', 0x00};
/// Of a queue that knows priorities the last one: TC_PRIO_BULK.
constexpr int behind_all = 2;
constexpr std::size_t frame_bytes = 60;  // the shortest that Ethernet carries
constexpr std::size_t type_at = 12;
constexpr std::size_t magic_at = 14;
constexpr std::size_t way_at = 18;
constexpr std::size_t number_at = 20;

using MarkerFrame = std::array<std::uint8_t, frame_bytes>;

void put(MarkerFrame& frame, std::size_t at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) { frame[at + i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i))); }
}

std::uint64_t get(const MarkerFrame& frame, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) { value = value << 8 | frame[at + i]; }
  return value;
}

Error marker_failure(const std::string& what, const std::string& interface) {
  return failure("the marker of " + interface + ": " + what + ": " +
                 std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
}

Status hear_only_markers(int fd, const std::string& interface) {
  std::array<sock_filter, 6> program{
      {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type_at), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ethertype, 0, 3),
       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, magic_at), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, magic, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, frame_bytes), BPF_STMT(BPF_RET | BPF_K, 0)}};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    return marker_failure("cannot filter", interface);
  }
  const int yes = 1;
  // Unknown to kernels before 4.20; read() leaves out what went out in any case.
  (void)::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
  if (::setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &behind_all, sizeof behind_all) != 0) {
    return marker_failure("cannot be put behind all other frames", interface);
  }
  return {};
}

}  // namespace

Result<MarkerPort> MarkerPort::open(const std::string& interface, On on) {
  const int index = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (index == 0) { return failure("no marker can be sent: there is no interface " + interface, Errc::NotFound); }
  const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);  // hears nothing before its filter
  if (fd < 0) { return marker_failure("cannot open a packet socket", interface); }
  MarkerPort port(fd, index, interface);
  if (auto filtered = hear_only_markers(fd, interface); !filtered) { return filtered.error(); }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(on == On::BridgePort ? every_ethertype : ethertype);
  address.sll_ifindex = index;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return marker_failure("cannot listen", interface);
  }
  return port;
}

MarkerPort::MarkerPort(MarkerPort&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), index_(other.index_), interface_(std::move(other.interface_)) {}

MarkerPort& MarkerPort::operator=(MarkerPort&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(index_, other.index_);
  std::swap(interface_, other.interface_);
  return *this;
}

MarkerPort::~MarkerPort() {
  if (fd_ >= 0) { ::close(fd_); }
}

Status MarkerPort::send(MarkerWay way, const MacAddress& nic, std::uint64_t number) {
  MarkerFrame frame{};
  const bool down = way == MarkerWay::Down;
  const auto& to = down ? nic.bytes : to_no_bridge;
  const auto& from = down ? from_host : nic.bytes;
  std::copy(to.begin(), to.end(), frame.begin());
  std::copy(from.begin(), from.end(), frame.begin() + 6);
  put(frame, type_at, ethertype, 2);
  put(frame, magic_at, magic, 4);
  put(frame, way_at, static_cast<std::uint8_t>(way), 1);
  put(frame, number_at, number, 8);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ethertype);
  address.sll_ifindex = index_;
  address.sll_halen = 6;
  std::copy(to.begin(), to.end(), address.sll_addr);
  const auto sent =
      ::sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (sent < 0) { return marker_failure("cannot send", interface_); }
  return {};
}

Result<std::optional<std::uint64_t>> MarkerPort::read(MarkerWay way) {
  for (;;) {
    MarkerFrame frame{};
    sockaddr_ll from{};
    socklen_t length = sizeof from;
    const auto got =
        ::recvfrom(fd_, frame.data(), frame.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0 && errno == EINTR) { continue; }
    if (got < 0 && (errno == EAGAIN || errno == ENETDOWN)) { return std::optional<std::uint64_t>{}; }
    if (got < 0) { return marker_failure("cannot read", interface_); }
    const bool whole = static_cast<std::size_t>(got) >= number_at + 8;
    if (!whole || from.sll_pkttype == PACKET_OUTGOING) { continue; }
    if (get(frame, way_at, 1) == static_cast<std::uint8_t>(way)) { return std::optional(get(frame, number_at, 8)); }
  }
}

std::uint64_t MarkerPort::make_number() {
  std::random_device random;
  const auto number = std::uint64_t{random()} << 32 | random();
  return number != 0 ? number : 1;  // 0 means none
}

}  // namespace understudy::net
