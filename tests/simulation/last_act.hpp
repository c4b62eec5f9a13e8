// SPDX-License-Identifier: Apache-2.0
#pragma once
/// After everything was mended and all roles are back: one active dies and is never mended, and something else goes
/// wrong with it. What is only ever seen by a person, a role that nobody serves while its mirror has it all, fails
/// here.
///
///   Away       the control-server is away when it dies, and comes back some seconds later
///   NoSwitch   the switch fails for good, and the standby's host-agent dies somewhere in the takeover
///   Frozen     (leases) neither switch nor power obeys for good, and the active only stands still
///
/// Invariant: within kLastAct its role is served by the standby.

#include "faults.hpp"

namespace understudy::sim {

inline constexpr Duration kLastAct = 60s;

class LastAct {
 public:
  LastAct(Chassis& chassis, Faults& faults);
  /// False: no role is protected, or nothing may be taken over in this chassis.
  bool begin();
  [[nodiscard]] unsigned role() const { return role_; }
  [[nodiscard]] const char* kind() const;

 private:
  enum class Kind : std::uint8_t { Away, NoSwitch, Frozen };
  [[nodiscard]] std::vector<unsigned> candidates() const;
  void strike();

  Chassis& chassis_;
  World& world_;
  Faults& faults_;
  Random random_;
  Kind kind_ = Kind::Away;
  unsigned role_ = 0;
};

}  // namespace understudy::sim
