// SPDX-License-Identifier: Apache-2.0
#include "render.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>

namespace understudy::cli {
namespace {

constexpr std::size_t kColumns = 100;

std::string cell(std::string text, std::size_t width) {
  if (text.size() > width) { text = text.substr(0, width - 1) + "~"; }
  return text + std::string(width - text.size(), ' ');
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

/// Breaks at spaces into indented lines of at most kColumns.
std::string paragraph(const std::string& text, const std::string& indent) {
  std::string out;
  std::string line = indent;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto end = std::min(text.find(' ', at), text.size());
    std::string word = text.substr(at, end - at);
    at = end + 1;
    while (indent.size() + word.size() > kColumns) {
      const auto room = kColumns - indent.size();
      out += (line == indent ? "" : line + "\n") + indent + word.substr(0, room) + "\n";
      word = word.substr(room);
      line = indent;
    }
    if (line.size() + word.size() + 1 > kColumns && line != indent) {
      out += line + "\n";
      line = indent;
    }
    line += (line == indent ? "" : " ") + word;
  }
  return line == indent ? out : out + line + "\n";
}

std::string local_time(std::int64_t time_ns) {
  const time_t seconds = time_ns / 1'000'000'000;
  tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const auto size = strftime(text.data(), text.size(), "%F %T", &parts);
  std::array<char, 8> millis{};
  std::snprintf(millis.data(), millis.size(), ".%03d", static_cast<int>(time_ns / 1'000'000 % 1000));
  return std::string(text.data(), size) + millis.data();
}

/// How far the mirror has come, as the active has said; empty: it has said nothing.
std::string sync_text(const link::SyncStatus& sync) {
  if (sync.stream.empty()) { return ""; }
  std::string text = "mirror on " + sync.standby.value + ", stream " + sync.stream + ", acknowledged:";
  for (const auto& store : sync.stores) {
    text += (&store == sync.stores.data() ? " " : ", ") + store.store + " " + std::to_string(store.acknowledged.value) +
            " of " + std::to_string(store.committed.value);
  }
  constexpr std::uint64_t second = 1000;
  if (sync.behind_ms >= second) { text += "; nothing new for " + std::to_string(sync.behind_ms / second) + " s"; }
  return paragraph(text, "    ");
}

boost::json::object sync_json(const link::SyncStatus& sync) {
  boost::json::array stores;
  for (const auto& store : sync.stores) {
    stores.push_back(
        {{"store", store.store}, {"committed", store.committed.value}, {"acknowledged", store.acknowledged.value}});
  }
  return {{"standby", sync.standby.value}, {"stream", sync.stream}, {"behind_ms", sync.behind_ms}, {"stores", stores}};
}

/// Empty where there is one.
std::string control_servers_text(const link::GroupStatus& status) {
  if (status.control_servers.empty()) { return ""; }
  std::string out = trimmed(cell("CONTROL-SERVER", 28) + cell("STATE", 10) + "SINCE") + "\n";
  for (const auto& server : status.control_servers) {
    out += trimmed(cell(server.address, 27) + " " + cell(server.state, 9) + " " +
                   (server.since_ns != 0 ? local_time(server.since_ns) : "")) +
           "\n";
  }
  return out + "\n";
}

}  // namespace

std::string status_text(const link::GroupStatus& status) {
  std::string out = "standby " +
                    (status.standby.empty() ? std::string("none: it has become an active") : status.standby.value) +
                    ", movement " + link::to_string(status.movement) + ", BFD " + link::to_string(status.bfd) + "\n";
  if (status.plain_text) { out += "! PLAIN TEXT: the wires have no protection ([tls] plain_text = true)\n"; }
  if (!status.control_alarm.empty()) { out += paragraph("! NOBODY DECIDES: " + status.control_alarm, ""); }
  out += "\n" + control_servers_text(status);
  out += trimmed(cell("ROLE", 20) + cell("STATE", 14) + cell("PLACE", 28) + cell("TERM", 8) + cell("MIRROR", 10) +
                 cell("LEASE", 10) + "PRIO") +
         "\n";
  for (const auto& role : status.roles) {
    out += trimmed(cell(role.role.value, 19) + " " + cell(role.state, 13) + " " + cell(to_string(role.place), 27) +
                   " " + cell(std::to_string(role.term.value), 7) + " " + cell(role.mirror_phase, 9) + " " +
                   cell(role.lease, 9) + " " + std::to_string(role.priority)) +
           "\n";
    out += sync_text(role.sync);
    if (!role.detail.empty()) { out += paragraph("! " + role.detail, "    "); }
  }
  out += "\n" + trimmed(cell("BLADE", 20) + cell("AGENT", 14) + cell("BFD", 10) + cell("PORTS", 12)) + "\n";
  for (const auto& blade : status.blades) {
    out +=
        trimmed(cell(blade.blade.value, 19) + " " + cell(blade.agent_connected ? "connected" : "lost", 13) + " " +
                cell(link::to_string(blade.bfd), 9) + " " + cell(blade.isolated ? "isolated" : "connected", 11) + " " +
                (blade.standby ? "standby"
                 : blade.spare ? "spare"
                               : "")) +
        "\n";
    if (!blade.detail.empty()) { out += paragraph("! " + blade.detail, "    "); }
  }
  if (status.witnesses.empty()) { return out; }
  out += "\n" + trimmed(cell("WITNESS", 20) + cell("SEEN", 14) + cell("BY", 10) + "ADDRESS") + "\n";
  for (const auto& witness : status.witnesses) {
    out += trimmed(cell(witness.name, 19) + " " + cell(link::to_string(witness.vote), 13) + " " + cell(witness.by, 9) +
                   " " + witness.address) +
           "\n";
  }
  return out;
}

std::string status_json(const link::GroupStatus& status) {
  boost::json::array roles;
  for (const auto& role : status.roles) {
    roles.push_back({{"role", role.role.value},
                     {"state", role.state},
                     {"place", {{"blade", role.place.blade.value}, {"kind", to_string(role.place.kind)}}},
                     {"term", role.term.value},
                     {"protected", role.is_protected},
                     {"mirror_phase", role.mirror_phase},
                     {"lease", role.lease},
                     {"priority", role.priority},
                     {"sync", sync_json(role.sync)},
                     {"detail", role.detail}});
  }
  boost::json::array blades;
  for (const auto& blade : status.blades) {
    blades.push_back({{"blade", blade.blade.value},
                      {"agent", blade.agent_connected ? "connected" : "lost"},
                      {"bfd", link::to_string(blade.bfd)},
                      {"isolated", blade.isolated},
                      {"standby", blade.standby},
                      {"spare", blade.spare},
                      {"detail", blade.detail}});
  }
  boost::json::array servers;
  for (const auto& server : status.control_servers) {
    servers.push_back({{"address", server.address}, {"state", server.state}, {"since_ns", server.since_ns}});
  }
  boost::json::array witnesses;
  for (const auto& witness : status.witnesses) {
    witnesses.push_back({{"witness", witness.name},
                         {"address", witness.address},
                         {"by", witness.by},
                         {"vote", link::to_string(witness.vote)}});
  }
  const boost::json::object root = {{"group",
                                     {{"standby", status.standby.value},
                                      {"movement", link::to_string(status.movement)},
                                      {"bfd",
                                       {{"interval_ms", status.bfd.interval_ms},
                                        {"multiplier", status.bfd.multiplier},
                                        {"authentication", link::to_string(status.bfd.authentication)},
                                        {"key_id", status.bfd.key_id}}},
                                      {"plain_text", status.plain_text}}},
                                    {"control_servers", servers},
                                    {"control_alarm", status.control_alarm},
                                    {"roles", roles},
                                    {"blades", blades},
                                    {"witnesses", witnesses}};
  return boost::json::serialize(root);
}

std::string event_text(const link::EventRecord& event) {
  const std::string when_and_who = local_time(event.time_ns) + " " + cell(link::to_string(event.severity), 7) + " " +
                                   cell(event.role.empty() ? event.blade.value : event.role.value, 10) + " " +
                                   cell(event.kind, 9) + " ";
  std::string line;
  if (event.kind == "phase") {
    std::array<char, 32> took{};
    std::snprintf(took.data(), took.size(), "%.3f ms", event.ms);
    line += cell(event.phase, 11) + " " + took.data() + (event.text.empty() ? "" : ", ");
  }
  line += event.text;
  for (auto& c : line) {
    if (c == '\n') { c = ' '; }
  }
  // What does not fit goes on below its own column.
  auto lines = paragraph(line, std::string(when_and_who.size(), ' '));
  if (lines.empty()) { return trimmed(when_and_who); }
  lines.pop_back();
  return lines.replace(0, when_and_who.size(), when_and_who);
}

std::string event_json(const link::EventRecord& event) {
  return boost::json::serialize(boost::json::object{{"id", event.id},
                                                    {"time_ns", event.time_ns},
                                                    {"severity", link::to_string(event.severity)},
                                                    {"kind", event.kind},
                                                    {"role", event.role.value},
                                                    {"blade", event.blade.value},
                                                    {"phase", event.phase},
                                                    {"ms", event.ms},
                                                    {"text", event.text}});
}

}  // namespace understudy::cli
