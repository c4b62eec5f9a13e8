// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The synchronization unit, of one role: what its mirror and its active say of replication, and what follows from it.
/// It orders sync and resync, knows what the mirror has acknowledged, and alone says that the role is PROTECTED.
///
///     EXPOSED ─the mirror: SYNCED─► PROTECTED ─it says so no more, or nothing is acknowledged─► DOUBTED
///        ▲                            ▲                                                           │
///        │                            └──── SYNCED again, in the same boot, and acknowledging ◄───┤
///        │                                                                                        │
///        └─ at once: a new sync began, the guest failed or restarted, its blade is gone; ─────────┘
///           else when grace is over
///
/// The role machine asks (judge) after every event; this class alone knows why. DOUBTED counts as protected: what was
/// synced a moment ago is as good as the last change that arrived, and the sync may have ended because the active is
/// dying.
///
/// Invariants
///   - PROTECTED begins with the mirror's own word SYNCED for the role's stored term, in this boot of its guest, while
///     the active does not say that nothing is acknowledged; a sync that was completed after that word outdates it, for
///     the active may die before it can say so.
///   - A copy that a new sync began to overwrite protects nobody from that moment on (rule 23).
///   - A sync that stops is told within `sync_alarm`, whoever noticed: the mirror that lost its stream, the active
///     whose changes nobody acknowledges, or nobody since the standby is silent.
///   - A sync that was under way when the mirror went out of sight may have been completed since. Its copy is the
///     present one when the mirror is back and says that it is whole, unless the active says that it lived on
///     without it, or it is heard for longer than a sync may be away.
///   - What was told under another term counts for nothing.
/// The surprising rule: a mirror that says SYNCED and acknowledges nothing protects nobody after the grace. Its guest
/// may be frozen, and what it said last stays said for ever.

#include <optional>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

enum class Protection : std::uint8_t { Exposed, Protected, Doubted };
[[nodiscard]] const char* to_string(Protection protection);

/// What others know at this moment.
struct SyncSurroundings {
  const Timings& timings;
  Instant now;
  Term term;  ///< the role's, stored
  BladeId active;
  BladeId standby;
  bool standby_connected = false;
  bool standby_off = false;  ///< confirmed
  bool standby_silent = false;
  Instant standby_spoke = {};                     ///< of a silent one: when it can have spoken last
  std::optional<Instant> standby_gone_from = {};  ///< from when on it counts as gone for good
  bool standby_free = true;                       ///< it runs mirrors
  std::optional<Instant> verdict_until = {};      ///< an observer has lost the active, the other decides until then
  bool served = false;                            ///< the role's place has confirmed the term
  bool alarmed = false;                           ///< that the sync stopped is told already
};

/// What follows, besides is_protected().
struct SyncWord {
  std::string why;                   ///< of a change
  std::optional<std::string> alarm;  ///< the mirror, or its sync, is gone
  bool alarm_over = false;
  std::optional<std::string> lag;  ///< an alarm of its own: nothing is acknowledged
  bool lag_over = false;
  bool order = false;  ///< RunMirror: begin, or begin again
};

class SynchronizationUnit {
 public:
  // --- facts ---
  /// True: news.
  bool mirror_said(const link::MirrorState& report);
  void active_said(Instant now, const link::SyncProgress& report);
  void out_of_sight();                          ///< the standby's host-agent is lost
  void hello(bool holds_mirror);                ///< it says what it holds, and then anew what its mirror is doing
  void released();                              ///< its guest was told to end
  void ordered() { mirror_.released = false; }  ///< RunMirror was sent
  /// Nobody was awake for so long: a copy that is out of date by the clock is so for whoever has slept too.
  void grows_older(Instant now, Duration missed, Duration grace);

  // --- decisions ---
  SyncWord judge(const SyncSurroundings& around);
  /// Nothing is judged: the role is elsewhere, being taken over, or its state is looked for.
  void rest();
  void give_up() { protection_ = Protection::Exposed; }  ///< the role is not served, or decided otherwise
  /// A switchover was called off, and the mirror was told nothing.
  void resume(const SyncSurroundings& around) {
    protection_ = has_a_copy(around) ? Protection::Doubted : Protection::Exposed;
  }
  [[nodiscard]] bool is_protected() const { return protection_ != Protection::Exposed; }
  [[nodiscard]] Protection protection() const { return protection_; }
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  // --- what is known ---
  /// What the mirror says counts: of this term, by a host-agent that is there.
  [[nodiscard]] bool known(const SyncSurroundings& around) const;
  [[nodiscard]] bool has_a_copy(const SyncSurroundings& around) const;
  [[nodiscard]] bool stopped(const SyncSurroundings& around) const;
  [[nodiscard]] const std::optional<link::MirrorPhase>& phase() const { return mirror_.phase; }
  [[nodiscard]] const std::string& detail() const { return mirror_.detail; }  ///< why it is in that phase
  [[nodiscard]] bool says(link::MirrorPhase phase) const { return mirror_.phase == phase; }
  [[nodiscard]] Term mirrors_term() const { return mirror_.term; }
  [[nodiscard]] bool whole() const { return mirror_.whole; }  ///< its copy, of that term
  /// By its host-agent's word, which counts: the active has lived on without that copy.
  [[nodiscard]] bool older(const SyncSurroundings& around) const { return known(around) && mirror_.older; }
  /// Out of sight since a sync began, which may be over; see completed_unseen.
  [[nodiscard]] bool syncs_unseen(const SyncSurroundings& around) const;
  /// It is back, and that sync was completed.
  [[nodiscard]] bool completed_unseen(const SyncSurroundings& around) const;
  /// Each time when something may have changed. `heard`: the active is there.
  void doubt_unseen(const SyncSurroundings& around, bool heard);
  /// It was synced in this life, or was there before: it may have the state.
  [[nodiscard]] bool followed() const { return mirror_.followed; }
  [[nodiscard]] bool was_released() const { return mirror_.released; }
  /// For a status: of the active's last word under this term.
  [[nodiscard]] link::SyncStatus status(const BladeId& standby, Term term) const;

 private:
  struct Mirror {  ///< what it said since its host-agent connected
    std::optional<link::MirrorPhase> phase;
    Term term;
    std::string boot_nonce;
    std::string detail;
    bool whole = false;
    bool older = false;
    bool followed = false;
    bool released = false;  ///< what it still says is of no mirror
  };
  struct Unseen {  ///< a sync that was under way when its host-agent was last heard
    Term term;
    std::string boot_nonce;
    std::optional<Instant> heard_from = {};  ///< the mirror was back and not synced, and the active was heard
    bool was_heard = false;
  };
  struct Store {
    link::StoreProgress progress;
    std::optional<Instant> stuck_since;  ///< behind, and the acknowledged sequence has stood still since
  };

  void leaves_sight();
  [[nodiscard]] bool broken(const SyncSurroundings& around) const;
  [[nodiscard]] bool active_knows(const SyncSurroundings& around) const;
  [[nodiscard]] const Store* stuck() const;
  void doubt(const SyncSurroundings& around, SyncWord& word);
  void watch(const SyncSurroundings& around, SyncWord& word);
  void tell_lag(const SyncSurroundings& around, SyncWord& word);
  void consider_ordering(const SyncSurroundings& around, SyncWord& word);
  void expose(SyncWord& word, const std::string& why);
  [[nodiscard]] std::string why_exposed(const SyncSurroundings& around, bool other_boot, bool gone) const;
  [[nodiscard]] std::string progress_text(const SyncSurroundings& around) const;

  Protection protection_ = Protection::Exposed;
  Mirror mirror_;
  std::optional<Unseen> unseen_;
  std::string synced_nonce_;  ///< the guest's boot that PROTECTED is bound to
  Term progress_term_;        ///< of what the active said last; 0: nothing
  link::SyncStream stream_ = link::SyncStream::None;
  Instant stream_since_;
  Instant progress_at_;
  std::vector<Store> stores_;
  bool lag_told_ = false;
  std::optional<Instant> grace_until_;
  std::optional<Instant> alarm_at_;
  std::optional<Instant> stopped_at_;  ///< a stream that is gone counts then
  std::optional<Instant> gone_at_;
  std::optional<Instant> order_at_;
};

}  // namespace understudy::control
