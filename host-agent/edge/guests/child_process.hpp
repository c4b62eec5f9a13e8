// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A process that outlives the daemon that started it, and how a later daemon finds it again.
///
///   spawn: fork ──► child waits ──► parent writes its record ──► released ──► exec
///                     └── parent dies first: end of file, the child ends without exec
///
/// Invariants
///   - A process that runs its program has a record; a record whose process is gone is recognised by start time and
///     boot id (a pid alone may have been given to somebody else meanwhile).
///   - No death signal ties a guest to the daemon (D13); signals go through the pidfd only.
///   - The child has none of the daemon's descriptors, its own session and process group, default signal handling.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::host {

/// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// Which process, so that no other one is taken for it.
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< clock ticks since boot, /proc/PID/stat
  std::string boot_id;
  bool operator==(const ProcessIdentity&) const = default;
};

struct SpawnOptions {
  std::vector<std::string> command;           ///< command[0] is looked up in PATH
  std::string output_path;                    ///< standard output and error; created anew, 0600
  int output_fd = -1;                         ///< instead of output_path
  std::uint64_t file_bytes_max = 0;           ///< longest file it may write (its logs are a guest's text); 0: no limit
  bool dies_with_daemon = false;              ///< a try that owns nothing; a guest never is one
  std::vector<std::string> environment = {};  ///< "NAME=value", beside the daemon's own
  std::string network_namespace = {};         ///< the path of one to enter; empty: the daemon's
};

struct SpawnedProcess {
  ProcessIdentity identity;
  UniqueFd pidfd;  ///< readable when it has ended
};

/// Starts `command`; `record` is called with the identity before the program runs, and its failure ends it all.
Result<SpawnedProcess> spawn(const SpawnOptions& options, const std::function<Status(const ProcessIdentity&)>& record);

/// A descriptor of exactly this process. NotFound: it is gone.
Result<UniqueFd> open_process(const ProcessIdentity& identity);

/// SIGKILL; success also when it has ended already.
Status kill_process(const UniqueFd& pidfd);

/// How a child of ours ended, "" while it runs. Also frees it. A process of a former daemon has just "ended".
std::string collect_exit(const UniqueFd& pidfd);

/// This boot of this machine.
Result<std::string> read_boot_id();

/// A small file, whole. NotFound: there is none. Damaged: longer than `bytes_max`.
Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max);
/// Written under a temporary name and renamed: readers see the old or the new content.
Status write_file_atomically(const std::string& path, const std::string& content);

}  // namespace understudy::host
