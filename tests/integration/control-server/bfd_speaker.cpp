// SPDX-License-Identifier: Apache-2.0
/// A blade's BFD, and nothing else of it: speaks from one address to others until it is killed. SIGKILL is the blade's
/// sudden death; its end of input is the test's, so that nothing is left behind when a test dies.
#include <unistd.h>

#include <cstdio>

#include "understudy/link/bfd_service.hpp"

int main(int argc, char** argv) {
  using namespace understudy;
  if (argc < 3) { return 2; }
  const auto local = IpAddress::parse(argv[1]);
  if (!local) { return 2; }
  link::bfd::BfdService::Options options;
  options.local_addresses = {local.value()};
  auto service = link::bfd::BfdService::start(options, [](const link::bfd::PeerEvent&) {});
  bool speaks = service.ok();
  for (int i = 2; speaks && i < argc; ++i) {
    const auto peer = IpAddress::parse(argv[i]);
    speaks = peer && service.value()->add_peer(peer.value(), {});
  }
  if (!speaks) {
    std::fprintf(stderr, "bfd_speaker: cannot start at %s\n", argv[1]);
    return 1;
  }
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {}
  return 0;
}
