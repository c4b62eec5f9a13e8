// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Power that a person orders, and whether it may be. By the control API it is the leader's power worker that obeys
/// (service_power.cpp); where no control-server decides, `understudy-control-server --power` does it by itself:
///
///     check ──► who, what and why into the event log ──► the driver ──► what was read back into the event log
///
/// Invariant: nothing is switched that is not in the event log before, but by a person who says so (unlogged).

#include <string>

#include "edge/config_file.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

struct PowerOrder {
  BladeId blade;
  bool on = false;
  bool force = false;  ///< although a role would be lost, or is being taken over from this blade
};

/// One sentence for a person when not. `has_driver`: the file has a [power].
Result<std::string> check_power(const link::GroupStatus& group, const PowerOrder& order, bool has_driver);

[[nodiscard]] std::string to_string(const PowerOrder& order);  ///< "power off blade-1"

/// What became of it, as an event.
[[nodiscard]] link::EventRecord power_event(const PowerOrder& order, const Status& done);

/// Who sits at this machine, by the login that began the session where there was one: "root at chassis-1, logged in as
/// alice".
[[nodiscard]] std::string who_is_here();

struct PowerByHand {
  std::string what;  ///< "off", "on" or "status"
  BladeId blade;
  std::string who;
  std::string reason;
  bool unlogged = false;  ///< also when the event log cannot be written
};

/// Answer: what was read back, whether it is on. BadInput: it makes no sense; Refused: a control-server decides, and is
/// to be asked instead.
Result<bool> power_by_hand(const ServerConfig& config, const PowerByHand& order);

}  // namespace understudy::control
