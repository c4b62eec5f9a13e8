// SPDX-License-Identifier: Apache-2.0
/// understudy-control-server: decides for one redundancy group. Exit status: 0 stopped by a signal, 1 cannot run,
/// 2 wrong usage or configuration.
#include <linux/capability.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>

#include "edge/service.hpp"
#include "understudy/common/log.hpp"
#include "understudy/common/privileges.hpp"
#include "understudy/common/service_manager.hpp"
#include "understudy/common/usage.hpp"

namespace {

constexpr int kCannotRun = 1;
constexpr int kWrongUsage = 2;

/// Only a Linux bridge is driven by this process itself (nftables, in the switch's network namespace); commands drive
/// all else and may have what they need. BFD's thread wants a real-time priority and locked
/// memory.
understudy::Status drop(const understudy::control::ServerConfig& config) {
  using understudy::Programs;
  using Switch = understudy::control::ServerConfig::Switch;
  std::vector<int> kept{CAP_SYS_NICE, CAP_IPC_LOCK};
  if (config.switch_driver == Switch::LinuxBridge) { kept.insert(kept.end(), {CAP_NET_ADMIN, CAP_SYS_ADMIN}); }
  const bool commands = config.switch_driver == Switch::Command || !config.power_command.empty();
  return understudy::drop_privileges(kept, commands ? Programs::MayHaveMore : Programs::HaveNoMore);
}

int serve(const understudy::control::ServerConfig& config) {
  namespace log = understudy::log;
  auto icmp = understudy::control::open_icmp(config.group.witnesses, config.listen_address);
  if (!icmp) {
    log::error("{}", log::describe(icmp.error()));
    return kCannotRun;
  }
  if (const auto dropped = drop(config); !dropped) {
    log::error("{}", log::describe(dropped.error()));
    return kCannotRun;
  }
  if (const auto raised = understudy::raise_descriptor_limit(); !raised) {
    log::warn("{}: who opens connections to this server may keep its switch and power commands from starting",
              log::describe(raised.error()));
  }
  boost::asio::io_context io;
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const auto& /*error*/, int /*signal*/) { io.stop(); });
  const auto service = understudy::control::ControlService::start(io, config, std::move(icmp).value());
  if (!service) {
    log::error("{}", log::describe(service.error()));
    return kCannotRun;
  }
  log::info("listening at {}, {} blades, {} roles", config.listen, config.group.blades.size(),
            config.group.roles.size());
  understudy::ServiceManager manager(io, [&] { return service.value()->summary(); });
  manager.ready();
  io.run();
  manager.stopping();
  log::info("stopped");
  return 0;
}

/// What a person does to prove the power driver before it is needed, and to boot a blade again.
int switch_power(const understudy::control::ServerConfig& config, const std::string& what, const std::string& blade) {
  const auto driver = understudy::control::open_power(config);
  const auto& blades = config.group.blades;
  const bool known = std::any_of(blades.begin(), blades.end(), [&](const auto& one) { return one.id.value == blade; });
  if (!driver || !known || (what != "off" && what != "on" && what != "status")) {
    std::fprintf(stderr, "--power: %s; write off, on or status and a blade\n",
                 !driver  ? "the file has no power driver"
                 : !known ? ("there is no blade \"" + blade + "\"").c_str()
                          : ("\"" + what + "\" is nothing that can be done").c_str());
    return kWrongUsage;
  }
  const auto done = what == "off" ? driver->off(blade) : what == "on" ? driver->on(blade) : understudy::Status{};
  const auto on = done ? driver->is_on(blade) : understudy::Result<bool>(done.error());
  if (!on) {
    std::fprintf(stderr, "%s: %s\n", blade.c_str(), on.error().message.c_str());
    return kCannotRun;
  }
  std::printf("%s: power is %s\n", blade.c_str(), on.value() ? "on" : "off");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Decides for one redundancy group: who is dead, who takes over, when a role moves.",
               "understudy-control-server");
  std::string path = "/etc/understudy/group.toml";
  bool check = false;
  app.add_option("--config", path, "the group's file")->capture_default_str();
  app.add_flag("--check", check, "only check the file, on any machine");
  std::vector<std::string> power;
  app.add_option("--power", power, "off|on|status BLADE: do this with the file's power driver, tell what is read back")
      ->expected(2);
  app.set_version_flag("--version", std::string("understudy-control-server ") + UNDERSTUDY_VERSION);
  app.failure_message(understudy::usage_problem);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : kWrongUsage; }
  understudy::log::init("control-server");
  const auto config = understudy::control::read_config(
      path, check ? understudy::control::Checks::File : understudy::control::Checks::FileAndMachine);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return kWrongUsage;
  }
  if (!power.empty()) { return switch_power(config.value(), power[0], power[1]); }
  if (check) {
    std::printf("%s: ok, %zu blades, %zu roles\n", path.c_str(), config.value().group.blades.size(),
                config.value().group.roles.size());
    return 0;
  }
  return serve(config.value());
}
