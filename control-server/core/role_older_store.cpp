// SPDX-License-Identifier: Apache-2.0
/// A store that is older than the truth: somebody serves, or has tried to, under a term that it has never heard of.
///
///   serves under a newer term             adopted: that is the truth
///   the owner by the store, not serving   a newer term for it, or its mirror takes over
///   the mirror of an active that serves   the active goes on under a newer term
///
/// The surprising rule: the last one. A mirror that has tried to take over has written under that term, and follows no
/// older one any more, healthy as it is.
#include "core/role_machine.hpp"

namespace understudy::control {

using link::HeldRole;
using link::StopEvidence;

/// It was given the role back, and the store has lost that: its mirror looks as if it had only been told to stand down.
/// Its own word is awaited as long as it is heard, and not for ever.
bool RoleMachine::active_may_have_it(const StepContext& context) const {
  const auto& active = context.blades.at(config_.active);
  return state_ == RoleState::Starting && !active.connected && !active.silent() && armed(Timer::Hello);
}

/// A blade serves under a term that the store never heard of: the store is older than the truth.
void RoleMachine::newer_than_the_store(StepContext& context, const BladeId& blade, const HeldRole& held) {
  if (!held.serving) {  // a number to stay above, nothing more
    if (blade != own_.place.blade || step_ == Step::AwaitGiveBack) { return heed_newer_mirror(context); }
    if (own_.place.kind == PlaceKind::Host) {
      serve_under_new_term(context, blade, StopEvidence::StoodDown);
    } else if (held.kind == PlaceKind::Mirror && !active_may_have_it(context)) {
      // Whoever took the role from it did not live to give it to anybody.
      become(context, RoleState::TakingOver, "the mirror was told to stand down, and nobody else has the role");
      verify_and_activate(context);
    }
    return;
  }
  const bool standby = context.blades.is_standby(blade);
  const bool possible = standby || (blade == config_.active && held.kind == PlaceKind::Host);
  if (!possible) {
    raise(context, "start",
          to_string(Place{blade, held.kind}) + " serves the role under term " + std::to_string(held.term.value) +
              " where the configuration never put it");
    return;
  }
  note(context, link::Severity::Warning, "store", blade,
       "the state store is older than the truth; adopting " + to_string(Place{blade, held.kind}) + " under term " +
           std::to_string(held.term.value));
  if (standby) { use_standby(context, blade); }
  persist(context, {id(), held.term, {blade, held.kind}, StopEvidence::None, Term{}}, AfterStore::Adopt);
}

void RoleMachine::adopted(StepContext& context) {
  step_ = Step::None;
  const auto newest = held_.find(own_.place.blade);  // it was moved on, or activated, while this was being stored
  if (newest != held_.end() && newest->second.serving && newest->second.term > own_.highest()) {
    return newer_than_the_store(context, newest->first, HeldRole(newest->second));
  }
  lease_ = {};
  become(context, RoleState::Starting, "adopted " + to_string(own_.place));
  if (own_.place.kind == PlaceKind::Mirror) {
    now_on_mirror(context);
  } else {
    confirm_serving(context);
    // An earlier life may have timed its gate, and stopped the grants that keep it open: who is told to serve has none.
    send_serve(context);  // that its application has ended was told under a term that was not known yet
    send_run_mirror(context);
  }
  if (own_.place.blade != config_.active) { context.isolate(config_.active); }
  for (const auto& [blade, held] : held_) {
    if (blade != own_.place.blade) { context.send(blade, link::StandDown{id(), own_.term}); }
  }
}

/// What the standby said before its active did, or was adopted, counts then.
void RoleMachine::heed_newer_mirror(StepContext& context) {
  const auto found = held_.find(standby_);
  if (pending_ || found == held_.end()) { return; }
  const auto& held = found->second;
  if (held.kind != PlaceKind::Mirror || held.serving || held.term <= own_.highest()) { return; }
  if (own_.place.kind == PlaceKind::Mirror) {
    if (state_ == RoleState::Starting) { newer_than_the_store(context, standby_, HeldRole(held)); }
  } else if (on_own_blade() && served_ && state_ == RoleState::Exposed) {
    note(context, link::Severity::Warning, "store", standby_,
         "the state store is older than the truth: the mirror has tried to take over under term " +
             std::to_string(held.term.value) + "; its active goes on under a newer one, which it can follow");
    serve_under_new_term(context, config_.active, StopEvidence::StoodDown);
  }
}

}  // namespace understudy::control
