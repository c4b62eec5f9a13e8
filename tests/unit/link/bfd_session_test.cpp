// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_session.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "bfd_bench.hpp"

namespace understudy::link::bfd {
namespace {

using enum SessionState;

void bring_to(Bench& bench, SessionState state) {
  bench.keep(bench.session.on_tick(bench.now));
  switch (state) {
    case AdminDown:
      bench.keep(bench.session.set_admin_down(bench.now, true));
      break;
    case Down:
      break;
    case Init:
      bench.receive(from_peer(Down));
      break;
    case Up:
      bench.receive(from_peer(Down));
      bench.receive(from_peer(Up));
      break;
  }
  ASSERT_EQ(bench.session.state(), state);
  bench.changes.clear();
}

TEST(BfdSession, EveryStateAnswersEveryReceivedStateAsTheStandardSays) {
  struct Row {
    SessionState state, received, next;
    Diagnostic diagnostic;
  };
  const std::vector<Row> table{
      {AdminDown, AdminDown, AdminDown, Diagnostic::AdministrativelyDown},
      {AdminDown, Down, AdminDown, Diagnostic::AdministrativelyDown},
      {AdminDown, Init, AdminDown, Diagnostic::AdministrativelyDown},
      {AdminDown, Up, AdminDown, Diagnostic::AdministrativelyDown},
      {Down, AdminDown, Down, Diagnostic::None},
      {Down, Down, Init, Diagnostic::None},
      {Down, Init, Up, Diagnostic::None},
      {Down, Up, Down, Diagnostic::None},
      {Init, AdminDown, Down, Diagnostic::NeighborSignaledDown},
      {Init, Down, Init, Diagnostic::None},
      {Init, Init, Up, Diagnostic::None},
      {Init, Up, Up, Diagnostic::None},
      {Up, AdminDown, Down, Diagnostic::NeighborSignaledDown},
      {Up, Down, Down, Diagnostic::NeighborSignaledDown},
      {Up, Init, Up, Diagnostic::None},
      {Up, Up, Up, Diagnostic::None},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(std::string(to_string(row.state)) + " receives " + to_string(row.received));
    Bench bench;
    bring_to(bench, row.state);
    bench.receive(from_peer(row.received));
    EXPECT_EQ(bench.session.state(), row.next);
    EXPECT_EQ(bench.session.diagnostic(), row.diagnostic);
    EXPECT_EQ(bench.changes.size(), row.state == row.next ? 0u : 1u);
    EXPECT_EQ(bench.discard, row.state == AdminDown ? Discard::SessionAdminDown : Discard::Kept);
  }
}

TEST(BfdSession, FirstPacketGoesOutAtOnceAndThenAtMostOneASecondWhileNotUp) {
  Bench bench;
  bench.run_until(10s);
  ASSERT_EQ(bench.sent.size(), 10u);
  for (const auto& packet : bench.sent) {
    EXPECT_EQ(packet.state, Down);
    EXPECT_EQ(packet.desired_min_tx_us, 1'000'000u);
    EXPECT_EQ(packet.your_discriminator, 0u);
  }
}

TEST(BfdSession, TwoOfThemComeUpInThreePacketsAndNegotiateTheFastInterval) {
  Bench a(parameters(own));
  Bench b(parameters(peers));
  auto exchange = [&] {
    for (int i = 0; i < 20; ++i) {
      const auto from_a = std::exchange(a.sent, {});
      for (const auto& packet : from_a) { b.receive(packet); }
      const auto from_b = std::exchange(b.sent, {});
      for (const auto& packet : from_b) { a.receive(packet); }
    }
  };
  a.tick_at(1s);
  b.tick_at(1s);
  exchange();
  EXPECT_EQ(a.session.state(), Up);
  EXPECT_EQ(b.session.state(), Up);
  for (auto at = 1s + 1ms; at < 4s; at += 1ms) {  // the polls ride on periodic packets
    a.tick_at(at);
    b.tick_at(at);
    exchange();
  }
  for (auto* bench : {&a, &b}) {
    EXPECT_EQ(bench->session.state(), Up);
    EXPECT_FALSE(bench->session.polling());
    EXPECT_EQ(bench->session.transmit_interval(), 50ms);
    EXPECT_EQ(bench->session.detection_time(), 150ms);
  }
}

TEST(BfdSession, JitterTakesUpToAQuarterOffTheInterval) {
  for (const double drawn : {0.0, 0.5, 1.0}) {
    Bench bench(parameters(), drawn);
    bench.tick_at(1s);
    EXPECT_EQ(bench.session.next_deadline() - bench.now, std::chrono::duration_cast<Duration>(1s * (0.75 + drawn / 4)));
  }
}

TEST(BfdSession, JitterWithAMultiplierOfOneStaysBelowNineTenths) {
  for (const double drawn : {0.0, 1.0}) {
    auto with = parameters();
    with.detect_multiplier = 1;
    Bench bench(with, drawn);
    bench.tick_at(1s);
    EXPECT_EQ(bench.session.next_deadline() - bench.now, drawn == 0.0 ? 750ms : 900ms);
  }
}

TEST(BfdSession, DetectionTimeIsThePeersMultiplierTimesTheSlowerOfBothIntervals) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Up);
  packet.detect_multiplier = 5;
  packet.desired_min_tx_us = 20'000;
  bench.receive(packet);
  EXPECT_EQ(bench.session.detection_time(), 250ms);
  packet.desired_min_tx_us = 70'000;
  bench.receive(packet);
  EXPECT_EQ(bench.session.detection_time(), 350ms);
}

TEST(BfdSession, SilenceForADetectionTimeTakesTheSessionDown) {
  Bench bench;
  bench.come_up();
  bench.run_until(bench.now.since_boot + 149ms);
  EXPECT_EQ(bench.session.state(), Up);
  bench.run_until(bench.now.since_boot + 1ms);
  EXPECT_EQ(bench.session.state(), Down);
  ASSERT_EQ(bench.changes.size(), 1u);
  EXPECT_EQ(bench.changes[0].diagnostic, Diagnostic::DetectionTimeExpired);
  EXPECT_EQ(bench.changes[0].remote_state, Up);
  EXPECT_EQ(bench.session.remote_discriminator(), 0u) << "a silent peer is a stranger again";
  EXPECT_EQ(bench.sent.back().state, Down) << "the peer is told at once";
  EXPECT_EQ(bench.sent.back().desired_min_tx_us, 1'000'000u);
}

TEST(BfdSession, SilenceTakesInitDownToo) {
  Bench bench;
  bring_to(bench, Init);
  bench.run_until(bench.now.since_boot + 3s);
  EXPECT_EQ(bench.session.state(), Down);
  EXPECT_EQ(bench.session.diagnostic(), Diagnostic::DetectionTimeExpired);
}

TEST(BfdSession, APacketRestartsTheDetectionInterval) {
  Bench bench;
  bench.come_up();
  for (int i = 0; i < 20; ++i) {
    bench.run_until(bench.now.since_boot + 140ms);
    bench.receive(from_peer(Up));
  }
  EXPECT_EQ(bench.session.state(), Up);
}

TEST(BfdSession, ADiscardedPacketDoesNotRestartTheDetectionInterval) {
  Bench bench;
  bench.come_up();
  bench.run_until(bench.now.since_boot + 140ms);
  auto other = from_peer(Up);
  other.your_discriminator = own + 1;
  bench.receive(other);
  EXPECT_EQ(bench.discard, Discard::OtherSession);
  bench.run_until(bench.now.since_boot + 10ms);
  EXPECT_EQ(bench.session.state(), Down);
}

TEST(BfdSession, DiscardsWhatBelongsToNoSessionHere) {
  Bench bench;
  bench.tick_at(1s);
  auto packet = from_peer(Up);
  packet.your_discriminator = 0;
  bench.receive(packet);
  EXPECT_EQ(bench.discard, Discard::StateWithoutDiscriminator);
  packet.state = Init;
  bench.receive(packet);
  EXPECT_EQ(bench.discard, Discard::StateWithoutDiscriminator);
  packet = from_peer(Down);
  packet.authentication_present = true;
  packet.length = 26;
  auto bytes = encode(packet);
  bytes.size = 26;
  bench.keep(bench.session.on_packet(bench.now, bytes.bytes()));
  EXPECT_EQ(bench.discard, Discard::AuthenticationUnexpected);
  EXPECT_EQ(bench.session.state(), Down);
  EXPECT_EQ(bench.session.remote_discriminator(), 0u) << "a discarded packet leaves nothing behind";
}

TEST(BfdSession, OwnFreezeIsNotThePeersFailure) {
  Bench bench;
  bench.come_up();
  bench.tick_at(bench.now.since_boot + 10s);  // the next packet was due after 50 ms
  EXPECT_EQ(bench.session.state(), Up);
  EXPECT_EQ(bench.session.late_wakeups(), 1u);
  bench.run_until(bench.now.since_boot + 149ms);
  EXPECT_EQ(bench.session.state(), Up) << "the detection interval began anew";
  bench.run_until(bench.now.since_boot + 1ms);
  EXPECT_EQ(bench.session.state(), Down) << "and a peer that stays silent is still noticed";
  EXPECT_EQ(bench.session.diagnostic(), Diagnostic::DetectionTimeExpired);
}

TEST(BfdSession, AWakeUpWithinTheBoundIsNotAFreeze) {
  Bench bench;
  bench.come_up();
  bench.run_until(bench.now.since_boot + 149ms);
  bench.tick_at(bench.now.since_boot + 6ms);
  EXPECT_EQ(bench.session.state(), Down);
  EXPECT_EQ(bench.session.late_wakeups(), 0u);
}

TEST(BfdSession, AnObserverThatIsAlwaysLateStillNoticesADeath) {
  Bench bench;
  bench.come_up();
  int turns = 0;
  while (bench.session.state() == Up && turns < 100) {
    bench.tick_at(bench.session.next_deadline().since_boot + 200ms);
    ++turns;
  }
  EXPECT_EQ(bench.session.state(), Down);
  EXPECT_GT(turns, 10);
}

TEST(BfdSession, AnswersAPollAtOnceWithAFinal) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Up);
  packet.poll = true;
  bench.receive(packet);
  ASSERT_EQ(bench.sent.size(), 1u);
  EXPECT_TRUE(bench.sent[0].final_bit);
  EXPECT_FALSE(bench.sent[0].poll);
}

TEST(BfdSession, SlowerSendingWaitsUntilThePeerConfirmedIt) {
  Bench bench;
  bench.come_up();
  bench.keep(bench.session.set_intervals(bench.now, 300ms, 50ms));
  EXPECT_TRUE(bench.sent.empty()) << "a poll rides on periodic packets";
  EXPECT_EQ(bench.session.transmit_interval(), 50ms);
  bench.run_until(bench.now.since_boot + 100ms);
  ASSERT_EQ(bench.sent.size(), 2u);
  EXPECT_TRUE(bench.sent[0].poll && bench.sent[1].poll);
  EXPECT_EQ(bench.sent[0].desired_min_tx_us, 300'000u);
  auto answer = from_peer(Up);
  answer.final_bit = true;
  bench.receive(answer);
  EXPECT_EQ(bench.session.transmit_interval(), 300ms);
  EXPECT_FALSE(bench.session.polling());
}

TEST(BfdSession, StricterListeningWaitsUntilThePeerConfirmedIt) {
  auto slow = parameters();
  slow.required_min_rx = 300ms;
  Bench bench(slow);
  bench.come_up();
  EXPECT_EQ(bench.session.detection_time(), 900ms);
  bench.keep(bench.session.set_intervals(bench.now, 50ms, 50ms));
  EXPECT_EQ(bench.session.detection_time(), 900ms);
  auto answer = from_peer(Up);
  answer.final_bit = true;
  bench.receive(answer);
  EXPECT_EQ(bench.session.detection_time(), 150ms);
}

TEST(BfdSession, AnIntervalOfMoreThanASecondIsKeptUpAndDown) {
  auto slow = parameters();
  slow.desired_min_tx = slow.required_min_rx = 4s;
  Bench bench(slow);
  bench.tick_at(1s);
  EXPECT_EQ(bench.session.next_deadline() - bench.now, 4s);
  bench.come_up();
  EXPECT_EQ(bench.session.transmit_interval(), 4s);
  EXPECT_EQ(bench.session.detection_time(), 12s);
}

TEST(BfdSession, APollIsAnsweredByAFinalAloneWhileItPollsItself) {
  Bench bench;
  bench.come_up();
  bench.keep(bench.session.set_intervals(bench.now, 300ms, 50ms));
  auto packet = from_peer(Up);
  packet.poll = true;
  bench.receive(packet);
  ASSERT_EQ(bench.sent.size(), 1u);
  EXPECT_TRUE(bench.sent[0].final_bit && !bench.sent[0].poll) << "never both (6.5)";
  EXPECT_TRUE(bench.session.polling()) << "its own question is still open";
}

TEST(BfdSession, AFinalThatNobodyAskedForChangesNothing) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Up);
  packet.final_bit = true;
  bench.receive(packet);
  EXPECT_TRUE(bench.sent.empty());
  EXPECT_EQ(bench.session.transmit_interval(), 50ms);
  EXPECT_EQ(bench.session.detection_time(), 150ms);
}

TEST(BfdSession, EveryDiagnosticOfThePeerIsToldAndNamed) {
  for (std::uint8_t diagnostic = 0; diagnostic < 32; ++diagnostic) {
    Bench bench;
    bench.come_up();
    auto packet = from_peer(Down);
    packet.diagnostic = diagnostic;
    bench.receive(packet);
    ASSERT_EQ(bench.changes.size(), 1u);
    EXPECT_EQ(bench.changes[0].remote_diagnostic, diagnostic);
    EXPECT_EQ(std::string(diagnostic_name(diagnostic)) == "reserved", diagnostic > 9);
  }
}

TEST(BfdSession, FasterSendingAndLooserListeningHoldAtOnce) {
  Bench bench;
  bench.come_up();
  bench.keep(bench.session.set_intervals(bench.now, 20ms, 100ms));
  EXPECT_EQ(bench.session.transmit_interval(), 50ms) << "the peer's Required Min RX";
  EXPECT_EQ(bench.session.detection_time(), 300ms);
}

TEST(BfdSession, AChangeDuringAPollIsPolledForOnItsOwn) {
  Bench bench;
  bench.come_up();
  bench.keep(bench.session.set_intervals(bench.now, 200ms, 50ms));
  bench.run_until(bench.now.since_boot + 60ms);
  bench.keep(bench.session.set_intervals(bench.now, 400ms, 50ms));
  auto answer = from_peer(Up);
  answer.final_bit = true;
  bench.receive(answer);  // answers the first
  EXPECT_TRUE(bench.session.polling());
  EXPECT_EQ(bench.session.transmit_interval(), 50ms);
  bench.receive(answer);
  EXPECT_FALSE(bench.session.polling());
  EXPECT_EQ(bench.session.transmit_interval(), 400ms);
}

TEST(BfdSession, AReducedRequiredMinRxOfThePeerIsHonouredAtOnce) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Up);
  packet.required_min_rx_us = 2'000'000;
  packet.desired_min_tx_us = 2'000'000;
  bench.receive(packet);
  bench.run_until(bench.now.since_boot + 60ms);
  bench.sent.clear();
  packet.required_min_rx_us = 50'000;
  bench.receive(packet);
  EXPECT_LE(bench.session.next_deadline(), bench.now + 50ms);
}

TEST(BfdSession, APeerThatWantsNoPacketsGetsNoPeriodicOnes) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Up);
  packet.required_min_rx_us = 0;
  bench.receive(packet);
  bench.run_until(bench.now.since_boot + 140ms);
  EXPECT_TRUE(bench.sent.empty());
}

TEST(BfdSession, APeerInDemandModeGetsNoPeriodicPacketsWhileBothAreUp) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Up);
  packet.demand = true;
  bench.receive(packet);
  bench.run_until(bench.now.since_boot + 140ms);
  EXPECT_TRUE(bench.sent.empty());
  packet.state = Down;
  bench.receive(packet);
  EXPECT_FALSE(bench.sent.empty());
}

TEST(BfdSession, ARestartedPeerIsNotASilentOne) {
  Bench bench;
  bench.come_up();
  auto packet = from_peer(Down);
  packet.my_discriminator = peers + 5;
  packet.your_discriminator = 0;
  bench.receive(packet);
  EXPECT_EQ(bench.session.state(), Down);
  EXPECT_EQ(bench.session.diagnostic(), Diagnostic::NeighborSignaledDown);
  ASSERT_FALSE(bench.sent.empty());
  EXPECT_EQ(bench.sent.back().your_discriminator, peers + 5);
}

TEST(BfdSession, AdminDownTellsThePeerAndComesBack) {
  Bench bench;
  bench.come_up();
  bench.keep(bench.session.set_admin_down(bench.now, true));
  ASSERT_EQ(bench.sent.size(), 1u);
  EXPECT_EQ(bench.sent[0].state, AdminDown);
  EXPECT_EQ(bench.sent[0].diagnostic, static_cast<std::uint8_t>(Diagnostic::AdministrativelyDown));
  bench.run_until(bench.now.since_boot + 10s);
  EXPECT_EQ(bench.changes.size(), 1u) << "no detection while administratively down";
  bench.keep(bench.session.set_admin_down(bench.now, false));
  EXPECT_EQ(bench.session.state(), Down);
  bench.receive(from_peer(Down));
  EXPECT_EQ(bench.session.state(), Init);
}

}  // namespace
}  // namespace understudy::link::bfd
