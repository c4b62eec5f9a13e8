// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One role's life.
///
///   STARTING ─serving─► EXPOSED ◄─sync lost─► PROTECTED ─failure seen─► TAKING_OVER ─activated─► ON_MIRROR
///      ▲                   │ no mirror                                  evidence                   │     ▲
///      │                   ▼                                            store term+1    reserve term     │
///      └─new term/serve─ LOST                                           activate               order     │ rolled back
///                                                                                                ▼       │
///                                                  ON_HOST ◄────────moved, stored──────────── MOVING ────┘
///
/// Events only change facts; what follows from the facts is decided in settle(), after every event, so that the
/// order in which facts arrive does not matter. Invariants:
///   - nothing is ordered under a term that is not stored (effects: Persist; the order follows its StoreDone);
///   - Activate is sent only after stop-evidence of this life of the control-server (rule 6);
///   - PROTECTED is what the synchronization unit says (synchronization_unit.hpp), nobody else;
///   - a term is used once: what was reserved and rolled back is never given again.
/// Two silences that are told, not acted upon: PROTECTED becomes EXPOSED as soon as the standby is silent and its
/// host-agent is lost; ON_MIRROR becomes LOST when its blade is silent and no host-agent came back in time. A
/// host-agent that restarts looks the same but for the order: its kernel closes the stream first, so it is given
/// agent_restart.
/// Every (state, event), and what is done: docs/tables/role.txt.
/// The surprising rule: a blade that comes back without its role does not get the same term again. Its old state is
/// gone, and (term, sequence) must never mean two different things.

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/role_fitness.hpp"
#include "core/step_context.hpp"
#include "core/synchronization_unit.hpp"

namespace understudy::control {

enum class RoleState : std::uint8_t {
  Starting,    ///< owned on paper; its place has not confirmed yet
  Exposed,     ///< served by its blade, no synced mirror
  Protected,   ///< served by its blade, the mirror could take over at once
  TakingOver,  ///< decided: the old place is being stopped, then the mirror begins
  OnMirror,    ///< served by the mirror
  Moving,      ///< served by the mirror, on its way to the standby's host
  OnHost,      ///< served by the standby's host
  Lost,        ///< nobody serves it: an alarm
};
inline constexpr std::size_t kRoleStates = 8;

[[nodiscard]] const char* to_string(RoleState state);

class RoleMachine {
 public:
  /// `stored` is what the state store holds; a default Ownership when it holds nothing. Its standby is the first of
  /// `standbys`, or that one of them which has the role.
  RoleMachine(const RoleConfig& config, const std::vector<BladeId>& standbys, Ownership stored);

  // --- facts ---
  /// Before anything else: PROTECTED was the last word of a former life.
  void was_protected() { was_protected_ = former_word_ = true; }
  void on_started(StepContext& context);
  /// We were not awake for so long, and whoever writes may have written on. `grace`: sync_grace.
  void grows_older(Instant now, Duration missed, Duration grace);
  /// `known`: the highest term that the blade ever held or gave up of the role.
  void on_hello(StepContext& context, const BladeId& blade, const std::optional<link::HeldRole>& held, Term known = {});
  void on_agent_lost(StepContext& context, const BladeId& blade);
  void on_report(StepContext& context, const BladeId& blade, const link::Serving& report);
  void on_report(StepContext& context, const BladeId& blade, const link::ServeFailed& report);
  void on_report(StepContext& context, const BladeId& blade, const link::ApplicationFailed& report);
  void on_report(StepContext& context, const BladeId& blade, const link::Stopped& report);
  void on_report(StepContext& context, const BladeId& blade, const link::MirrorState& report);
  void on_report(StepContext& context, const BladeId& blade, const link::MirrorWarning& report);
  void on_report(StepContext& context, const BladeId& blade, const link::PeerVote& report);
  void on_report(StepContext& context, const BladeId& blade, const link::Activated& report);
  void on_report(StepContext& context, const BladeId& blade, const link::ActivateFailed& report);
  void on_report(StepContext& context, const BladeId& blade, const link::Moved& report);
  void on_report(StepContext& context, const BladeId& blade, const link::MoveFailed& report);
  void on_report(StepContext& context, const BladeId& blade, const link::LeaseState& report);
  void on_report(StepContext& context, const BladeId& blade, const link::GrantsStopped& report);
  void on_report(StepContext& context, const BladeId& blade, const link::HandedOver& report);
  void on_report(StepContext& context, const BladeId& blade, const link::HandOverFailed& report);
  void on_report(StepContext& context, const BladeId& blade, const link::RoleUnfit& report);
  void on_report(StepContext& context, const BladeId& blade, const link::RoleFit& report);
  void on_report(StepContext& context, const BladeId& blade, const link::RoleAlarm& report);
  void on_report(StepContext& context, const BladeId& blade, const link::SyncProgress& report);
  void on_stored(StepContext& context, Term term);
  void on_store_failed(StepContext& context, Term term, bool conflict, const std::string& detail);
  void on_isolated(StepContext& context, const BladeId& blade);
  void on_isolate_failed(StepContext& context, const BladeId& blade, const std::string& detail);
  void on_readmitted(StepContext& context, const BladeId& blade);
  void on_ports_opened(StepContext& context, const BladeId& blade);
  void on_let_back(StepContext& context, const BladeId& blade);
  void on_powered_off(StepContext& context, const BladeId& blade);
  void on_power_failed(StepContext& context, const BladeId& blade, const std::string& detail);
  void on_mirrors_released(StepContext& context, const BladeId& blade);
  void on_operator_move() { operator_move_ = true; }
  void on_operator_switchover(Instant now) { switchover_wanted_at_ = now; }

  /// After each step: what is to be written down of the role's protection, if it is news.
  void keep_protection(StepContext& context);

  /// Decides what follows from the facts.
  void settle(StepContext& context, const Neighbours& neighbours);

  // --- asked by the group ---
  [[nodiscard]] const RoleId& id() const { return config_.spec.id; }
  [[nodiscard]] const RoleConfig& config() const { return config_; }
  /// Whose mirror understudies it: the one of the group's standbys that is this role's.
  [[nodiscard]] const BladeId& standby() const { return standby_; }
  [[nodiscard]] RoleState state() const { return state_; }
  /// The store contradicted: nothing is decided about it in this life.
  [[nodiscard]] bool decisions_stopped() const { return frozen_; }
  [[nodiscard]] const Ownership& ownership() const { return own_; }
  /// When the last takeover was decided.
  [[nodiscard]] std::optional<Instant> decided_at() const { return decided_at_; }
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] link::MirrorPhase mirrors_phase() const { return sync_.phase().value_or(link::MirrorPhase::Starting); }
  [[nodiscard]] link::Vote mirrors_vote() const { return mirror_ballot_.vote; }
  [[nodiscard]] const Ballot& mirrors_ballot() const { return mirror_ballot_; }
  /// Of the mirror's view of the active, from one certainty to the other.
  [[nodiscard]] const Waver& mirror_waver() const { return mirror_waver_; }
  /// True once after a movement was stored: the standby's guests are to be released.
  [[nodiscard]] bool take_moved() { return std::exchange(moved_, false); }
  /// True: a release must leave its mirror alone. It serves, is about to, or has the only copy of a role that nobody
  /// serves, or whose blade is not heard or has not said what it has; then the release is asked for once more when the
  /// role is served and heard.
  [[nodiscard]] bool spares_its_mirror(const StepContext& context);
  [[nodiscard]] bool awaits_give_back() const {
    return state_ == RoleState::TakingOver && step_ == Step::AwaitGiveBack;
  }
  [[nodiscard]] bool standby_is_clear(StepContext& context, const BladeId& standby);
  [[nodiscard]] link::RoleStatus status() const;
  /// By its blade's own word, of networks of the role.
  [[nodiscard]] std::set<std::string> links_lacked() const;
  [[nodiscard]] bool has_network(const std::string& network) const;
  /// Networks that the role has now and would not have on its mirror, as words for a person; empty: none.
  [[nodiscard]] std::string links_lost_on_mirror() const;
  /// True once after its blade was unfit for it, by its own fault, and is fit again.
  [[nodiscard]] bool take_blade_failed() { return std::exchange(blade_failed_, false); }

 private:
  enum class Step : std::uint8_t {
    None,
    AwaitMirrorsWord,
    AwaitHandOver,  ///< a switchover: the active lets go by itself, or goes on
    AwaitEvidence,
    AwaitActivated,
    AwaitGiveBack,
    AwaitMoved
  };
  enum class AfterStore : std::uint8_t { Serve, Adopt, Activate, Move, Moved, Leased, Exposed };
  enum class Timer : std::uint8_t {
    Hello,
    MirrorsWord,
    MirrorAgain,
    Store,
    Serve,
    StandbyGone,
    Votes,
    Isolate,
    Readmit,
    Ports,
    Lease,
    Activation,
    Move,
    MoveDeadline,
    SlowStop,
    GiveBack,
    FormerLife,
    Fitness
  };
  static constexpr std::size_t kTimers = 18;

  // role_start.cpp: who owns what, and does it know
  [[nodiscard]] link::RoleSpec spec() const;
  void use_standby(StepContext& context, const BladeId& standby);
  [[nodiscard]] std::string missing(const StepContext& context) const;
  void consider_first_term(StepContext& context);
  void owner_on_host_says_hello(StepContext& context, const std::optional<link::HeldRole>& held);
  void ask_mirror(StepContext& context);
  void take_over_from_returned(StepContext& context);
  void owner_on_mirror_says_hello(StepContext& context, const std::optional<link::HeldRole>& held);
  void other_says_hello(StepContext& context, const BladeId& blade, const std::optional<link::HeldRole>& held);
  void serve_under_new_term(StepContext& context, const BladeId& blade, link::StopEvidence evidence);
  void confirm_serving(StepContext& context);
  void send_serve(StepContext& context);
  void send_run_mirror(StepContext& context);
  [[nodiscard]] bool mirror_is_of_earlier_term() const;
  [[nodiscard]] bool mirror_runs() const;
  void retry_start(StepContext& context);
  void await_mirrors_word(StepContext& context);

  // role_older_store.cpp
  void newer_than_the_store(StepContext& context, const BladeId& blade, const link::HeldRole& held);
  [[nodiscard]] bool active_may_have_it(const StepContext& context) const;
  void heed_newer_mirror(StepContext& context);
  void adopted(StepContext& context);

  // role_ports.cpp: who serves is heard outside
  void readmit(StepContext& context);
  void keep_admitted(StepContext& context);
  [[nodiscard]] std::optional<Instant> standby_is_due(const StepContext& context) const;

  // role_failure.cpp: protection and failures
  void update_protection(StepContext& context, const Neighbours& neighbours);
  [[nodiscard]] SyncSurroundings around_sync(const StepContext& context) const;
  void judge_active(StepContext& context, const Neighbours& neighbours);
  void judge_serving_mirror(StepContext& context);
  // role_verdict.cpp
  struct VotesWord {
    Verdict verdict = Verdict::Healthy;
    std::optional<Instant> again;      ///< ask again then
    std::optional<Instant> out_until;  ///< another verdict may come until then; nothing: none is awaited
  };
  /// Of the votes about the blade that serves the role by its host.
  [[nodiscard]] VotesWord votes_word(const StepContext& context, const Ballot& mirror,
                                     const Neighbours& neighbours) const;
  /// Its host-agent may look for this life of the control-server until then; nothing: it has found it, or is not there.
  [[nodiscard]] std::optional<Instant> finds_us_until(const StepContext& context) const;
  void consider_cutting_power(StepContext& context);
  void owe_power(StepContext& context);
  void arm_at_latest(Timer timer, Instant at);
  /// Arms the timer that asks again.
  [[nodiscard]] Verdict verdict_about(StepContext& context, const Ballot& mirror, const Neighbours& neighbours);
  void act_on(StepContext& context, Verdict verdict);
  void application_is_down(StepContext& context, const std::string& detail);
  void handle_application_failure(StepContext& context);
  [[nodiscard]] bool can_take_over(const StepContext& context) const;
  [[nodiscard]] bool copy_outlived_its_active(const StepContext& context) const;
  [[nodiscard]] bool former_word_stands() const;
  void doubt_former_protection(StepContext& context);
  /// What the mirror says counts: of this term, by a host-agent that is there.
  [[nodiscard]] bool mirror_known(const StepContext& context) const;

  // role_fitness.cpp
  void consider_fitness(StepContext& context, const Neighbours& neighbours);
  void forget_fitness(const BladeId& blade);
  [[nodiscard]] FitnessCase fitness_case(const StepContext& context, const Neighbours& neighbours);
  [[nodiscard]] std::string unfit_text() const;

  // role_told.cpp: for a person
  [[nodiscard]] std::string mirror_text() const;
  [[nodiscard]] std::string mirrors_reason() const;
  [[nodiscard]] std::string unproved(const StepContext& context, const BladeId& blade, const std::string& what) const;

  // role_takeover.cpp
  void begin_takeover(StepContext& context, const std::string& why, std::optional<link::StopEvidence> evidence);
  void evidence_found(StepContext& context, link::StopEvidence evidence);
  void verify_and_activate(StepContext& context);
  void isolate_active(StepContext& context);
  void isolation_is_slow(StepContext& context);
  void seek_other_evidence(StepContext& context);
  void send_activate(StepContext& context);
  void activation_failed(StepContext& context, const std::string& why);
  void consider_cancelling(StepContext& context);
  void retry_takeover(StepContext& context);
  [[nodiscard]] bool standby_died_activating(StepContext& context);
  [[nodiscard]] bool active_has_nothing(const StepContext& context) const;
  void serves_under_a_forgotten_term(StepContext& context, const BladeId& blade, const link::HeldRole& serves);
  void now_on_mirror(StepContext& context);
  [[nodiscard]] bool old_active_is_healthy(const StepContext& context) const;
  [[nodiscard]] bool old_active_is_gone(StepContext& context);
  void give_back_is_off(StepContext& context);
  [[nodiscard]] bool may_have_it_back(const StepContext& context) const;
  [[nodiscard]] bool give_back_is_hopeless(StepContext& context);

  // role_give_back.cpp
  void consider_give_back(StepContext& context, const Neighbours& neighbours);
  void standby_is_stopped(StepContext& context, link::StopEvidence evidence);
  void standby_is_not_isolated(StepContext& context, const std::string& detail);
  void standby_needs_no_stop(StepContext& context);
  void standby_has_stood_down(StepContext& context, Term term);

  void forget_told(const BladeId& blade);  ///< role_told.cpp

  // role_claims.cpp
  [[nodiscard]] bool known_term_counts(StepContext& context, const BladeId& blade, Term known);
  [[nodiscard]] bool claim_counts(StepContext& context, const BladeId& blade, const link::HeldRole& held);
  void claim_is_over(StepContext& context, const BladeId& blade);
  // role_switchover.cpp
  void consider_switchover(StepContext& context);
  void send_hand_over(StepContext& context);
  void watch_hand_over(StepContext& context, const Neighbours& neighbours);
  void hello_in_hand_over(StepContext& context, const std::optional<link::HeldRole>& held);
  void role_let_go(StepContext& context);
  void hand_over_undone(StepContext& context, const std::string& why);
  [[nodiscard]] bool mirror_has_a_copy(const StepContext& context) const;

  // role_lease.cpp
  void consider_lease(StepContext& context);
  void expose_first(StepContext& context);
  void disarm_lease(StepContext& context);
  void stop_grants(StepContext& context);
  void count_lease_out(StepContext& context);
  void tell_slow_arming(StepContext& context);
  [[nodiscard]] bool lease_is_safe(const StepContext& context) const;
  [[nodiscard]] bool lease_doubt_settles(StepContext& context);
  [[nodiscard]] bool lease_may_prove() const;
  [[nodiscard]] const char* lease_text() const;

  // role_movement.cpp
  void consider_movement(StepContext& context, const Neighbours& neighbours);
  void persist_moved(StepContext& context, Term term);
  void movement_deadline(StepContext& context);

  // role_machine.cpp: shared by all
  void become(StepContext& context, RoleState state, const std::string& why);
  void persist(StepContext& context, Ownership next, AfterStore after);
  void raise(StepContext& context, const std::string& topic, const std::string& text);
  void clear(StepContext& context, const std::string& topic);
  void note(StepContext& context, link::Severity severity, const std::string& kind, const BladeId& blade,
            const std::string& text) const;
  void note_phase(StepContext& context, const std::string& phase, Duration took, const std::string& text) const;
  void note_phases(StepContext& context, const BladeId& blade, const std::vector<link::PhaseTime>& phases) const;
  void ignore(StepContext& context, const BladeId& blade, const std::string& what, Term term) const;
  void arm(Timer timer, Instant at) { timers_[static_cast<std::size_t>(timer)] = at; }
  void disarm(Timer timer) { timers_[static_cast<std::size_t>(timer)].reset(); }
  [[nodiscard]] bool armed(Timer timer) const { return timers_[static_cast<std::size_t>(timer)].has_value(); }
  /// True once when the time has come.
  bool due(Timer timer, Instant now);
  [[nodiscard]] Term next_term() const { return std::max(own_.highest(), seen_).next(); }
  [[nodiscard]] bool on_own_blade() const {
    return own_.place.kind == PlaceKind::Host && own_.place.blade == config_.active;
  }

  RoleConfig config_;
  BladeId standby_;
  Ownership own_;
  RoleState state_ = RoleState::Starting;
  Step step_ = Step::None;
  bool frozen_ = false;               ///< the store contradicts: a person decides
  std::optional<Ownership> pending_;  ///< being stored
  AfterStore after_store_ = AfterStore::Serve;
  std::map<BladeId, link::HeldRole> held_;  ///< what connected blades said they hold
  Term seen_;                               ///< highest term that anybody whose word counts ever mentioned
  std::set<BladeId> distrusted_;            ///< what they said last is not believed
  SynchronizationUnit sync_;                ///< alone says whether the role is protected
  Ballot mirror_ballot_;                    ///< the mirror's view of the active
  Waver mirror_waver_;
  Instant mirror_told_;               ///< the last event of what it said
  bool served_ = false;               ///< its place has confirmed in this life that it serves under the present term
  bool mirror_owed_ = false;          ///< its mirror is to follow the present term once that is served
  std::set<BladeId> standbys_heard_;  ///< whose host-agents have said Hello in this life
  Instant started_;
  bool was_protected_ = false;           ///< by the last word that was written down, in this life or a former one
  bool former_word_ = false;             ///< that word is a former life's, and this one does not know better yet
  std::optional<Instant> former_heard_;  ///< while that word stands: its active was heard then for the first time
  std::optional<std::string> application_failed_;
  struct UnfitWord {
    link::RoleUnfit report;
    bool blamed = false;  ///< it is this blade's own fault
  };
  std::map<link::UnfitCause, UnfitWord> unfit_;  ///< of the blade that has the role; another term's does not count
  std::set<std::string> standby_lacks_;          ///< networks, by its own word
  std::set<std::string> lacks_alone_;            ///< networks that neither the standby nor all actives lack
  Instant lacks_alone_since_;
  bool blade_failed_ = false;
  std::optional<Instant> unfit_pause_;  ///< until then no other takeover for being unfit
  bool silent_ = false;                 ///< LOST because the blade is silent: its voice is enough to come back
  bool came_empty_ = false;             ///< the last Hello of the role's blade did not name the role at all
  bool place_gone_ = false;             ///< the mirror that owned the role does not exist any more
  link::StopEvidence evidence_ = link::StopEvidence::None;
  bool by_silence_ = false;   ///< this takeover: the blade fell silent, so its power goes off too
  bool power_due_ = false;    ///< as soon as it is known whether it is silent still
  struct Lease {              ///< of the term of `own_`, in this life
    std::uint64_t id = 0;     ///< of the last ArmLease; 0: none
    bool timed = false;       ///< the active has said so of that one
    bool orphaned = false;    ///< the active has one that nobody armed in this life, or was told to let go in vain
    bool broken_off = false;  ///< for a moment the mirror could not go on granting, and the active was not told
    bool stopping = false;    ///< the mirror was told to grant no more
    std::optional<Instant> doubted_since;  ///< only the mirror's vote or its sync is missing
    bool let_go = false;                   ///< since its last Hello the active was told that it has none
    std::optional<Instant> out_at;         ///< it grants no more, and until then the gate may still be open
    bool ran_out = false;
  } lease_;
  unsigned serve_tries_ = 0;
  unsigned isolate_tries_ = 0;
  unsigned activate_tries_ = 0;
  Instant give_back_since_;
  std::optional<Instant> decided_at_;
  Instant stopping_since_;
  Instant activating_since_;
  bool operator_move_ = false;
  std::optional<Instant> switchover_wanted_at_;
  struct HandOver {  ///< of the last switchover
    Term term;
    bool undone = false;  ///< the active has said that it does not let go; it was told to serve on
  } hand_over_;
  bool urgent_move_ = false;  ///< the guest died while it served: only the host can go on (rule 15)
  bool move_due_ = false;
  bool stays_noted_ = false;
  unsigned move_tries_ = 0;
  bool moved_ = false;
  bool spared_ = false;                        ///< a release left its mirror alone
  std::map<std::string, std::string> alarms_;  ///< topic -> text, each told once
  std::array<std::optional<Instant>, kTimers> timers_{};
  std::uint64_t changes_ = 0;
};

}  // namespace understudy::control
