// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The control-server: its real core, and an edge that does what control-server/edge/service.cpp does, in its order.
/// The store answers within the step, switch and power have a worker each, which does one thing after the other.

#include <memory>
#include <string>

#include "world.hpp"

namespace understudy::sim {

/// What the control-server believes of a role.
struct RoleView {
  unsigned state = 0;  ///< index in kStateNames
  std::string name = "down";
  Place place;
  Term term;
  bool frozen = false;  ///< "a person decides"
  std::string detail;
  std::string lease;
};

class ControlNode {
 public:
  explicit ControlNode(World& world);
  ~ControlNode();

  void start();
  void crash();
  /// Its machine has lost its power already: nothing is closed.
  void power_lost();
  /// The disk loses what was written last, or all of it. The control-server must be down.
  void lose_store();
  void tear_store(unsigned writes);
  [[nodiscard]] Process& process();
  [[nodiscard]] RoleView view(unsigned role) const;
  void operator_move(unsigned role);
  void operator_switchover(unsigned role, bool force);
  void operator_policy(bool always);
  /// Called when a mirror is told to take over, and when a role's state is another one than before.
  void on_activate(std::function<void(unsigned role, Term term)> callback);
  /// Before the orders of the step in which a takeover is decided.
  void on_takeover(std::function<void(unsigned role)> callback);
  void on_state(std::function<void(unsigned role, unsigned state)> callback);
  [[nodiscard]] unsigned state(unsigned role) const;

  /// A host-agent's stream is there; `say` carries an order to it, false when the stream is closed.
  using SessionId = unsigned;
  SessionId attach(std::function<bool(const link::Order&)> say, std::function<void()> close);
  void report(SessionId session, const link::Report& report);
  void detached(SessionId session);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::sim
