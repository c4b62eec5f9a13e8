// SPDX-License-Identifier: Apache-2.0
/// Over loopback, IPv4 and IPv6.
#include "sockets.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <functional>
#include <system_error>
#include <thread>

namespace lab {
namespace {

std::uint16_t port_of(const Descriptor& socket) {
  const auto text = to_text(local_address(socket.get()));
  return static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
}

int code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::system_error& error) { return error.code().value(); }
  return 0;
}

TEST(LabAddress, IsReadAndWrittenInBothFamilies) {
  EXPECT_EQ(to_text(parse_address("10.23.4.1", 80)), "10.23.4.1:80");
  EXPECT_EQ(to_text(parse_address("fd00:0::1", 65535)), "[fd00::1]:65535");
  EXPECT_EQ(to_text(parse_address("::ffff:10.23.4.1", 80)), "10.23.4.1:80") << "as the other end would tell it";
}

TEST(LabAddress, WhatIsNoneIsRefusedByName) {
  for (const auto* wrong : {"", "localhost", "10.23.4", "10.23.4.1.5", "10.23.4.256", "fd00::1::2", "10.23.4.1:80"}) {
    try {
      (void)parse_address(wrong, 80);
      ADD_FAILURE() << wrong;
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), EINVAL);
      EXPECT_NE(std::string(error.what()).find("'" + std::string(wrong) + "'"), std::string::npos) << error.what();
    }
  }
}

TEST(LabSockets, BytesArriveWholeInBothFamilies) {
  for (const auto* host : {"127.0.0.1", "::1"}) {
    const Descriptor listener = listen_tcp(0);
    const auto to = parse_address(host, port_of(listener));
    Descriptor client = connect_tcp(to, 5, 20);
    const Descriptor server(accept(listener.get(), nullptr, nullptr));
    EXPECT_EQ(to_text(peer_address(client.get())), to_text(to));
    EXPECT_EQ(to_text(peer_address(server.get())), to_text(local_address(client.get())));
    const std::string sent(1 << 20, 'x');
    std::thread sender([&] {
      send_all(client.get(), sent);
      client.close();
    });
    std::string received;
    char buffer[4096];
    for (auto got = receive(server.get(), buffer, sizeof buffer); !got.empty();
         got = receive(server.get(), buffer, sizeof buffer)) {
      received += got;
    }
    sender.join();
    EXPECT_TRUE(received == sent) << received.size() << " bytes over " << host;
  }
}

TEST(LabSockets, ADatagramToEitherFamilyArrivesAtTheOneSocket) {
  const Descriptor bound = bind_udp(0);
  set_timeouts(bound.get(), 20);
  for (const auto* host : {"127.0.0.1", "::1"}) {
    const auto to = parse_address(host, port_of(bound));
    const Descriptor sender(socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(sendto(sender.get(), host, 3, 0, to.get(), to.length), 3);
    char buffer[100];
    EXPECT_EQ(receive(bound.get(), buffer, sizeof buffer), std::string_view(host, 3));
  }
}

TEST(LabSockets, ARefusedConnectionIsToldAsSuch) {
  std::uint16_t port = 0;
  { port = port_of(listen_tcp(0)); }
  EXPECT_EQ(code_of([&] { (void)connect_tcp(parse_address("127.0.0.1", port), 5, 5); }), ECONNREFUSED);
  EXPECT_EQ(code_of([&] { (void)connect_tcp(parse_address("::1", port), 5, 5); }), ECONNREFUSED);
}

TEST(LabSockets, SilenceEndsAtTheTimeThatWasGiven) {
  const Descriptor listener = listen_tcp(0);
  const Descriptor client = connect_tcp(parse_address("127.0.0.1", port_of(listener)), 5, 0.05);
  char byte;
  EXPECT_EQ(code_of([&] { (void)receive(client.get(), &byte, 1); }), EAGAIN);
}

TEST(LabSockets, SendingToWhoIsGoneThrowsAndKillsNobody) {
  const Descriptor listener = listen_tcp(0);
  const Descriptor client = connect_tcp(parse_address("127.0.0.1", port_of(listener)), 5, 20);
  {
    Descriptor server(accept(listener.get(), nullptr, nullptr));
    const linger at_once{1, 0};
    ASSERT_EQ(setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  }
  const auto code = code_of([&] {
    for (int i = 0; i < 1000; ++i) { send_all(client.get(), "more"); }
  });
  EXPECT_TRUE(code == ECONNRESET || code == EPIPE) << code;
}

TEST(LabSockets, APortInUseIsNamed) {
  const Descriptor first = listen_tcp(0);
  try {
    (void)listen_tcp(port_of(first));
    ADD_FAILURE() << "bound twice";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EADDRINUSE);
    EXPECT_NE(std::string(error.what()).find(std::to_string(port_of(first))), std::string::npos) << error.what();
  }
}

TEST(LabDescriptor, ClosesOnceAndMoves) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Descriptor one(ends[0]), other(ends[1]);
  one = std::move(other);
  EXPECT_EQ(one.get(), ends[1]);
  EXPECT_EQ(fcntl(ends[0], F_GETFD), -1) << "the former one was closed when it was replaced";
  one.close();
  one.close();
  EXPECT_FALSE(one.is_open());
  EXPECT_THROW(checked(-1, "something"), std::system_error);
  EXPECT_EQ(checked(0, "something"), 0);
}

}  // namespace
}  // namespace lab
