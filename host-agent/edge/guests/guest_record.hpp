// SPDX-License-Identifier: Apache-2.0
#pragma once
/// <run_dir>/mirror-<role>.json: how a restarted host-agent finds its guests again (D13). Written before QEMU runs its
/// first instruction, removed when it is known to have ended.

#include <string>
#include <vector>

#include "edge/guests/child_process.hpp"
#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::host {

struct GuestNic {
  std::string id;   ///< logical port, e.g. "ext"; QMP's set_link knows the NIC by it
  std::string tap;  ///< exists already, in a bridge with its gate closed
  MacAddress mac;
  bool operator==(const GuestNic&) const = default;
};

struct GuestRecord {
  std::string role;
  ProcessIdentity process;
  std::string accelerator;
  std::string qmp_socket;
  std::string agent_socket;
  std::string shell_socket;    ///< empty: no debug shell
  std::string monitor_socket;  ///< a second monitor beside the daemon's own; empty: none
  std::string console_log;
  std::string qemu_log;
  std::string region_path;
  std::uint64_t region_bytes = 0;
  std::vector<GuestNic> nics;
  bool operator==(const GuestRecord&) const = default;
};

[[nodiscard]] std::string record_path(const std::string& run_dir, const std::string& role);
Status write_record(const std::string& run_dir, const GuestRecord& record);
/// NotFound: no such mirror was started here.
Result<GuestRecord> read_record(const std::string& run_dir, const std::string& role);
void remove_record(const std::string& run_dir, const std::string& role);
/// Roles that have a record, in order of name.
[[nodiscard]] std::vector<std::string> recorded_roles(const std::string& run_dir);

}  // namespace understudy::host
