// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One mirror's VM: QEMU as a child that outlives this daemon, its monitor, its guest channel.
///
///   start() ──► QEMU runs ──► hello, echo ──► on_hello … on_event … (on_lost, on_hello) … ──► on_exit, once, last
///   adopt() ──►     │           └── not the same bytes: on_failed, and no on_hello unless it serves already
///                   └── no hello within the boot deadline: on_failed (QEMU still runs; kill() it)
///
/// Invariants
///   - Nothing is started over a region file that would make QEMU abort (checked first).
///   - The destructor leaves QEMU running: a restarted host-agent adopts it (D13). What ends a guest is
///     shut_down() (shutdown_ladder.hpp) or kill().
///   - After kill() has reported success no instruction of the guest runs any more: its memory is ours (rule 14).
///   - Callbacks come from the io_context's thread, never from within a call; deleting the Guest in one is allowed.

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "edge/guests/agent_channel.hpp"
#include "edge/guests/guest_record.hpp"
#include "edge/guests/qemu_command.hpp"
#include "edge/guests/qmp_client.hpp"
#include "understudy/common/result.hpp"

namespace understudy::host {

struct GuestCallbacks {
  std::function<void(const link::guest::Hello&)> on_hello;       ///< a conversation begins: send Configure
  std::function<void(const std::string&)> on_slow_memory;        ///< before on_hello: one sentence for a warning
  std::function<void(const link::guest::GuestEvent&)> on_event;  ///< all other events of the guest-agent
  std::function<void()> on_lost;                                 ///< the guest-agent is gone; the guest may serve on
  std::function<void(const QmpEvent&)> on_qmp_event;
  std::function<void(const Error&)>
      on_failed;  ///< it did not come up (names the console log), or does not share the region
  std::function<void(const std::string&)> on_exit;  ///< how QEMU ended, one sentence; the record is removed
};

enum class GuestWeight { Idle, Serving };

class Guest {
 public:
  using Deadline = std::chrono::milliseconds;
  using Done = std::function<void(Status)>;

  /// Refused: a mirror of this role runs already (adopt it). BadInput, NotFound: see check_options().
  static Result<std::unique_ptr<Guest>> start(boost::asio::io_context& io, GuestOptions options,
                                              GuestCallbacks callbacks, Deadline boot_deadline);
  /// NotFound: no mirror of this role runs (a record of a dead one is removed).
  static Result<std::unique_ptr<Guest>> adopt(boost::asio::io_context& io, const std::string& run_dir,
                                              const std::string& role, GuestCallbacks callbacks,
                                              Deadline boot_deadline);
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest();

  [[nodiscard]] const GuestRecord& record() const;
  [[nodiscard]] bool gone() const;
  [[nodiscard]] bool has_spoken() const;  ///< a hello was heard, and the echo test has ended

  /// Refused: no conversation with the guest-agent.
  Status send(const link::guest::GuestOrder& order);
  QmpClient& qmp();

  /// SIGKILL through the pidfd; `done` when the process is gone. Expired: it is unkillable (stuck in the kernel).
  void kill(Deadline deadline, Done done);
  /// Calls `done` when the process is gone.
  void when_gone(std::function<void()> done);

  /// CPU share against the other guests and the host's own work.
  Status set_weight(GuestWeight weight);

  /// "…; see LOG, it says: LINE" for messages about this guest.
  [[nodiscard]] std::string console_hint() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
  explicit Guest(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
};

}  // namespace understudy::host
