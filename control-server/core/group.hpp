// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One redundancy group: its roles, and the units that they ask (monitoring, synchronization, switching).
///
///     step(clock, event) ──► facts about blades ──► each role: facts, then settle ──► effects, in order
///
/// Pure: no sockets, clocks, threads, files. The same object runs in the daemon and in the simulator. The caller
/// performs the effects in the listed order and calls again at next_deadline() with Tick.
///
/// Invariants
///   - Roles are settled after every event, each with its neighbours' facts of that very moment, by priority: who goes
///     first takes the standby, and the others see it taken.
///   - When mirrors are released, that of a lost role is spared: it may be the only copy.
///   - What is ordered stands in the effects of the same step; nothing is remembered to be sent later but by a timer.
///   - Every Instant in here is one of the time in which we were awake (awake_time.hpp); only step and next_deadline
///     know the clock.
/// The surprising rule: a standby that serves a role on its host runs no mirrors any more, so the movement of one role
/// exposes all the others, and is held back while one of them needs its mirror.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/awake_time.hpp"
#include "core/blade_book.hpp"
#include "core/config.hpp"
#include "core/effects.hpp"
#include "core/events.hpp"
#include "core/monitoring_unit.hpp"
#include "core/role_machine.hpp"
#include "core/switching_unit.hpp"
#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

class Group {
 public:
  /// `stored`: every ownership of the state store. `was_protected`: the roles whose mirror was synced by the last word
  /// of a former life (KeepProtection), which may have ended at the same moment as their active. `held_out`: what the
  /// store keeps of blades that failed.
  Group(GroupConfig config, const std::vector<Ownership>& stored, const std::set<RoleId>& was_protected = {},
        std::map<BladeId, HoldOutAges> held_out = {});

  std::vector<Effect> step(Instant clock, const Event& event);
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  [[nodiscard]] link::GroupStatus status() const;
  [[nodiscard]] bool has_blade(const BladeId& blade) const { return blades_.find(blade) != nullptr; }
  /// Whether an OperatorMove would begin, as an answer for a person.
  [[nodiscard]] Result<std::string> check_move(const RoleId& role) const;
  /// Likewise for an OperatorSwitchover (group_switchover.cpp).
  [[nodiscard]] Result<std::string> check_switchover(const RoleId& role, bool force) const;
  /// Likewise for an OperatorLetBack.
  [[nodiscard]] Result<std::string> check_let_back(const BladeId& blade) const;
  [[nodiscard]] const RoleMachine* find(const RoleId& role) const;

 private:
  void handle(StepContext& context, const Started& event);
  void handle(StepContext& context, const Tick& event);
  void handle(StepContext& context, const AgentReport& event);
  void handle(StepContext& context, const AgentLost& event);
  void handle(StepContext& context, const BfdChanged& event);
  void handle(StepContext& context, const StoreDone& event);
  void handle(StepContext& context, const StoreFailed& event);
  void handle(StepContext& context, const IsolateDone& event);
  void handle(StepContext& context, const IsolateFailed& event);
  void handle(StepContext& context, const ReadmitDone& event);
  void handle(StepContext& context, const ReadmitFailed& event);
  void handle(StepContext& context, const PortsSeen& event);
  void handle(StepContext& context, const PowerDone& event);
  void handle(StepContext& context, const PowerFailed& event);
  void handle(StepContext& context, const OperatorMove& event);
  void handle(StepContext& context, const OperatorPolicy& event);
  void handle(StepContext& context, const OperatorLetBack& event);
  void handle(StepContext& context, const OperatorSwitchover& event);
  void handle(StepContext& context, const WitnessSeen& event);

  void on_hello(StepContext& context, const link::Hello& hello);
  [[nodiscard]] std::string hold_out_text(const BladeId& blade) const;
  void restore_hold_outs(StepContext& context);
  static void keep_hold_out(StepContext& context, const BladeId& blade);
  void count_failure(StepContext& context, const BladeId& blade);
  void count_absence(StepContext& context, const BladeId& blade);
  void let_back(StepContext& context, const BladeId& blade, const std::string& by);
  void let_back_in_time(StepContext& context);
  void on_released(StepContext& context, const BladeId& blade, const link::MirrorsReleased& report);
  void stood_still(StepContext& context);
  void settle(StepContext& context);
  void release_mirrors(StepContext& context, const BladeId& standby);
  /// Standbys whose host serves a role: they have become actives.
  [[nodiscard]] std::set<BladeId> taken() const;
  [[nodiscard]] Neighbours neighbours_of(const RoleMachine& role, Instant now) const;
  [[nodiscard]] std::set<std::string> lacked_by_all(const RoleMachine& self) const;  ///< group_fitness.cpp
  RoleMachine* find_mutable(const RoleId& role);
  static void note_blade(StepContext& context, link::Severity severity, const std::string& kind, const BladeId& blade,
                         const std::string& text);

  GroupConfig config_;
  AwakeTime awake_{config_.timings.awake_step};
  Duration missed_untold_{0};
  std::optional<Instant> stop_told_;
  link::MovementPolicy policy_;
  std::map<BladeId, HoldOutAges> held_out_;  ///< until Started
  std::optional<Instant> network_told_;      ///< when the last failure of the network was told
  BladeBook blades_;
  MonitoringUnit monitoring_;
  std::vector<RoleMachine> roles_;  ///< by priority: who comes first decides, and is ordered, first
};

}  // namespace understudy::control
