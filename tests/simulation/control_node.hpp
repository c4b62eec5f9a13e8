// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The control-servers: one with a store that answers within the step, or several with etcd. Each is the real core, and
/// an edge that does what control-server/edge/service*.cpp and election.cpp do, in their order. Switch and power have a
/// worker each, which does one thing after the other.

#include <memory>
#include <optional>
#include <string>

#include "world.hpp"

namespace understudy::sim {

/// What the control-server that leads believes of a role.
struct RoleView {
  unsigned state = 0;  ///< index in kStateNames
  std::string name = "down";
  Place place;
  Term term;
  bool frozen = false;  ///< "a person decides"
  std::string detail;
  std::string lease;
};

struct ControlServers;

class ControlNode {
 public:
  explicit ControlNode(World& world);
  ~ControlNode();

  void start(unsigned server);
  void crash(unsigned server);
  /// Its machine has lost its power already: nothing is closed.
  void power_lost(unsigned server);
  /// The disk of the only one loses what was written last, or all of it. It must be down.
  /// False: it had nothing to lose.
  bool lose_store();
  bool tear_store(unsigned writes);
  [[nodiscard]] Process& process(unsigned server);
  /// Who decides at this moment, by its own belief, under the highest token; none: nobody.
  [[nodiscard]] std::optional<unsigned> leader() const;
  [[nodiscard]] RoleView view(unsigned role) const;
  /// False: it was refused, or nobody was there to hear it.
  bool operator_move(unsigned role);
  bool operator_switchover(unsigned role, bool force);
  bool operator_policy(bool always);
  /// Called when a mirror is told to take over, and when a role's state is another one than before.
  void on_activate(std::function<void(unsigned role, Term term)> callback);
  /// Before the orders of the step in which a takeover is decided.
  void on_takeover(std::function<void(unsigned role)> callback);
  void on_state(std::function<void(unsigned role, unsigned state)> callback);
  /// Its loop has hung for too long, and its service manager has ended it.
  void on_watchdog(std::function<void(unsigned server)> callback);
  [[nodiscard]] unsigned state(unsigned role) const;

  // --- for host-agents ---
  [[nodiscard]] bool decides(unsigned server) const;
  [[nodiscard]] std::uint64_t token(unsigned server) const;
  [[nodiscard]] std::optional<unsigned> whom_it_follows(unsigned server) const;
  /// A host-agent's stream is there; `say` carries an order to it, false when the stream is closed.
  using SessionId = unsigned;
  SessionId attach(unsigned server, std::function<bool(const link::Order&)> say, std::function<void()> close);
  void report(unsigned server, SessionId session, const link::Report& report);
  void detached(unsigned server, SessionId session);

 private:
  std::unique_ptr<ControlServers> impl_;
};

}  // namespace understudy::sim
