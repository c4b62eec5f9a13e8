// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Runs the roles' health commands: no shell, a process group of its own that is killed as a whole when its time is up
/// or its first process has ended, and of its output only the last line.
///
///   run ─► spawned ─► ends ──────────────────────────► done("" or how it ended: last line)
///              └── its deadline ─► SIGKILL ─► ends ──► done(what was too long)
///                                     └── not even then: done; nothing is run for this role before it is gone
///
/// Invariants: `done` is called once for each run, never from within it; of a role one command runs at a time; none
/// outlives this object.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "understudy/link/messages.hpp"

namespace understudy::host {

class HealthRunner {
 public:
  using Done = std::function<void(const std::string& failure)>;

  explicit HealthRunner(boost::asio::io_context& io);
  HealthRunner(const HealthRunner&) = delete;
  HealthRunner& operator=(const HealthRunner&) = delete;
  ~HealthRunner();

  /// `network_namespace`: the path of the role's own; empty: ours.
  void run(const RoleId& role, const link::HealthSpec& health, const std::string& network_namespace, Done done);

 private:
  struct Run;
  struct Runs;
  boost::asio::io_context& io_;
  std::shared_ptr<Runs> runs_;
};

/// The last line that says something, without control characters, 200 bytes of it.
[[nodiscard]] std::string last_line_of(const std::string& output);

}  // namespace understudy::host
