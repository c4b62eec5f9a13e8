// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The movement unit: guest -> host, with a rollback until its commit and never after (D10).
///
///   prepare ─► quiesce ─► freeze ─► finish ─► commit ─► resume ─► done
///      │          │          │         │         │
///      ▼          └──────────┴─────────┴─────────┘ failed: thaw, open the mirror's gate, "resume" to the guest
///   failed (nothing was touched, the guest serves on)
///
/// Invariants
///   I1  Until the commit's record is written the guest can serve on under its old term.
///   I2  The commit step ends with QEMU dead: nobody can resume the guest behind our back (rule 14).
///   I3  After Commit succeeded the only way is forward: a failing resume is retried for ever, never rolled back.
///   I6  A rollback ends with a guest that serves or with a dead one, never with one that is frozen or cut off.
///   I7  Done means that the application on the host runs: one that ended on the way is started again, or, before
///       the commit, rolls the movement back.
///   I8  Behind a guest that is dead, or must stay so since a former daemon had passed the commit, a rollback opens no
///       gate.
///   I4  A guest that dies on the way is as still as a frozen one: the movement goes forward (rule 15).
///   I5  A missed quiesce deadline forces the freeze: a store survives any instant. With an application that needs
///       quiescing it rolls the movement back (rule 13).
///   I9  The freeze waits until the markers are back and the guest has taken all that came before them. Bounded: a
///       marker that is lost forces the freeze, and the alarm names its port.
/// Every (state, event), and what is done: docs/tables/movement.txt.
/// The surprising rule: the gap counts from the closing of the tap's gate, before the freeze (rule 12).

#include <optional>
#include <string>
#include <vector>

#include "core/effects.hpp"
#include "core/events.hpp"
#include "understudy/common/types.hpp"

namespace understudy::host {

enum class MovementState : std::uint8_t {
  Idle,        ///< no movement
  Preparing,   ///< under traffic; the guest serves
  Blocking,    ///< the tap's gate closes; from here the gap counts
  Quiescing,   ///< the guest drains its events and tells its final sequences
  Freezing,    ///< QMP stop is under way
  Finishing,   ///< the last delta goes into the host's namespace
  Committing,  ///< record, tap, QEMU
  Resuming,    ///< only forward
  RollingBack,
  Done,
  Failed,  ///< rolled back; the guest serves
};

struct MovementLimits {
  Duration prepare{std::chrono::seconds(30)};
  Duration quiesce{std::chrono::milliseconds(50)};
  Duration application_quiesce{std::chrono::seconds(1)};  ///< instead, of an application that must be quiesced
  Duration handover{std::chrono::seconds(3)};             ///< from the closed tap to the commit
};

class Movement {
 public:
  Movement() = default;
  /// `guest_dead`: the mirror died while it served; its region is as still as a frozen one (rule 15).
  Movement(RoleId role, Term host_term, Term guest_term, MovementLimits limits, bool guest_dead = false);

  Effects start(Instant now);
  Effects on_step_done(Instant now, Step step);
  Effects on_step_failed(Instant now, Step step, const std::string& detail);
  /// From now on a missed quiesce deadline rolls back.
  void must_quiesce() { must_quiesce_ = true; }
  Effects on_guest_quiesced(Instant now, const std::vector<std::string>& unmarked = {});
  Effects on_guest_not_quiesced(Instant now, const std::string& detail);
  Effects on_guest_exited(Instant now, const std::string& detail);
  Effects on_application_exited(Instant now, const std::string& detail);
  Effects on_tick(Instant now);
  /// Before the commit: back to the guest.
  Effects give_up(Instant now, const std::string& why) { return roll_back(now, why); }

  [[nodiscard]] MovementState state() const { return state_; }
  [[nodiscard]] bool is_running() const {
    return state_ != MovementState::Idle && state_ != MovementState::Done && state_ != MovementState::Failed;
  }
  [[nodiscard]] Term host_term() const { return host_term_; }
  [[nodiscard]] std::optional<Instant> next_deadline() const;

 private:
  Effects become(Instant now, MovementState next, Step step);
  Effects freeze_if_dry(Instant now);
  Effects force_freeze(Instant now);
  void note_undry(const std::string& what) { undry_ += (undry_.empty() ? "" : ", ") + what; }
  Effects rollback_failed(Instant now, const std::string& detail);
  Effects roll_back(Instant now, const std::string& detail);
  void close_phase(Instant now, const char* phase);
  [[nodiscard]] Step rollback_step() const { return guest_dead_ ? Step::Discard : Step::Rollback; }
  [[nodiscard]] Duration quiesce_limit() const { return must_quiesce_ ? limits_.application_quiesce : limits_.quiesce; }

  RoleId role_;
  Term host_term_;
  Term guest_term_;
  MovementLimits limits_;
  MovementState state_ = MovementState::Idle;
  Instant phase_began_;
  Instant state_began_;
  Instant blocked_at_;
  std::uint32_t tries_ = 0;  ///< of the resume, or of the rollback
  std::optional<Instant> retry_at_;
  bool guest_dead_ = false;
  bool must_quiesce_ = false;
  bool quiesced_ = false;           ///< the guest has said so
  bool markers_back_ = false;       ///< or told to be lost
  std::string undry_;               ///< what is not known to have run dry; empty: all has
  bool application_ended_ = false;  ///< since the present try to resume began
  std::string failure_;
  std::vector<link::PhaseTime> phases_;
};

}  // namespace understudy::host
