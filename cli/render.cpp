// SPDX-License-Identifier: Apache-2.0
#include "render.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <vector>

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

/// One table: each column as wide as its longest cell, since two names that are cut may look the same.
class Table {
 public:
  /// The least width of each column; the last one needs none.
  Table(std::vector<std::string> titles, std::vector<std::size_t> widths) : widths_(std::move(widths)) {
    add(std::move(titles));
  }
  void add(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < widths_.size() && i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], cells[i].size() + 1);
    }
    rows_.push_back({std::move(cells), ""});
  }
  /// Below the last row.
  void below(const std::string& lines) { rows_.back().second += lines; }
  void remark(const std::string& text) {
    if (!text.empty()) { below(paragraph("! " + text, "    ")); }
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& [cells, remark] : rows_) {
      std::string line;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        line += i < widths_.size() ? cell(cells[i], widths_[i]) : cells[i];
      }
      out += trimmed(line) + "\n" + remark;
    }
    return out;
  }

 private:
  std::vector<std::size_t> widths_;
  std::vector<std::pair<std::vector<std::string>, std::string>> rows_;
};

/// Empty where there is one.
std::string control_servers_text(const link::GroupStatus& status) {
  if (status.control_servers.empty()) { return ""; }
  Table table({"CONTROL-SERVER", "STATE", "SINCE"}, {28, 10});
  for (const auto& server : status.control_servers) {
    table.add({server.address, server.state, server.since_ns != 0 ? local_time(server.since_ns) : ""});
  }
  return table.text() + "\n";
}

std::string roles_text(const link::GroupStatus& status) {
  Table table({"ROLE", "STATE", "PLACE", "TERM", "MIRROR", "LEASE", "PRIO"}, {20, 14, 28, 8, 10, 10});
  for (const auto& role : status.roles) {
    const bool placed = !role.place.blade.empty();
    table.add({role.role.value, role.state, placed ? to_string(role.place) : "-",
               placed ? std::to_string(role.term.value) : "-", role.mirror_phase, role.lease,
               std::to_string(role.priority)});
    table.below(sync_text(role.sync));
    table.remark(role.detail);
  }
  return table.text();
}

std::string agent_text(const link::BladeStatus& blade) {
  return !blade.agent.empty() ? blade.agent : blade.agent_connected ? "connected" : "lost";
}

/// Of a control-server that tells less: what it did tell.
std::string ports_text(const link::BladeStatus& blade) {
  return !blade.ports.empty() ? blade.ports : blade.isolated ? "isolated" : "connected";
}

std::string blades_text(const link::GroupStatus& status) {
  Table table({"BLADE", "AGENT", "BFD", "PORTS"}, {20, 14, 10, 12});
  for (const auto& blade : status.blades) {
    table.add({blade.blade.value, agent_text(blade), link::to_string(blade.bfd), ports_text(blade),
               blade.standby ? "standby"
               : blade.spare ? "spare"
                             : ""});
    table.remark(blade.detail);
  }
  return table.text();
}

std::string witnesses_text(const link::GroupStatus& status) {
  if (status.witnesses.empty()) { return ""; }
  Table table({"WITNESS", "SEEN", "BY", "ADDRESS"}, {20, 14, 10});
  for (const auto& witness : status.witnesses) {
    table.add({witness.name, link::to_string(witness.vote), witness.by, witness.address});
  }
  return "\n" + table.text();
}

}  // namespace

std::string status_text(const link::GroupStatus& status, std::int64_t time_ns) {
  const auto standby = status.standby.empty() ? "none: it has become an active" : status.standby.value;
  std::string out =
      paragraph(local_time(time_ns) + ", standby " + standby + ", movement " + link::to_string(status.movement) +
                    (status.power.empty() ? "" : ", power " + status.power),
                "") +
      paragraph("BFD " + std::string(link::to_string(status.bfd)), "");
  if (status.plain_text) { out += "! PLAIN TEXT: the wires have no protection ([tls] plain_text = true)\n"; }
  if (status.store_plain_text) {
    out += "! PLAIN TEXT: etcd is spoken to without protection ([control.etcd] plain_text = true)\n";
  }
  if (!status.control_alarm.empty()) { out += paragraph("! NOBODY DECIDES: " + status.control_alarm, ""); }
  for (const auto& alarm : status.alarms) { out += paragraph("! " + alarm, ""); }
  return out + "\n" + control_servers_text(status) + roles_text(status) + "\n" + blades_text(status) +
         witnesses_text(status);
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
                      {"agent", agent_text(blade)},
                      {"bfd", link::to_string(blade.bfd)},
                      {"isolated", blade.isolated},
                      {"ports", ports_text(blade)},
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
                                      {"power", status.power},
                                      {"bfd",
                                       {{"interval_ms", status.bfd.interval_ms},
                                        {"multiplier", status.bfd.multiplier},
                                        {"authentication", link::to_string(status.bfd.authentication)},
                                        {"key_id", status.bfd.key_id}}},
                                      {"plain_text", status.plain_text},
                                      {"store_plain_text", status.store_plain_text}}},
                                    {"control_servers", servers},
                                    {"control_alarm", status.control_alarm},
                                    {"alarms", boost::json::value_from(status.alarms)},
                                    {"roles", roles},
                                    {"blades", blades},
                                    {"witnesses", witnesses}};
  return boost::json::serialize(root);
}

/// A role that nothing understudies, or that waits to be taken over and says for what, is lost with the next failure,
/// or is so already.
int status_exit(const link::GroupStatus& status) {
  if (!status.control_alarm.empty()) { return kNobodyDecides; }
  for (const auto& role : status.roles) {
    const bool under_way = role.state == "starting" || role.state == "moving" || role.state == "unknown";
    const bool waits = role.state == "taking-over" && !role.detail.empty();
    const bool alone = role.state != "taking-over" && !under_way && !role.is_protected;
    if (role.state == "lost" || waits || alone) { return kInDanger; }
  }
  return 0;
}

Result<link::Severity> parse_severity(const std::string& text) {
  for (const auto severity : {link::Severity::Info, link::Severity::Warning, link::Severity::Alarm}) {
    if (text == link::to_string(severity)) { return severity; }
  }
  return failure("\"" + text + "\" is no severity; write info, warning or alarm", Errc::BadInput);
}

std::string EventLines::text(const link::EventRecord& event) {
  std::string names = event.role.value;
  if (!event.blade.empty()) { names += (names.empty() ? "" : " ") + event.blade.value; }
  names_ = std::max(names_, std::min(names.size(), kNamesMax));
  std::string when_and_who = local_time(event.time_ns) + " " + cell(link::to_string(event.severity), 7) + " " + names +
                             std::string(names_ - std::min(names_, names.size()), ' ') + " " + cell(event.kind, 10) +
                             " ";
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
  // What does not fit goes on below its own column; behind long names there is no room for one.
  if (names.size() > kNamesMax) {
    const auto below = paragraph(line, std::string(8, ' '));
    return trimmed(when_and_who) + (below.empty() ? "" : "\n" + below.substr(0, below.size() - 1));
  }
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
