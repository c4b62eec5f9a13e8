// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Operators' commands: who, what and why is in the event log before anything is done, and nothing is done for who has
/// gone.
///
///     asked ──► leads? ──► may it be? ──► written ──► leads, and may it still be? ──► done ──► answered
///                 │           │              │                 │
///                 └───────────┴──────────────┴─────────────────┴──► refused, told, nothing done
///
/// Invariants: nothing is done that is not in the log, but by force where the log cannot be written: then it waits in
/// memory, is in the daemon's own log at once, and the answer says so. What is answered as done was given to who leads.
/// Who does not wait for the answer any more was told that it failed, and may have ordered it elsewhere.

#include <functional>
#include <string>

#include "edge/event_log.hpp"
#include "understudy/link/control_api_server.hpp"

namespace understudy::control {

/// The io_context's thread only.
class Commands {
 public:
  struct Order {
    link::Command command;
    std::string what;                            ///< "move role-1"
    RoleId role;                                 ///< empty: it is about none
    std::function<Result<std::string>()> check;  ///< what is begun, or why it may not be
    std::function<void()> act;
    enum class Unlogged { Never, IfForced, Now } unlogged = Unlogged::Never;  ///< when the log cannot be written
  };
  /// `leads`: whether this control-server decides, at this instant.
  Commands(EventLog& log, std::function<bool()> leads) : log_(log), leads_(std::move(leads)) {}

  /// The answer comes now or later; Expired: this control-server does not lead (any more).
  void carry_out(Order order, const link::CommandAnswer& answer);

 private:
  void refuse(const Order& order, const Error& why);
  void act(const Order& order, const Status& written, const link::CommandAnswer& answer);

  EventLog& log_;
  std::function<bool()> leads_;
};

}  // namespace understudy::control
