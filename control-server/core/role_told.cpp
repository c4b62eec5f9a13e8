// SPDX-License-Identifier: Apache-2.0
/// What blades tell about a role for a person: it stands in the role's status as long as it stands there, and decides
/// nothing.
#include "core/role_machine.hpp"

namespace understudy::control {
namespace {

constexpr std::size_t kStandingMax = 32;  ///< alarms of a role: a blade that tells nonsense fills no status

/// No topic of the machine's own has a space.
std::string told_by(const BladeId& blade) { return "told " + blade.value + " "; }

}  // namespace

void RoleMachine::on_report(StepContext& context, const BladeId& blade, const link::RoleAlarm& report) {
  const std::string text = blade.value + ": " + report.detail;
  if (report.topic.empty()) {
    note(context, link::Severity::Alarm, "alarm", blade, text);
    return;
  }
  const std::string topic = told_by(blade) + report.topic;
  const auto standing = alarms_.find(topic);
  if (report.detail.empty()) {
    if (standing == alarms_.end()) { return; }
    note(context, link::Severity::Info, "alarm", blade, "over: " + standing->second);
    alarms_.erase(standing);
  } else if (standing != alarms_.end() ? standing->second != text : alarms_.size() < kStandingMax) {
    alarms_[topic] = text;
    note(context, link::Severity::Alarm, "alarm", blade, text);
  }
}

/// Its host-agent is away, or new: what stands it tells anew.
void RoleMachine::forget_told(const BladeId& blade) {
  std::erase_if(alarms_, [&](const auto& alarm) { return alarm.first.starts_with(told_by(blade)); });
}

/// A mirror that serves understudies nobody.
std::string RoleMachine::mirror_text() const {
  const bool broken = sync_.says(link::MirrorPhase::Failed) || sync_.says(link::MirrorPhase::Stopped);
  if (own_.place.kind == PlaceKind::Mirror && state_ != RoleState::TakingOver && !broken) {
    return state_ == RoleState::OnMirror || state_ == RoleState::Moving ? "serving" : "none";
  }
  return sync_.phase() ? link::to_string(*sync_.phase()) : "none";
}

/// Why the mirror is not synced, where it says so.
std::string RoleMachine::mirrors_reason() const {
  if (!on_own_blade() || !sync_.phase() || sync_.says(link::MirrorPhase::Synced) || sync_.detail().empty()) {
    return "";
  }
  return "the mirror on " + standby_.value + " is " + link::to_string(*sync_.phase()) + ": " + sync_.detail();
}

/// `what` failed, which would have been the proof that nobody speaks at `blade`.
std::string RoleMachine::unproved(const StepContext& context, const BladeId& blade, const std::string& what) const {
  if (state_ != RoleState::TakingOver) {
    return what + ". " + id().value + " is served elsewhere: if " + blade.value +
           " only hangs it may speak for it too; switch it off by hand, or mend the switch";
  }
  return what + ". Nobody serves " + id().value + " until it is proved that " + blade.value +
         " is silent; mend the switch" +
         (context.config.has_power ? " or the power unit: both are tried again and again"
                                   : ", which is tried again and again: no power driver is configured");
}

}  // namespace understudy::control
