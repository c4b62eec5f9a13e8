// SPDX-License-Identifier: Apache-2.0
// understudy-guest-agent: runs in every mirror, started and restarted by the mirror's init.
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <fstream>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"

int main() {
  using namespace understudy;
  std::signal(SIGPIPE, SIG_IGN);
  log::init("guest-agent");
  std::string boot_nonce;
  std::ifstream("/run/understudy/boot-nonce") >> boot_nonce;
  if (boot_nonce.empty()) {
    log::error("/run/understudy/boot-nonce is missing: this program runs in a mirror, started by its init");
    return 2;
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
