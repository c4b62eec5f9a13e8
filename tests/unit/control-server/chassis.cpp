// SPDX-License-Identifier: Apache-2.0
#include "chassis.hpp"

namespace understudy::control::test {

GroupConfig config(unsigned actives) {
  GroupConfig config;
  for (unsigned i = 1; i <= actives + 1; ++i) {
    const auto number = std::to_string(i);
    config.blades.push_back({BladeId{"blade-" + number},
                             IpAddress::parse("192.168.1." + number).value(),
                             {"b" + number + "-ext"},
                             i == actives + 1});
  }
  for (unsigned i = 1; i <= actives; ++i) {
    link::RoleSpec spec;
    spec.id = RoleId{"role-" + std::to_string(i)};
    spec.number = i;
    config.roles.push_back({spec, BladeId{"blade-" + std::to_string(i)}});
  }
  config.movement = link::MovementPolicy::Manual;
  config.has_power = true;
  return config;
}

GroupConfig with_a_spare(unsigned actives) {
  auto group = config(actives);
  const auto number = std::to_string(actives + 2);
  group.blades.push_back(
      {BladeId{"blade-" + number}, IpAddress::parse("192.168.1." + number).value(), {"b" + number + "-ext"}, true});
  return group;
}

Chassis::Chassis(unsigned actives) : Chassis(test::config(actives)) {}
Chassis::Chassis(GroupConfig group_config) : config(std::move(group_config)) { restart_control_server(); }
// Out of line, as the rest: thirty tests include the header, and each would compile all of it.
Chassis::Chassis(const Chassis&) = default;
Chassis::Chassis(Chassis&&) noexcept = default;
Chassis::~Chassis() = default;

void Chassis::step(const Event& event) {
  queue_.push_back(event);
  if (stepping_) { return; }
  stepping_ = true;
  for (int i = 0; i < 10000 && !queue_.empty(); ++i) {
    const Event next = queue_.front();
    queue_.pop_front();
    trace.emplace_back(next);
    for (const auto& effect : group->step(now, next)) {
      effects.push_back(effect);
      trace.emplace_back(effect);
      std::visit([this](const auto& one) { perform(one); }, effect);
    }
  }
  stepping_ = false;
}

void Chassis::pass(Duration time) {
  const Instant end = now + time;
  for (int i = 0; i < 1000000; ++i) {
    const auto deadline = group->next_deadline();
    if (!deadline || *deadline > end) { break; }
    now = std::max(now, *deadline);
    step(Tick{});
  }
  now = end;
  step(Tick{});
}

void Chassis::restart_control_server() {
  std::vector<Ownership> stored;
  for (const auto& [role, ownership] : store) { stored.push_back(ownership); }
  std::map<BladeId, HoldOutAges> held_out;
  for (const auto& [blade, kept] : hold_outs) {
    auto& ages = held_out[blade] = kept.second;
    for (auto& age : ages.failures) { age += now - kept.first; }
    if (ages.held) { *ages.held += now - kept.first; }
  }
  group.emplace(config, stored, kept_protection, held_out);
  queue_.clear();
  step(Started{});
  for (const auto& blade : config.blades) { step(PortsSeen{blade.id, isolated.contains(blade.id)}); }
}

void Chassis::bring_up() {
  for (const auto& blade : config.blades) { own_vote(blade.id, Vote::Up); }
  for (const auto& blade : config.blades) { hello(blade.id); }
  for (unsigned i = 1; i <= config.roles.size(); ++i) {
    mirror_vote(i, Vote::Up);
    mirror_state(i, MirrorPhase::Synced);
  }
}

void Chassis::stream_ends(unsigned blade) {
  const auto* role = group->find(role_id(blade));
  const bool on_host = role != nullptr && role->ownership().place == Place{blade_id(blade), PlaceKind::Host};
  if (on_host && role->mirrors_phase() == MirrorPhase::Synced) { mirror_state(blade, MirrorPhase::Connected); }
}

void Chassis::silence(unsigned blade) {
  own_vote(blade_id(blade), Vote::Down);
  pass(10ms);
  stream_ends(blade);
  if (group->find(role_id(blade)) != nullptr) { mirror_vote(blade, Vote::Down); }
}

void Chassis::hello(const BladeId& blade, std::vector<link::HeldRole> held, std::vector<link::KnownTerm> known) {
  report(blade, link::Hello{blade, "boot-of-" + blade.value, std::move(held), {}, std::move(known)});
}

void Chassis::report(const BladeId& blade, link::Report report) { step(AgentReport{blade, std::move(report)}); }

void Chassis::own_vote(const BladeId& blade, Vote vote) { step(BfdChanged{blade, vote}); }

void Chassis::mirror_vote(unsigned role, Vote vote) {
  report(standby(), link::PeerVote{role_id(role), blade_id(role), vote});
}

void Chassis::mirror_state(unsigned role, MirrorPhase phase, const std::string& nonce, std::uint64_t term) {
  const Term at = term != 0 ? Term{term} : group->find(role_id(role))->ownership().term;
  report(standby(), link::MirrorState{role_id(role), at, phase, nonce, ""});
}

bool Chassis::noted(const std::string& kind, const std::string& words) const {
  return std::any_of(notes.begin(), notes.end(), [&](const auto& note) {
    return note.kind == kind && (note.text + " " + note.phase).find(words) != std::string::npos;
  });
}

void Chassis::perform(const Persist& persist) {
  if (!store_answers) { return; }
  const auto& next = persist.next;
  if (!store_works) {
    queue_.push_back(StoreFailed{next.role, next.highest(), false, "disk full"});
    return;
  }
  auto& stored = store[next.role];
  if (stored.term != persist.expected || stored.reserved != persist.expected_reserved) {
    queue_.push_back(StoreFailed{next.role, next.highest(), true, "another term"});
    return;
  }
  stored = next;
  queue_.push_back(StoreDone{next.role, next.highest()});
}

void Chassis::perform(const KeepHoldOut& keep) { hold_outs[keep.blade] = {now, keep.ages}; }

void Chassis::perform(const KeepProtection& keep) {
  if (keep.is) {
    kept_protection.insert(keep.role);
  } else {
    kept_protection.erase(keep.role);
  }
}

void Chassis::perform(const Isolate& isolate) {
  if (silent_ports.contains(isolate.blade)) { return; }
  if (stuck_ports.contains(isolate.blade)) {
    queue_.push_back(IsolateFailed{isolate.blade, "switch says no"});
    return;
  }
  isolated.insert(isolate.blade);
  queue_.push_back(IsolateDone{isolate.blade});
}

void Chassis::perform(const Readmit& readmit) {
  if (silent_readmissions) { return; }
  isolated.erase(readmit.blade);
  queue_.push_back(ReadmitDone{readmit.blade});
}

void Chassis::perform(const LookAtPorts& look) {
  if (!silent_looks) { queue_.push_back(PortsSeen{look.blade, isolated.contains(look.blade)}); }
}

void Chassis::perform(const PowerOff& power) {
  if (!power_answers) { return; }
  if (!power_works) {
    queue_.push_back(PowerFailed{power.blade, "no answer"});
    return;
  }
  powered_off.insert(power.blade);
  queue_.push_back(PowerDone{power.blade});
}

void Chassis::perform(const Note& note) { notes.push_back(note.event); }

void Chassis::perform(const Send& send) {
  if (silent_agents.contains(send.blade) || powered_off.contains(send.blade)) { return; }
  if (const auto* serve = std::get_if<link::ServeRole>(&send.order)) {
    queue_.push_back(AgentReport{send.blade, link::Serving{serve->spec.id, serve->term}});
  } else if (const auto* activate = std::get_if<link::Activate>(&send.order)) {
    queue_.push_back(AgentReport{send.blade, link::Activated{activate->role, activate->term, {{"handover", 1.5}}}});
  } else if (const auto* move = std::get_if<link::Move>(&send.order)) {
    queue_.push_back(AgentReport{send.blade, link::Moved{move->role, move->term, {{"freeze", 0.5}}}});
  } else if (const auto* hand_over = std::get_if<link::HandOver>(&send.order)) {
    queue_.push_back(
        AgentReport{send.blade, link::HandedOver{hand_over->role, hand_over->term, {{"quiesce", 2.5}, {"ship", 1}}}});
  } else if (std::get_if<link::ReleaseMirrors>(&send.order) != nullptr) {
    queue_.push_back(AgentReport{send.blade, link::MirrorsReleased{0, 250}});
  }
}

void Chassis::forget() {
  effects.clear();
  notes.clear();
}

}  // namespace understudy::control::test
