// SPDX-License-Identifier: Apache-2.0
#include "packet_socket.hpp"

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "clocks.hpp"

namespace lab {
namespace {
constexpr std::size_t snap_bytes = 192;
constexpr int queue_bytes = 256 << 20;  // seconds of frames, for a reader that a busy machine keeps waiting
}  // namespace

PacketSocket::PacketSocket(std::span<sock_filter> filter)
    // Protocol 0: nothing arrives before the filter is there.
    : socket_(checked(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "packet socket (root is needed)")) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  checked(setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), "packet filter");
  checked(setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &queue_bytes, sizeof queue_bytes), "SO_RCVBUFFORCE");
  const int one = 1;
  checked(setsockopt(socket_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one), "SO_TIMESTAMPNS");
  sockaddr_ll all{};
  all.sll_family = AF_PACKET;
  all.sll_protocol = htons(ETH_P_ALL);
  checked(bind(socket_.get(), reinterpret_cast<sockaddr*>(&all), sizeof all), "bind packet socket");
}

void PacketSocket::read(const std::function<void(const Captured&)>& each, int most) {
  for (int count = 0; count < most; ++count) {
    std::array<std::uint8_t, snap_bytes> bytes;
    alignas(cmsghdr) std::array<char, 256> control;
    sockaddr_ll from{};
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (got < 0) return;
    std::int64_t time_ns = now_ns();
    for (cmsghdr* extra = CMSG_FIRSTHDR(&message); extra != nullptr; extra = CMSG_NXTHDR(&message, extra)) {
      if (extra->cmsg_level != SOL_SOCKET || extra->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec time{};
      std::memcpy(&time, CMSG_DATA(extra), sizeof time);
      time_ns = nanoseconds(time);
    }
    each({time_ns,
          from.sll_ifindex,
          from.sll_pkttype == PACKET_OUTGOING,
          {bytes.data(), static_cast<std::size_t>(got)}});
  }
}

std::uint64_t PacketSocket::dropped() {
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  checked(getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length), "PACKET_STATISTICS");
  return statistics.tp_drops;
}

}  // namespace lab
