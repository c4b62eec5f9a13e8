// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the blade's core asks of its edge, performed in the listed order.

#include <string>
#include <variant>
#include <vector>

#include "core/events.hpp"
#include "core/lease.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::host {

/// Perform a step for a role; answered by StepDone or StepFailed.
struct Do {
  RoleId role;
  Step step;
  Term term;
  bool operator==(const Do&) const = default;
};
/// Remember the role's bundle before the first step that needs it.
struct HoldSpec {
  link::RoleSpec spec;
  bool operator==(const HoldSpec&) const = default;
};
struct HoldMirror {
  link::RunMirror mirror;
  bool operator==(const HoldMirror&) const = default;
};
/// Write down what is now held of the role (nothing: its record goes) before anything that follows.
struct Remember {
  RoleId role;
  bool operator==(const Remember&) const = default;
};
enum class GuestOrder : std::uint8_t { Configure, Activate, Announce, Quiesce, Resume, AllowGrants, StopGrants };
struct TellGuest {
  RoleId role;
  GuestOrder order;
  Term term;
  bool operator==(const TellGuest&) const = default;
};
/// Ask the mirror for a grant; answered by GrantArrived, or not.
struct AskGrant {
  RoleId role;
  Term term;
  std::uint64_t nonce = 0;
  bool operator==(const AskGrant&) const = default;
};
/// Give the gate of a role that this host serves a timeout, and read the clock before and after: past `until` nothing
/// is opened, and what was is closed. Answered by StepDone or StepFailed of Step::TimeGate.
struct TimeGate {
  RoleId role;
  Term term;
  TimedHow how = TimedHow::Open;
  Instant until;
  Duration element{0};
  bool operator==(const TimeGate&) const = default;
};
/// Run the health command of a role that this host serves; answered by HealthAnswered.
struct CheckHealth {
  RoleId role;
  bool operator==(const CheckHealth&) const = default;
};
struct SendReport {
  link::Report report;
  bool operator==(const SendReport&) const = default;
};
enum class Severity : std::uint8_t { Info, Alarm };
struct Note {  ///< an alarm is told to the control-server too
  Severity severity = Severity::Info;
  RoleId role;
  std::string text;
  std::string topic = {};  ///< of an alarm that stands until the edge says that it is over
  bool operator==(const Note&) const = default;
};

using Effect =
    std::variant<Do, HoldSpec, HoldMirror, Remember, TellGuest, SendReport, Note, AskGrant, TimeGate, CheckHealth>;
using Effects = std::vector<Effect>;

}  // namespace understudy::host
