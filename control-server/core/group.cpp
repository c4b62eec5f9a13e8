// SPDX-License-Identifier: Apache-2.0
#include "core/group.hpp"

#include <algorithm>
#include <utility>

namespace understudy::control {

using link::Severity;
using link::Vote;

namespace {
constexpr Duration kStopToTell = std::chrono::seconds(1);
constexpr Duration kStopToldAgain = std::chrono::seconds(10);  ///< telling is a write, which may be what stands still
}  // namespace

Group::Group(GroupConfig config, const std::vector<Ownership>& stored, const std::set<RoleId>& was_protected,
             std::map<BladeId, HoldOutAges> held_out)
    : config_(std::move(config)),
      policy_(config_.movement),
      held_out_(std::move(held_out)),
      blades_(config_),
      monitoring_(config_) {
  for (const auto& role : config_.roles) {
    Ownership own;
    for (const auto& ownership : stored) {
      if (ownership.role == role.spec.id) { own = ownership; }
    }
    roles_.emplace_back(role, blades_.standbys(), own);
    if (was_protected.contains(role.spec.id)) { roles_.back().was_protected(); }
  }
  std::stable_sort(roles_.begin(), roles_.end(), [](const RoleMachine& one, const RoleMachine& other) {
    return one.config().priority > other.config().priority;
  });
}

std::vector<Effect> Group::step(Instant clock, const Event& event) {
  const Instant now = awake_.step(clock);
  std::vector<Effect> effects;
  StepContext context{now, config_, blades_, policy_, effects, taken()};
  stood_still(context);
  std::visit([&](const auto& one) { handle(context, one); }, event);
  blades_.look_for_absences(now);
  let_back_in_time(context);
  SwitchingUnit(roles_, context).doubt_power();
  context.policy = policy_;
  context.taken = taken();
  settle(context);
  SwitchingUnit(roles_, context).open_standbys();
  // First: that a copy is given up is on the disk before anything follows from it, where the store answers at once.
  std::vector<Effect> first;
  StepContext ahead{now, config_, blades_, policy_, first, context.taken};
  for (auto& role : roles_) { role.keep_protection(ahead); }
  effects.insert(effects.begin(), first.begin(), first.end());
  return effects;
}

/// No wait has gone on meanwhile. But what is only good for a while is that much older.
void Group::stood_still(StepContext& context) {
  const Duration missed = awake_.missed();
  if (missed == Duration{0}) { return; }
  for (auto& role : roles_) { role.grows_older(context.now, missed, config_.timings.sync_grace); }
  if (missed < kStopToTell) { return; }
  missed_untold_ += missed;
  if (stop_told_ && context.now < *stop_told_ + kStopToldAgain) { return; }
  stop_told_ = context.now;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::exchange(missed_untold_, {})).count();
  note_blade(context, Severity::Warning, "clock", {},
             "this control-server stood still for " + std::to_string(ms) +
                 " ms, or its clock jumped: what it waits for is waited for that much longer (a machine without "
                 "processor time, a process that was stopped, a disk that hangs?)");
}

/// One role's decision can be another's fact, so until nothing changes. Every role changes its state a few times in
/// one step at most; the bound is only there against a bug.
void Group::settle(StepContext& context) {
  for (int pass = 0; pass < 8; ++pass) {
    std::uint64_t before = 0;
    std::uint64_t after = 0;
    for (auto& role : roles_) {
      before += role.changes();
      role.settle(context, neighbours_of(role, context.now));
      after += role.changes();
    }
    std::set<BladeId> moved_to;
    for (auto& role : roles_) {
      if (role.take_moved()) { moved_to.insert(role.standby()); }
    }
    for (const auto& standby : moved_to) { release_mirrors(context, standby); }
    if (before == after && moved_to.empty()) { return; }
  }
}

std::optional<Instant> Group::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& role : roles_) {
    const auto one = role.next_deadline();
    if (one && (!next || *one < *next)) { next = one; }
  }
  for (const auto& [id, blade] : blades_.all()) {
    const auto until = blade.hold_out.until(config_.hold_out);
    const auto doubt = blade.off_is_doubted_at(config_.timings.vote_settle());
    for (const auto& one : {until, doubt, blade.ports_again_at, blade.ports_look_at}) {
      if (one && (!next || *one < *next)) { next = one; }
    }
  }
  const auto beat = awake_.beat(config_.timings.beat);
  return next && beat ? std::min(awake_.by_clock(*next), beat) : beat;
}

link::GroupStatus Group::status() const {
  link::GroupStatus status;
  const auto become_actives = taken();
  std::set<BladeId> used;
  for (const auto& role : roles_) { used.insert(role.standby()); }
  for (const auto& standby : blades_.standbys()) {
    if (status.standby.empty() && used.contains(standby) && !become_actives.contains(standby)) {
      status.standby = standby;
    }
  }
  status.movement = policy_;
  status.bfd = config_.bfd;
  for (const auto& role : config_.roles) {
    status.roles.push_back(find(role.spec.id)->status());
    auto& lease = status.roles.back().lease;
    if (!config_.leases && lease == "none") { lease = "off"; }
  }
  for (const auto& config : config_.blades) {
    const auto& blade = blades_.at(config.id);
    const bool stands_by = config.standby && !become_actives.contains(config.id);
    status.blades.push_back({config.id, blade.connected, blade.bfd.vote, blade.isolated,
                             stands_by && used.contains(config.id), hold_out_text(config.id),
                             stands_by && !used.contains(config.id), blade.connected ? "connected" : "lost",
                             blade.ports_text()});
  }
  status.witnesses = monitoring_.witnesses(config_);
  return status;
}

Result<std::string> Group::check_move(const RoleId& id) const {
  const auto* role = find(id);
  if (role == nullptr) { return failure("there is no role \"" + id.value + "\" in this group", Errc::NotFound); }
  if (role->decisions_stopped()) { return failure(role->status().detail, Errc::Refused); }
  if (role->state() != RoleState::OnMirror) {
    return failure(id.value + " is " + to_string(role->state()) + "; only a role that is on-mirror can be moved",
                   Errc::Refused);
  }
  const auto& standby = role->standby();
  if (!blades_.at(standby).connected) {
    return failure("the host-agent of " + standby.value + " is not connected", Errc::Refused);
  }
  return id.value + " moves to the host of " + standby.value;
}

const RoleMachine* Group::find(const RoleId& id) const {
  for (const auto& role : roles_) {
    if (role.id() == id) { return &role; }
  }
  return nullptr;
}
RoleMachine* Group::find_mutable(const RoleId& id) {
  for (auto& role : roles_) {
    if (role.id() == id) { return &role; }
  }
  return nullptr;
}

std::set<BladeId> Group::taken() const {
  std::set<BladeId> hosts;
  for (const auto& role : roles_) {
    const auto& place = role.ownership().place;
    if (place.kind == PlaceKind::Host && blades_.is_standby(place.blade)) { hosts.insert(place.blade); }
  }
  return hosts;
}

Neighbours Group::neighbours_of(const RoleMachine& self, Instant now) const {
  Neighbours neighbours;
  const auto& standby = self.standby();
  neighbours.standby_free = !taken().contains(standby);
  for (const auto& role : roles_) {
    const auto state = role.state();
    const bool on_mirror = state == RoleState::TakingOver || state == RoleState::OnMirror || state == RoleState::Moving;
    const bool comes_later = role.config().priority < self.config().priority;
    const bool on_its_mirror = on_mirror && role.standby() == standby;
    if (role.id() != self.id() && on_its_mirror && !comes_later) { neighbours.other_on_mirror = role.id(); }
    const bool there = on_its_mirror || role.ownership().place.blade == standby;
    neighbours.standby_needed =
        neighbours.standby_needed || (role.id() != self.id() && there && !role.awaits_give_back());
  }
  neighbours.lacked_by_all = lacked_by_all(self);
  neighbours.surroundings = monitoring_.surroundings(config_, blades_, roles_, self, now);
  return neighbours;
}

void Group::note_blade(StepContext& context, Severity severity, const std::string& kind, const BladeId& blade,
                       const std::string& text) {
  context.note({0, 0, severity, kind, RoleId{}, blade, "", 0, text});
}

void Group::handle(StepContext& context, const Started& /*event*/) {
  note_blade(context, Severity::Info, "start", blades_.standbys().front(),
             "control-server decides for " + std::to_string(roles_.size()) + " roles; movement policy " +
                 link::to_string(policy_));
  if (policy_ == link::MovementPolicy::WhenSlow || policy_ == link::MovementPolicy::WhenQuiet) {
    note_blade(context, Severity::Warning, "start", blades_.standbys().front(),
               std::string("movement policy ") + link::to_string(policy_) +
                   ": nothing reports how slow or quiet a role is, so a role stays on its mirror until it is moved by "
                   "an operator");
  }
  restore_hold_outs(context);
  for (auto& role : roles_) { role.on_started(context); }
}

void Group::handle(StepContext& /*context*/, const Tick& /*event*/) {}

void Group::handle(StepContext& context, const AgentReport& event) {
  if (!has_blade(event.blade)) {
    note_blade(context, Severity::Warning, "ignored", event.blade, "a blade that the configuration does not name");
    return;
  }
  if (const auto* hello = std::get_if<link::Hello>(&event.report)) {
    on_hello(context, *hello);
    return;
  }
  if (!blades_.at(event.blade).connected) { return; }  // a report before its Hello says nothing
  blades_.at(event.blade).spoke_at = context.now;
  std::visit(
      [&](const auto& report) {
        using Report = std::decay_t<decltype(report)>;
        if constexpr (std::is_same_v<Report, link::MirrorsReleased>) {
          on_released(context, event.blade, report);
        } else if constexpr (!std::is_same_v<Report, link::Hello>) {
          auto* role = find_mutable(report.role);
          if (role != nullptr) {
            role->on_report(context, event.blade, report);
            if (role->take_blade_failed()) { count_failure(context, event.blade); }
          } else {
            note_blade(context, Severity::Warning, "ignored", event.blade,
                       "a report about unknown " + report.role.value);
          }
        }
      },
      event.report);
}

void Group::on_hello(StepContext& context, const link::Hello& hello) {
  auto& blade = blades_.at(hello.blade);
  const bool rebooted = !blade.boot_id.empty() && blade.boot_id != hello.boot_id;
  // A host-agent that was restarted alone left a sign of life.
  if (rebooted) {
    count_failure(context, hello.blade);
  } else if (blade.away_since && !blade.sign_of_life) {
    count_absence(context, hello.blade);
  }
  blade.connected = true;
  blade.away_since.reset();
  blade.sign_of_life = blade.bfd.vote == Vote::Down ? std::optional(context.now) : std::nullopt;
  blade.boot_id = hello.boot_id;
  blade.powered_off = false;
  blade.heard_while_powering_off = blade.powering_off;
  std::string text = "host-agent connected, holds " + std::to_string(hello.held.size()) + " roles";
  if (rebooted) { text += ", the blade has rebooted"; }
  note_blade(context, Severity::Info, "agent", hello.blade, text);
  if (!hello.state_before.empty()) {
    note_blade(context, Severity::Alarm, "store", hello.blade,
               hello.blade.value + " obeyed the control-server of another state store until now (" +
                   hello.state_before +
                   "): if this store was not made anew, two control-servers decide for one group; "
                   "stop one of them");
  }
  bool mirrors = false;
  bool foreign = false;  // of a role whose standby is another one
  for (const auto& held : hello.held) {
    const auto* role = find(held.role);
    mirrors = mirrors || held.kind == PlaceKind::Mirror;
    foreign = foreign || (held.kind == PlaceKind::Mirror && role != nullptr && role->standby() != hello.blade);
    if (role == nullptr) {
      note_blade(context, Severity::Warning, "ignored", hello.blade, "it holds unknown " + held.role.value);
    }
  }
  for (auto& role : roles_) {
    std::optional<link::HeldRole> held;
    for (const auto& one : hello.held) {
      // A blade in the middle of a movement holds both; the higher term is the later truth.
      if (one.role == role.id() && (!held || one.term > held->term)) { held = one; }
    }
    Term known;
    for (const auto& one : hello.known) {
      if (one.role == role.id()) { known = std::max(known, one.term); }
    }
    role.on_hello(context, hello.blade, held, known);
  }
  if (!blades_.is_standby(hello.blade)) { return; }
  if (foreign || (mirrors && taken().contains(hello.blade))) { release_mirrors(context, hello.blade); }
}

/// Of a standby that has become an active, all; else those that nobody wants there: they would follow their actives
/// under the same addresses as the mirrors of another standby.
void Group::release_mirrors(StepContext& context, const BladeId& standby) {
  const bool active = taken().contains(standby);
  link::ReleaseMirrors order;
  for (auto& role : roles_) {
    if (role.standby() != standby) { continue; }
    if (!active || role.spares_its_mirror(context)) {
      order.except.push_back(role.id());
    } else {
      role.on_mirrors_released(context, standby);
    }
  }
  context.send(standby, std::move(order));
}

void Group::on_released(StepContext& context, const BladeId& blade, const link::MirrorsReleased& report) {
  const std::string text = std::to_string(report.guests_running) + " guests still run on " + blade.value;
  context.note({0, 0, Severity::Info, "phase", RoleId{}, blade, "release", report.ms, text});
}

void Group::handle(StepContext& context, const AgentLost& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr || !std::exchange(blade->connected, false)) { return; }
  if (blade->bfd.vote != Vote::Down) { blade->sign_of_life = context.now; }
  blade->away_since = context.now;
  note_blade(context, Severity::Warning, "agent", event.blade,
             "host-agent lost: what " + event.blade.value +
                 " serves goes on, unwatched; its next one takes it up (there: systemctl status "
                 "understudy-host-agent)");
  for (auto& role : roles_) { role.on_agent_lost(context, event.blade); }
}

void Group::handle(StepContext& context, const BfdChanged& event) { monitoring_.on(context, event); }
void Group::handle(StepContext& context, const WitnessSeen& event) {
  auto seen = event;
  if (seen.answered_since) { seen.answered_since = awake_.told(*seen.answered_since); }
  monitoring_.on(context, seen);
}

void Group::handle(StepContext& context, const StoreDone& event) {
  if (auto* role = find_mutable(event.role)) { role->on_stored(context, event.term); }
}
void Group::handle(StepContext& context, const StoreFailed& event) {
  if (auto* role = find_mutable(event.role)) {
    role->on_store_failed(context, event.term, event.conflict, event.detail);
  }
}

void Group::handle(StepContext& context, const IsolateDone& event) { SwitchingUnit(roles_, context).on(event); }
void Group::handle(StepContext& context, const IsolateFailed& event) { SwitchingUnit(roles_, context).on(event); }
void Group::handle(StepContext& context, const ReadmitDone& event) { SwitchingUnit(roles_, context).on(event); }
void Group::handle(StepContext& context, const ReadmitFailed& event) { SwitchingUnit(roles_, context).on(event); }
void Group::handle(StepContext& context, const PortsSeen& event) { SwitchingUnit(roles_, context).on(event); }
void Group::handle(StepContext& context, const PowerDone& event) { SwitchingUnit(roles_, context).on(event); }
void Group::handle(StepContext& context, const PowerFailed& event) { SwitchingUnit(roles_, context).on(event); }

void Group::handle(StepContext& context, const OperatorMove& event) {
  auto* role = find_mutable(event.role);
  if (role == nullptr || !check_move(event.role)) { return; }
  context.note({0, 0, Severity::Info, "operator", event.role, role->standby(), "", 0, "move ordered"});
  role->on_operator_move();
}
void Group::handle(StepContext& context, const OperatorPolicy& event) {
  policy_ = event.policy;
  note_blade(context, Severity::Info, "operator", blades_.standbys().front(),
             std::string("movement policy is now ") + link::to_string(policy_));
}

}  // namespace understudy::control
