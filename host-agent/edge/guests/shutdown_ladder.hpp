// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Shuts a mirror down, in order (D10 release, rule 14): the guest-agent's order, the power button, SIGKILL. Each rung
/// has its time; QEMU's end ends the climb.

#include <functional>

#include "edge/guests/guest.hpp"

namespace understudy::host {

struct ShutdownDeadlines {
  std::chrono::milliseconds agent{3000};
  std::chrono::milliseconds power_button{3000};
  std::chrono::milliseconds kill{5000};
};

enum class ShutdownRung { Agent, PowerButton, Kill };
[[nodiscard]] const char* to_string(ShutdownRung rung);

struct ShutdownReport {
  ShutdownRung rung = ShutdownRung::Agent;  ///< the one that ended it
  Duration took{0};
};

/// `done` once; Expired: not even SIGKILL ended it. `guest` must live until then.
void shut_down(boost::asio::io_context& io, Guest& guest, ShutdownDeadlines deadlines,
               std::function<void(Result<ShutdownReport>)> done);

}  // namespace understudy::host
