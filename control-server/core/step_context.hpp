// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What one step of a role may look at, and where its effects go.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/blade_book.hpp"
#include "core/effects.hpp"

namespace understudy::control {

struct StepContext {
  Instant now;
  const GroupConfig& config;
  BladeBook& blades;
  link::MovementPolicy policy;
  std::vector<Effect>& effects;
  std::set<BladeId> taken = {};  ///< standbys that have become an active: a role is served by their host

  /// No role lives on its host: it still runs mirrors.
  [[nodiscard]] bool standby_free(const BladeId& standby) const { return !taken.contains(standby); }
  /// When a blade that this ballot says is silent can have spoken last: its observer waited for the detection time.
  [[nodiscard]] Instant last_word(const Ballot& down) const { return down.since - config.timings.detection; }
  /// Only to a connected host-agent. Whoever comes later is told what it needs when it says Hello.
  void send(const BladeId& blade, link::Order order) {
    if (blades.at(blade).connected) { effects.emplace_back(Send{blade, std::move(order)}); }
  }
  /// Also verifies: an isolated blade is read back again.
  void isolate(const BladeId& id) {
    if (blades.at(id).ports.order(PortOrders::Kind::Isolate)) { effects.emplace_back(Isolate{id}); }
  }
  void readmit(const BladeId& id) {
    if (blades.at(id).ports.order(PortOrders::Kind::Readmit)) { effects.emplace_back(Readmit{id}); }
  }
  /// One at a time: a switch that hangs is not asked once more before it has answered.
  void look_at_ports(const BladeId& id) {
    if (!std::exchange(blades.at(id).looking, true)) { effects.emplace_back(LookAtPorts{id}); }
  }
  void power_off(const BladeId& id) {
    auto& blade = blades.at(id);
    if (!config.has_power || blade.powered_off) { return; }
    if (!std::exchange(blade.powering_off, true)) { effects.emplace_back(PowerOff{id}); }
  }
  void note(link::EventRecord event) { effects.emplace_back(Note{std::move(event)}); }
};

/// What a role must know of the other roles.
struct Neighbours {
  Surroundings surroundings;
  bool standby_free = true;  ///< no role lives on the host of its standby: that one still runs mirrors
  RoleId other_on_mirror;    ///< one of no lower priority that a mirror of its standby serves, or is about to
  std::set<std::string> lacked_by_all = {};  ///< networks that it and every other active on them lack
  /// Another role is served on its standby, or about to be, and not about to be given back.
  bool standby_needed = false;
};

}  // namespace understudy::control
