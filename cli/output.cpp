// SPDX-License-Identifier: Apache-2.0
#include "output.hpp"

#include <boost/json.hpp>
#include <cstdio>
#include <ctime>

namespace understudy::cli {

namespace {

namespace json = boost::json;

constexpr const char* red = "\033[31m";
constexpr const char* green = "\033[32m";
constexpr const char* yellow = "\033[33m";
constexpr const char* plain = "\033[0m";

std::string padded(const std::string& text, std::size_t width) {
  return text.size() >= width ? text + " " : text + std::string(width - text.size(), ' ');
}

std::string coloured(const std::string& text, const char* colour, bool wanted) {
  return wanted ? colour + text + plain : text;
}

const char* colour_of(const link::RoleStatus& role) {
  if (role.state == "lost") { return red; }
  return role.is_protected ? green : yellow;
}

std::string clock_text(std::int64_t time_ns) {
  const std::time_t seconds = time_ns / 1'000'000'000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  const auto length = std::strftime(text, sizeof text, "%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03d", static_cast<int>(time_ns / 1'000'000 % 1000));
  return text;
}

}  // namespace

std::string to_json(const link::GroupStatus& status) {
  json::array roles;
  for (const auto& role : status.roles) {
    roles.push_back({{"role", role.role.value},
                     {"state", role.state},
                     {"place", {{"blade", role.place.blade.value}, {"kind", to_string(role.place.kind)}}},
                     {"term", role.term.value},
                     {"protected", role.is_protected},
                     {"mirror_phase", role.mirror_phase},
                     {"detail", role.detail}});
  }
  json::array blades;
  for (const auto& blade : status.blades) {
    blades.push_back({{"blade", blade.blade.value},
                      {"agent", blade.agent_connected ? "connected" : "lost"},
                      {"bfd", link::to_string(blade.bfd)},
                      {"isolated", blade.isolated},
                      {"standby", blade.standby}});
  }
  return json::serialize(
      json::value{{"group", {{"standby", status.standby.value}, {"movement", link::to_string(status.movement)}}},
                  {"roles", roles},
                  {"blades", blades}});
}

std::string to_json(const link::EventRecord& event) {
  return json::serialize(json::value{{"id", event.id},
                                     {"time_ns", event.time_ns},
                                     {"severity", link::to_string(event.severity)},
                                     {"kind", event.kind},
                                     {"role", event.role.value},
                                     {"blade", event.blade.value},
                                     {"phase", event.phase},
                                     {"ms", event.ms},
                                     {"text", event.text}});
}

std::string to_text(const link::GroupStatus& status, bool colour) {
  std::string text = "standby " + (status.standby.empty() ? "none: nobody stands by" : status.standby.value) +
                     ", movement " + link::to_string(status.movement) + "\n\n";
  text += padded("ROLE", 10) + padded("STATE", 14) + padded("PLACE", 18) + padded("TERM", 6) + padded("PROTECTED", 11) +
          padded("MIRROR", 12) + "\n";
  for (const auto& role : status.roles) {
    text += padded(role.role.value, 10) + coloured(padded(role.state, 14), colour_of(role), colour) +
            padded(to_string(role.place), 18) + padded(std::to_string(role.term.value), 6) +
            padded(role.is_protected ? "yes" : "NO", 11) + padded(role.mirror_phase, 12) + "\n";
    if (!role.detail.empty()) { text += "          " + coloured(role.detail, red, colour) + "\n"; }
  }
  text += "\n" + padded("BLADE", 10) + padded("AGENT", 14) + padded("BFD", 10) + padded("SERVICE PORTS", 15) + "\n";
  for (const auto& blade : status.blades) {
    text += padded(blade.blade.value, 10) +
            coloured(padded(blade.agent_connected ? "connected" : "lost", 14), blade.agent_connected ? green : red,
                     colour) +
            padded(link::to_string(blade.bfd), 10) + padded(blade.isolated ? "isolated" : "connected", 15) +
            (blade.standby ? "standby" : "") + "\n";
  }
  return text;
}

std::string to_text(const link::EventRecord& event, bool colour) {
  std::string line = clock_text(event.time_ns) + "  ";
  std::string severity = padded(link::to_string(event.severity), 8);
  line += event.severity == link::Severity::Alarm ? coloured(severity, red, colour) : severity;
  line += padded(event.role.empty() ? event.blade.value : event.role.value, 9);
  if (event.kind == "phase") {
    char ms[32];
    std::snprintf(ms, sizeof ms, "%9.2f ms", event.ms);
    return line + padded(event.phase, 14) + ms + (event.text.empty() ? "" : "  " + event.text);
  }
  return line + event.text;
}

}  // namespace understudy::cli
