// SPDX-License-Identifier: Apache-2.0
/// The active's gate:  host e0 (gate here) ──── o0 outside
#include <linux/if_ether.h>

#include "lab.hpp"
#include "understudy/net/announce.hpp"
#include "understudy/net/gate.hpp"

namespace understudy::net::test {
namespace {

class HostGateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    stay_on_this_processor();
    host_.emplace("host");
    outside_.emplace("outside");
    connect(*host_, "e0", *outside_, "o0");
    connect(*host_, "m0", *outside_, "om0");
    auto host_links = host_->links();
    auto outside_links = outside_->links();
    ASSERT_OK(host_links.add_address("e0", prefix("10.9.0.1/24")));
    ASSERT_OK(host_links.add_address("e0", prefix("fd09::1/64")));
    ASSERT_OK(outside_links.add_address("o0", prefix("10.9.0.2/24")));
    ASSERT_OK(outside_links.add_address("o0", prefix("fd09::2/64")));
  }
  /// A UDP socket of `where`, bound to port 9000 of any address.
  static Socket udp(const TestNamespace& where, int family) {
    return where.in([&] {
      Socket socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in6 address{};
      address.sin6_family = static_cast<sa_family_t>(family);
      address.sin6_port = htons(9000);  // at the same place in sockaddr_in
      (void)::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address),
                   family == AF_INET ? sizeof(sockaddr_in) : sizeof address);
      return socket;
    });
  }
  static void send(const Socket& socket, const IpAddress& to, char text) {
    sockaddr_in6 address{};
    if (to.is_v4()) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(9000);
      std::memcpy(&v4->sin_addr, to.bytes.data(), 4);
    } else {
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(9000);
      std::memcpy(&address.sin6_addr, to.bytes.data(), 16);
    }
    (void)::sendto(socket.fd(), &text, 1, 0, reinterpret_cast<const sockaddr*>(&address),
                   to.is_v4() ? sizeof(sockaddr_in) : sizeof address);
  }
  static char receive(const Socket& socket) {
    char text = '-';
    if (socket.readable()) { (void)::recv(socket.fd(), &text, 1, 0); }
    return text;
  }
  std::optional<TestNamespace> host_, outside_;
};

TEST_F(HostGateTest, FramesOfTheHostItselfWaitForTheGate) {
  auto gate = HostGate::attach({"e0"}, host_->path());
  ASSERT_OK(gate);
  FrameSocket host(*host_, "e0");
  FrameSocket outside(*outside_, "o0");
  host.send(1);
  ASSERT_OK(gate.value().open("e0"));
  host.send(2);
  EXPECT_EQ(outside.receive(), 2);
  ASSERT_OK(gate.value().close("e0"));
  host.send(3);
  ASSERT_OK(gate.value().open("e0"));
  host.send(4);
  EXPECT_EQ(outside.receive(), 4);
}

TEST_F(HostGateTest, AddressesAnswerOnlyWhileTheGateIsOpen) {
  ASSERT_OK(host_->links().add_address("e0", prefix("10.9.0.11/24")));
  auto gate = HostGate::attach({"e0"}, host_->path());
  ASSERT_OK(gate);
  const Socket outside =
      outside_->in([] { return Socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP))); });
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = outside_->links().index_of("o0").value();
  to.sll_halen = 6;
  std::memset(to.sll_addr, 0xff, 6);
  const auto ask = [&](const char* address) {  // an ARP request from 10.9.0.2
    auto frame = gratuitous_arp(ArpForm::Request, outside_->links().state("o0").value().mac, ip("10.9.0.2"));
    std::memcpy(frame.data() + 38, ip(address).bytes.data(), 4);
    (void)::sendto(outside.fd(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  };
  ask("10.9.0.1");
  ASSERT_OK(gate.value().open("e0"));
  ask("10.9.0.11");
  std::uint8_t answer[128] = {};
  while (answer[21] != 2) {  // ARP reply; our own requests are seen too
    ASSERT_TRUE(outside.readable());
    ASSERT_GT(::recv(outside.fd(), answer, sizeof answer, 0), 40);
  }
  EXPECT_EQ(answer[31], 11) << "the first answer must be for the address that was asked for after opening";
}

TEST_F(HostGateTest, AClosedGateAlsoDropsWhatComesIn) {
  auto gate = HostGate::attach({"e0"}, host_->path());
  ASSERT_OK(gate);
  const Socket host = udp(*host_, AF_INET);
  const Socket outside = udp(*outside_, AF_INET);
  ASSERT_OK(gate.value().open("e0"));
  send(outside, ip("10.9.0.1"), 'a');  // resolves the neighbour
  ASSERT_EQ(receive(host), 'a');
  ASSERT_OK(gate.value().close("e0"));
  send(outside, ip("10.9.0.1"), 'b');
  ASSERT_OK(gate.value().open("e0"));
  send(outside, ip("10.9.0.1"), 'c');
  EXPECT_EQ(receive(host), 'c');
}

TEST_F(HostGateTest, OtherInterfacesAreNotTouched) {
  auto gate = HostGate::attach({"e0"}, host_->path());
  ASSERT_OK(gate);
  FrameSocket host(*host_, "m0");
  FrameSocket outside(*outside_, "om0");
  host.send(1);
  EXPECT_EQ(outside.receive(), 1);
}

TEST_F(HostGateTest, TimedOpeningsExpireAndCannotBeRefreshedAfterwards) {
  auto gate = HostGate::attach({"e0"}, host_->path());
  ASSERT_OK(gate);
  ASSERT_OK(gate.value().open_for("e0", 60s));
  ASSERT_OK(gate.value().refresh("e0", 50ms));
  ASSERT_TRUE(eventually([&] { return !gate.value().is_open("e0").value(); }));
  EXPECT_EQ(gate.value().refresh("e0", 10s).error().code, Errc::Expired);
}

TEST_F(HostGateTest, AttachingAgainKeepsWhatIsOpen) {
  {
    auto gate = HostGate::attach({"e0"}, host_->path());
    ASSERT_OK(gate);
    ASSERT_OK(gate.value().open("e0"));
  }
  auto again = HostGate::attach({"e0", "m0"}, host_->path());
  ASSERT_OK(again);
  EXPECT_TRUE(again.value().is_open("e0").value());
  EXPECT_FALSE(again.value().is_open("m0").value());
}

TEST_F(HostGateTest, Misuse_AnInterfaceThatDoesNotExistIsNamed) {
  const auto gate = HostGate::attach({"nope0"}, host_->path());
  ASSERT_FALSE(gate.ok());
  EXPECT_EQ(gate.error().code, Errc::NotFound);
  EXPECT_NE(gate.error().message.find("nope0"), std::string::npos);
}

TEST_F(HostGateTest, AnInterfaceThatWentAndCameBackHasNoGateAndThatIsNoticed) {
  auto gate = HostGate::attach({"e0"}, host_->path());
  ASSERT_OK(gate);
  ASSERT_OK(gate.value().open("e0"));
  ASSERT_OK(host_->links().delete_link("e0"));
  connect(*host_, "e0", *outside_, "o0");
  const auto open = gate.value().is_open("e0");
  if (open.ok()) {  // a kernel that keeps a chain for a name and binds it again
    FrameSocket host(*host_, "e0");
    FrameSocket outside(*outside_, "o0");
    ASSERT_OK(gate.value().close("e0"));
    host.send(1);
    ASSERT_OK(gate.value().open("e0"));
    host.send(2);
    EXPECT_EQ(outside.receive(), 2);
  } else {
    EXPECT_EQ(open.error().code, Errc::Damaged);
  }
}

}  // namespace
}  // namespace understudy::net::test
