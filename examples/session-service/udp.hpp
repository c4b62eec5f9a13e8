// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Datagrams that are answered from the address they were sent to: a role has several, and a client (or a firewall
/// on the way) takes a reply from another one for a stranger's.

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <string_view>

#include "socket.hpp"

namespace session_service {

/// Who asked, and on which of our addresses.
struct UdpPeer {
  int socket = -1;  ///< not owned; the service's sockets live as long as it
  sockaddr_storage remote{};
  socklen_t remote_bytes = 0;
  in_addr local4{};
  in6_addr local6{};
  unsigned interface6 = 0;  ///< for link-local addresses, which mean nothing without it; else 0: routing decides
};

struct Datagram {
  UdpPeer peer;
  std::string text;
};

/// The next datagram; nothing when none waits. One that is longer than a request may be arrives cut, which the parser
/// refuses.
std::optional<Datagram> receive(int socket);

/// Best effort, as UDP is: a reply that cannot be sent is a lost one, and the client asks again.
void send(const UdpPeer& peer, std::string_view reply);

}  // namespace session_service
