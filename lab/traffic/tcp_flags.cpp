// SPDX-License-Identifier: Apache-2.0
#include "tcp_flags.hpp"

namespace lab {
namespace {

std::string end_text(const std::string& address, std::uint16_t port) {
  const bool is_ipv6 = address.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

}  // namespace

void TcpFlags::add(const Frame& frame, bool outgoing) {
  if (frame.kind != FrameKind::Tcp || (frame.tcp_flags & (tcp_syn | tcp_rst)) == 0) return;
  auto here = end_text(frame.source, frame.source_port), there = end_text(frame.destination, frame.destination_port);
  if (!outgoing) std::swap(here, there);
  if (connections_.size() >= most_connections && !connections_.contains({here, there})) return;
  ConnectionFlags& flags = connections_[{here, there}];
  if ((frame.tcp_flags & tcp_rst) != 0) ++(outgoing ? flags.resets_out : flags.resets_in);
  if ((frame.tcp_flags & (tcp_syn | tcp_ack)) == tcp_syn) flags.attempts.insert(frame.tcp_sequence);
}

boost::json::array TcpFlags::to_json() const {
  boost::json::array all;
  for (const auto& [ends, flags] : connections_)
    all.push_back({{"local", ends.first},
                   {"peer", ends.second},
                   {"syns", flags.attempts.size()},
                   {"resets_out", flags.resets_out},
                   {"resets_in", flags.resets_in}});
  return all;
}

}  // namespace lab
