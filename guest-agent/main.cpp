// SPDX-License-Identifier: Apache-2.0
// understudy-guest-agent: runs in every mirror, started and restarted by the mirror's init.
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"

namespace {

constexpr int wrong_usage = 2;
constexpr const char* usage = "Usage: understudy-guest-agent [--version]    Started in a mirror by its init.";

}  // namespace

int main(int argc, char** argv) {
  using namespace understudy;
  if (argc > 1) {
    const std::string word = argv[1];
    const bool asked = argc == 2 && (word == "--help" || word == "--version");
    if (!asked) {
      std::fprintf(stderr, "understudy-guest-agent: \"%s\" is not known here; it takes no options\n", argv[1]);
      return wrong_usage;
    }
    std::puts(word == "--help" ? usage : "understudy-guest-agent " UNDERSTUDY_VERSION);
    return 0;
  }
  std::signal(SIGPIPE, SIG_IGN);
  log::init("guest-agent");
  std::string boot_nonce;
  std::ifstream("/run/understudy/boot-nonce") >> boot_nonce;
  if (boot_nonce.empty()) {
    log::error("/run/understudy/boot-nonce is missing: this program runs in a mirror, started by its init");
    return wrong_usage;
  }
  boost::asio::io_context io(1);
  guest::Agent agent(io);
  const auto started = agent.start(std::string("/dev/virtio-ports/") + link::guest::agent_port_name, boot_nonce);
  if (!started) {
    log::error("{}", log::describe(started.error()));
    return 1;
  }
  io.run();
  return 0;
}
