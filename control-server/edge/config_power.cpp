// SPDX-License-Identifier: Apache-2.0
#include "edge/config_power.hpp"

#include <algorithm>
#include <filesystem>

#include "understudy/link/bfd_key_file.hpp"

namespace understudy::control {
namespace {

constexpr int kCommandMs = 5000;
constexpr int kAgentMs = 20'000;
constexpr std::size_t kSecretMax = 200;

/// Whether one line "name=value" of an agent's input says what is meant.
std::string why_no_option(const std::string& name, const std::string& value) {
  const auto fit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || !std::all_of(name.begin(), name.end(), fit)) {
    return "\"" + name + "\" is no parameter of a fence agent; write small letters, digits and '_'";
  }
  if (name == "action" || name == "option") { return "\"" + name + "\" is said by the control-server; remove it"; }
  if (value.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos) {
    return "the value of \"" + name + "\" is more than one line; write one";
  }
  return "";
}

bool is_secret(const std::string& name) {
  return name.find("passw") != std::string::npos && name.find("script") == std::string::npos;
}

/// [KEY.options] and [KEY.secrets] of `table`.
void read_options(ConfigTable& table, const std::string& path, Checks checks, FenceOptions& options) {
  for (const auto& [name, value] : table.string_pairs("options")) {
    if (const auto why = why_no_option(name, value); !why.empty()) { table.problem("options", why); }
    if (is_secret(name)) {
      table.problem("options", "\"" + name + "\" is for nobody to read: write it into a file of mode 0600, and that " +
                                   "file's path into secrets instead of options");
    }
    options[name] = value;
  }
  for (const auto& [name, file] : table.string_pairs("secrets")) {
    if (const auto why = why_no_option(name, file); !why.empty()) { table.problem("secrets", why); }
    options[name] = "";
    if (checks == Checks::File) { continue; }
    const auto where = std::filesystem::absolute(std::filesystem::path(path).parent_path() / file);
    auto secret = link::bfd::read_key_file(where, kSecretMax);
    if (!secret) { table.problem("secrets", secret.error().message); }
    if (secret) { options[name] = std::move(secret).value(); }
  }
}

void read_deadline(ConfigTable& power, ServerConfig& config, int fallback) {
  const auto ms = power.integer_or("deadline_ms", fallback, "how long a power unit may take, in ms", 100, 600'000);
  config.power_limit = std::chrono::milliseconds(ms);
}

}  // namespace

std::unique_ptr<PowerDriver> open_power(const ServerConfig& config) {
  switch (config.power_driver) {
    case ServerConfig::Power::None:
      return nullptr;
    case ServerConfig::Power::Command:
      return command_power(config.power_command, config.power_limit);
    case ServerConfig::Power::FenceAgent:
      return fence_agent_power(config.fence_agent, config.fence_blades, config.power_limit);
  }
  return nullptr;
}

FenceDefaults read_power(ConfigTable& power, const std::string& path, Checks checks, ServerConfig& config) {
  FenceDefaults defaults;
  const std::string drivers = "\"none\", \"command\" or \"fence-agent\"";
  const auto driver = power.string_or("driver", "none", drivers);
  if (driver == "command") {
    config.power_driver = ServerConfig::Power::Command;
    config.power_command = power.strings("command", "[\"/path/to/command\", ...]");
    read_deadline(power, config, kCommandMs);
  } else if (driver == "fence-agent") {
    config.power_driver = ServerConfig::Power::FenceAgent;
    config.fence_agent = power.string("agent", "the agent's program, e.g. \"fence_ipmilan\"");
    read_deadline(power, config, kAgentMs);
    read_options(power, path, checks, defaults.options);
  } else if (driver != "none") {
    power.problem("driver", "\"" + driver + "\" is no power driver; write " + drivers);
  }
  for (const auto* other : {"command", "agent", "deadline_ms", "options", "secrets"}) { (void)power.has(other); }
  config.group.has_power = config.power_driver != ServerConfig::Power::None;
  return defaults;
}

void read_blade_power(ConfigTable& blade, const std::string& name, const FenceDefaults& defaults,
                      const std::string& path, Checks checks, ServerConfig& config) {
  auto table = blade.table("power");
  if (config.power_driver != ServerConfig::Power::FenceAgent) {
    for (const auto* key : {"options", "secrets"}) { (void)table.has(key); }
    return;
  }
  auto options = defaults.options;
  read_options(table, path, checks, options);
  if (options.empty()) {
    blade.problem("power", "nothing tells " + config.fence_agent + " how to reach " + name +
                               "'s power; write [blade.power.options], e.g. ip = \"192.0.2.1\"");
  }
  for (const auto& [other, its] : config.fence_blades) {
    if (its == options && !options.empty()) {
      blade.problem("power", name + " and " + other + " have the same power options, so one would be powered off " +
                                 "for the other; write what tells them apart, e.g. ip or plug");
    }
  }
  config.fence_blades[name] = std::move(options);
}

}  // namespace understudy::control
