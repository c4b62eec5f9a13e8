// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the operator's command does once its words are understood. Each returns the exit status: 0, or 1 with one
/// clear line on standard error.

#include <cstdint>
#include <string>

#include "render.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::cli {

/// Where the control-server is, and how to speak to it.
struct Control {
  std::string address;
  link::tls::Wire wire;
};

/// Also kNobodyDecides and kInDanger of render.hpp: it was shown.
int show_status(const Control& control, bool json);

inline constexpr std::uint64_t kLastEvents = 200;  ///< when nobody says how many

struct EventsWanted {
  std::uint64_t since = 0;  ///< only events with a larger id
  std::uint64_t last = 0;   ///< of those that are there: so many at most, the newest; 0: all
  bool follow = false;
  EventFilter filter;
};
int show_events(const Control& control, const EventsWanted& wanted, bool json);
/// A live table until ctrl-c. Goes on, and says so, while the control-server cannot be reached.
int watch(const Control& control);
/// `reason` is written into the event log.
int move_role(const Control& control, const std::string& role, const std::string& reason);
int switchover(const Control& control, const std::string& role, bool force, const std::string& reason);
int power(const Control& control, const std::string& what, const std::string& blade, bool force,
          const std::string& reason);
int let_back(const Control& control, const std::string& blade, const std::string& reason);
int set_policy(const Control& control, const std::string& policy, const std::string& reason);

}  // namespace understudy::cli
