// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The agent's side of an application: one Supervisor runs one application process, for host-agent and guest-agent.
///
///      start() ──► forked, pid file written, exec ──► connects to our socket ──► status: standing by, ready
///         │                                                                          │ activate, quiesce, stand_by
///         └──► found running (pid file of a former agent): watched by pidfd,         ▼
///              connects again by itself, goes on serving meanwhile               done(status) once
///
/// Invariants
///   - The application outlives the agent: no parent-death signal, a process group of its own, and the destructor
///     leaves it running. A later Supervisor with the same run_dir and name finds it by pid *and* start time.
///   - The child executes only after its pid file is written: an agent that dies in between leaves no process behind.
///   - Every `done` is called exactly once, never from within the call that it was given to.
///   - Only processes of the application's own process group may speak on the socket. What they say is bounded.
///
/// Threads: the one that runs the io_context.

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "understudy/app/lifecycle.hpp"
#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"

namespace understudy::app {

struct ApplicationOptions {
  std::string name;                                              ///< of the socket and the pid file; no slash
  std::vector<std::string> command;                              ///< absolute path of the program, then its arguments
  std::vector<std::pair<std::string, std::string>> environment;  ///< besides the agent's own
  std::string network_namespace;  ///< path of a namespace to enter, e.g. "/run/netns/role-2"; empty: the agent's
  std::string run_dir;            ///< made when absent; on a file system that the reboot empties
  std::string log_path;           ///< standard output and error are appended to it; empty: the agent's own
  std::string region_path;
  std::uint64_t region_bytes = 0;
  std::string store;
  std::uint64_t region_offset = 0;  ///< where in its file the region begins
};

/// How the application ended.
struct ApplicationExit {
  bool known = false;                          ///< false: it was started by a former agent, only its end is known
  int status = 0;                              ///< exit status, when `signal` is 0
  int signal = 0;                              ///< the signal that ended it
  bool expected = false;                       ///< stop() had been called
  [[nodiscard]] std::string describe() const;  ///< e.g. "ended by signal 11"
};

/// What the application last said of itself.
struct ApplicationStatus {
  bool running = false;
  bool connected = false;
  bool ready = false;            ///< able to become active
  bool needs_quiescing = false;  ///< it declared that nothing may freeze it before it is quiesced
  bool quiesced = false;         ///< with Duty::Quiescing: nothing is under way any more
  Duty duty = Duty::StandingBy;
  Term term;
  pid_t pid = 0;
  std::string reason;  ///< why it lost its store or refused an order; empty otherwise
  std::string unfit;   ///< why this blade is no good place for it, by its own word; empty: it is
  bool operator==(const ApplicationStatus&) const = default;
};

class Supervisor {
 public:
  using Done = std::function<void(Status)>;
  using Deadline = std::chrono::milliseconds;

  struct Callbacks {
    std::function<void(const ApplicationExit&)> on_exit;      ///< the process is gone
    std::function<void(const ApplicationStatus&)> on_status;  ///< something of it changed
  };

  Supervisor(boost::asio::io_context& io, ApplicationOptions options, Callbacks callbacks);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();  ///< leaves the application running; pending `done`s are dropped

  /// Finds the running application or starts it. Also after on_exit, to start it again.
  Status start();
  [[nodiscard]] bool adopted() const;  ///< start() found it running
  [[nodiscard]] const ApplicationStatus& status() const;

  /// Orders. One at a time: a new one replaces the one under way, whose `done` gets Refused. An order given
  /// before the application has connected is sent when it does. Expired: not done within the deadline, the
  /// order stands all the same. Failed: the application ended. Refused: it said no (its reason in the message).
  void wait_ready(Deadline deadline, Done done);
  void stand_by(Deadline deadline, Done done);
  void activate(Term term, Deadline deadline, Done done);
  void quiesce(Deadline deadline, Done done);

  struct StopDeadlines {
    Deadline ask{200};         ///< from the order to SIGTERM
    Deadline terminate{2000};  ///< from SIGTERM to SIGKILL
    Deadline kill{5000};       ///< from SIGKILL until it is given up as unkillable (Expired)
  };
  /// Ends the application: order, SIGTERM, SIGKILL. on_exit is called before `done`.
  void stop(StopDeadlines deadlines, Done done);
  void stop(Done done) { stop(StopDeadlines{}, std::move(done)); }

  /// SIGKILL at once (through the pidfd); on_exit follows.
  void kill_now();

  [[nodiscard]] const std::string& socket_path() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  ///< handlers in flight hold weak references
};

}  // namespace understudy::app
