// SPDX-License-Identifier: Apache-2.0
/// Whether a planned switchover may begin: one sentence for a person when not.
#include "core/group.hpp"

namespace understudy::control {

using link::Vote;

Result<std::string> Group::check_switchover(const RoleId& id, bool force) const {
  const auto refuse = [](const std::string& why) { return failure(why, Errc::Refused); };
  const auto* role = find(id);
  if (role == nullptr) { return failure("there is no role \"" + id.value + "\" in this group", Errc::NotFound); }
  if (role->state() != RoleState::Protected) {
    const auto& detail = role->status().detail;
    return refuse(id.value + " is " + to_string(role->state()) + (detail.empty() ? "" : " (" + detail + ")") +
                  "; only a role that is protected can be switched over");
  }
  if (role->mirrors_phase() != link::MirrorPhase::Synced) {  // for less than it takes to call the role exposed
    return refuse("the mirror of " + id.value + " is " + link::to_string(role->mirrors_phase()) +
                  " at the moment, not synced; try again in some seconds");
  }
  for (const auto& other : roles_) {
    const bool busy = other.state() == RoleState::TakingOver || other.state() == RoleState::Moving;
    if (!busy || other.standby() != role->standby()) { continue; }
    return refuse(other.id().value + " is " + to_string(other.state()) +
                  " and needs the standby; wait until it is done");
  }
  const auto& active = role->config().active;
  const auto& standby = role->standby();
  for (const auto& blade : {active, standby}) {
    if (!blades_.at(blade).connected) { return refuse("the host-agent of " + blade.value + " is not connected"); }
    if (blades_.at(blade).bfd.vote == Vote::Down) {
      return refuse("the control-server does not hear " + blade.value + ": find out why first");
    }
  }
  if (role->mirrors_vote() == Vote::Down) {
    return refuse("the mirror does not hear " + active.value + ": find out why first");
  }
  if (!force && blades_.at(standby).hold_out.held()) {
    return refuse(standby.value + " is held out since it failed again and again; `understudy let-back " +
                  standby.value + "` first, or --force");
  }
  const bool heard = blades_.at(active).bfd.vote == Vote::Up && blades_.at(standby).bfd.vote == Vote::Up &&
                     role->mirrors_vote() == Vote::Up;
  if (!force && !heard) {
    return refuse("not every observer has heard " + active.value + " and " + standby.value +
                  " yet, as after a restart; try again in some seconds, or --force");
  }
  return id.value + " is handed over by " + active.value + " to its mirror on " + standby.value;
}

void Group::handle(StepContext& context, const OperatorSwitchover& event) {
  auto* role = find_mutable(event.role);
  if (role == nullptr || !check_switchover(event.role, event.force)) { return; }
  context.note({0, 0, link::Severity::Info, "operator", event.role, role->config().active, "", 0,
                event.force ? "switchover ordered, by force" : "switchover ordered"});
  role->on_operator_switchover(context.now);
}

}  // namespace understudy::control
