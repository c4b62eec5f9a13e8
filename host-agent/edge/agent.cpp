// SPDX-License-Identifier: Apache-2.0
#include "edge/agent.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "edge/held_file.hpp"
#include "edge/leader_file.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::host {

namespace {

/// "192.168.1.250:7400" or "[fd00:1::250]:7400"; checked by the config reader.
IpAddress address_of(const std::string& endpoint) {
  auto text = endpoint.substr(0, endpoint.rfind(':'));
  if (text.size() > 2 && text.front() == '[') { text = text.substr(1, text.size() - 2); }
  return IpAddress::parse(text).value();
}
}  // namespace

Agent::Agent(boost::asio::io_context& io, BladeConfig config, std::string boot_id)
    : io_(io),
      config_(std::move(config)),
      boot_id_(std::move(boot_id)),
      blade_(config_.blade, boot_id_),
      timer_(io),
      network_(config_),
      regions_(io),
      watchdog_(io, config_.watchdog),
      health_(io),
      link_events_(io),
      link_timer_(io),
      progress_timer_(io),
      certificate_timer_(io) {}

Agent::~Agent() = default;

/// What can be refused comes first: the gate and the exemption stay in the kernel when this program has ended.
Status Agent::start() {
  regions_.remove_left_behind(config_.region_dir, BladeConfig::region_prefix);
  if (auto done = start_bfd(); !done) { return done; }
  if (auto done = take_network_up(); !done) { return done; }
  if (auto done = place::exempt_from_tracking(config_.address.address); !done) { return done; }
  heard_ = read_heard_leader(config_.run_dir);
  link::ControlClientCallbacks callbacks;
  callbacks.admit = [this](const std::string& state_id, std::uint64_t token) { return hear_leader(state_id, token); };
  callbacks.on_connected = [this](const std::string& address, const std::string&) {
    log::info("connected to the control-server {}", address);
    connected_to_ = address;
    progress_.clear();
    handle(ControlConnected{state_before_});
    tell(told_.connected());
    tell_progress();
  };
  callbacks.on_bfd = [this](const link::BfdParameters& bfd) { on_bfd(bfd); };
  callbacks.on_order = [this](const link::Order& order) { handle(OrderArrived{order}); };
  callbacks.on_lost = [this](const std::string& why) {
    connected_to_.clear();
    told_.lost();
    log::warn("the control-server is lost: {}; roles go on, no failover until it is back", why);
  };
  control_ = std::make_unique<link::ControlClient>(
      io_, link::ControlClientOptions{.addresses = config_.control, .wire = config_.tls.wire}, std::move(callbacks));
  adopt_roles();
  if (auto closed = close_unclaimed_gates(); !closed) { return closed; }
  tell_certificates();
  watch_certificates();
  if (auto watched = watch_links(); !watched) { return watched; }
  watch_progress();
  control_->start();
  return {};
}

Status Agent::hear_leader(const std::string& state_id, std::uint64_t token) {
  auto heard = link::hear(heard_, state_id, token);
  if (!heard) { return heard.error(); }
  if (*heard == heard_) { return {}; }
  if (!heard_.state_id.empty() && heard_.state_id != state_id) {
    log::error("the control-server has another state store than before ({}, it was {}): if nobody exchanged it, look",
               state_id, heard_.state_id);
    state_before_ = heard_.state_id;
  }
  if (const auto written = write_heard_leader(config_.run_dir, *heard); !written) {
    log::error("a restarted host-agent would not know which leader was heard: {}", log::describe(written.error()));
  }
  heard_ = *std::move(heard);
  return {};
}

Status Agent::start_bfd() {
  link::bfd::BfdService::Options options;
  options.local_addresses = {config_.address.address};
  options.sequence_file = config_.run_dir + "/host-agent.bfd";
  // The blade only answers; it is the observers that decide. Its own view of them is of no use here.
  const auto on_refused = [this](const IpAddress& peer, link::bfd::Discard why) {
    boost::asio::post(io_, [this, peer, why] { log::warn("{}", bfd_->describe_refusal(peer, why)); });
  };
  auto service = link::bfd::BfdService::start(
      options, [](const link::bfd::PeerEvent&) {}, on_refused);
  if (!service) { return service.error(); }
  bfd_ = std::move(service).value();
  for (const auto& endpoint : config_.control) {
    if (auto added = let_watch(address_of(endpoint)); !added) { return added; }
  }
  for (const auto& [peer, peer_options] : config_.bfd.peers) {
    const auto added = bfd_->add_peer(peer, peer_options);
    if (!added) { return failure("[[bfd.peer]] of blade.toml: " + added.error().message, added.error().code); }
  }
  log::info("BFD of the group: authentication {}", describe(config_.bfd.authentication));
  return {};
}

Status Agent::let_watch(const IpAddress& observer) {
  link::bfd::PeerOptions options = watched_;
  options.authentication = config_.bfd.authentication;
  auto added = bfd_->add_peer(observer, options);
  if (!added && added.error().code == Errc::Refused) { return {}; }  // it does already
  if (added) { observers_.push_back(observer); }
  return added;
}

/// An observer waits for as many packets as the watched end says (RFC 5880, 6.8.4): ours. Its own interval, when it is
/// the longer one, is what counts.
void Agent::on_bfd(const link::BfdParameters& bfd) {
  link::bfd::PeerOptions told = watched_;
  told.interval = std::min(answer_interval, std::chrono::milliseconds(bfd.interval_ms));
  told.multiplier = static_cast<std::uint8_t>(bfd.multiplier);
  if (told.interval == watched_.interval && told.multiplier == watched_.multiplier) { return; }
  watched_ = told;
  log::info("BFD: this blade is watched at {} ms x {}", bfd.interval_ms, bfd.multiplier);
  for (const auto& observer : observers_) {
    const auto set = bfd_->set_times(observer, watched_.interval, watched_.multiplier);
    if (!set) { log::error("BFD with {}: {}", observer.to_string(), log::describe(set.error())); }
  }
}

/// The mirror's BFD is authenticated as this blade's is: the key is of its file, not of the order.
link::guest::Configure Agent::configuration_of(const MirrorPlace& mirror) const {
  link::guest::Configure order{mirror.mirror(), config_.bfd.authentication.key};
  auto& bfd = order.mirror.bfd;
  const auto& own = config_.bfd.authentication;
  if (bfd.authentication != own.type || bfd.key_id != own.key_id) {
    log::error(
        "{}: group.toml has the BFD authentication {} key {}, this blade's file has {}: make [bfd] the same in all",
        order.mirror.spec.id.value, link::to_string(bfd.authentication), bfd.key_id, describe(own));
  }
  bfd.authentication = own.type;
  bfd.key_id = own.key_id;
  return order;
}

void Agent::handle(const Event& event) {
  for (const auto& effect : blade_.step(boot_now(), event)) { perform(effect); }
  arm_timer();
  const auto& roles = blade_.roles();
  tell(told_.gone(roles));
  watchdog_.serves(std::any_of(roles.begin(), roles.end(),
                               [](const auto& role) { return role.second.stage == RoleStage::ServingHost; }));
}

std::string Agent::summary() const {
  std::string text = config_.tls.wire.plain_text ? "PLAIN TEXT; " : "";
  text += connected_to_.empty() ? "NO CONTROL-SERVER: nothing fails over until one is back, roles serve on"
                                : "control-server " + connected_to_;
  for (const auto& [role, held] : blade_.roles()) {
    text += "; " + role.value + " " + to_string(held.stage) + ", term " + std::to_string(held.term.value);
  }
  return text;
}

void Agent::arm_timer() {
  const auto deadline = blade_.next_deadline();
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(std::max(*deadline - boot_now(), Duration(std::chrono::milliseconds(1))));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) { handle(Tick{}); }
  });
}

void Agent::perform(const Effect& effect) {
  std::visit([this](const auto& concrete) { perform(concrete); }, effect);
}

void Agent::perform(const HoldSpec& effect) {
  const auto& role = effect.spec.id;
  specs_[role] = effect.spec;
  const auto held = blade_.roles().find(role);
  const auto served = served_.find(role);
  if (held == blade_.roles().end() || served == served_.end()) { return; }
  const bool other = served->second->is_followed_by_other_than(effect.spec.mirror_blade);
  if (other && held->second.stage == RoleStage::ServingHost) { let_mirror_follow(role, held->second.term); }
}

void Agent::perform(const HoldMirror& effect) {
  const auto& role = effect.mirror.spec.id;
  specs_[role] = effect.mirror.spec;
  mirror_orders_[role] = effect.mirror;
  if (const auto found = mirrors_.find(role); found != mirrors_.end()) { found->second->hold(effect.mirror); }
}

void Agent::perform(const Remember& effect) {
  const auto record = blade_.record_of(effect.role);
  unremembered_.erase(effect.role);
  if (!record) {
    const auto given_up = give_up_held(config_.run_dir, boot_id_, blade_.given_up_of(effect.role));
    if (!given_up) {
      log::error("{}: a restarted host-agent would believe that it is still held here: {}", effect.role.value,
                 given_up.error().message);
    }
    return;
  }
  if (auto written = write_held(config_.run_dir, boot_id_, *record); !written) {
    unremembered_.insert(effect.role);
    log::error("{}: a restarted host-agent would not know of it: {}", effect.role.value, written.error().message);
  }
}

/// Before a gate opens: a successor that knows nothing of it closes it, and says that it holds nothing.
Status Agent::ensure_remembered(const RoleId& role) {
  const auto record = blade_.record_of(role);
  if (!unremembered_.contains(role) || !record) { return {}; }
  if (auto written = write_held(config_.run_dir, boot_id_, *record); !written) {
    return failure("the gate stays closed: " + written.error().message, written.error().code);
  }
  unremembered_.erase(role);
  return {};
}

void Agent::perform(const SendReport& effect) {
  auto report = effect.report;
  if (auto* vote = std::get_if<link::PeerVote>(&report)) { vote->peer = mirror_orders_[vote->role].active; }
  if (!control_->send(report)) { log::warn("a report was not sent: the control-server is not connected"); }
}

void Agent::perform(const Note& effect) {
  if (effect.severity != Severity::Alarm) { return log::info("{}: {}", effect.role.value, effect.text); }
  log::error("{}: {}", effect.role.value, effect.text);
  const auto held = blade_.roles().find(effect.role);
  // Of a role that is not here, or not yet, any term will do: nothing is decided by it.
  const Term term = std::max(Term{1}, held == blade_.roles().end() ? Term{} : held->second.term);
  tell(told_.heard(boot_now(), effect.role, term, effect.topic, effect.text));
}

void Agent::tell(const ToldAlarms::Reports& reports) {
  for (const auto& report : reports) { (void)control_->send(report); }
}

void Agent::alarm(const RoleId& role, const std::string& topic, const std::string& text) {
  if (text.empty()) { return tell(told_.over(role, topic)); }
  perform(Note{Severity::Alarm, role, text, topic});
}

void Agent::perform(const TellGuest& effect) {
  const auto found = mirrors_.find(effect.role);
  if (found == mirrors_.end()) { return; }
  auto& mirror = *found->second;
  Status sent;
  switch (effect.order) {
    case GuestOrder::Configure:
      configure_guest(effect.role);
      return;
    case GuestOrder::Activate:
      mirror.prefer(GuestWeight::Serving);  // now, not when it serves: the takeover itself is what must be quick
      sent = mirror.send(link::guest::Activate{effect.term, 0});
      break;
    case GuestOrder::Announce:
      sent = mirror.send(link::guest::Announce{});
      break;
    case GuestOrder::Quiesce: {
      const auto moving = movements_.find(effect.role);
      sent = mirror.send(link::guest::Quiesce{moving == movements_.end() ? 0 : moving->second->marker()});
      break;
    }
    case GuestOrder::Resume:
      sent = mirror.send(link::guest::Resume{});
      break;
    case GuestOrder::AllowGrants:
      sent = mirror.send(link::guest::AllowGrants{effect.term});
      break;
    case GuestOrder::StopGrants:
      sent = mirror.send(link::guest::StopGrants{effect.term});
      break;
  }
  if (!sent) { log::error("mirror of {}: {}", effect.role.value, log::describe(sent.error())); }
}

std::function<void(Status)> Agent::answer(const RoleId& role, Step step) {
  return [this, role, step](const Status& status) {
    // Posted: a step may end within the call that began it, while the core's effects are still being performed.
    boost::asio::post(io_, [this, role, step, status] {
      if (status) {
        if (step == Step::CloseHostGate || step == Step::CloseMirrorGate) { alarm(role, "gate", ""); }
        handle(StepDone{role, step});
      } else {
        log::error("{}: {}", role.value, log::describe(status.error()));
        handle(StepFailed{role, step, status.error().message});
      }
    });
  };
}

void Agent::perform(const Do& effect) {
  const auto& role = effect.role;
  const auto done = answer(role, effect.step);
  switch (effect.step) {
    case Step::PrepareHost:
      prepare_host(role, effect.term);
      return;
    case Step::OpenHostGate:
      done(open_host_gate(role));
      return;
    case Step::CloseHostGate:
      done(close_host_gate(role));
      return;
    case Step::StartGuest:
      start_guest(role);
      return;
    case Step::OpenMirrorGate: {
      const auto remembered = ensure_remembered(role);
      done(remembered ? mirrors_.at(role)->open_gate() : remembered);
      return;
    }
    case Step::CloseMirrorGate:
      if (movements_.contains(role)) {
        movement_step(role, effect.step, effect.term);
      } else {
        const auto mirror = mirrors_.find(role);  // none: its guest was not launched yet, nothing can speak
        done(mirror != mirrors_.end() ? mirror->second->stop_serving() : Status{});
      }
      return;
    case Step::StopGuest:
      stop_guest(role);
      return;
    case Step::AdoptHost:
      adopt_host(role, effect.term);
      return;
    case Step::AdoptGuest:
      adopt_guest(role);
      return;
    case Step::ReleaseGuests:
      release_all();
      return;
    case Step::UntimeGate:
      done(untime_gate(role));
      return;
    case Step::TimeGate:  // an effect of its own
      return;
    case Step::QuiesceHost:
      quiesce_host(role);
      return;
    case Step::ShipLast:
      ship_last(role);
      return;
    case Step::ServeOn:
      serve_on(role, effect.term);
      return;
    case Step::PrepareMovement:
    case Step::SendMarkers:
    case Step::Freeze:
    case Step::Finish:
    case Step::Commit:
    case Step::Resume:
    case Step::Rollback:
    case Step::Discard:
      movement_step(role, effect.step, effect.term);
      return;
  }
}

}  // namespace understudy::host
