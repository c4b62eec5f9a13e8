// SPDX-License-Identifier: Apache-2.0
// understudy-control-server: decides who serves which role of one group.
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <iostream>

#include "edge/server.hpp"
#include "understudy/common/log.hpp"

namespace {

constexpr int bad_input = 2;

int run(const std::string& path, bool check_only) {
  using namespace understudy;
  auto config = control::read_server_config(path);
  if (!config) {
    std::cerr << config.error().message << "\n";
    return bad_input;
  }
  if (check_only) {
    std::cout << path << ": good, " << config->group.roles.size() << " roles on " << config->group.blades.size()
              << " blades\n";
    return 0;
  }
  log::init("control-server");
  boost::asio::io_context io(1);
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& failed, int) {
    if (!failed) { io.stop(); }
  });
  control::Server server(io, std::move(config).value());
  if (auto started = server.start(); !started) {
    std::cerr << "understudy-control-server: " << started.error().message << "\n";
    return started.error().code == Errc::BadInput ? bad_input : 1;
  }
  log::info("started");
  io.run();
  log::info("stopped; roles go on, there is no automatic failover until it is back");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Understudy's control-server: decides who serves which role of one group.");
  std::string config = "/etc/understudy/group.toml";
  bool check = false;
  app.add_option("--config", config, "the group's configuration")->capture_default_str();
  app.add_flag("--check", check, "only check the configuration");
  app.set_version_flag("--version", UNDERSTUDY_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : bad_input; }
  return run(config, check);
}
