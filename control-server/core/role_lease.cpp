// SPDX-License-Identifier: Apache-2.0
/// Leases (rules 3 to 5): the third stop-evidence, where neither switch nor power obeys.
///
///   off ─synced, steady─► armed ─the active: timed─► stored: leased ─takeover, the switch failed─► the mirror grants
///   no
///    ▲                      │                            │                                          more: counted out
///    └────── disarmed ◄─────┴──── stored: exposed ◄──────┘ the mirror may not go on granting
///
/// Invariants
///   - `leased` is stored only while the active's gate is timed by the last order, and it is taken back in the store
///     before anybody opens that gate without a timeout: who finds it stored may count on the gate.
///   - Counted is time in which we were awake: a clock that jumps, or stood still, counts a step (awake_time.hpp).
/// The surprising rule: an active that cannot be told is left leased. It is the one that the lease is for.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::MirrorPhase;
using link::StopEvidence;
using link::Vote;

/// The mirror goes on granting as far as anybody can tell, and its fate is not ours.
bool RoleMachine::lease_is_safe(const StepContext& context) const {
  const auto& standby = context.blades.at(standby_);
  return context.standby_free(standby_) && !context.config.control_shares(standby_) && mirror_known(context) &&
         sync_.says(MirrorPhase::Synced) && mirror_ballot_.vote == Vote::Up && !standby.silent();
}

/// The mirror may have lost the active a few milliseconds before this control-server does, and then the lease is about
/// to be needed: it is not given up for a vote or a sync alone before our own vote could follow. True: not yet.
bool RoleMachine::lease_doubt_settles(StepContext& context) {
  const bool no_more_than_that = context.standby_free(standby_) && mirror_known(context) &&
                                 !context.blades.at(standby_).silent() &&
                                 (sync_.says(MirrorPhase::Synced) || sync_.says(MirrorPhase::Connected));
  if (!no_more_than_that) { return false; }
  if (!lease_.doubted_since) { lease_.doubted_since = context.now; }
  const Instant until = *lease_.doubted_since + context.config.timings.vote_settle();
  if (context.now >= until) { return false; }
  arm(Timer::Lease, until);
  return true;
}

/// An order that is lost, or a mirror that grants nothing: until its gate is timed the lease proves nothing.
void RoleMachine::tell_slow_arming(StepContext& context) {
  if (lease_.id == 0 || lease_.timed) {
    clear(context, "lease");
    return;
  }
  const Instant late = Instant{Duration(lease_.id)} + context.config.timings.lease_arming;
  if (context.now < late) {
    arm(Timer::Lease, late);
    return;
  }
  raise(context, "lease",
        config_.active.value +
            " has not said yet that its gate closes by itself: while the switch and the power do not "
            "obey nothing can prove that it has stopped");
}

void RoleMachine::consider_lease(StepContext& context) {
  if (context.config.leases) { count_lease_out(context); }
  const bool serves = state_ == RoleState::Exposed || state_ == RoleState::Protected;
  if (state_ == RoleState::Starting) { disarm(Timer::Lease); }
  if (!serves || !on_own_blade() || pending_) { return; }
  const auto& active = context.blades.at(config_.active);
  if (lease_.orphaned && active.connected) {
    disarm_lease(context);
    return;
  }
  const bool reachable = active.connected && active.bfd.vote == Vote::Up;
  if (!context.config.leases) {  // an earlier life had them
    if (reachable && own_.leased) { expose_first(context); }
    return;
  }
  if (!lease_is_safe(context)) {
    disarm(Timer::Lease);
    lease_.broken_off = true;
    if (!reachable || (!own_.leased && lease_.id == 0) || lease_doubt_settles(context)) { return; }
    expose_first(context);
    return;
  }
  if (std::exchange(lease_.doubted_since, std::nullopt)) { disarm(Timer::Lease); }
  if (!reachable || state_ != RoleState::Protected) { return; }
  // Stored by an earlier life, or the mirror may have forgotten that it grants, or the active gets no grants: it begins
  // anew.
  const bool starved = lease_.id != 0 && own_.leased && !lease_.timed;
  if ((lease_.id == 0 && own_.leased) || (lease_.id != 0 && lease_.broken_off) || starved) {
    expose_first(context);
  } else if (lease_.id == 0 && due(Timer::Lease, context.now)) {
    const auto& timings = context.config.timings;
    lease_.broken_off = false;
    lease_.id = static_cast<std::uint64_t>(context.now.since_boot.count());
    context.send(standby_, link::AllowGrants{id(), own_.term});
    const auto ms = [](Duration time) {
      return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    context.send(config_.active,
                 link::ArmLease{id(), own_.term, lease_.id, ms(timings.lease), ms(timings.lease_element)});
  } else if (lease_.id == 0 && !armed(Timer::Lease)) {
    arm(Timer::Lease, context.now + context.config.timings.lease_wait);
  } else if (lease_.timed && !own_.leased) {
    Ownership next = own_;
    next.leased = true;
    persist(context, next, AfterStore::Leased);
  }
  tell_slow_arming(context);
}

/// Durably exposed, then told: an order to keep the gate open may be read late, by an active that nobody hears.
void RoleMachine::expose_first(StepContext& context) {
  if (!own_.leased) {
    disarm_lease(context);
    return;
  }
  lease_ = {};
  Ownership next = own_;
  next.leased = false;
  persist(context, next, AfterStore::Exposed);
}

void RoleMachine::disarm_lease(StepContext& context) {
  lease_ = {};
  lease_.let_go = true;
  arm(Timer::Lease, context.now + context.config.timings.lease_wait);
  clear(context, "lease");
  context.send(config_.active, link::DisarmLease{id(), own_.term});
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::LeaseState& report) {
  if (blade != own_.place.blade || !on_own_blade() || report.term != own_.term) {
    ignore(context, blade, "lease", report.term);
    return;
  }
  if (lease_.id != 0) { lease_.timed = report.id == lease_.id; }
  // An earlier life armed it. Also one that says 0, for it asks for grants all the same, and its gate may have closed.
  const bool nobody_armed_it = lease_.id == 0 && !own_.leased && !pending_ && (report.id != 0 || !lease_.let_go);
  lease_.orphaned = lease_.orphaned || nobody_armed_it;  // it may be told while its blade is not heard yet
}

/// Stored by an earlier life, which had counted it out: the mirror is asked and it is counted out once more (rule 6).
bool RoleMachine::lease_may_prove() const {
  if (on_own_blade()) { return own_.leased; }
  const bool at_mirror = own_.place.kind == PlaceKind::Mirror && own_.place.blade == standby_;
  return at_mirror && own_.evidence == StopEvidence::LeaseRanOut;
}

/// For a person: what stands between the role and a second owner where nothing else obeys.
const char* RoleMachine::lease_text() const {
  if (state_ == RoleState::TakingOver && lease_.ran_out) { return "ran-out"; }
  if (state_ == RoleState::TakingOver && lease_.out_at) { return "counting"; }
  if (state_ == RoleState::TakingOver && lease_.stopping) { return "stopping"; }
  if (own_.leased) { return "armed"; }
  const bool serves = state_ == RoleState::Exposed || state_ == RoleState::Protected;
  return serves && on_own_blade() && lease_.id != 0 ? "arming" : "none";
}

/// The switch did not obey. What is in the mirror's hand is stopped, beside the power.
void RoleMachine::stop_grants(StepContext& context) {
  if (!context.config.leases) { return; }
  if (lease_.ran_out && !pending_) {
    evidence_found(context, StopEvidence::LeaseRanOut);
    return;
  }
  if (!lease_may_prove() || lease_.out_at) { return; }
  lease_.stopping = true;
  context.send(standby_, link::StopGrants{id(), own_.term});
}

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::GrantsStopped& report) {
  const bool awaited = state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence && lease_.stopping && !pending_;
  if (!awaited || blade != standby_ || report.term != own_.term || !lease_may_prove()) {
    ignore(context, blade, "stop of grants", report.term);
    return;
  }
  if (lease_.out_at) { return; }  // it was asked again and again
  lease_.out_at = context.now + context.config.timings.lease_out();
  note(context, link::Severity::Info, "lease", blade,
       "the mirror grants no more; the gate of " + config_.active.value + " closes by itself");
}

void RoleMachine::count_lease_out(StepContext& context) {
  if (!lease_.out_at || lease_.ran_out) { return; }
  if (context.now < *lease_.out_at) {
    arm(Timer::Lease, *lease_.out_at);
    return;
  }
  lease_.ran_out = true;
  if (state_ == RoleState::TakingOver && step_ == Step::AwaitEvidence && !pending_) {
    evidence_found(context, StopEvidence::LeaseRanOut);
  }
}

}  // namespace understudy::control
