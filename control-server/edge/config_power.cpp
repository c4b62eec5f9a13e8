// SPDX-License-Identifier: Apache-2.0
#include "edge/config_power.hpp"

#include <algorithm>
#include <filesystem>

#include "edge/config_values.hpp"
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

/// [power] with anything in it says that somebody wants blades to be powered off.
void refuse_keys_without_driver(ConfigTable& power) {
  for (const auto* key : {"command", "agent", "deadline_ms", "options", "secrets"}) {
    if (!power.has(key)) { continue; }
    power.problem(key, std::string("[power] has \"") + key +
                           "\" and no driver, so no blade would ever be powered off; write driver = \"command\" or " +
                           "\"fence-agent\" above it, or \"none\" to do without");
  }
}

}  // namespace

std::string power_name(const ServerConfig& config) {
  switch (config.power_driver) {
    case ServerConfig::Power::None:
      return "none";
    case ServerConfig::Power::Command:
      return "command";
    case ServerConfig::Power::FenceAgent:
      return std::filesystem::path(config.fence_agent).filename();
  }
  return "none";
}

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
  const auto driver = power.string_or("driver", "", drivers);
  if (driver == "command") {
    config.power_driver = ServerConfig::Power::Command;
    config.power_command = power.strings("command", "[\"/path/to/command\", ...]");
    read_deadline(power, config, kCommandMs);
  } else if (driver == "fence-agent") {
    config.power_driver = ServerConfig::Power::FenceAgent;
    config.fence_agent = power.string("agent", "the agent's program, e.g. \"fence_ipmilan\"");
    read_deadline(power, config, kAgentMs);
    read_options(power, path, checks, defaults.options);
  } else if (driver.empty()) {
    refuse_keys_without_driver(power);
  } else if (driver != "none") {
    power.problem("driver", "\"" + driver + "\" is no power driver; write " + drivers);
  }
  defaults.off_by_choice = driver == "none";
  refuse_others_keys(
      power, "power", driver,
      {{"command", {"command", "deadline_ms"}}, {"fence-agent", {"agent", "deadline_ms", "options", "secrets"}}});
  config.group.has_power = config.power_driver != ServerConfig::Power::None;
  return defaults;
}

void read_blade_power(ConfigTable& blade, const std::string& name, const FenceDefaults& defaults,
                      const std::string& path, Checks checks, ServerConfig& config) {
  auto table = blade.table("power");
  if (config.power_driver != ServerConfig::Power::FenceAgent) {
    const bool options = table.has("options");
    const bool secrets = table.has("secrets");
    const std::string used = config.power_driver == ServerConfig::Power::None ? "none" : "\"command\"";
    if ((options || secrets) && !defaults.off_by_choice) {
      blade.problem("power", "[blade.power] is read by the driver \"fence-agent\" only, and [power] uses " + used +
                                 ", which would not read it; remove it, or write driver = \"fence-agent\"");
    }
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
