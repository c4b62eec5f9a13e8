// SPDX-License-Identifier: Apache-2.0
#include "edge/drivers.hpp"

#include <algorithm>
#include <sstream>

#include "edge/command.hpp"
#include "understudy/net/gate.hpp"

namespace understudy::control {

namespace {

constexpr auto switch_deadline = std::chrono::seconds(5);
constexpr auto power_deadline = std::chrono::seconds(30);

Result<std::string> call(std::vector<std::string> command, const std::string& verb,
                         const std::vector<std::string>& rest, std::chrono::milliseconds deadline) {
  command.push_back(verb);
  command.insert(command.end(), rest.begin(), rest.end());
  auto result = run_command(command, deadline);
  if (!result) { return result.error(); }
  if (result->status != 0) {
    return failure(command.front() + " " + verb + " ended with status " + std::to_string(result->status) + ": " +
                   result->output);
  }
  return result->output;
}

class LinuxBridge final : public SwitchDriver {
 public:
  explicit LinuxBridge(net::SwitchIsolation isolation) : isolation_(std::move(isolation)) {}
  Status isolate(const std::vector<std::string>& ports) override { return isolation_.isolate(ports); }
  Status readmit(const std::vector<std::string>& ports) override { return isolation_.readmit(ports); }
  Result<bool> are_isolated(const std::vector<std::string>& ports) override { return isolation_.are_isolated(ports); }

 private:
  net::SwitchIsolation isolation_;
};

class ExternalSwitch final : public SwitchDriver {
 public:
  explicit ExternalSwitch(std::vector<std::string> command) : command_(std::move(command)) {}
  Status isolate(const std::vector<std::string>& ports) override {
    if (auto done = call(command_, "isolate", ports, switch_deadline); !done) { return done.error(); }
    auto isolated = are_isolated(ports);
    if (!isolated) { return isolated.error(); }
    if (!*isolated) { return failure("the switch does not show the ports as isolated after isolating them"); }
    return {};
  }
  Status readmit(const std::vector<std::string>& ports) override {
    auto done = call(command_, "readmit", ports, switch_deadline);
    return done ? Status{} : Status{done.error()};
  }
  Result<bool> are_isolated(const std::vector<std::string>& ports) override {
    auto output = call(command_, "status", ports, switch_deadline);
    if (!output) { return output.error(); }
    return std::all_of(ports.begin(), ports.end(), [&](const std::string& port) {
      std::istringstream lines(*output);
      for (std::string line; std::getline(lines, line);) {
        if (line == port + " isolated") { return true; }
      }
      return false;
    });
  }

 private:
  std::vector<std::string> command_;
};

}  // namespace

Result<std::unique_ptr<SwitchDriver>> SwitchDriver::make(const SwitchConfig& config) {
  if (config.driver == "command") {
    return std::unique_ptr<SwitchDriver>(std::make_unique<ExternalSwitch>(config.command));
  }
  auto isolation = net::SwitchIsolation::attach(config.network_namespace);
  if (!isolation) { return isolation.error(); }
  return std::unique_ptr<SwitchDriver>(std::make_unique<LinuxBridge>(std::move(isolation).value()));
}

Status power_off(const PowerConfig& config, const BladeId& blade) {
  if (auto done = call(config.command, "off", {blade.value}, power_deadline); !done) { return done.error(); }
  auto state = call(config.command, "status", {blade.value}, power_deadline);
  if (!state) { return state.error(); }
  if (!state->starts_with("off")) { return failure("after power off, " + blade.value + " is said to be: " + *state); }
  return {};
}

}  // namespace understudy::control
