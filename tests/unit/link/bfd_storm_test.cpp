// SPDX-License-Identifier: Apache-2.0
/// Two sessions on a path that duplicates most packets and delivers the copies late: old words undo new ones, and each
/// is answered. The sessions must not answer each other ever faster, and must be Up soon after the path is well.
/// Covers: link/src/bfd_session.cpp
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "bfd_bench.hpp"

namespace understudy::link::bfd {
namespace {

constexpr Duration late_max = 400ms;

/// Both ends and what is under way between them.
struct StormyPath {
  StormyPath(double duplicated_share, std::uint64_t seed) : duplicated(duplicated_share), random(seed) {}

  struct OnItsWay {
    std::size_t to;
    EncodedPacket packet;
  };

  static SessionParameters end(std::uint32_t discriminator) {
    auto out = parameters(discriminator);
    out.desired_min_tx = out.required_min_rx = 50ms;
    return out;
  }
  double unit() { return std::uniform_real_distribution<double>()(random); }
  void send(std::size_t from, const Session::Output& output) {
    if (!output.packet) { return; }
    ++sent;
    const Instant soon = now + 1ms;
    under_way.emplace(soon, OnItsWay{1 - from, *output.packet});
    while (unit() < duplicated) {
      const auto late = Duration(static_cast<Duration::rep>(unit() * static_cast<double>(late_max.count())));
      under_way.emplace(soon + late, OnItsWay{1 - from, *output.packet});
    }
  }
  void run(Duration time, std::uint64_t packets_max) {
    const Instant until = now + time;
    while (sent < packets_max) {
      Instant next = std::min(ends[0].next_deadline(), ends[1].next_deadline());
      if (!under_way.empty()) { next = std::min(next, under_way.begin()->first); }
      if (next > until) { break; }
      now = std::max(now, next);
      while (!under_way.empty() && under_way.begin()->first <= now) {
        const auto arrived = under_way.extract(under_way.begin()).mapped();
        send(arrived.to, ends[arrived.to].on_packet(now, arrived.packet.bytes()));
      }
      for (std::size_t end = 0; end < 2; ++end) {
        if (ends[end].next_deadline() <= now) { send(end, ends[end].on_tick(now)); }
      }
    }
    now = std::max(now, until);
  }

  double duplicated;
  std::mt19937_64 random;
  Instant now{1s};
  std::array<Session, 2> ends{Session(
                                  end(own), [this] { return unit(); }, now),
                              Session(
                                  end(peers), [this] { return unit(); }, now)};
  std::multimap<Instant, OnItsWay> under_way;
  std::uint64_t sent = 0;
};

TEST(BfdStorm, DuplicatesThatComeLateDoNotMakeTwoSessionsAnswerEachOtherEverFaster) {
  // In turn an end speaks every 37.5 ms at least, out of turn six times in 50 ms.
  constexpr std::uint64_t packets_max = 2 * 10 * (27 + 120);
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    StormyPath path(0.7, seed);
    path.run(10s, 100 * packets_max);
    EXPECT_LE(path.sent, packets_max) << "seed " << seed;
    path.duplicated = 0;
    path.run(5s, 100 * packets_max);
    EXPECT_EQ(path.ends[0].state(), SessionState::Up) << "seed " << seed;
    EXPECT_EQ(path.ends[1].state(), SessionState::Up) << "seed " << seed;
  }
}

}  // namespace
}  // namespace understudy::link::bfd
