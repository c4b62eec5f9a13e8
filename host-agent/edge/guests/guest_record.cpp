// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/guest_record.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>

#include "understudy/link/json_fields.hpp"

namespace understudy::host {
namespace {

namespace json = boost::json;
constexpr std::size_t record_bytes_max = 64 * 1024;
constexpr std::size_t nics_max = 64;
constexpr std::string_view prefix = "mirror-";
constexpr std::string_view suffix = ".json";

json::value to_json(const GuestRecord& record) {
  json::array nics;
  for (const auto& nic : record.nics) {
    nics.push_back({{"id", nic.id}, {"tap", nic.tap}, {"mac", nic.mac.to_string()}});
  }
  return {{"role", record.role},
          {"pid", record.process.pid},
          {"start_time", record.process.start_time},
          {"boot_id", record.process.boot_id},
          {"accelerator", record.accelerator},
          {"qmp", record.qmp_socket},
          {"agent", record.agent_socket},
          {"shell", record.shell_socket},
          {"monitor", record.monitor_socket},
          {"console", record.console_log},
          {"qemu_log", record.qemu_log},
          {"region", record.region_path},
          {"region_bytes", record.region_bytes},
          {"nics", nics}};
}

Result<GuestRecord> from_json(const json::value& value, const std::string& path) {
  link::JsonFields fields(value, path);
  GuestRecord record;
  record.role = fields.string("role");
  record.process.pid = static_cast<pid_t>(fields.number("pid", 1U << 30));
  record.process.start_time = fields.number("start_time");
  record.process.boot_id = fields.string("boot_id");
  record.accelerator = fields.string("accelerator");
  record.qmp_socket = fields.string("qmp");
  record.agent_socket = fields.string("agent");
  record.shell_socket = fields.string("shell");
  record.monitor_socket = fields.string("monitor");
  record.console_log = fields.string("console");
  record.qemu_log = fields.string("qemu_log");
  record.region_path = fields.string("region");
  record.region_bytes = fields.number("region_bytes");
  for (const auto& element : fields.array("nics", nics_max)) {
    link::JsonFields nic(element, "nic");
    record.nics.push_back({nic.string("id"), nic.string("tap"), nic.parsed<MacAddress>("mac")});
    fields.take(nic.finish());
  }
  if (auto done = fields.finish(); !done) { return done.error(); }
  return record;
}

}  // namespace

std::string record_path(const std::string& run_dir, const std::string& role) {
  return run_dir + "/" + std::string(prefix) + role + std::string(suffix);
}

Status write_record(const std::string& run_dir, const GuestRecord& record) {
  return write_file_atomically(record_path(run_dir, record.role), json::serialize(to_json(record)) + "\n");
}

Result<GuestRecord> read_record(const std::string& run_dir, const std::string& role) {
  const auto path = record_path(run_dir, role);
  auto text = read_small_file(path, record_bytes_max);
  if (!text) { return text.error(); }
  json::error_code error;
  const auto value = json::parse(*text, error);
  if (error) { return failure(path + " is not JSON: " + error.message(), Errc::Damaged); }
  return from_json(value, path);
}

void remove_record(const std::string& run_dir, const std::string& role) {
  std::error_code ignored;
  std::filesystem::remove(record_path(run_dir, role), ignored);
}

std::vector<std::string> recorded_roles(const std::string& run_dir) {
  std::vector<std::string> roles;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.size() <= prefix.size() + suffix.size() || !name.starts_with(prefix) || !name.ends_with(suffix)) {
      continue;
    }
    roles.push_back(name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()));
  }
  std::sort(roles.begin(), roles.end());
  return roles;
}

}  // namespace understudy::host
