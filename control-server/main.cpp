// SPDX-License-Identifier: Apache-2.0
/// understudy-control-server: decides for one redundancy group. Exit status: 0 stopped by a signal, 1 cannot run,
/// 2 wrong usage or configuration.
#include <linux/capability.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>

#include "edge/power_orders.hpp"
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

/// What a person does to prove the power driver before it is needed, and to boot a blade again while nobody decides.
int switch_power(const understudy::control::ServerConfig& config, const understudy::control::PowerByHand& hand) {
  const auto on = understudy::control::power_by_hand(config, hand);
  if (on) {
    std::printf("%s: power is %s\n", hand.blade.value.c_str(), on.value() ? "on" : "off");
    return 0;
  }
  const bool wrong = on.error().code == understudy::Errc::BadInput;
  std::fprintf(stderr, "%s: %s%s\n", wrong ? "--power" : hand.blade.value.c_str(), on.error().message.c_str(),
               wrong ? "; write off, on or status and a blade" : "");
  return wrong ? kWrongUsage : kCannotRun;
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
  understudy::control::PowerByHand hand;
  app.add_option("--reason", hand.reason, "with --power: why; it is written into the event log");
  app.add_flag("--unlogged", hand.unlogged, "with --power: also when the event log cannot be written");
  app.set_version_flag("--version", std::string("understudy-control-server ") + UNDERSTUDY_VERSION);
  app.failure_message(understudy::usage_problem);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : kWrongUsage; }
  understudy::log::init("control-server");
  using understudy::control::Checks;
  const auto config = understudy::control::read_config(path, check           ? Checks::File
                                                             : power.empty() ? Checks::FileAndMachine
                                                                             : Checks::FileAndPower);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return kWrongUsage;
  }
  if (!power.empty()) {
    hand.what = power[0];
    hand.blade = understudy::BladeId{power[1]};
    hand.who = understudy::control::who_is_here();
    return switch_power(config.value(), hand);
  }
  if (check) {
    std::printf("%s: ok, %zu blades, %zu roles\n", path.c_str(), config.value().group.blades.size(),
                config.value().group.roles.size());
    return 0;
  }
  return serve(config.value());
}
