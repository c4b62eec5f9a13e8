// SPDX-License-Identifier: Apache-2.0
/// Covers: link/src/bfd_sockets.cpp
#include "understudy/link/bfd_service.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bfd_node.hpp"
#include "support/eventually.hpp"

namespace understudy::link::bfd {
namespace {

using test::eventually;

void send_raw(const char* from, const char* to, int ttl, const ControlPacket& packet) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
  sockaddr_in local{}, peer{};
  local.sin_family = peer.sin_family = AF_INET;
  inet_pton(AF_INET, from, &local.sin_addr);
  inet_pton(AF_INET, to, &peer.sin_addr);
  peer.sin_port = htons(port);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&local), sizeof local), 0);
  const auto bytes = encode(packet);
  ASSERT_EQ(sendto(fd, bytes.bytes().data(), bytes.size, 0, reinterpret_cast<sockaddr*>(&peer), sizeof peer), 24);
  close(fd);
}

ControlPacket stranger() {
  ControlPacket packet;
  packet.detect_multiplier = 3;
  packet.my_discriminator = 99;
  packet.desired_min_tx_us = packet.required_min_rx_us = 50'000;
  return packet;
}

TEST(BfdService, TwoComeUpAndALeavingOneSaysGoodbye) {
  Node a("127.23.0.1");
  Node b("127.23.0.2");
  ASSERT_TRUE(a.service->add_peer(address("127.23.0.2"), {}).ok());
  ASSERT_TRUE(b.service->add_peer(address("127.23.0.1"), {}).ok());
  EXPECT_TRUE(a.wait_for(SessionState::Up));
  EXPECT_TRUE(b.wait_for(SessionState::Up));
  EXPECT_TRUE(eventually([&] { return a.service->status(address("127.23.0.2"))->detection_time == 150ms; }));

  b.service->stop();
  EXPECT_TRUE(a.wait_for(SessionState::Down));
  const std::lock_guard lock(a.mutex);
  EXPECT_EQ(a.events.back().change.diagnostic, Diagnostic::NeighborSignaledDown);
  EXPECT_EQ(a.events.back().change.remote_state, SessionState::AdminDown);
}

TEST(BfdService, ARemovedPeerCanComeBackAndTimesCanChangeWhileUp) {
  Node a("127.23.0.3");
  Node b("127.23.0.4");
  ASSERT_TRUE(a.service->add_peer(address("127.23.0.4"), {}).ok());
  ASSERT_TRUE(b.service->add_peer(address("127.23.0.3"), {}).ok());
  ASSERT_TRUE(a.wait_for(SessionState::Up));
  ASSERT_TRUE(b.wait_for(SessionState::Up));

  ASSERT_TRUE(b.service->set_times(address("127.23.0.3"), 100ms, 5).ok());
  EXPECT_TRUE(eventually([&] { return a.service->status(address("127.23.0.4"))->detection_time == 500ms; }));

  EXPECT_TRUE(a.service->remove_peer(address("127.23.0.4")).ok());
  EXPECT_FALSE(a.service->status(address("127.23.0.4")).has_value());
  EXPECT_TRUE(b.wait_for(SessionState::Down));
  ASSERT_TRUE(a.service->add_peer(address("127.23.0.4"), {}).ok());
  EXPECT_TRUE(b.wait_for(SessionState::Up));
  const std::lock_guard lock(b.mutex);
  for (const auto& event : b.events) { EXPECT_NE(event.change.diagnostic, Diagnostic::DetectionTimeExpired); }
}

TEST(BfdService, ListensOnlyToConfiguredPeersThatAreOneHopAway) {
  Node a("127.23.0.5");
  ASSERT_TRUE(a.service->add_peer(address("127.23.0.6"), {}).ok());
  send_raw("127.23.0.7", "127.23.0.5", 255, stranger());
  EXPECT_TRUE(eventually([&] { return a.service->counters().unknown_peer == 1; }));
  send_raw("127.23.0.6", "127.23.0.5", 254, stranger());
  EXPECT_TRUE(eventually([&] { return a.service->counters().wrong_ttl == 1; }));
  EXPECT_EQ(a.service->status(address("127.23.0.6"))->state, SessionState::Down);
  send_raw("127.23.0.6", "127.23.0.5", 255, stranger());
  EXPECT_TRUE(a.wait_for(SessionState::Init)) << "the same packet, one hop away";
}

TEST(BfdService, ASilentPeerGoesDownByItsDetectionTime) {
  Node a("127.23.0.8");
  ASSERT_TRUE(a.service->add_peer(address("127.23.0.9"), {}).ok());
  send_raw("127.23.0.9", "127.23.0.8", 255, stranger());
  ASSERT_TRUE(a.wait_for(SessionState::Init));
  EXPECT_TRUE(a.wait_for(SessionState::Down));
  const std::lock_guard lock(a.mutex);
  EXPECT_EQ(a.events.back().change.diagnostic, Diagnostic::DetectionTimeExpired);
}

TEST(BfdService, Misuse_IsRefusedWithAReason) {
  Node a("127.23.0.10");
  EXPECT_EQ(a.service->add_peer(address("fd00::1"), {}).error().code, Errc::BadInput);
  EXPECT_EQ(a.service->add_peer(address("127.23.0.11"), {0ms, 3}).error().code, Errc::BadInput);
  EXPECT_EQ(a.service->remove_peer(address("127.23.0.11")).error().code, Errc::NotFound);
  ASSERT_TRUE(a.service->add_peer(address("127.23.0.11"), {}).ok());
  EXPECT_EQ(a.service->add_peer(address("127.23.0.11"), {}).error().code, Errc::Refused);
  BfdService::Options taken;
  taken.local_addresses = {address("127.23.0.10")};
  taken.port = port;
  EXPECT_FALSE(BfdService::start(taken, [](const PeerEvent&) {}).ok());
}

}  // namespace
}  // namespace understudy::link::bfd
