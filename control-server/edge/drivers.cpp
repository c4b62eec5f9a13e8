// SPDX-License-Identifier: Apache-2.0
#include "edge/drivers.hpp"

#include <map>
#include <sstream>

#include "edge/command.hpp"
#include "understudy/net/gate.hpp"

namespace understudy::control {
namespace {

class LinuxBridgeSwitch final : public SwitchDriver {
 public:
  explicit LinuxBridgeSwitch(net::SwitchIsolation isolation) : isolation_(std::move(isolation)) {}

  Status isolate(const std::vector<std::string>& ports) override { return isolation_.isolate(ports); }
  Status readmit(const std::vector<std::string>& ports) override {
    if (const auto done = isolation_.readmit(ports); !done) { return done; }
    const auto isolated = isolation_.isolated();
    if (!isolated) { return isolated.error(); }
    for (const auto& port : ports) {
      for (const auto& closed : isolated.value()) {
        if (port == closed) { return failure("the switch still shows " + port + " isolated"); }
      }
    }
    return {};
  }
  Result<bool> are_isolated(const std::vector<std::string>& ports) override { return isolation_.are_isolated(ports); }

 private:
  net::SwitchIsolation isolation_;
};

class CommandSwitch final : public SwitchDriver {
 public:
  CommandSwitch(std::vector<std::string> command, std::chrono::milliseconds limit)
      : command_(std::move(command)), limit_(limit) {}

  Status isolate(const std::vector<std::string>& ports) override { return change("isolate", ports, "isolated"); }
  Status readmit(const std::vector<std::string>& ports) override { return change("readmit", ports, "connected"); }
  Result<bool> are_isolated(const std::vector<std::string>& ports) override {
    const auto states = read_back(ports);
    if (!states) { return states.error(); }
    for (const auto& [port, state] : states.value()) {
      if (state != "isolated") { return false; }
    }
    return true;
  }

 private:
  Result<std::string> call(const std::string& verb, const std::vector<std::string>& ports) {
    auto words = command_;
    words.push_back(verb);
    words.insert(words.end(), ports.begin(), ports.end());
    return run_command(words, limit_);
  }
  Status change(const std::string& verb, const std::vector<std::string>& ports, const std::string& wanted) {
    if (const auto done = call(verb, ports); !done) { return done.error(); }
    const auto states = read_back(ports);
    if (!states) { return states.error(); }
    for (const auto& [port, state] : states.value()) {
      if (state != wanted) { return failure(command_[0] + " " + verb + ": " + port + " is " + state + " afterwards"); }
    }
    return {};
  }
  /// Every asked port with its state; one that the command does not tell is an error.
  Result<std::map<std::string, std::string>> read_back(const std::vector<std::string>& ports) {
    const auto said = call("status", ports);
    if (!said) { return said.error(); }
    std::map<std::string, std::string> told;
    std::istringstream lines(said.value());
    for (std::string port, state; lines >> port >> state;) { told[port] = state; }
    std::map<std::string, std::string> states;
    for (const auto& port : ports) {
      const auto found = told.find(port);
      if (found == told.end() || (found->second != "isolated" && found->second != "connected")) {
        return failure(command_[0] + " status does not say \"" + port + " isolated\" or \"" + port + " connected\"");
      }
      states.insert(*found);
    }
    return states;
  }

  std::vector<std::string> command_;
  std::chrono::milliseconds limit_;
};

class CommandPower final : public PowerDriver {
 public:
  CommandPower(std::vector<std::string> command, std::chrono::milliseconds limit)
      : command_(std::move(command)), limit_(limit) {}

  [[nodiscard]] Status off(const std::string& blade) const override { return change(blade, "off"); }
  [[nodiscard]] Status on(const std::string& blade) const override { return change(blade, "on"); }
  [[nodiscard]] Result<bool> is_on(const std::string& blade) const override {
    const auto said = call("status", blade);
    if (!said) { return said.error(); }
    std::string state;
    std::istringstream(said.value()) >> state;
    if (state == "on" || state == "off") { return state == "on"; }
    return failure(command_[0] + " status " + blade + " says \"" + state + "\", neither on nor off");
  }

 private:
  [[nodiscard]] Result<std::string> call(const std::string& verb, const std::string& blade) const {
    auto words = command_;
    words.insert(words.end(), {verb, blade});
    return run_command(words, limit_);
  }
  [[nodiscard]] Status change(const std::string& blade, const std::string& wanted) const {
    if (const auto done = call(wanted, blade); !done) { return done.error(); }
    const auto on = is_on(blade);
    if (!on) { return on.error(); }
    if (on.value() == (wanted == "on")) { return {}; }
    return failure(command_[0] + " status " + blade + " says \"" + (on.value() ? "on" : "off") + "\" after " + wanted);
  }

  std::vector<std::string> command_;
  std::chrono::milliseconds limit_;
};

}  // namespace

std::string network_namespace_path(const std::string& netns) {
  return netns.empty() || netns.front() == '/' ? netns : "/run/netns/" + netns;
}

Result<std::unique_ptr<SwitchDriver>> linux_bridge_switch(const std::string& netns) {
  auto isolation = net::SwitchIsolation::attach(network_namespace_path(netns));
  if (!isolation) { return failure("switch \"" + netns + "\": " + isolation.error().message, isolation.error().code); }
  return std::unique_ptr<SwitchDriver>(std::make_unique<LinuxBridgeSwitch>(std::move(isolation).value()));
}

std::unique_ptr<SwitchDriver> command_switch(std::vector<std::string> command, std::chrono::milliseconds limit) {
  return std::make_unique<CommandSwitch>(std::move(command), limit);
}

std::unique_ptr<PowerDriver> command_power(std::vector<std::string> command, std::chrono::milliseconds limit) {
  return std::make_unique<CommandPower>(std::move(command), limit);
}

}  // namespace understudy::control
