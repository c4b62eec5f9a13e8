// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Processes that outlive the one that started them: started in a group of their own, found again by pid and start
/// time, signalled only through a pidfd (a pid may belong to somebody else by now).

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "descriptor.hpp"
#include "understudy/common/result.hpp"

namespace understudy::app {

/// A process, beyond doubt: pids are used again, a pid with its start time is not (within one boot).
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< field 22 of /proc/PID/stat
  bool operator==(const ProcessIdentity&) const = default;
};

struct Process {
  ProcessIdentity identity;
  Descriptor pidfd;  ///< readable once the process has ended
};

struct SpawnOptions {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;  ///< replaces and adds to our own
  std::string network_namespace;
  std::string log_path;
  std::string pid_path;
};

/// Starts the command; the child executes only after its identity is in `pid_path`.
Result<Process> spawn(const SpawnOptions& options);

/// The running process that `pid_path` names. NotFound: no such file, or that process has ended.
Result<Process> find_running(const std::string& pid_path);

/// Damaged: not of our making. NotFound: no such file.
Result<ProcessIdentity> read_pid_file(const std::string& path);

Status send_signal(const Process& process, int signal);

}  // namespace understudy::app
