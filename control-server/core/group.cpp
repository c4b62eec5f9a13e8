// SPDX-License-Identifier: Apache-2.0
#include "core/group.hpp"

#include <algorithm>

namespace understudy::control {

using link::Severity;
using link::Vote;

Group::Group(GroupConfig config, const std::vector<Ownership>& stored, const std::set<RoleId>& was_protected,
             std::map<BladeId, HoldOutAges> held_out)
    : config_(std::move(config)), policy_(config_.movement), held_out_(std::move(held_out)), blades_(config_) {
  for (const auto& role : config_.roles) {
    Ownership own;
    for (const auto& ownership : stored) {
      if (ownership.role == role.spec.id) { own = ownership; }
    }
    roles_.emplace_back(role, blades_.standby(), own);
    if (was_protected.contains(role.spec.id)) { roles_.back().was_protected(); }
  }
  bench_ = {{}, config_.timings.silence_window(), config_.timings.voices_return};
  for (const auto& witness : config_.witnesses) { bench_.voices.push_back({Vote::Unknown, {}, {}, witness.spacing()}); }
  std::stable_sort(roles_.begin(), roles_.end(), [](const RoleMachine& one, const RoleMachine& other) {
    return one.config().priority > other.config().priority;
  });
}

std::vector<Effect> Group::step(Instant now, const Event& event) {
  std::vector<Effect> effects;
  StepContext context{now, config_, blades_, policy_, effects, standby_free()};
  std::visit([&](const auto& one) { handle(context, one); }, event);
  let_back_in_time(context);
  doubt_power(context);
  context.policy = policy_;
  context.standby_free = standby_free();
  settle(context);
  open_standby(context);
  for (auto& role : roles_) { role.keep_protection(context); }
  return effects;
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
    bool moved = false;
    for (auto& role : roles_) { moved = role.take_moved() || moved; }
    if (moved) { release_mirrors(context); }
    if (before == after && !moved) { return; }
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
  return next;
}

link::GroupStatus Group::status() const {
  link::GroupStatus status;
  if (standby_free()) { status.standby = blades_.standby(); }
  status.movement = policy_;
  status.bfd = config_.bfd;
  for (const auto& role : config_.roles) {
    status.roles.push_back(find(role.spec.id)->status());
    auto& lease = status.roles.back().lease;
    if (!config_.leases && lease == "none") { lease = "off"; }
  }
  for (const auto& config : config_.blades) {
    const auto& blade = blades_.at(config.id);
    status.blades.push_back({config.id, blade.connected, blade.bfd.vote, blade.isolated,
                             config.standby && standby_free(), hold_out_text(config.id)});
  }
  status.witnesses = witness_status();
  return status;
}

Result<std::string> Group::check_move(const RoleId& id) const {
  const auto* role = find(id);
  if (role == nullptr) { return failure("there is no role \"" + id.value + "\" in this group", Errc::NotFound); }
  if (role->state() != RoleState::OnMirror) {
    return failure(id.value + " is " + to_string(role->state()) + "; only a role that is on-mirror can be moved",
                   Errc::Refused);
  }
  if (!blades_.at(blades_.standby()).connected) {
    return failure("the host-agent of " + blades_.standby().value + " is not connected", Errc::Refused);
  }
  return id.value + " moves to the host of " + blades_.standby().value;
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

bool Group::standby_free() const {
  for (const auto& role : roles_) {
    if (role.ownership().place == Place{blades_.standby(), PlaceKind::Host}) { return false; }
  }
  return true;
}

Neighbours Group::neighbours_of(const RoleMachine& self, Instant now) const {
  Neighbours neighbours;
  neighbours.standby_free = standby_free();
  const Duration settle = config_.timings.vote_settle();
  std::optional<Instant> first;
  std::optional<Instant> last;
  bool all_silent = true;
  for (const auto& role : roles_) {
    const auto state = role.state();
    const bool on_mirror = state == RoleState::TakingOver || state == RoleState::OnMirror || state == RoleState::Moving;
    const bool comes_later = role.config().priority < self.config().priority;
    if (role.id() != self.id() && on_mirror && !comes_later) { neighbours.other_on_mirror = role.id(); }
    const bool there = on_mirror || role.ownership().place.blade == blades_.standby();
    neighbours.standby_needed =
        neighbours.standby_needed || (role.id() != self.id() && there && !role.awaits_give_back());
    // A role that is being taken over counts as serving until its failure is older than one settle time: two that
    // fall silent together are decided one after the other.
    const auto decided = role.decided_at();
    const bool was_serving = on_mirror && decided && now - *decided <= settle;
    const bool serves = !on_mirror && role.ownership().place == Place{role.config().active, PlaceKind::Host};
    if (!serves && !was_serving) { continue; }
    ++neighbours.surroundings.actives;
    const auto& ballot = blades_.at(role.config().active).bfd;
    all_silent = all_silent && ballot.vote == Vote::Down;
    first = first ? std::min(*first, ballot.since) : ballot.since;
    last = last ? std::max(*last, ballot.since) : ballot.since;
  }
  neighbours.surroundings.all_at_once = all_silent && first && *last - *first <= settle;
  neighbours.lacked_by_all = lacked_by_all(self);
  look_for_witness(self, now, neighbours.surroundings);
  neighbours.surroundings.bench = bench_;
  return neighbours;
}

/// Where both observers hang on the standby's one cable, voices that come and go are that cable's fault, as long as a
/// single one of them does: to the control-server or to a mirror.
void Group::look_for_witness(const RoleMachine& self, Instant now, Surroundings& around) const {
  const bool shared = config_.control_shares_standby_blade;
  const auto wavered = [&](std::optional<Instant> at) {
    if (!shared || !at || *at + config_.timings.voices_return <= now) { return; }
    const Instant steady = *at + config_.timings.voices_return;
    around.witness_from = std::max(around.witness_from.value_or(steady), steady);
  };
  for (const auto& [id, blade] : blades_.all()) {
    if (id == self.ownership().place.blade || (blade.config.standby && shared)) { continue; }
    around.witness = around.witness || blade.bfd.vote == Vote::Up;
    wavered(blade.wavered_at);
  }
  if (!shared) { return; }
  for (const auto& role : roles_) {
    if (role.id() != self.id()) { wavered(role.mirror_wavered_at()); }
  }
  around.same_cable = config_.timings.same_cable();
  around.witness = around.witness && !around.witness_from;
}

void Group::note_blade(StepContext& context, Severity severity, const std::string& kind, const BladeId& blade,
                       const std::string& text) {
  context.note({0, 0, severity, kind, RoleId{}, blade, "", 0, text});
}

void Group::handle(StepContext& context, const Started& /*event*/) {
  note_blade(context, Severity::Info, "start", blades_.standby(),
             "control-server decides for " + std::to_string(roles_.size()) + " roles; movement policy " +
                 link::to_string(policy_));
  if (policy_ == link::MovementPolicy::WhenSlow || policy_ == link::MovementPolicy::WhenQuiet) {
    note_blade(context, Severity::Warning, "start", blades_.standby(),
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
  std::visit(
      [&](const auto& report) {
        using Report = std::decay_t<decltype(report)>;
        if constexpr (std::is_same_v<Report, link::MirrorsReleased>) {
          on_released(context, event.blade, report);
        } else if constexpr (!std::is_same_v<Report, link::Hello>) {
          auto* role = find_mutable(report.role);
          if (role != nullptr) {
            role->on_report(context, event.blade, report);
            if (role->take_came_and_went()) { count_failure(context, event.blade); }
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
  if (rebooted || (blade.away_since && !blade.sign_of_life)) { count_failure(context, hello.blade); }
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
  for (const auto& held : hello.held) {
    mirrors = mirrors || held.kind == PlaceKind::Mirror;
    if (find(held.role) == nullptr) {
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
  if (hello.blade == blades_.standby() && mirrors && !standby_free()) { release_mirrors(context); }
}

void Group::release_mirrors(StepContext& context) {
  link::ReleaseMirrors order;
  for (auto& role : roles_) {
    if (role.spares_its_mirror(context)) {
      order.except.push_back(role.id());
    } else {
      role.on_mirrors_released(context, blades_.standby());
    }
  }
  context.send(blades_.standby(), std::move(order));
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
  note_blade(context, Severity::Warning, "agent", event.blade, "host-agent lost");
  for (auto& role : roles_) { role.on_agent_lost(context, event.blade); }
}

void Group::handle(StepContext& context, const BfdChanged& event) {
  auto* blade = blades_.find(event.peer);
  if (blade == nullptr || blade->bfd.vote == event.vote) { return; }
  if (blade->bfd.since != Instant{}) { blade->wavered_at = context.now; }
  blade->bfd = {event.vote, context.now};
  note_blade(context, event.vote == Vote::Down ? Severity::Warning : Severity::Info, "vote", event.peer,
             "the control-server sees " + event.peer.value + " " + link::to_string(event.vote));
}

void Group::handle(StepContext& context, const StoreDone& event) {
  if (auto* role = find_mutable(event.role)) { role->on_stored(context, event.term); }
}
void Group::handle(StepContext& context, const StoreFailed& event) {
  if (auto* role = find_mutable(event.role)) {
    role->on_store_failed(context, event.term, event.conflict, event.detail);
  }
}

void Group::handle(StepContext& context, const IsolateDone& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  if (!blade->ports.answered()) { return; }  // its ports are about to be opened
  if (!std::exchange(blade->isolated, true)) {
    note_blade(context, Severity::Warning, "isolation", event.blade, "isolated, read back from the switch");
  }
  for (auto& role : roles_) { role.on_isolated(context, event.blade); }
}
void Group::handle(StepContext& context, const IsolateFailed& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  blade->half_closed = true;
  if (!blade->ports.answered()) { return; }
  for (auto& role : roles_) { role.on_isolate_failed(context, event.blade, event.detail); }
}
void Group::handle(StepContext& context, const ReadmitDone& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  if (!blade->ports.answered()) { return; }  // they are about to be closed
  blade->half_closed = false;
  if (std::exchange(blade->isolated, false)) {
    note_blade(context, Severity::Info, "isolation", event.blade, "readmitted");
  }
  for (auto& role : roles_) { role.on_readmitted(context, event.blade); }
}
void Group::handle(StepContext& context, const ReadmitFailed& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  if (!blade->ports.answered()) { return; }
  blade->isolated = true;  // some port may still be closed; it is tried again while the blade serves
  note_blade(context, Severity::Alarm, "isolation", event.blade,
             "cannot readmit " + event.blade.value + ": " + event.detail);
}
void Group::handle(StepContext& context, const PortsSeen& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  blade->looking = false;
  if (!event.known) { return; }
  const bool opened = std::exchange(blade->isolated, event.isolated) && !event.isolated;
  blade->half_closed = event.half_closed;
  if (!opened || blade->ports.awaited(PortOrders::Kind::Readmit)) { return; }
  for (auto& role : roles_) { role.on_ports_opened(context, event.blade); }
}

void Group::handle(StepContext& context, const PowerDone& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  blade->powering_off = false;
  if (std::exchange(blade->heard_while_powering_off, false)) {
    blade->off_said_at = context.now;
    note_blade(context, Severity::Warning, "power", event.blade,
               "powered off, it was said, but " + event.blade.value + " has said Hello since the order: no evidence");
    return;
  }
  blade->powered_off = true;
  blade->powered_off_at = context.now;
  note_blade(context, Severity::Warning, "power", event.blade, "powered off, confirmed");
  for (auto& role : roles_) { role.on_powered_off(context, event.blade); }
}
void Group::doubt_power(StepContext& context) {
  for (const auto& config : config_.blades) {
    auto& blade = blades_.at(config.id);
    const auto at = blade.off_is_doubted_at(config_.timings.vote_settle());
    if (!at || context.now < *at) { continue; }
    blade.powered_off = false;
    if (blade.bfd.since > blade.powered_off_at) { continue; }  // somebody has powered it on
    note_blade(context, Severity::Alarm, "power", config.id,
               config.id.value + " was said to be powered off and is heard on: look at its power driver");
  }
}
void Group::handle(StepContext& context, const PowerFailed& event) {
  auto* blade = blades_.find(event.blade);
  if (blade == nullptr) { return; }
  blade->powering_off = false;
  blade->heard_while_powering_off = false;
  for (auto& role : roles_) { role.on_power_failed(context, event.blade, event.detail); }
}

void Group::handle(StepContext& context, const OperatorMove& event) {
  auto* role = find_mutable(event.role);
  if (role == nullptr || !check_move(event.role)) { return; }
  context.note({0, 0, Severity::Info, "operator", event.role, blades_.standby(), "", 0, "move ordered"});
  role->on_operator_move();
}
void Group::handle(StepContext& context, const OperatorPolicy& event) {
  policy_ = event.policy;
  note_blade(context, Severity::Info, "operator", blades_.standby(),
             std::string("movement policy is now ") + link::to_string(policy_));
}

}  // namespace understudy::control
