// SPDX-License-Identifier: Apache-2.0
/// BfdService against itself over a cable.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "bfd_network.hpp"
#include "support/eventually.hpp"

namespace understudy::link::bfd {
namespace {

TEST_F(BfdNetwork, BothFamiliesComeUpAndASilencedPeerIsNoticedAndComesBack) {
  Node a(here, {here4, here6});
  Node b(there, {there4, there6});
  ASSERT_TRUE(a.service && b.service);
  here.run([&] {
    ASSERT_TRUE(a.service->add_peer(there4, {}).ok());
    ASSERT_TRUE(a.service->add_peer(there6, {}).ok());
  });
  there.run([&] {
    ASSERT_TRUE(b.service->add_peer(here4, {}).ok());
    ASSERT_TRUE(b.service->add_peer(here6, {}).ok());
  });
  for (const auto& peer : {there4, there6}) { EXPECT_TRUE(a.wait_for(peer, SessionState::Up)) << peer.to_string(); }
  for (const auto& peer : {here4, here6}) { EXPECT_TRUE(b.wait_for(peer, SessionState::Up)) << peer.to_string(); }

  ASSERT_TRUE(there.ip("link set vb down"));
  for (const auto& peer : {there4, there6}) {
    EXPECT_TRUE(a.wait_for(peer, SessionState::Down)) << peer.to_string();
    EXPECT_EQ(a.last_of(peer).change.diagnostic, Diagnostic::DetectionTimeExpired);
  }

  ASSERT_TRUE(there.ip("link set vb up") && there.ip("addr replace fd09::2/64 dev vb nodad"));
  for (const auto& peer : {there4, there6}) { EXPECT_TRUE(a.wait_for(peer, SessionState::Up)) << peer.to_string(); }
}

/// One well-formed packet of fd09::1, from as many hops away as the hop limit tells.
void send6(int hops) {
  const int fd = socket(AF_INET6, SOCK_DGRAM, 0);
  setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops);
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(3784);
  inet_pton(AF_INET6, "fd09::2", &to.sin6_addr);
  ControlPacket packet;
  packet.detect_multiplier = 3;
  packet.my_discriminator = 99;
  packet.desired_min_tx_us = packet.required_min_rx_us = 50'000;
  const auto bytes = encode(packet);
  EXPECT_EQ(sendto(fd, bytes.bytes().data(), bytes.size, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 24);
  close(fd);
}

TEST_F(BfdNetwork, AnIpv6PacketFromMoreThanOneHopAwayIsDropped) {
  Node b(there, {there6});
  ASSERT_TRUE(b.service);
  there.run([&] { ASSERT_TRUE(b.service->add_peer(here6, {}).ok()); });
  here.run([] { send6(254); });
  EXPECT_TRUE(test::eventually([&] { return b.service->counters().wrong_ttl == 1; }));
  EXPECT_EQ(b.service->status(here6)->state, SessionState::Down);
  here.run([] { send6(255); });
  EXPECT_TRUE(b.wait_for(here6, SessionState::Init)) << "the same packet, one hop away";
}

}  // namespace
}  // namespace understudy::link::bfd
