// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the decisions depend on besides events: the group's make-up and its times. Read once, at the start.

#include <string>
#include <vector>

#include "understudy/link/messages.hpp"

namespace understudy::control {

struct BladeConfig {
  BladeId id;
  IpAddress address;                      ///< on the maintenance network
  std::vector<std::string> switch_ports;  ///< every port that leads to service networks
  bool standby = false;
};

inline constexpr std::uint32_t kPriorityDefault = 100;
inline constexpr std::uint32_t kPriorityMax = 1000;

struct RoleConfig {
  link::RoleSpec spec;
  BladeId active;                             ///< the blade that serves the role when all is well
  std::uint32_t priority = kPriorityDefault;  ///< the higher one comes first
};

struct Timings {
  Duration beat{std::chrono::milliseconds(200)};  ///< so often the clock is looked at
  /// A stop of this control-server, or a jump of its clock, counts as this much at most (awake_time.hpp).
  Duration awake_step{std::chrono::milliseconds(250)};
  Duration detection{std::chrono::milliseconds(150)};  ///< BFD interval times multiplier
  Duration bfd_interval{std::chrono::milliseconds(50)};
  Duration sync_alarm{std::chrono::milliseconds(1000)};  ///< a sync that stopped is told by then
  Duration reason_again{std::chrono::seconds(10)};       ///< a mirror's other reason, in the same phase, is told then
  /// A mirror that its active has lost may be back by then, unnoticed: before, the active has waited for it itself.
  Duration stream_back{std::chrono::milliseconds(200)};
  Duration sync_grace{link::kSyncGrace};                    ///< and the mirror may take over this long (never SYNCING)
  Duration agent_restart{std::chrono::milliseconds(2000)};  ///< a host-agent that was closed may be back by then
  /// A host-agent that tells something once a second is there until then, also where nobody hears its blade's BFD.
  Duration word_lasts{std::chrono::milliseconds(2500)};
  Duration movement_delay{std::chrono::milliseconds(3000)};  ///< settled on the mirror before `always` moves
  Duration activation_deadline{std::chrono::milliseconds(5000)};
  Duration hand_over_deadline{std::chrono::milliseconds(3000)};  ///< of a switchover: then the active serves on
  Duration movement_deadline{std::chrono::seconds(120)};  ///< only an alarm: the host-agent alone ends a movement
  Duration retry{std::chrono::milliseconds(500)};         ///< store, switch, activation
  Duration isolation_limit{std::chrono::seconds(2)};  ///< then power and lease are asked too, whatever the switch does
  Duration serve_retry{std::chrono::seconds(2)};
  Duration mirror_retry{std::chrono::seconds(5)};
  Duration movement_retry{std::chrono::seconds(2)};  ///< doubled with every try
  Duration hello_wait{std::chrono::seconds(10)};     ///< then a missing host-agent is an alarm
  Duration mirror_wait{std::chrono::seconds(3)};     ///< for a mirror's word before a role starts without its state

  /// A dead switch is told by all its blades within this long.
  Duration link_settle{std::chrono::milliseconds(500)};
  Duration unfit_pause{std::chrono::minutes(10)};  ///< from a takeover for being unfit to the next of the same role

  /// How often the ports of a blade that serves are looked at: a command of a control-server that is gone may reach the
  /// switch late, and a person may close one.
  Duration ports_look{std::chrono::seconds(10)};
  /// After a failure of the observers' own network the voices come back one by one, a second apart and more.
  Duration voices_return{std::chrono::seconds(3)};
  /// One that comes and goes for longer has a bad cable, and is no network that comes back.
  Duration voices_flap{std::chrono::seconds(9)};

  Duration lease{std::chrono::seconds(2)};          ///< a grant is good for this long from its request
  Duration lease_element{std::chrono::seconds(2)};  ///< the gate stays open for this long after the last refreshing
  Duration lease_wait{std::chrono::seconds(1)};     ///< after the mirror is synced, before a lease is armed
  Duration lease_arming{std::chrono::seconds(5)};   ///< then an active whose gate is not timed yet is an alarm
  /// From the mirror's word that it grants no more, awake: twice, since no clock that works drifts as much.
  [[nodiscard]] Duration lease_out() const { return 2 * (lease + lease_element); }

  /// Two observers see the same failure this far apart at most; a difference that lasts longer is real.
  [[nodiscard]] Duration vote_settle() const { return 2 * detection; }
  /// From the first packet that a silent blade owes to the moment when it is called silent.
  [[nodiscard]] Duration silence_window() const { return detection - bfd_interval; }
  /// One and a half intervals of BFD: a cable silences all that is behind it within one.
  [[nodiscard]] Duration same_cable() const { return detection / 2; }
};

/// A blade that fails `failures` times within `within` gets no mirrors for `lasts`. 0 failures: never; 0 long: until a
/// person lets it back.
struct HoldOutConfig {
  unsigned failures = 0;
  Duration within{std::chrono::minutes(10)};
  Duration lasts{std::chrono::hours(1)};
};

/// Something that is no blade, and tells whether our own network works.
struct WitnessConfig {
  enum class By : std::uint8_t { Icmp, Bfd };
  std::string name;
  IpAddress address;
  By by = By::Icmp;
  Duration interval{std::chrono::milliseconds(50)};
  unsigned count = 3;  ///< so many answers are missing: lost

  [[nodiscard]] Duration detection() const { return interval * count; }
  /// BFD tells only that packets were no further apart than its detection time.
  [[nodiscard]] Duration spacing() const { return by == By::Bfd ? detection() : interval * 3 / 2; }
};

[[nodiscard]] inline const char* to_string(WitnessConfig::By by) {
  return by == WitnessConfig::By::Bfd ? "bfd" : "icmp";
}

inline constexpr unsigned kMovementTries = 3;
inline constexpr unsigned kActivationTries = 3;

struct GroupConfig {
  std::vector<BladeConfig> blades;
  std::vector<RoleConfig> roles;
  link::BfdParameters bfd;
  link::MovementPolicy movement = link::MovementPolicy::WhenSlow;
  Timings timings;
  HoldOutConfig hold_out;
  std::vector<WitnessConfig> witnesses = {};
  bool has_power = false;      ///< a power driver is configured
  bool leases = false;         ///< isolation first, power second, a lease that ran out third
  BladeId control_blade = {};  ///< the one that this control-server runs on; empty: it is on none

  /// Those that stand by, the preferred one first: in the order of `blades`. A group has one at least.
  [[nodiscard]] std::vector<BladeId> standbys() const {
    std::vector<BladeId> all;
    for (const auto& blade : blades) {
      if (blade.standby) { all.push_back(blade.id); }
    }
    UNDERSTUDY_ASSERT(!all.empty() && "a group has a standby");
    return all;
  }
  /// Then its liveness proves nothing about our network.
  [[nodiscard]] bool control_shares(const BladeId& blade) const { return !blade.empty() && blade == control_blade; }
};

}  // namespace understudy::control
