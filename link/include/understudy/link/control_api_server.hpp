// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The control-server's side of the control API.
///
///     gRPC's threads ──post──► io_context: handlers        (one thread decides, gRPC's threads only carry)
///                    ◄─queue── send(session, order)
///
/// Invariants: every handler runs on the io_context; a session's reports come in order, the first is a Hello
/// (another first report, a report that is not valid, or a full queue ends the session); on_detached comes exactly once
/// for a session that was attached, and nothing comes after it. A session outlives its certificate; who reads the event
/// log does not.
///
/// Rights, by the certificate of the caller: a blade attaches, and its Hello must name itself; operators and viewers
/// look; operators change. On a plain wire everybody may everything.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"
#include "understudy/link/messages.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link {

/// One Attach stream. A restarted agent has a new one, maybe before its old one is known to be gone.
using SessionId = std::uint64_t;

/// Who changes something, and why.
struct Command {
  std::string who;     ///< by certificate: "operator alice"
  std::string reason;  ///< as the operator gave it; empty only of what stops and moves no role
  /// Whether the caller has given up, or its deadline has passed. Any time, cheap; not set: it never does.
  std::function<bool()> is_gone = {};
};

/// What was begun, or why nothing was. Expired: this control-server does not lead.
using CommandAnswer = std::function<void(const Result<std::string>&)>;
using EventsAnswer = std::function<void(const Result<std::vector<EventRecord>>&)>;

struct ControlApiHandlers {
  /// How every blade is watched; each is told when it attaches.
  std::optional<BfdParameters> bfd = {};
  std::function<void(SessionId, const Report&)> on_report;
  std::function<void(SessionId, const std::string& why)> on_detached;
  std::function<GroupStatus()> status;
  // What changes something is answered once, now or later.
  std::function<void(const Command&, const RoleId&, const CommandAnswer&)> move_role;
  std::function<void(const Command&, MovementPolicy, const CommandAnswer&)> set_movement_policy;
  std::function<void(const Command&, const BladeId&, const CommandAnswer&)> let_back;
  std::function<void(const Command&, const RoleId&, bool force, const CommandAnswer&)> switchover;
  std::function<void(const Command&, const BladeId&, bool on, bool force, const CommandAnswer&)> power;
  /// Somebody asked for what its certificate does not allow, or has none that is good. Already refused; for the event
  /// log. `at`: the blade whose wire it was and that tells of it; empty: this control API.
  std::function<void(const BladeId& at, const std::string& what)> on_refused;
  /// A host-agent has proved to be `blade`, by a certificate that ends at `not_after` (seconds since 1970).
  std::function<void(SessionId, const BladeId& blade, std::int64_t not_after)> on_certificate;
  /// Seconds since 1970, asked on any thread; not set: by the wall's clock.
  std::function<std::int64_t()> now = {};
  /// At most `limit` events with an id above `after`, oldest first, told by `answer` now or later.
  std::function<void(std::uint64_t after, std::size_t limit, EventsAnswer answer)> events_after;
  /// The id of the newest event, told now or later; not set: who asks for the last ones gets all.
  std::function<void(std::function<void(const Result<std::uint64_t>&)> answer)> newest_event = {};
};

/// Of several control-servers one leads. One that follows refuses blades and operators' changes, and tells both who
/// leads; status and event log are there everywhere.
///
/// Made, used and destroyed on the io_context's thread. No handler runs after the destructor.
class ControlApiServer {
 public:
  /// Listens at `address` ("host:port", port 0 picks one). `state_id` is told to every agent; empty: it follows at
  /// first, and knows of nobody who leads.
  static Result<std::unique_ptr<ControlApiServer>> listen(boost::asio::io_context& io, const std::string& address,
                                                          const tls::Wire& wire, std::string state_id,
                                                          ControlApiHandlers handlers);
  ~ControlApiServer();
  ControlApiServer(const ControlApiServer&) = delete;
  ControlApiServer& operator=(const ControlApiServer&) = delete;

  [[nodiscard]] int port() const;
  /// From now on agents may attach; each order carries the token.
  void lead(const std::string& state_id, std::uint64_t token);
  /// Ends the sessions of a leadership. `leader`: "address:port", empty: nobody.
  void follow(const std::string& leader);
  /// False: that session is gone.
  bool send(SessionId session, const Order& order);
  /// Ends a session (its agent will come again).
  void close(SessionId session);
  /// Tells the followers of the event log that there is more.
  void wake_followers();

  class Impl;  ///< of link/src only

 private:
  explicit ControlApiServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy::link
