// SPDX-License-Identifier: Apache-2.0
// Several control-servers: who decides, from when on and until when (see service.hpp).
//
//     follower ──won──► reads the state ──► Group, Started, our own votes ──► leader
//        ▲                                                                     │ the tenure ends, or etcd says so
//        └───────────── Group gone, sessions ended, nothing ordered ◄──────────┘
//
// Invariants: nothing is decided, stored or ordered but while the tenure holds, by our own clock; what a former Group
// asked workers for is not begun, and its answer is nobody's.
#include <boost/asio/post.hpp>

#include "edge/clock.hpp"
#include "edge/hold_out_record.hpp"
#include "edge/policy_record.hpp"
#include "edge/service.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::control {

void ControlService::begin_election() {
  events_.use(*config_.etcd);
  store_worker_ = std::make_unique<Worker>();
  Election::Callbacks callbacks;
  callbacks.on_lead = [this](const Leadership& leadership) { won(leadership); };
  callbacks.on_lost = [this](const std::string& why) { stop_deciding(why); };
  callbacks.on_view = [this](const ElectionView& view) { look_at(view); };
  const auto patience = config_.on_blade.empty() ? std::chrono::milliseconds(0) : Election::kPatienceOnBlade;
  election_ = std::make_unique<Election>(io_, *config_.etcd, config_.listen, patience, std::move(callbacks));
}

bool ControlService::leads() const { return !election_ || (leadership_ && election_->holds(leadership_->token)); }

/// From now on no former leader writes: what is read is the last word.
void ControlService::won(const Leadership& leadership) {
  leadership_ = leadership;
  watch_tenure();
  log::info("won the lead under token {}, reading the state", leadership.token);
  store_worker_->add([this, leadership, alive = std::weak_ptr(alive_)] {
    const auto store = std::make_shared<EtcdStore>(*config_.etcd, leadership);
    const auto state = read_state(*store, config_.group.movement);
    boost::asio::post(io_, [this, alive, leadership, store, state] {
      if (alive.expired() || !leadership_ || leadership_->token != leadership.token) { return; }
      if (state) { return take_lead(leadership, store, *state); }
      election_->give_up(leadership.token, "the state cannot be read: " + state.error().message);
    });
  });
}

Result<ControlService::Read> ControlService::read_state(StateStore& store, link::MovementPolicy in_file) {
  auto stored = store.ownerships();
  if (!stored) { return stored.error(); }
  const auto last = store.last_event_id();
  if (!last) { return last.error(); }
  const auto policy = read_policy(store, in_file);
  if (!policy) { return policy.error(); }
  auto was_protected = store.protected_roles();
  if (!was_protected) { return was_protected.error(); }
  auto held_out = hold_outs_to_begin(store, wall_now_ns());
  if (!held_out) { return held_out.error(); }
  return Read{std::move(stored).value(), last.value(), policy.value(), std::move(was_protected).value(),
              std::move(held_out).value()};
}

void ControlService::take_lead(const Leadership& leadership, const std::shared_ptr<EtcdStore>& store,
                               const Read& state) {
  if (!leads()) { return; }
  etcd_ = store;
  patient_.use(store, *store_worker_);
  events_.lead(leadership, state.last_event);
  api_->lead(leadership.state_id, leadership.token);
  link::EventRecord event;
  event.kind = "leader";
  event.text = "control-server " + config_.listen + " leads, under token " + std::to_string(leadership.token);
  perform(Note{event});
  begin_deciding(state);
}

void ControlService::begin_deciding(const Read& state) {
  auto group = config_.group;
  if (state.policy && *state.policy != group.movement) {
    link::EventRecord event;
    event.kind = "operator";
    event.text = std::string("the movement policy is ") + link::to_string(*state.policy) +
                 ", as an operator chose, and not the file's " + link::to_string(group.movement);
    perform(Note{event});
    group.movement = *state.policy;
  }
  hold_outs_unknown_ = state.held_out.problem;
  if (const auto text = hold_out_alarm(); !text.empty()) { tell_alarm("hold-out", {}, text); }
  group_.emplace(std::move(group), state.stored, state.was_protected, state.held_out.ages);
  deciding_ = std::make_shared<int>(0);
  step(Started{});
  // A follower has watched all the time. What it has not made out yet stays unknown, for the time that is left of it.
  for (const auto& [blade, vote] : votes_) {
    if (vote != link::Vote::Unknown && group_) { step(BfdChanged{blade, vote}); }
  }
  for (const auto& [name, seen] : witnesses_) {
    if (group_) { step(seen); }
  }
  for (const auto& blade : config_.group.blades) { look_at_ports(blade.id); }
}

void ControlService::stop_deciding(const std::string& why) {
  if (!leadership_) { return; }
  election_->give_up(leadership_->token, why);
  leadership_.reset();
  tenure_timer_.cancel();
  patient_.stop();
  etcd_problem_.clear();
  hold_outs_unknown_.clear();
  timer_.cancel();
  const bool decided = group_.has_value();
  deciding_.reset();
  if (group_) {
    for (const auto& role : group_->status().roles) { last_known_[role.role] = {role.place, role.term}; }
  }
  group_.reset();
  queue_.clear();
  etcd_.reset();
  blade_of_.clear();
  session_of_.clear();
  events_.follow();
  api_->follow("");
  log::error("leads no more: {}; {}", why,
             decided ? "another control-server goes on with what is in progress" : "nothing had been decided");
  link::EventRecord event;
  event.severity = link::Severity::Warning;
  event.kind = "leader";
  event.text = "control-server " + config_.listen + " led no more: " + why;
  perform(Note{event});
}

/// Whoever waits for the next event may wait longer than the lease.
void ControlService::watch_tenure() {
  tenure_timer_.expires_after(std::max(Duration{0}, election_->holds_until() - boot_now()));
  tenure_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired() || !leadership_) { return; }
    if (leads()) { return watch_tenure(); }
    stop_deciding("its lease could not be renewed in time" + (view_.problem.empty() ? "" : ": " + view_.problem));
  });
}

void ControlService::look_at(const ElectionView& view) {
  const bool changed = view.leader != view_.leader;
  view_ = view;
  if (changed) { log::info("{}", view.leader.empty() ? "no control-server leads" : view.leader + " leads"); }
  if (!leadership_) { api_->follow(view.leader); }
  if (!group_) { api_->wake_followers(); }  // the leader writes the log where nobody tells us
}

/// A slow etcd keeps this role waiting, and nothing else.
void ControlService::persist_in_etcd(const Persist& effect) {
  const auto token = leadership_->token;
  store_worker_->add([this, token, effect, store = etcd_, deciding = std::weak_ptr(deciding_)] {
    if (deciding.expired() || !election_->holds(token)) { return; }
    const auto done = store->compare_and_set(effect.expected, effect.expected_reserved, effect.next);
    boost::asio::post(io_, [this, done, deciding, next = effect.next] {
      if (deciding.expired()) { return; }
      if (done) { return step(StoreDone{next.role, next.highest()}); }
      if (done.error().code == Errc::Expired) { return stop_deciding(done.error().message); }
      step(StoreFailed{next.role, next.highest(), done.error().code == Errc::Refused, done.error().message});
    });
  });
}

link::GroupStatus ControlService::status() const {
  link::GroupStatus status;
  if (group_) {
    status = group_->status();
  } else {  // a follower knows the blades that it sees, and where the roles were when it led
    for (const auto& role : config_.group.roles) {
      const auto last = last_known_.find(role.spec.id);
      const bool none = last == last_known_.end();
      status.roles.push_back({role.spec.id,
                              "unknown",
                              none ? Place{} : last->second.first,
                              none ? Term{} : last->second.second,
                              false,
                              "unknown",
                              "",
                              "unknown",
                              role.priority,
                              {}});
    }
    status.standby = config_.group.standbys().front();
    status.movement = config_.group.movement;
    status.bfd = config_.group.bfd;
    for (const auto& blade : config_.group.blades) {
      const auto vote = votes_.find(blade.id);
      status.blades.push_back({blade.id, false, vote == votes_.end() ? link::Vote::Unknown : vote->second, false,
                               blade.id == status.standby, "seen by a control-server that does not lead",
                               blade.standby && blade.id != status.standby, "unknown", "unknown"});
    }
    for (const auto& witness : config_.group.witnesses) {
      const auto seen = witnesses_.find(witness.name);
      status.witnesses.push_back({witness.name, witness.address.to_string(), to_string(witness.by),
                                  seen == witnesses_.end() ? link::Vote::Unknown : seen->second.vote});
    }
  }
  status.plain_text = config_.tls.wire.plain_text;
  status.power = power_name(config_);
  status.alarms = alarms();
  if (config_.etcd) { add_control_servers(status); }
  if (status.control_alarm.empty()) { status.control_alarm = storing_alarm(); }
  return status;
}

/// Of a store that takes nothing; that it does not answer at all is told before.
std::string ControlService::storing_alarm() const {
  auto problem = store_ ? store_->problem() : etcd_problem_;
  if (problem.empty() && group_ && events_.failing()) { problem = events_.problem(); }
  if (problem.empty()) { return ""; }
  return (store_ ? "the state store " + config_.state_path : std::string("etcd")) +
         " cannot be written: no decision can be stored, so nothing fails over automatically, and no command is "
         "carried "
         "out; roles serve on. Look at " +
         (store_ ? "its disk (is it full, was it remounted read-only?): " : "its members (etcdctl alarm list): ") +
         problem;
}

void ControlService::add_control_servers(link::GroupStatus& status) const {
  for (const auto& address : config_.servers) {
    const bool us = address == config_.listen;
    const bool leads = us ? group_.has_value() : address == view_.leader;
    const bool known = view_.problem.empty();
    status.control_servers.push_back({address,
                                      leads                           ? "leads"
                                      : us                            ? "follows"
                                      : !known                        ? "unknown"
                                      : view_.there.contains(address) ? "follows"
                                                                      : "absent",
                                      leads ? view_.since_ns : 0});
  }
  if (!view_.problem.empty()) {
    status.control_alarm =
        "etcd does not answer, or has lost its quorum: no decision can be stored, so nothing fails "
        "over automatically; roles serve on. Start the members that are down (systemctl status etcd): " +
        view_.problem;
  } else if (!group_ && view_.leader.empty()) {
    status.control_alarm = "no control-server leads at this moment: nothing is decided";
  }
  status.store_plain_text = config_.etcd->plain_text;
}

}  // namespace understudy::control
