// SPDX-License-Identifier: Apache-2.0
// understudy-host-agent: runs on every blade.
#include <linux/capability.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"
#include "understudy/common/privileges.hpp"
#include "understudy/common/service_manager.hpp"
#include "understudy/common/usage.hpp"

namespace {

constexpr int bad_input = 2;

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

int run(const std::string& config_path, bool check_only) {
  using namespace understudy;
  auto config = host::read_blade_config(config_path, check_only ? host::Doubts::Refused : host::Doubts::Told);
  if (!config) {
    std::cerr << config.error().message << "\n";
    return bad_input;
  }
  if (check_only) {
    std::cout << config_path << ": good, blade " << config->blade.value << "\n";
    return 0;
  }
  if (geteuid() != 0) {
    std::cerr << "understudy-host-agent needs root: it sets addresses, gates and starts guests; start it by systemd or "
                 "sudo\n";
    return bad_input;
  }
  // Applications and guests are started by it and keep what root has; it needs no more itself than this.
  if (const auto dropped =
          drop_privileges({CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_SYS_ADMIN, CAP_SYS_NICE,
                           CAP_SYS_RESOURCE, CAP_IPC_LOCK, CAP_KILL, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_CHOWN,
                           CAP_FOWNER, CAP_SETUID, CAP_SETGID, CAP_SYS_PTRACE},
                          Programs::MayHaveMore);
      !dropped) {
    std::cerr << "understudy-host-agent: " << dropped.error().message << "\n";
    return 1;
  }
  std::error_code error;
  std::filesystem::create_directories(config->run_dir, error);
  if (error) {
    std::cerr << config_path << ": run_dir \"" << config->run_dir << "\" cannot be made: " << error.message() << "\n";
    return bad_input;
  }
  log::init("host-agent");
  for (const auto& doubt : config->doubts) {
    log::error("{}: {}. This blade serves with it as it can; --check refuses it", config_path, doubt);
  }
  boost::asio::io_context io(1);
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& failed, int) {
    if (!failed) { io.stop(); }
  });
  host::Agent agent(io, std::move(config).value(), boot_id());
  if (auto started = agent.start(); !started) {
    log::error("{}", log::describe(started.error()));
    return 1;
  }
  log::info("started");
  ServiceManager manager(io, [&] { return agent.summary(); });
  manager.ready();
  io.run();
  manager.stopping();
  log::info("stopped; the roles of this blade go on as they are");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Understudy's host-agent: runs on every blade, serves roles, runs mirrors.", "understudy-host-agent");
  std::string config = "/etc/understudy/blade.toml";
  bool check = false;
  app.add_option("--config", config, "this blade's configuration")->capture_default_str();
  app.add_flag("--check", check, "only check the configuration");
  app.set_version_flag("--version", UNDERSTUDY_VERSION);
  app.failure_message(understudy::usage_problem);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : bad_input; }
  return run(config, check);
}
