// SPDX-License-Identifier: Apache-2.0
/// Blades that fail again and again (hold_out.hpp), and what is kept of them.
#include <algorithm>

#include "core/group.hpp"

namespace understudy::control {

using link::Severity;

namespace {

/// Written by a clock that was put back since. Each life that reads it would take it for as young as this one does,
/// until the clock is there again, and so hold the blade out with each restart.
bool of_the_future(const HoldOutAges& ages) {
  const auto is = [](Duration age) { return age < Duration{0}; };
  return (ages.held && is(*ages.held)) || std::any_of(ages.failures.begin(), ages.failures.end(), is);
}

}  // namespace

/// Empty: it is not held out.
std::string Group::hold_out_text(const BladeId& blade) const {
  const auto& config = config_.hold_out;
  if (!blades_.at(blade).hold_out.held()) { return ""; }
  const auto seconds = [](Duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
  };
  return "held out after " + std::to_string(config.failures) + " failures within " + seconds(config.within) +
         ": it gets no mirrors, and no role back that its mirror can serve, until `understudy let-back " + blade.value +
         "`" + (config.lasts > Duration{0} ? ", or " + seconds(config.lasts) + " without a failure" : "");
}

void Group::restore_hold_outs(StepContext& context) {
  for (const auto& [id, ages] : std::exchange(held_out_, {})) {
    auto* blade = blades_.find(id);
    if (blade == nullptr || config_.hold_out.failures == 0) { continue; }
    blade->hold_out.restore(context.now, ages);
    if (of_the_future(ages)) { keep_hold_out(context, id); }
    if (blade->hold_out.held()) { note_blade(context, Severity::Alarm, "held-out", id, "still " + hold_out_text(id)); }
  }
}

void Group::keep_hold_out(StepContext& context, const BladeId& blade) {
  context.effects.emplace_back(KeepHoldOut{blade, context.blades.at(blade).hold_out.ages(context.now)});
}

void Group::count_failure(StepContext& context, const BladeId& blade) {
  const bool too_many = blades_.at(blade).hold_out.failed(context.now, config_.hold_out);
  if (config_.hold_out.failures != 0) { keep_hold_out(context, blade); }
  if (!too_many) { return; }
  note_blade(context, Severity::Alarm, "held-out", blade, hold_out_text(blade));
}

/// It was silent and away. Where more than half of the blades were at that time it was the network, or this
/// control-server's own cable, and nothing is held against any of them.
void Group::count_absence(StepContext& context, const BladeId& id) {
  const std::size_t together = blades_.away_together(id, config_.timings.hello_wait);
  const std::size_t all = blades_.that_can_be_away();
  if (together * 2 <= all) {
    count_failure(context, id);
    return;
  }
  const Instant began = blades_.at(id).absence->began;
  if (network_told_ && *network_told_ >= began) { return; }
  network_told_ = context.now;
  note_blade(context, Severity::Warning, "network", id,
             std::to_string(together) + " of " + std::to_string(all) +
                 " blades were away at the same time: the maintenance network has failed, or this control-server's "
                 "cable; it is held against none of them");
}

void Group::let_back(StepContext& context, const BladeId& blade, const std::string& by) {
  blades_.at(blade).hold_out.let_back();
  keep_hold_out(context, blade);
  note_blade(context, Severity::Info, "held-out", blade, blade.value + " is let back " + by);
  for (auto& role : roles_) { role.on_let_back(context, blade); }
}

void Group::let_back_in_time(StepContext& context) {
  for (const auto& config : config_.blades) {
    const auto until = blades_.at(config.id).hold_out.until(config_.hold_out);
    if (until && *until <= context.now) { let_back(context, config.id, "by time: it has not failed since"); }
  }
}

Result<std::string> Group::check_let_back(const BladeId& id) const {
  const auto* blade = blades_.find(id);
  if (blade == nullptr) { return failure("there is no blade \"" + id.value + "\" in this group", Errc::NotFound); }
  if (!blade->hold_out.held()) { return failure(id.value + " is not held out", Errc::Refused); }
  return id.value + " is let back; mirrors begin on it within seconds if it is the standby";
}

void Group::handle(StepContext& context, const OperatorLetBack& event) {
  if (check_let_back(event.blade)) { let_back(context, event.blade, "by an operator"); }
}
}  // namespace understudy::control
