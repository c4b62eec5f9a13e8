// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Everything that can happen to a group. The edge makes these from sockets, timers, the store and the switch.

#include <optional>
#include <string>
#include <variant>

#include "understudy/link/messages.hpp"

namespace understudy::control {

struct Started {};  ///< once, before anything else
struct Tick {};     ///< time has passed: at next_deadline() or later

struct AgentReport {  ///< `blade` is who the stream belongs to; a Hello opens it
  BladeId blade;
  link::Report report;
};
struct AgentLost {
  BladeId blade;
};
struct BfdChanged {  ///< this control-server's own view
  BladeId peer;
  link::Vote vote = link::Vote::Unknown;
};

struct WitnessSeen {  ///< an independent witness: told whenever one of the two changes
  std::string name;
  link::Vote vote = link::Vote::Unknown;
  std::optional<Instant> answered_since;  ///< by the clock: every echo that was sent from then on was answered
};

struct StoreDone {  ///< answer to Persist; `term` is the highest one of what was stored
  RoleId role;
  Term term;
};
struct StoreFailed {
  RoleId role;
  Term term;
  bool conflict = false;  ///< the store holds another ownership than was expected; else it may be tried again
  std::string detail;
};
struct IsolateDone {  ///< every service port read back as closed
  BladeId blade;
};
struct IsolateFailed {
  BladeId blade;
  std::string detail;
};
struct ReadmitDone {
  BladeId blade;
};
struct ReadmitFailed {
  BladeId blade;
  std::string detail;
};
struct PortsSeen {  ///< what the switch said, at the start or to LookAtPorts
  BladeId blade;
  bool isolated = false;     ///< every port
  bool half_closed = false;  ///< one and not all
  bool known = true;         ///< false: the switch does not tell
};
struct PowerDone {  ///< confirmed off
  BladeId blade;
};
struct PowerFailed {
  BladeId blade;
  std::string detail;
};

struct OperatorMove {
  RoleId role;
};
struct OperatorSwitchover {
  RoleId role;
  bool force = false;  ///< although a vote is missing, or the standby is held out or lacks a link
};
struct OperatorPolicy {
  link::MovementPolicy policy = link::MovementPolicy::Manual;
};
struct OperatorLetBack {
  BladeId blade;
};

using Event = std::variant<Started, Tick, AgentReport, AgentLost, BfdChanged, StoreDone, StoreFailed, IsolateDone,
                           IsolateFailed, ReadmitDone, ReadmitFailed, PortsSeen, PowerDone, PowerFailed, OperatorMove,
                           OperatorPolicy, OperatorLetBack, OperatorSwitchover, WitnessSeen>;

}  // namespace understudy::control
