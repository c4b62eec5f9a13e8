// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The core of a guest-agent: what this mirror does about its role, as ordered by the host-agent.
///
///   Idle ─configure─► Configuring ─► Mirroring ─activate─► Draining ─► Installing ─► HandingOver ─► Starting ─►
///   Serving
///                                        ▲                    │ any step fails: activate-failed, back to Mirroring
///                                        └────────────────────┘
///   Serving ─quiesce─► Quiescing ─► Quiesced ─resume (movement rolled back)─► Serving
///
/// Invariants
///   I1  Ready is told only after received = applied = installed and the application is active (D2).
///   I2  A copy that is SYNCING is never activated (rule 23).
///   I3  The mirror never decides that it serves, and never opens a gate: both are outside (rules 5, 16).
///   I4  An activation under a term that is not above the known one is refused.
///   I5  An application that needs quiescing and is not quiesced in time is told to the host, which rolls back.
///   I6  Which copy is whole is said by its term, so that nobody takes it for a copy of a later owner.
/// Every (activity, event) and what it leads to: tests/unit/guest-agent/activity_table_test.cpp.
/// The surprising rule: while serving, the loss of the replication stream means nothing; it was closed on purpose.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "understudy/link/messages.hpp"

namespace understudy::guest {

enum class Activity : std::uint8_t {
  Idle,
  Configuring,
  Mirroring,
  Draining,     ///< the replication socket is read to its end or a bounded quiet
  Installing,   ///< installed = applied
  HandingOver,  ///< collector becomes the writer of "net"
  Starting,     ///< the application becomes active
  Serving,
  Quiescing,
  Quiesced,
};

enum class Step : std::uint8_t {
  Configure,
  Drain,
  Install,
  HandOver,
  StartApplication,
  Quiesce,
  Resume,
  BackToMirroring,     ///< after a failed activation: receive again
  RestartApplication,  ///< it ended by itself; it becomes active again when this mirror serves
  Restore,             ///< after adopt_serving(), begun by the edge itself: the application is active
};

/// Time of a phase as the edge measured it.
struct StepDone {
  Step step;
  double ms = 0;
};
struct StepFailed {
  Step step;
  std::string detail;
};
struct ConfigureOrder {
  link::RunMirror mirror;
};
struct ActivateOrder {
  Term term;
};
struct AnnounceOrder {};
struct QuiesceOrder {};
struct ResumeOrder {};
struct AllowGrantsOrder {
  Term term;
};
struct StopGrantsOrder {
  Term term;
};
struct GrantAsked {  ///< by the active, over the stream that replicates
  Term term;
  std::uint64_t nonce = 0;
};
struct ShutdownOrder {};
/// Held: a copy that a former agent of this boot had synced under the configured term, and nothing overwrote since.
enum class SyncPhase : std::uint8_t { Connecting, Syncing, Synced, Lost, Held };
struct SyncChanged {
  SyncPhase phase = SyncPhase::Connecting;
  std::string detail;
};
struct PeerChanged {
  link::Vote vote = link::Vote::Unknown;
};
struct ApplicationEnded {
  std::string detail;
};
using Event = std::variant<StepDone, StepFailed, ConfigureOrder, ActivateOrder, AnnounceOrder, QuiesceOrder,
                           ResumeOrder, ShutdownOrder, SyncChanged, PeerChanged, ApplicationEnded, AllowGrantsOrder,
                           StopGrantsOrder, GrantAsked>;

struct Do {
  Step step;
  Term term;
  bool operator==(const Do&) const = default;
};
struct HoldMirror {
  link::RunMirror mirror;
  bool operator==(const HoldMirror&) const = default;
};
struct TellPhase {
  link::MirrorPhase phase = link::MirrorPhase::Starting;
  std::string detail;
  Term whole_under = {};  ///< the copy is whole, of the active under this term; 0: it is not
  bool operator==(const TellPhase&) const = default;
};
struct TellVote {
  link::Vote vote = link::Vote::Unknown;
  bool operator==(const TellVote&) const = default;
};
struct TellReady {
  Term term;
  std::vector<link::PhaseTime> phases;
  bool operator==(const TellReady&) const = default;
};
struct TellActivateFailed {
  std::string detail;
  bool operator==(const TellActivateFailed&) const = default;
};
struct TellQuiesced {
  double ms = 0;
  bool operator==(const TellQuiesced&) const = default;
};
struct TellQuiesceFailed {
  std::string detail;
  bool operator==(const TellQuiesceFailed&) const = default;
};
struct TellAlarm {
  std::string text;
  std::string topic = {};  ///< it stands until the edge says that it is over
  bool operator==(const TellAlarm&) const = default;
};
/// A lease's grant (rule 5): the active may serve on for the lease's length from when it asked.
struct Grant {
  Term term;
  std::uint64_t nonce = 0;
  bool operator==(const Grant&) const = default;
};
struct TellGrantsStopped {
  Term term;
  bool operator==(const TellGrantsStopped&) const = default;
};
struct Announce {
  bool operator==(const Announce&) const = default;
};
struct PowerOff {
  bool operator==(const PowerOff&) const = default;
};
using Effect = std::variant<Do, HoldMirror, TellPhase, TellVote, TellReady, TellActivateFailed, TellQuiesced,
                            TellQuiesceFailed, TellAlarm, Announce, PowerOff, Grant, TellGrantsStopped>;
using Effects = std::vector<Effect>;

class Mirror {
 public:
  Effects step(const Event& event);
  [[nodiscard]] Activity activity() const { return activity_; }
  [[nodiscard]] Term term() const { return term_; }
  /// After a restart of the agent in a guest that serves already, or was about to (D13): Ready is said when Restore is
  /// done.
  void adopt_serving(Term term);

 private:
  Effects on(const StepDone& event);
  Effects on(const StepFailed& event);
  Effects on(const ConfigureOrder& event);
  Effects on(const ActivateOrder& event);
  Effects on(const AnnounceOrder& event);
  Effects on(const QuiesceOrder& event);
  Effects on(const ResumeOrder& event);
  Effects on(const ShutdownOrder& event);
  Effects on(const SyncChanged& event);
  Effects on(const PeerChanged& event);
  Effects on(const ApplicationEnded& event);
  Effects on(const AllowGrantsOrder& event);
  Effects on(const StopGrantsOrder& event);
  Effects on(const GrantAsked& event);
  Effects advance(Activity next, Step step, const char* phase, double ms);
  [[nodiscard]] bool is_activating() const;
  [[nodiscard]] bool is_under_way(Step step) const;
  [[nodiscard]] TellPhase told(SyncPhase phase, const std::string& detail) const;
  Effects restored();

  Activity activity_ = Activity::Idle;
  SyncPhase sync_ = SyncPhase::Connecting;
  link::Vote vote_ = link::Vote::Unknown;
  Term term_;           ///< the active's while mirroring, our own from the activation on
  Term granting_;       ///< for this term whoever asks is granted; 0: nobody. A restarted agent grants nothing
  Term no_grants_;      ///< up to this one never again
  Term mirrored_term_;  ///< the term before an activation: a failed one goes back to it
  std::string bundle_;
  std::optional<link::RunMirror> next_;  ///< a newer order that came while an older one is carried out
  bool restoring_ = false;               ///< serving: its application is being started, or taken up, and not active yet
  bool ready_wanted_ = false;            ///< meanwhile it was told to serve
  bool application_ended_ = false;       ///< in the present activation or quiesce
  std::vector<link::PhaseTime> phases_;
};

}  // namespace understudy::guest
