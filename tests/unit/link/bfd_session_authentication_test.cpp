// SPDX-License-Identifier: Apache-2.0
/// Sessions with authentication: numbers, restarts, freezes.
/// Covers: link/src/bfd_session.cpp
#include <gtest/gtest.h>

#include "bfd_bench.hpp"

namespace understudy::link::bfd {
namespace {

using enum SessionState;

const Authentication simple{BfdAuthentication::Simple, 3, "sesame"};
const Authentication keyed{BfdAuthentication::Sha1, 7, "router-key"};
const Authentication meticulous{BfdAuthentication::MeticulousSha1, 1, "group-key"};

SessionParameters with(const Authentication& authentication, std::uint32_t discriminator = own,
                       std::uint32_t first_sequence = 1000) {
  auto out = parameters(discriminator);
  out.authentication = authentication;
  out.first_sequence = first_sequence;
  return out;
}

std::uint32_t sequence_of(const EncodedPacket& packet) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) { value = value << 8 | std::to_integer<std::uint32_t>(packet.storage[28 + i]); }
  return value;
}

/// Everything that each has to say reaches the other.
void exchange(Bench& a, Bench& b) {
  while (!a.raw.empty() || !b.raw.empty()) {
    for (const auto& packet : std::exchange(a.raw, {})) { b.receive(packet); }
    for (const auto& packet : std::exchange(b.raw, {})) { a.receive(packet); }
  }
}

void run_both(Bench& a, Bench& b, Duration from, Duration until) {
  for (auto at = from; at < until; at += 1ms) {
    a.tick_at(at);
    b.tick_at(at);
    exchange(a, b);
  }
}

TEST(BfdSessionAuthentication, TwoComeUpWithEachKindAndWithoutAKeyNobodyDoes) {
  for (const auto& kind : {simple, keyed, meticulous}) {
    Bench a(with(kind)), b(with(kind, peers)), stranger(parameters(peers));
    run_both(a, b, 1s, 4s);
    EXPECT_EQ(a.session.state(), Up) << describe(kind);
    EXPECT_EQ(b.session.state(), Up) << describe(kind);
    EXPECT_EQ(a.session.detection_time(), 150ms);
    for (const auto& packet : a.sent) { EXPECT_EQ(packet.length, packet_bytes + section_bytes(kind)); }

    Bench alone(with(kind));
    run_both(alone, stranger, 1s, 4s);
    EXPECT_EQ(alone.session.state(), Down) << describe(kind);
    EXPECT_EQ(stranger.session.state(), Down) << describe(kind);
  }
}

TEST(BfdSessionAuthentication, TheNumberGrowsWithEveryPacketOrWithEveryNewContent) {
  for (const auto& kind : {keyed, meticulous}) {
    Bench bench(with(kind));
    bench.run_until(6s);
    ASSERT_EQ(bench.raw.size(), 6u);
    for (std::uint32_t i = 0; i < 6; ++i) {
      EXPECT_EQ(sequence_of(bench.raw[i]), kind == meticulous ? 1000 + i : 1000) << describe(kind);
    }
    bench.keep(bench.session.set_admin_down(bench.now, true));
    EXPECT_EQ(sequence_of(bench.raw.back()), kind == meticulous ? 1006 : 1001);
    EXPECT_EQ(bench.session.transmit_sequence(), sequence_of(bench.raw.back()));
  }
}

TEST(BfdSessionAuthentication, AReplayKeepsNoDeadPeerAlive) {
  Bench a(with(meticulous)), b(with(meticulous, peers));
  run_both(a, b, 1s, 4s);
  ASSERT_EQ(a.session.state(), Up);
  b.tick_at(b.session.next_deadline().since_boot);
  ASSERT_FALSE(b.raw.empty());
  const auto recorded = b.raw.back();
  a.receive(recorded);  // the last word of the peer
  ASSERT_EQ(a.discard, Discard::Kept);
  const auto silence = a.now.since_boot;
  for (auto at = silence; at < silence + 300ms; at += 10ms) {
    a.run_until(at);
    a.receive(recorded);
    EXPECT_EQ(a.discard, a.session.state() == Up ? Discard::AuthenticationReplayed : a.discard);
  }
  EXPECT_EQ(a.session.state(), Down);
  EXPECT_EQ(a.session.diagnostic(), Diagnostic::DetectionTimeExpired);
}

TEST(BfdSessionAuthentication, ARestartedPeerThatGoesOnCountingIsTakenAtOnceAndOneThatDoesNotIsNot) {
  for (const bool goes_on : {true, false}) {
    Bench a(with(meticulous)), b(with(meticulous, peers));
    run_both(a, b, 1s, 4s);
    ASSERT_EQ(a.session.state(), Up);
    const auto next = b.session.transmit_sequence() + 1;
    Bench restarted(with(meticulous, peers + 1, goes_on ? next : next - 50));
    restarted.tick_at(a.now.since_boot + 10ms);
    a.tick_at(restarted.now.since_boot);
    a.receive(restarted.raw.back());
    EXPECT_EQ(a.discard, goes_on ? Discard::Kept : Discard::AuthenticationReplayed);
    EXPECT_EQ(a.session.state(), goes_on ? Down : Up) << "told by the peer's own word, not by its silence";
  }
}

/// A packet of a peer that knows the key, with the number that the test wants.
EncodedPacket signed_packet(SessionState state, std::uint32_t sequence, bool final_bit = false) {
  auto packet = from_peer(state);
  packet.final_bit = final_bit;
  packet.authentication_present = true;
  packet.length = static_cast<std::uint8_t>(packet_bytes + section_bytes(meticulous));
  auto encoded = encode(packet);
  append_section(encoded, meticulous, sequence);
  return encoded;
}

/// A socket keeps the oldest packets of a long freeze and drops the newest: behind those is a gap wider than any
/// window.
TEST(BfdSessionAuthentication, OwnFreezeLongerThanTheSocketIsDeepIsNotThePeersFailure) {
  Bench bench(with(meticulous));
  bench.tick_at(1s);
  bench.receive(signed_packet(Down, 1));
  bench.receive(signed_packet(Up, 2));
  bench.receive(signed_packet(Up, 3, true));
  ASSERT_EQ(bench.session.state(), Up);

  bench.now = Instant{11s};
  for (std::uint32_t queued = 4; queued < 24; ++queued) {
    bench.receive(signed_packet(Up, queued));
    EXPECT_EQ(bench.discard, Discard::Kept);
  }
  bench.tick_at(11s);
  bench.run_until(11s + 40ms);
  bench.receive(signed_packet(Up, 230));
  EXPECT_EQ(bench.discard, Discard::Kept) << "the gap is of this observer's own making";
  bench.receive(signed_packet(Up, 30));
  EXPECT_EQ(bench.discard, Discard::AuthenticationReplayed) << "what is older stays refused";
  bench.run_until(11s + 180ms);
  EXPECT_EQ(bench.session.state(), Up);
  bench.receive(signed_packet(Up, 500));
  EXPECT_EQ(bench.discard, Discard::AuthenticationReplayed) << "and the window is narrow again";
}

/// The packets are read first; the tick that would notice the freeze comes after them.
TEST(BfdSessionAuthentication, AGapOfItsOwnFreezeIsForgivenAlsoBeforeATickHasNoticedIt) {
  Bench bench(with(meticulous));
  bench.tick_at(1s);
  bench.receive(signed_packet(Down, 1));
  bench.receive(signed_packet(Up, 2));
  bench.receive(signed_packet(Up, 3, true));
  ASSERT_EQ(bench.session.state(), Up);

  bench.now = Instant{11s};
  bench.receive(signed_packet(Up, 4));
  bench.receive(signed_packet(Up, 230));
  EXPECT_EQ(bench.discard, Discard::Kept);
}

}  // namespace
}  // namespace understudy::link::bfd
