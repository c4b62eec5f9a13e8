// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The blade's core: what this blade does about each role, as ordered by the control-server.
///
///   host place:    (none) ─ServeRole─► PreparingHost ─► OpeningHost ─► ServingHost ─StandDown─► ClosingHost ─► (none)
///   mirror place:  (none) ─RunMirror─► StartingGuest ─► Mirroring ─Activate─► Activating ─► OpeningMirror
///                             ▲            │ exit          ▲ │                     │ past its deadline: gate closed
///                             └─ restart ──┘               └─┴─────────────────────┘
///                  OpeningMirror ─► ServingMirror ─Move─► Moving ─► ServingHost      (rolled back: ServingMirror)
///
/// Invariants
///   I1  No gate opens but under a term that the control-server gave for exactly this role.
///   I2  An order with a lower term than the known one changes nothing (D3); terms are never taken from a guest (rule
///   8). I3  The mirror's gate opens only after its guest reported ready for the term of the activation (D2). I4  A
///   mirror that is not SYNCED in its present boot is not activated (rules 15, 23).
/// The surprising rule: every order is idempotent, since a restarted control-server repeats what it wants.

#include <map>
#include <optional>

#include "core/effects.hpp"
#include "core/events.hpp"
#include "core/movement.hpp"

namespace understudy::host {

enum class RoleStage : std::uint8_t {
  PreparingHost,
  OpeningHost,
  ServingHost,
  ClosingHost,
  StartingGuest,
  Mirroring,
  Activating,
  OpeningMirror,
  ServingMirror,
  Moving,
};
[[nodiscard]] const char* to_string(RoleStage stage);

struct HeldRoleState {
  link::RoleSpec spec;
  RoleStage stage = RoleStage::PreparingHost;
  Term term;  ///< of what this blade holds: own ownership (host, serving mirror) or the active's (mirroring)
  link::MirrorPhase phase = link::MirrorPhase::Starting;
  /// The mirror's copy was complete and nothing has begun to overwrite it since. A stream that ends leaves it so: the
  /// active's death itself ends the stream, and the order to activate may come later than that is noticed.
  bool whole_copy = false;
  Term mirrored_term;  ///< the term before an activation: a failed one goes back to it, and may be ordered again
  std::string boot_nonce;
  std::vector<link::PhaseTime> phases;
  std::optional<Instant> deadline;  ///< of an activation
  std::uint32_t guest_starts = 0;
  std::optional<Instant> restart_at;
  Movement movement;
};

class Blade {
 public:
  Blade(BladeId blade, std::string boot_id, MovementLimits limits = {});

  Effects step(Instant now, const Event& event);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] const std::map<RoleId, HeldRoleState>& roles() const { return roles_; }

  /// After a restart of the daemon: what is really there, found by the edge before the first step.
  void adopt(const link::RoleSpec& spec, RoleStage stage, Term term);

 private:
  Effects on_order(Instant now, const link::ServeRole& order);
  Effects on_order(Instant now, const link::StandDown& order);
  Effects on_order(Instant now, const link::RunMirror& order);
  Effects on_order(Instant now, const link::Activate& order);
  Effects on_order(Instant now, const link::Move& order);
  Effects on_order(Instant now, const link::ReleaseMirrors& order);
  Effects on(Instant now, const OrderArrived& event);
  Effects on(Instant now, const StepDone& event);
  Effects on(Instant now, const StepFailed& event);
  Effects on(Instant now, const GuestHello& event);
  Effects on(Instant now, const GuestPhase& event);
  Effects on(Instant now, const GuestVote& event);
  Effects on(Instant now, const GuestReady& event);
  Effects on(Instant now, const GuestRefused& event);
  Effects on(Instant now, const GuestQuiesced& event);
  Effects on(Instant now, const GuestExited& event);
  Effects on(Instant now, const GuestsReleased& event);
  Effects on(Instant now, const ApplicationExited& event);
  Effects on(Instant now, const ControlConnected& event);
  Effects on(Instant now, const Tick& event);
  [[nodiscard]] Effects mirror_state(const RoleId& role, const std::string& detail = {}) const;
  Effects activation_failed(const RoleId& role, const std::string& detail);
  Effects settle_movement(const RoleId& role, Effects effects);
  HeldRoleState* find(const RoleId& role);

  BladeId blade_;
  std::string boot_id_;
  MovementLimits limits_;
  std::map<RoleId, HeldRoleState> roles_;
  std::optional<Instant> release_began_;
};

}  // namespace understudy::host
