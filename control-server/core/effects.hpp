// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a step wants done. The edge performs them in the listed order and answers with events. Persist before send
/// holds by construction: what needs a stored ownership is listed by the step that handles its StoreDone.

#include <string>
#include <variant>

#include "core/hold_out.hpp"
#include "core/ownership.hpp"
#include "understudy/link/control_api_status.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::control {

/// Compare-and-set: store `next` if the stored term and reservation are the expected ones.
struct Persist {
  Term expected;
  Term expected_reserved;
  Ownership next;
};
/// Write down of a blade that it failed, is held out, or was let back.
struct KeepHoldOut {
  BladeId blade;
  HoldOutAges ages;
};
/// Write down whether the role's mirror is synced: the last word of this life, for whoever decides next.
struct KeepProtection {
  RoleId role;
  bool is = false;  ///< false is flushed: a copy that was given up must never be taken for a whole one
};
struct Isolate {  ///< cut every service port of the blade and read it back
  BladeId blade;
};
struct Readmit {
  BladeId blade;
};
struct LookAtPorts {  ///< changes nothing; answered by PortsSeen
  BladeId blade;
};
struct PowerOff {
  BladeId blade;
};
struct Send {
  BladeId blade;
  link::Order order;
};
struct Note {  ///< for the event log; the edge adds id and time
  link::EventRecord event;
};

using Effect = std::variant<Persist, KeepHoldOut, KeepProtection, Isolate, Readmit, LookAtPorts, PowerOff, Send, Note>;

}  // namespace understudy::control
