// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One BFD session with the clock in the test's hand.

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "understudy/link/bfd_session.hpp"

namespace understudy::link::bfd {

using namespace std::chrono_literals;

inline constexpr std::uint32_t own = 11;
inline constexpr std::uint32_t peers = 22;

inline SessionParameters parameters(std::uint32_t discriminator = own) {
  SessionParameters out;
  out.local_discriminator = discriminator;
  return out;
}

/// A packet of a well-behaved peer that knows us.
inline ControlPacket from_peer(SessionState state) {
  ControlPacket packet;
  packet.state = state;
  packet.detect_multiplier = 3;
  packet.my_discriminator = peers;
  packet.your_discriminator = own;
  packet.desired_min_tx_us = state == SessionState::Up ? 50'000 : 1'000'000;
  packet.required_min_rx_us = 50'000;
  return packet;
}

/// A session with the clock in the test's hand and every packet decoded.
struct Bench {
  explicit Bench(const SessionParameters& with = parameters(), double jitter = 1.0)
      : session(
            with, [jitter] { return jitter; }, now) {}

  void keep(const Session::Output& output) {
    discard = output.discard;
    if (output.packet) {
      sent.push_back(std::get<ControlPacket>(decode(output.packet->bytes())));
      raw.push_back(*output.packet);
    }
    if (output.change) { changes.push_back(*output.change); }
  }
  void receive(const ControlPacket& packet) { receive(encode(packet)); }
  void receive(const EncodedPacket& packet) { keep(session.on_packet(now, packet.bytes())); }
  void tick_at(Duration since_start) {
    now = Instant{since_start};
    keep(session.on_tick(now));
  }
  /// Lets the session run on time, as a daemon that is never late, until `until`.
  void run_until(Duration until) {
    while (session.next_deadline() <= Instant{until}) { tick_at(std::max(session.next_deadline(), now).since_boot); }
    now = Instant{until};
  }
  /// Brings the session Up at the present time, its Poll answered.
  void come_up() {
    keep(session.on_tick(now));
    receive(from_peer(SessionState::Down));
    receive(from_peer(SessionState::Up));
    auto answer = from_peer(SessionState::Up);
    answer.final_bit = true;
    receive(answer);
    ASSERT_EQ(session.state(), SessionState::Up);
    ASSERT_FALSE(session.polling());
    sent.clear();
    changes.clear();
  }

  Instant now{1s};
  Session session;
  std::vector<ControlPacket> sent;
  std::vector<EncodedPacket> raw;  ///< the same with their authentication
  std::vector<StateChange> changes;
  Discard discard = Discard::Kept;
};

}  // namespace understudy::link::bfd
