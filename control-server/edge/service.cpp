// SPDX-License-Identifier: Apache-2.0
#include "edge/service.hpp"

#include <boost/asio/post.hpp>

#include "edge/clock.hpp"
#include "edge/hold_out_record.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::control {
namespace {

constexpr auto kProbeEvery = std::chrono::seconds(5);

Result<std::unique_ptr<SwitchDriver>> open_switch(const ServerConfig& config) {
  if (config.switch_driver == ServerConfig::Switch::LinuxBridge) { return linux_bridge_switch(config.switch_netns); }
  return command_switch(config.switch_command, config.switch_limit);
}

}  // namespace

Result<std::unique_ptr<ControlService>> ControlService::start(boost::asio::io_context& io, const ServerConfig& config,
                                                              std::vector<IcmpSocket> icmp) {
  auto the_switch = open_switch(config);
  if (!the_switch) { return the_switch.error(); }
  std::unique_ptr<ControlService> service(new ControlService(io, config, std::move(the_switch).value()));
  service->icmp_sockets_ = std::move(icmp);
  if (!config.etcd) {
    if (auto opened = service->open_store(); !opened) { return opened.error(); }
  }
  if (auto opened = service->open_edges(); !opened) { return opened.error(); }
  return service;
}

ControlService::ControlService(boost::asio::io_context& io, const ServerConfig& config,
                               std::unique_ptr<SwitchDriver> the_switch)
    : io_(io),
      config_(config),
      switch_(std::move(the_switch)),
      power_(open_power(config)),
      timer_(io),
      certificate_timer_(io),
      tenure_timer_(io),
      probe_timer_(io),
      patient_(io),
      events_(io,
              [this] {
                if (api_) { api_->wake_followers(); }
              }),
      commands_(events_, [this] { return decides(); }) {}

/// Workers first: their jobs use the drivers. What they still post finds `deciding_` expired.
ControlService::~ControlService() {
  if (election_) { election_->resign(); }  // a worker may hang in a switch for minutes: another leads meanwhile
  switch_worker_.reset();
  power_workers_.clear();
  store_worker_.reset();
  api_.reset();
  observer_.reset();
  icmp_.reset();
  deciding_.reset();
  election_.reset();
  alive_.reset();
  events_.flush();
}

Status ControlService::open_store() {
  auto store = Store::open(config_.state_path);
  if (!store) { return store.error(); }
  store_ = std::make_unique<WatchedStore>(std::move(store).value());
  patient_.use(*store_);
  return events_.use(*store_);
}

/// A group may be quiet for months: that its store takes nothing must be seen before a takeover is to be stored.
void ControlService::probe_store() {
  if (store_) {
    const bool failed = !store_->problem().empty();
    const auto done = store_->probe(wall_now_ns());
    if (!done && !failed) { log::error("the state store cannot be written: {}", log::describe(done.error())); }
    tell_slow_store();
  } else if (etcd_) {
    store_worker_->add([this, store = etcd_, deciding = std::weak_ptr(deciding_)] {
      if (deciding.expired()) { return; }
      boost::asio::post(io_, [this, deciding, done = store->keep("probe", std::to_string(wall_now_ns()))] {
        if (deciding.expired()) { return; }
        const bool ours = done || done.error().code != Errc::Expired;  // else another leads, and writes
        etcd_problem_ = done || !ours ? "" : done.error().message;
      });
    });
  }
  probe_timer_.expires_after(kProbeEvery);
  probe_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired()) { probe_store(); }
  });
}

Status ControlService::open_edges() {
  Read state;
  if (store_) {
    auto found = read_state(*store_, config_.group.movement);
    if (!found) { return found.error(); }
    state = std::move(found).value();
  }
  auto api = link::ControlApiServer::listen(io_, config_.listen, config_.tls.wire, store_ ? store_->state_id() : "",
                                            handlers());
  if (!api) { return api.error(); }
  api_ = std::move(api).value();
  if (config_.tls.wire.plain_text) { tell_alarm("tls", {}, link::tls::plain_text_alarm); }
  watch_certificates();
  probe_store();
  if (store_) { begin_deciding(state); }
  if (auto watching = watch_blades(); !watching) { return watching; }
  if (auto watching = watch_witnesses(); !watching) { return watching; }
  if (config_.etcd) { begin_election(); }
  return {};
}

std::string ControlService::summary() const {
  const std::string warnings = std::string(config_.tls.wire.plain_text ? "PLAIN TEXT; " : "") +
                               (store_ && !store_->problem().empty() ? "THE STATE STORE CANNOT BE WRITTEN; " : "") +
                               (events_.failing() ? "THE EVENT LOG IS NOT WRITTEN; " : "");
  return warnings + (group_ ? summary_of_group() : "another control-server leads, or none yet");
}

std::string ControlService::summary_of_group() const {
  const auto status = group_->status();
  std::string text;
  for (const auto& role : status.roles) { text += role.role.value + " " + role.state + ", "; }
  std::string away;
  for (const auto& blade : status.blades) {
    if (!blade.agent_connected) { away += " " + blade.blade.value; }
  }
  text += status.standby.empty() ? "no standby" : "standby " + status.standby.value;
  return away.empty() ? text : text + "; no host-agent of" + away;
}

void ControlService::look_at_ports(const BladeId& blade) {
  auto look = [this, blade, worker = switch_worker_.get()]() -> Event {
    PortsSeen seen{blade};
    std::size_t closed = 0;
    const auto ports = ports_of(blade);
    for (const auto& port : ports) {
      if (worker->is_wanted()) {  // it is asked again; a switch that hangs does so for each port
        seen.known = false;
        return seen;
      }
      const auto isolated = switch_->are_isolated({port});
      if (!isolated) { log::warn("switch: {}", log::describe(isolated.error())); }
      seen.known = seen.known && isolated.ok();
      closed += isolated.ok() && isolated.value() ? 1U : 0U;
    }
    seen.isolated = closed != 0 && closed == ports.size();
    seen.half_closed = closed != 0 && !seen.isolated;
    return seen;
  };
  switch_worker_->add_look(as_job(std::move(look)));
}

Status ControlService::watch_blades() {
  link::bfd::Observer::Options options;
  options.service.local_addresses = {config_.listen_address};
  options.service.sequence_file = config_.run_dir + "/control-server.bfd";
  if (!bfd_alarm().empty()) { tell_alarm("bfd", {}, bfd_alarm()); }
  std::map<IpAddress, BladeId> blades;
  for (const auto& blade : config_.group.blades) { blades[blade.address] = blade.id; }
  std::map<IpAddress, std::string> witnesses;
  for (const auto& witness : config_.group.witnesses) { witnesses[witness.address] = witness.name; }
  const auto on_vote = [this, blades, witnesses](const IpAddress& peer, link::Vote vote) {
    if (const auto witness = witnesses.find(peer); witness != witnesses.end()) {
      return witness_voted(witness->second, vote);
    }
    votes_[blades.at(peer)] = vote;
    if (group_) { step(BfdChanged{blades.at(peer), vote}); }
  };
  auto observer = link::bfd::Observer::start(io_, options, on_vote);
  if (!observer) { return observer.error(); }
  for (const auto& [address, blade] : blades) {
    link::bfd::PeerOptions peer;
    peer.interval = std::chrono::milliseconds(config_.group.bfd.interval_ms);
    peer.multiplier = static_cast<std::uint8_t>(config_.group.bfd.multiplier);
    peer.authentication = config_.bfd_authentication;
    if (auto added = observer.value()->add_peer(address, peer); !added) {
      return failure("BFD with " + blade.value + ": " + added.error().message, added.error().code);
    }
  }
  observer_ = std::move(observer).value();
  return {};
}

link::ControlApiHandlers ControlService::handlers() {
  link::ControlApiHandlers handlers;
  handlers.bfd = config_.group.bfd;
  handlers.on_report = [this](link::SessionId session, const link::Report& report) { on_report(session, report); };
  handlers.on_detached = [this](link::SessionId session, const std::string& /*why*/) { on_detached(session); };
  handlers.status = [this] { return status(); };
  add_commands(handlers);
  handlers.on_refused = [this](const BladeId& at, const std::string& what) { tell_refused(at, what); };
  handlers.on_certificate = [this](link::SessionId session, const BladeId& blade, std::int64_t not_after) {
    on_certificate(session, blade, not_after);
  };
  handlers.newest_event = [this](const auto& answer) { events_.newest(answer); };
  handlers.events_after = [this](std::uint64_t after, std::size_t limit, const link::EventsAnswer& answer) {
    events_.read(after, limit, answer);
  };
  return handlers;
}

// --- the loop ---

/// Effects may make events at once (the store answers on the spot): they wait in the queue until this step is done.
void ControlService::step(const Event& event) {
  queue_.push_back(event);
  if (stepping_) { return; }
  stepping_ = true;
  while (group_ && !queue_.empty()) {
    const Event next = std::move(queue_.front());
    queue_.pop_front();
    if (!leads()) { break; }
    for (const auto& effect : group_->step(boot_now(), next)) {
      // Each time anew: this process may have been stopped since the last one, for however long.
      if (!leads()) { break; }
      std::visit([this](const auto& one) { perform(one); }, effect);
    }
  }
  stepping_ = false;
  if (group_ && !leads()) { return stop_deciding("its lease could not be renewed in time"); }
  arm_timer();
}

void ControlService::arm_timer() {
  if (!group_) { return; }
  const auto deadline = group_->next_deadline();
  timer_.cancel();
  if (!deadline) { return; }
  timer_.expires_after(std::max(Duration{0}, *deadline - boot_now()));
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired() && group_) { step(Tick{}); }
  });
}

/// What was asked for by who does not lead any more is not begun.
std::function<void()> ControlService::as_job(std::function<Event()> work) {
  const auto token = leadership_ ? leadership_->token : 0;
  return [this, token, work = std::move(work), deciding = std::weak_ptr(deciding_)] {
    if (deciding.expired() || (election_ && !election_->holds(token))) { return; }
    boost::asio::post(io_, [this, deciding, event = work()] {
      if (!deciding.expired()) { step(event); }
    });
  };
}

void ControlService::on_worker(Worker& worker, std::function<Event()> work) { worker.add(as_job(std::move(work))); }

void ControlService::perform(const Persist& effect) {
  if (!store_) { return persist_in_etcd(effect); }
  const auto& next = effect.next;
  const auto stored = store_->compare_and_set(effect.expected, effect.expected_reserved, next);
  if (stored) {
    queue_.push_back(StoreDone{next.role, next.highest()});
  } else {
    const bool conflict = stored.error().code == Errc::Refused;
    queue_.push_back(StoreFailed{next.role, next.highest(), conflict, stored.error().message});
  }
}

/// A failure that is not written is counted by this life all the same, and by the next one not.
void ControlService::perform(const KeepHoldOut& effect) {
  patient_.put("that " + effect.blade.value + " failed, or was let back",
               [blade = effect.blade.value, record = hold_out_record(effect.ages, wall_now_ns())](StateStore& store) {
                 return store.keep(kHoldOutKey + blade, record);
               });
}

/// Whoever decides next must know whether a mirror that has lost its stream was whole when its active, and we with it,
/// fell silent: a copy that is taken for the last one may be hours old.
void ControlService::perform(const KeepProtection& effect) {
  patient_.put("whether " + effect.role.value + " is protected",
               [effect](StateStore& store) { return store.set_protected(effect.role, effect.is); });
}

void ControlService::perform(const Isolate& effect) {
  on_worker(*switch_worker_, [this, blade = effect.blade]() -> Event {
    const auto done = switch_->isolate(ports_of(blade));
    if (!done) { return IsolateFailed{blade, done.error().message}; }
    return IsolateDone{blade};
  });
}

void ControlService::perform(const Readmit& effect) {
  on_worker(*switch_worker_, [this, blade = effect.blade]() -> Event {
    const auto done = switch_->readmit(ports_of(blade));
    if (!done) { return ReadmitFailed{blade, done.error().message}; }
    return ReadmitDone{blade};
  });
}

void ControlService::perform(const PowerOff& effect) {
  on_worker(power_workers_.of(effect.blade), [this, blade = effect.blade]() -> Event {
    const auto done = power_->off(blade.value);
    if (!done) { return PowerFailed{blade, done.error().message}; }
    return PowerDone{blade};
  });
}

void ControlService::perform(const Send& effect) {
  const auto found = session_of_.find(effect.blade);
  if (found == session_of_.end() || !api_->send(found->second, effect.order)) {
    log::debug("an order for {} is not sent: its session is gone", effect.blade.value);
  }
}

void ControlService::perform(const Note& effect) {
  remember_alarm(effect.event);
  events_.add(effect.event);
}

const std::vector<std::string>& ControlService::ports_of(const BladeId& id) const {
  for (const auto& blade : config_.group.blades) {
    if (blade.id == id) { return blade.switch_ports; }
  }
  UNDERSTUDY_ASSERT(false && "an effect names a blade of the configuration");
  return config_.group.blades.front().switch_ports;
}

// --- host-agents ---

void ControlService::on_report(link::SessionId session, const link::Report& report) {
  if (!group_) { return; }
  const auto* hello = std::get_if<link::Hello>(&report);
  if (hello != nullptr && !on_hello(session, *hello)) { return; }
  const auto found = blade_of_.find(session);
  if (found != blade_of_.end()) { step(AgentReport{found->second, report}); }
}

/// A blade has one session: the newest. An older one is a stream whose end nobody has noticed yet.
bool ControlService::on_hello(link::SessionId session, const link::Hello& hello) {
  const auto known = blade_of_.find(session);
  if (!group_->has_blade(hello.blade) || (known != blade_of_.end() && known->second != hello.blade)) {
    log::warn("a host-agent says it is \"{}\": not a blade of this group, or not the one it was", hello.blade.value);
    api_->close(session);
    return false;
  }
  const auto older = session_of_.find(hello.blade);
  if (older != session_of_.end() && older->second != session) {
    const auto stale = older->second;
    blade_of_.erase(stale);
    forget_certificate(stale, hello.blade);
    api_->close(stale);
  }
  blade_of_[session] = hello.blade;
  session_of_[hello.blade] = session;
  return true;
}

void ControlService::on_detached(link::SessionId session) {
  const auto found = blade_of_.find(session);
  if (found == blade_of_.end()) { return; }
  const BladeId blade = found->second;
  blade_of_.erase(found);
  session_of_.erase(blade);
  forget_certificate(session, blade);
  if (group_) { step(AgentLost{blade}); }
}

}  // namespace understudy::control
