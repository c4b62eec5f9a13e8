// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The blade's core: what this blade does about each role, as ordered by the control-server.
///
///   host place:    (none) ─ServeRole─► PreparingHost ─► OpeningHost ─► ServingHost ─StandDown─► ClosingHost ─► (none)
///                  ServingHost ─HandOver─► HandingOver ─shipped─► ClosingHost ─► (none), HandedOver is said
///                       ▲                    │ fails, is late, or is ordered to serve
///                       └──── OpeningHost ◄──┘
///   mirror place:  (none) ─RunMirror─► StartingGuest ─► Mirroring ─Activate─► Activating ─► OpeningMirror
///                             ▲            │ exit          ▲ │                     │ past its deadline: gate closed
///                             └─ restart ──┘               └─┴─────────────────────┘
///                  OpeningMirror ─► ServingMirror ─Move─► Moving ─► ServingHost      (rolled back: ServingMirror)
///                  any mirror stage but Moving ─StandDown─► ClosingMirror ─► Mirroring, or a new guest when it served
///   restart:       each stage is written down (Remember) before what it begins; adopt() goes on from there
///
/// Invariants
///   I1  No gate opens but under a term that the control-server gave for exactly this role.
///   I2  An order with a lower term than the known one changes nothing (D3); terms are never taken from a guest (rule
///   8). I3  The mirror's gate opens only after its guest reported ready for the term of the activation (D2). I4  A
///   mirror that is not SYNCED in its present boot is not activated (rules 15, 23).
///   I5  A role on this host is not forgotten while its gate may be open, and Serving is not said of one whose
///       application has ended.
/// Every (stage, event), and what is done: docs/tables/blade.txt.
/// The surprising rule: every order is idempotent, since a restarted control-server repeats what it wants.

#include <map>
#include <optional>

#include "core/copy_age.hpp"
#include "core/effects.hpp"
#include "core/events.hpp"
#include "core/fitness.hpp"
#include "core/held_record.hpp"
#include "core/lease.hpp"
#include "core/movement.hpp"

namespace understudy::host {

struct HandOver {
  enum class Phase : std::uint8_t { None, Quiescing, Shipping, LettingGo, TakingBack };
  Phase phase = Phase::None;
  Term term;  ///< of the order
  Instant began;
  std::vector<link::PhaseTime> phases;
};

struct HeldRoleState {
  link::RoleSpec spec;
  RoleStage stage = RoleStage::PreparingHost;
  Term term;  ///< of what this blade holds: own ownership (host, serving mirror) or the active's (mirroring)
  link::MirrorPhase phase = link::MirrorPhase::Starting;
  /// The mirror's copy was complete and nothing has begun to overwrite it since. A stream that ends leaves it so: the
  /// active's death itself ends the stream, and the order to activate may come later than that is noticed.
  bool whole_copy = false;
  CopyAge copy_age;                             ///< Mirroring
  std::optional<link::ActivateFailed> refused;  ///< waits for the gate to close
  Term spent;          ///< of an activation that failed: its guest may have written under it, so nobody else may
  Term mirrored_term;  ///< the term before an activation: a failed one goes back to it, and may be ordered again
  std::string boot_nonce;
  std::vector<link::PhaseTime> phases;
  std::optional<Instant> deadline;  ///< of an activation
  std::uint32_t tries = 0;          ///< starts of the guest, or adoptions of the host's place
  bool given_up = false;            ///< the last of these starts has ended: none is under way
  std::optional<Instant> again_at;
  Movement movement;
  Term move_asked;     ///< a later order than the movement that is under way: it is answered with that one's end
  bool moved = false;  ///< see HeldRecord
  std::optional<link::RunMirror> mirror;  ///< the order that the guest follows
  bool spoiled = false;  ///< the guest wrote its region itself, or serves for all it knows: it is no mirror any more
  bool parked = false;   ///< PreparingHost: nothing is done until it is ordered again (a former daemon, or a failure)
  bool opened = false;   ///< the host's gate, or it may be: then a role is not forgotten before it has closed
  bool failed = false;   ///< ClosingHost: since it cannot serve, not since it was told to stand down
  std::string application_end;  ///< host stages: how it ended since it was last ordered to start; empty: it did not
  std::string down;       ///< ServingHost: why its application is not known to run; told with each Hello, until it runs
  bool adopting = false;  ///< ServingHost: AdoptHost is under way
  bool committed = false;  ///< Moving, adopted: a former daemon had passed the commit
  link::Vote vote = link::Vote::Unknown;
  Lease lease;                       ///< ServingHost
  std::optional<Instant> untime_at;  ///< ServingHost: the gate is to lose its timeout, tried again then
  HandOver hand_over = {};           ///< HandingOver, and ClosingHost behind it
  std::optional<Term> stop_grants;   ///< Mirroring: its guest was told to grant no more for this term
};

class Blade {
 public:
  Blade(BladeId blade, std::string boot_id, MovementLimits limits = {});

  Effects step(Instant now, const Event& event);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] const std::map<RoleId, HeldRoleState>& roles() const { return roles_; }

  /// After a restart of the daemon, before the first step: what the former one had written down, and what was found.
  Effects adopt(Instant now, const HeldRecord& record, const HostFindings& found);
  void adopt(const GivenUp& former);
  /// What to write down of a role; none: it is not held, and what it leaves is written down instead.
  [[nodiscard]] std::optional<HeldRecord> record_of(const RoleId& role) const;
  [[nodiscard]] GivenUp given_up_of(const RoleId& role) const;

 private:
  Effects on_order(Instant now, const link::ServeRole& order);
  Effects on_order(Instant now, const link::StandDown& order);
  Effects on_order(Instant now, const link::RunMirror& order);
  Effects on_order(Instant now, const link::Activate& order);
  Effects on_order(Instant now, const link::Move& order);
  Effects on_order(Instant now, const link::ReleaseMirrors& order);
  Effects on_order(Instant now, const link::ArmLease& order);
  Effects on_order(Instant now, const link::DisarmLease& order);
  Effects on_order(Instant now, const link::AllowGrants& order);
  Effects on_order(Instant now, const link::StopGrants& order);
  Effects on_order(Instant now, const link::HandOver& order);
  Effects on(Instant now, const OrderArrived& event);
  Effects on(Instant now, const StepDone& event);
  Effects on(Instant now, const StepFailed& event);
  Effects on(Instant now, const GuestHello& event);
  Effects on(Instant now, const GuestLost& event);
  Effects on(Instant now, const GuestPhase& event);
  Effects on(Instant now, const GuestWarning& event);
  Effects on(Instant now, const GuestVote& event);
  Effects on(Instant now, const GuestReady& event);
  Effects on(Instant now, const GuestRefused& event);
  Effects on(Instant now, const GuestQuiesced& event);
  Effects on(Instant now, const GuestNotQuiesced& event);
  Effects on(Instant now, const ApplicationNeedsQuiescing& event);
  Effects on(Instant now, const GuestExited& event);
  Effects on(Instant now, const GuestsReleased& event);
  Effects on(Instant now, const ApplicationExited& event);
  // blade_fitness.cpp
  Effects on(Instant now, const HealthAnswered& event);
  Effects on(Instant now, const LinkChanged& event);
  Effects on(Instant now, const ApplicationUnfit& event);
  Effects settle_fitness(Instant now);
  Effects look_at_copies(Instant now);
  Effects on(Instant now, const GrantArrived& event);
  Effects on(Instant now, const GuestStoppedGrants& event);
  // blade_hand_over.cpp
  Effects on_hand_over_step(Instant now, HeldRoleState& held, Step step, const std::string& failure);
  Effects take_back(HeldRoleState& held, const std::string& why);
  void let_go(const RoleId& role, Term term);
  Effects holds_nothing(const RoleId& role, Term term);
  Effects ask_for_grant(Instant now, HeldRoleState& held);
  Effects on_lease_step(Instant now, HeldRoleState& held, Step step, const std::string& failure);
  [[nodiscard]] Effects lease_state(const HeldRoleState& held) const;
  Effects on(Instant now, const ControlConnected& event);
  Effects on(Instant now, const Tick& event);
  [[nodiscard]] Effects mirror_state(const RoleId& role, const std::string& detail = {}) const;
  Effects on_adoption(Instant now, HeldRoleState& held, Step step, const std::string& answer);
  Effects adopt_host(HeldRoleState& held);
  Effects serving_failed(HeldRoleState& held, const std::string& detail);
  Effects host_closed(HeldRoleState& held);
  /// The guest of a failed activation goes on with it, and will serve for all it knows, unless it said itself that it
  /// failed, or has ended.
  enum class ItsGuest : std::uint8_t { GoesOn, HasGivenUp };
  Effects activation_failed(const RoleId& role, const std::string& detail, ItsGuest guest = ItsGuest::GoesOn);
  Effects settle_movement(const RoleId& role, Effects effects);
  HeldRoleState* find(const RoleId& role);
  void note_terms();

  BladeId blade_;
  std::string boot_id_;
  MovementLimits limits_;
  std::map<RoleId, HeldRoleState> roles_;
  /// What was let go of on this stream, and under which term: an older order to serve may have crossed that word.
  std::map<RoleId, Term> let_go_;
  std::map<RoleId, Term> highest_;  ///< that was ever held or given up; a role that is not held any more stays here
  Fitness fitness_;
  std::optional<Instant> release_began_;
  std::vector<RoleId> releasing_;  ///< their records go when their guests are gone
};

}  // namespace understudy::host
