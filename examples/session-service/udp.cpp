// SPDX-License-Identifier: Apache-2.0
#include "udp.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include "request.hpp"

namespace session_service {

namespace {

template <class Info>
Info info_of(const cmsghdr* header) {
  Info info{};
  std::memcpy(&info, CMSG_DATA(header), sizeof(info));
  return info;
}

template <class Info>
void attach(msghdr& message, int level, int type, const Info& info) {
  message.msg_controllen = CMSG_SPACE(sizeof(info));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof(info));
  std::memcpy(CMSG_DATA(header), &info, sizeof(info));
}

constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo));

}  // namespace

std::optional<Datagram> receive(int socket) {
  Datagram datagram;
  datagram.peer.socket = socket;
  datagram.text.resize(max_line_bytes +
                       2);  // one more than fits, with its newline: so the parser sees that it is too long
  iovec bytes{datagram.text.data(), datagram.text.size()};
  alignas(cmsghdr) std::array<char, control_bytes> control{};
  msghdr message{};
  message.msg_name = &datagram.peer.remote;
  message.msg_namelen = sizeof(datagram.peer.remote);
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const auto size = ::recvmsg(socket, &message, 0);
  if (size < 0) { return std::nullopt; }
  datagram.text.resize(static_cast<std::size_t>(size));
  datagram.peer.remote_bytes = message.msg_namelen;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      datagram.peer.local4 = info_of<in_pktinfo>(header).ipi_spec_dst;
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      const auto info = info_of<in6_pktinfo>(header);
      datagram.peer.local6 = info.ipi6_addr;
      datagram.peer.interface6 = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? static_cast<unsigned>(info.ipi6_ifindex) : 0;
    }
  }
  return datagram;
}

void send(const UdpPeer& peer, std::string_view reply) {
  std::string text(reply);
  text += '\n';
  sockaddr_storage remote = peer.remote;
  iovec bytes{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, control_bytes> control{};
  msghdr message{};
  message.msg_name = &remote;
  message.msg_namelen = peer.remote_bytes;
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (remote.ss_family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = peer.local6;
    info.ipi6_ifindex = peer.interface6;
    attach(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    info.ipi_spec_dst = peer.local4;
    attach(message, IPPROTO_IP, IP_PKTINFO, info);
  }
  [[maybe_unused]] const auto sent = ::sendmsg(peer.socket, &message, MSG_NOSIGNAL);
}

}  // namespace session_service
