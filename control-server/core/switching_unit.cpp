// SPDX-License-Identifier: Apache-2.0
#include "core/switching_unit.hpp"

namespace understudy::control {

using link::Severity;
using link::Vote;

void SwitchingUnit::on(const IsolateDone& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  if (!blade->ports.answered()) { return; }  // its ports are about to be opened
  if (!std::exchange(blade->isolated, true)) {
    note(Severity::Warning, "isolation", event.blade, "isolated, read back from the switch");
  }
  for (auto& role : roles_) { role.on_isolated(context_, event.blade); }
}
void SwitchingUnit::on(const IsolateFailed& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  blade->half_closed = true;
  if (!blade->ports.answered()) { return; }
  for (auto& role : roles_) { role.on_isolate_failed(context_, event.blade, event.detail); }
}
void SwitchingUnit::on(const ReadmitDone& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  if (!blade->ports.answered()) { return; }  // they are about to be closed
  blade->half_closed = false;
  if (std::exchange(blade->isolated, false)) { note(Severity::Info, "isolation", event.blade, "readmitted"); }
  for (auto& role : roles_) { role.on_readmitted(context_, event.blade); }
}
void SwitchingUnit::on(const ReadmitFailed& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  if (!blade->ports.answered()) { return; }
  blade->isolated = true;  // some port may still be closed; it is tried again while the blade serves
  note(Severity::Alarm, "isolation", event.blade, "cannot readmit " + event.blade.value + ": " + event.detail);
}
void SwitchingUnit::on(const PortsSeen& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  blade->looking = false;
  if (!event.known) { return; }
  const bool opened = std::exchange(blade->isolated, event.isolated) && !event.isolated;
  blade->half_closed = event.half_closed;
  if (!opened || blade->ports.awaited(PortOrders::Kind::Readmit)) { return; }
  for (auto& role : roles_) { role.on_ports_opened(context_, event.blade); }
}

void SwitchingUnit::on(const PowerDone& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  blade->powering_off = false;
  if (std::exchange(blade->heard_while_powering_off, false)) {
    blade->off_said_at = context_.now;
    note(Severity::Warning, "power", event.blade,
         "powered off, it was said, but " + event.blade.value + " has said Hello since the order: no evidence");
    return;
  }
  blade->powered_off = true;
  blade->powered_off_at = context_.now;
  note(Severity::Warning, "power", event.blade, "powered off, confirmed");
  for (auto& role : roles_) { role.on_powered_off(context_, event.blade); }
}
void SwitchingUnit::doubt_power() {
  for (const auto& config : context_.config.blades) {
    auto& blade = context_.blades.at(config.id);
    const auto at = blade.off_is_doubted_at(context_.config.timings.vote_settle());
    if (!at || context_.now < *at) { continue; }
    blade.powered_off = false;
    if (blade.bfd.since > blade.powered_off_at) { continue; }  // somebody has powered it on
    note(Severity::Alarm, "power", config.id,
         config.id.value + " was said to be powered off and is heard on: look at its power driver");
  }
}
void SwitchingUnit::on(const PowerFailed& event) {
  auto* blade = context_.blades.find(event.blade);
  if (blade == nullptr) { return; }
  blade->powering_off = false;
  blade->heard_while_powering_off = false;
  for (auto& role : roles_) { role.on_power_failed(context_, event.blade, event.detail); }
}

void SwitchingUnit::open_standbys() {
  for (const auto& standby : context_.blades.standbys()) { open_standby(standby); }
}

void SwitchingUnit::open_standby(const BladeId& id) {
  auto& standby = context_.blades.at(id);
  if (!standby.maybe_closed() || !standby.connected || standby.ports.awaited(PortOrders::Kind::Isolate)) {
    standby.ports_again_at.reset();
    return;
  }
  // What its mirrors hold is told after its Hello, and in answer to what they are ordered then.
  if (!standby.ports_again_at) { standby.ports_again_at = context_.now + context_.config.timings.retry; }
  if (context_.now < *standby.ports_again_at) { return; }
  standby.ports_again_at = context_.now + context_.config.timings.retry;
  bool clear = true;
  for (auto& role : roles_) { clear = role.standby_is_clear(context_, id) && clear; }
  if (clear) { context_.readmit(id); }
}

void SwitchingUnit::note(Severity severity, const std::string& kind, const BladeId& blade, const std::string& text) {
  context_.note({0, 0, severity, kind, RoleId{}, blade, "", 0, text});
}

}  // namespace understudy::control
