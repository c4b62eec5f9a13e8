// SPDX-License-Identifier: Apache-2.0
#pragma once
/// QEMU's monitor (QMP): commands with deadlines, events.
///
///   connect ──► greeting ──► qmp_capabilities ──► Ready ──► commands, each answered once by id, or Expired
///      ▲  (retried while QEMU starts)                │
///      └──────────── the socket closes ◄─────────────┘ on_closed, every pending command fails
///
/// Invariants
///   - Every `done` is called exactly once, never from within the call that it was given to.
///   - What arrives is bounded: lines, nesting, pending commands. A line that is no QMP ends the connection.
///   - freeze() is done at the STOP event: the vCPUs stand still then; the reply may wait for a disk (rule 12).
///
/// Threads: the one that runs the io_context.

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"

namespace understudy::host {

struct QmpEvent {
  std::string name;  ///< STOP, RESUME, SHUTDOWN, GUEST_PANICKED, VSERPORT_CHANGE, ...
  boost::json::object data;
};

class QmpClient {
 public:
  using Deadline = std::chrono::milliseconds;
  using Done = std::function<void(Status)>;
  using Answer = std::function<void(Result<boost::json::value>)>;
  using Timed = std::function<void(Result<Duration>)>;

  struct Callbacks {
    std::function<void(const QmpEvent&)> on_event;
    std::function<void(const Error&)> on_closed;  ///< after a connection that had been ready
  };

  QmpClient(boost::asio::io_context& io, Callbacks callbacks);
  QmpClient(const QmpClient&) = delete;
  QmpClient& operator=(const QmpClient&) = delete;
  ~QmpClient();  ///< drops pending `done`s

  /// Connects, again and again until `deadline` (QEMU makes the socket some time after its start).
  void connect(const std::string& socket_path, Deadline deadline, Done done);
  [[nodiscard]] bool ready() const;

  /// Refused: not ready, or too many commands wait. Expired: no answer in time (a later one is dropped).
  void execute(const std::string& command, boost::json::object arguments, Deadline deadline, Answer done);

  /// Stops the vCPUs; tells the time from the command to the STOP event. Success when they stand still already.
  void freeze(Deadline deadline, Timed done);
  void thaw(Deadline deadline, Done done);
  void quit(Deadline deadline, Done done);
  void powerdown(Deadline deadline, Done done);
  /// Carrier of a NIC, by netdev id. The first rung when a guest must not speak any more.
  void set_link(const std::string& netdev, bool up, Deadline deadline, Done done);

  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  ///< handlers in flight hold weak references
};

}  // namespace understudy::host
