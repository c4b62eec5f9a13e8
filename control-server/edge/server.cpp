// SPDX-License-Identifier: Apache-2.0
#include "edge/server.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <ctime>

#include "understudy/common/log.hpp"

namespace understudy::control {

namespace {

Instant now() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)};
}

link::Vote vote_of(const link::bfd::StateChange& change) {
  using link::bfd::SessionState;
  if (change.to == SessionState::Up) { return link::Vote::Up; }
  // Only silence speaks of a failure. A peer that says Down or AdminDown is alive.
  return change.diagnostic == link::bfd::Diagnostic::DetectionTimeExpired ? link::Vote::Down : link::Vote::Unknown;
}

IpAddress listen_address(const std::string& endpoint) {
  auto text = endpoint.substr(0, endpoint.rfind(':'));
  if (text.size() > 2 && text.front() == '[') { text = text.substr(1, text.size() - 2); }
  auto address = IpAddress::parse(text);
  return address ? *address : IpAddress{};
}

}  // namespace

Server::Server(boost::asio::io_context& io, ServerConfig config) : io_(io), config_(std::move(config)), timer_(io) {}

Server::~Server() = default;

Status Server::start() {
  auto store = StateStore::open(config_.state_path);
  if (!store) { return store.error(); }
  store_ = std::move(store).value();
  auto stored = store_->ownerships();
  if (!stored) { return stored.error(); }
  auto driver = SwitchDriver::make(config_.switching);
  if (!driver) { return driver.error(); }
  switch_ = std::move(driver).value();
  group_ = std::make_unique<Group>(config_.group, *stored);
  if (auto done = start_bfd(); !done) { return done; }
  handle(Started{});
  look_at_switch();
  return listen();
}

Status Server::start_bfd() {
  link::bfd::BfdService::Options options;
  options.local_addresses = {listen_address(config_.listen)};
  auto service = link::bfd::BfdService::start(options, [this](const link::bfd::PeerEvent& event) {
    boost::asio::post(io_, [this, event] {
      for (const auto& blade : config_.group.blades) {
        if (blade.address == event.peer) { handle(BfdChanged{blade.id, vote_of(event.change)}); }
      }
    });
  });
  if (!service) { return service.error(); }
  bfd_ = std::move(service).value();
  link::bfd::PeerOptions peer;
  peer.interval = std::chrono::milliseconds(config_.group.bfd.interval_ms);
  peer.multiplier = static_cast<std::uint8_t>(config_.group.bfd.multiplier);
  for (const auto& blade : config_.group.blades) {
    if (auto added = bfd_->add_peer(blade.address, peer); !added) { return added; }
  }
  return {};
}

Status Server::listen() {
  link::ControlApiHandlers handlers;
  handlers.on_report = [this](link::SessionId session, const link::Report& report) { on_report(session, report); };
  handlers.on_detached = [this](link::SessionId session, const std::string&) { on_detached(session); };
  handlers.status = [this] { return group_->status(); };
  handlers.move_role = [this](const RoleId& role) {
    auto answer = group_->check_move(role);
    if (answer) { post(OperatorMove{role}); }
    return answer;
  };
  handlers.set_movement_policy = [this](link::MovementPolicy policy) {
    post(OperatorPolicy{policy});
    return Result<std::string>(std::string("movement policy ") + link::to_string(policy));
  };
  handlers.events_after = [this](std::uint64_t after, std::size_t limit) { return store_->events_after(after, limit); };
  auto api = link::ControlApiServer::listen(io_, config_.listen, store_->identity(), std::move(handlers));
  if (!api) { return api.error(); }
  api_ = std::move(api).value();
  return {};
}

void Server::look_at_switch() {
  for (const auto& blade : config_.group.blades) {
    switch_worker_.post([this, driver = switch_, id = blade.id, ports = blade.switch_ports] {
      auto isolated = driver->are_isolated(ports);
      if (isolated) { post(PortsSeen{id, *isolated}); }
    });
  }
}

// --- events ---

void Server::post(Event event) {
  boost::asio::post(io_, [this, event = std::move(event)] { handle(event); });
}

void Server::handle(const Event& event) {
  for (const auto& effect : group_->step(now(), event)) {
    std::visit([this](const auto& concrete) { perform(concrete); }, effect);
  }
  arm_timer();
}

void Server::arm_timer() {
  const auto deadline = group_->next_deadline();
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(std::max(*deadline - now(), Duration(std::chrono::milliseconds(1))));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) { handle(Tick{}); }
  });
}

void Server::on_report(link::SessionId session, const link::Report& report) {
  if (const auto* hello = std::get_if<link::Hello>(&report)) {
    if (!group_->has_blade(hello->blade)) {
      log::warn("blade \"{}\" is not of this group; its host-agent is sent away", hello->blade.value);
      api_->close(session);
      return;
    }
    // A restarted agent has a new stream before its old one is known to be gone.
    if (const auto old = sessions_.find(hello->blade); old != sessions_.end() && old->second != session) {
      blades_.erase(old->second);
      api_->close(old->second);
    }
    sessions_[hello->blade] = session;
    blades_[session] = hello->blade;
  }
  const auto blade = blades_.find(session);
  if (blade != blades_.end()) { handle(AgentReport{blade->second, report}); }
}

void Server::on_detached(link::SessionId session) {
  const auto found = blades_.find(session);
  if (found == blades_.end()) { return; }
  const BladeId blade = found->second;
  blades_.erase(found);
  sessions_.erase(blade);
  handle(AgentLost{blade});
}

// --- effects ---

std::vector<std::string> Server::ports_of(const BladeId& id) const {
  for (const auto& blade : config_.group.blades) {
    if (blade.id == id) { return blade.switch_ports; }
  }
  return {};
}

void Server::perform(const Persist& effect) {
  auto stored = store_->compare_and_set(effect.expected, effect.expected_reserved, effect.next);
  if (stored) {
    post(StoreDone{effect.next.role, effect.next.highest()});
    return;
  }
  log::error("{}", log::describe(stored.error()));
  post(StoreFailed{effect.next.role, effect.next.highest(), stored.error().code == Errc::Refused,
                   stored.error().message});
}

void Server::perform(const Isolate& effect) {
  switch_worker_.post([this, driver = switch_, blade = effect.blade, ports = ports_of(effect.blade)] {
    auto done = driver->isolate(ports);
    if (done) {
      post(IsolateDone{blade});
    } else {
      post(IsolateFailed{blade, done.error().message});
    }
  });
}

void Server::perform(const Readmit& effect) {
  switch_worker_.post([this, driver = switch_, blade = effect.blade, ports = ports_of(effect.blade)] {
    auto done = driver->readmit(ports);
    if (done) {
      post(ReadmitDone{blade});
    } else {
      post(ReadmitFailed{blade, done.error().message});
    }
  });
}

void Server::perform(const PowerOff& effect) {
  power_worker_.post([this, blade = effect.blade, power = config_.power] {
    auto done = power_off(power, blade);
    if (done) {
      post(PowerDone{blade});
    } else {
      post(PowerFailed{blade, done.error().message});
    }
  });
}

void Server::perform(const Send& effect) {
  const auto session = sessions_.find(effect.blade);
  if (session == sessions_.end() || !api_->send(session->second, effect.order)) {
    log::warn("an order for {} was not sent: its host-agent is not connected", effect.blade.value);
  }
}

void Server::perform(const Note& effect) {
  auto event = effect.event;
  event.time_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const auto& who = event.role.empty() ? event.blade.value : event.role.value;
  if (event.severity == link::Severity::Alarm) {
    log::error("{}: {}", who, event.text);
  } else if (event.kind == "phase") {
    log::info("{}: {} {:.2f} ms {}", who, event.phase, event.ms, event.text);
  } else {
    log::info("{}: {}", who, event.text);
  }
  if (auto stored = store_->append(event); !stored) {
    log::error("{}", log::describe(stored.error()));
    return;
  }
  if (api_) { api_->wake_followers(); }
}

}  // namespace understudy::control
