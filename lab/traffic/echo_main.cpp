// SPDX-License-Identifier: Apache-2.0
/// lab-echo: answers every datagram with its own bytes, IPv4 and IPv6. The other end of lab-probe.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "sockets.hpp"

int main(int argc, char** argv) {
  CLI::App app{"UDP echo server of the lab"};
  std::uint16_t port = 7007;
  app.add_option("--port", port)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const auto socket = lab::bind_udp(port);
    lab::hold_seconds(socket.get());
    lab::prefer_real_time();
    char bytes[2048];
    while (true) {
      lab::Address from;
      from.length = sizeof from.storage;
      const ssize_t got = recvfrom(socket.get(), bytes, sizeof bytes, 0, from.get(), &from.length);
      if (got >= 0) sendto(socket.get(), bytes, static_cast<std::size_t>(got), MSG_DONTWAIT, from.get(), from.length);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-echo: %s\n", error.what());
    return 1;
  }
}
