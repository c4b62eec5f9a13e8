// SPDX-License-Identifier: Apache-2.0
// The agent's steps: what the blade's core asks for, done with places, guests and gates (see agent.hpp).
#include <boost/asio/post.hpp>

#include "edge/agent.hpp"
#include "edge/shutdown_unit.hpp"
#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {
constexpr auto mirror_bfd_interval = std::chrono::milliseconds(10);

link::MirrorPhase phase_of(link::guest::GuestPhase phase) {
  switch (phase) {
    case link::guest::GuestPhase::Starting:
      return link::MirrorPhase::Starting;
    case link::guest::GuestPhase::Connected:
      return link::MirrorPhase::Connected;
    case link::guest::GuestPhase::Syncing:
      return link::MirrorPhase::Syncing;
    case link::guest::GuestPhase::Synced:
      return link::MirrorPhase::Synced;
    case link::guest::GuestPhase::Failed:
      return link::MirrorPhase::Failed;
  }
  return link::MirrorPhase::Failed;
}
}  // namespace

// --- a role on this host ---

place::RolePlaceCallbacks Agent::place_callbacks(const RoleId& role) {
  place::RolePlaceCallbacks callbacks;
  callbacks.on_application_exit = [this, role](const std::string& detail) { handle(ApplicationExited{role, detail}); };
  callbacks.on_alarm = [this, role](const std::string& text) { perform(Note{Severity::Alarm, role, text}); };
  callbacks.on_changes = [this, role] {
    if (const auto found = served_.find(role); found != served_.end()) { found->second->poke(); }
  };
  return callbacks;
}

void Agent::prepare_host(const RoleId& role, Term term) {
  const auto done = answer(role, Step::PrepareHost);
  const auto& spec = specs_.at(role);
  place::PlaceOptions options;
  options.run_dir = config_.run_dir;
  options.region_path = config_.region_path(role);
  options.excluded = {config_.address};
  for (const auto& port : spec.ports) {
    if (const auto found = config_.networks.find(port.network); found != config_.networks.end()) {
      options.ports.emplace_back(port.name, found->second);
    }
  }
  served_.erase(role);
  auto place = std::make_unique<place::RolePlace>(io_, spec, options, place_callbacks(role));
  for (auto* step : {+[](place::RolePlace& made) { return made.configure(); },
                     +[](place::RolePlace& made) { return made.open_region(true); }}) {
    if (auto status = step(*place); !status) {
      done(status);
      return;
    }
  }
  auto& served = *(served_[role] = std::make_unique<ServedRole>(std::move(place)));
  served.place().start_application([this, role, term, done](const Status& ready) {
    if (!ready) {
      done(ready);
      return;
    }
    auto& made = served_.at(role)->place();
    if (auto writing = made.begin_writing(term); !writing) {
      done(writing);
      return;
    }
    made.activate(term, done);
  });
}

Status Agent::open_host_gate(const RoleId& role) {
  auto& served = *served_.at(role);
  const Term term = blade_.roles().at(role).term;
  for (const auto& [port, interface] : served.place().options().ports) {
    if (auto opened = host_gate_->open(interface); !opened) { return opened; }
  }
  served.place().announce();
  const auto on_phase = [role](link::replication::SenderPhase phase, const std::string& detail) {
    log::info("{}: replication {} {}", role.value, link::replication::to_string(phase), detail);
  };
  if (auto listens = served.replicate(io_, term, config_.address.address, config_.replication_port, on_phase);
      !listens) {
    perform(Note{Severity::Alarm, role, "no mirror can follow: " + log::describe(listens.error())});
  }
  const auto added = bfd_->add_peer(specs_.at(role).mirror_address.address, {.interval = mirror_bfd_interval});
  if (!added && added.error().code != Errc::Refused) {
    perform(Note{Severity::Alarm, role, "the mirror cannot watch this blade: " + log::describe(added.error())});
  }
  return {};
}

Status Agent::close_host_gate(const RoleId& role) {
  const auto found = served_.find(role);
  if (found == served_.end()) { return {}; }
  for (const auto& [port, interface] : found->second->place().options().ports) {
    if (auto closed = host_gate_->close(interface); !closed) { return closed; }
  }
  found->second->stop_replicating();
  found->second->place().stop_writing();
  found->second->place().stop_application([](const Status& stopped) {
    if (!stopped) { log::warn("the application did not stop: {}", log::describe(stopped.error())); }
  });
  return {};
}

// --- a mirror ---

void Agent::start_guest(const RoleId& role) {
  guests_waiting_.push_back(role);
  if (guests_waiting_.size() > 1) { return; }  // the accelerator is being chosen: one try serves all
  AcceleratorOptions options;
  options.wanted = config_.mirrors.accelerator;
  options.run_dir = config_.run_dir;
  options.qemu = config_.mirrors.qemu;
  options.kernel = config_.mirrors.kernel;
  options.initramfs = config_.mirrors.initramfs;
  choose_accelerator(io_, options, [this](const Result<AcceleratorChoice>& choice) {
    for (const auto& waiting : std::exchange(guests_waiting_, {})) { launch_guest(waiting, choice); }
  });
}

void Agent::launch_guest(const RoleId& role, const Result<AcceleratorChoice>& choice) {
  const auto done = answer(role, Step::StartGuest);
  if (!choice) {
    done(choice.error());
    return;
  }
  log::info("{}: {}", role.value, choice->reason);
  if (auto ready = network_.ensure(); !ready) {
    done(ready);
    return;
  }
  if (host_gate_) {  // the service interfaces become uplinks of bridges: the bridge gate stands in front of them now
    if (auto removed = host_gate_->remove(); !removed) {
      done(removed);
      return;
    }
    host_gate_.reset();
  }
  auto& mirror = mirrors_[role];
  mirror = std::make_unique<MirrorPlace>(io_, config_, network_, mirror_orders_.at(role), guest_callbacks(role));
  done(mirror->start(choice->accelerator));
}

GuestCallbacks Agent::guest_callbacks(const RoleId& role) {
  GuestCallbacks callbacks;
  callbacks.on_hello = [this, role](const link::guest::Hello& hello) { handle(GuestHello{role, hello.boot_nonce}); };
  callbacks.on_event = [this, role](const link::guest::GuestEvent& event) { on_guest_event(role, event); };
  callbacks.on_lost = [this, role] { perform(Note{Severity::Info, role, "the guest-agent of the mirror is gone"}); };
  callbacks.on_qmp_event = [role](const QmpEvent& event) { log::debug("mirror of {}: {}", role.value, event.name); };
  callbacks.on_failed = [this, role](const Error& error) {
    perform(Note{Severity::Alarm, role, error.message});
    if (const auto found = mirrors_.find(role); found != mirrors_.end() && found->second->has_guest()) {
      found->second->guest().kill(std::chrono::seconds(5), [](const Status&) {});  // its exit is what the core hears of
    }
  };
  callbacks.on_exit = [this, role](const std::string& how) { handle(GuestExited{role, how}); };
  return callbacks;
}

void Agent::on_guest_event(const RoleId& role, const link::guest::GuestEvent& event) {
  using namespace link::guest;
  if (const auto* state = std::get_if<State>(&event)) {
    handle(GuestPhase{role, phase_of(state->phase), state->detail});
  }
  if (const auto* seen = std::get_if<PeerSeen>(&event)) { handle(GuestVote{role, seen->vote}); }
  if (const auto* ready = std::get_if<Ready>(&event)) { handle(GuestReady{role, ready->term, ready->phases}); }
  if (const auto* failed = std::get_if<ActivateFailed>(&event)) {
    mirrors_.at(role)->prefer(GuestWeight::Idle);
    handle(GuestRefused{role, failed->detail});
  }
  if (std::holds_alternative<Quiesced>(event)) { handle(GuestQuiesced{role}); }
  if (const auto* alarm = std::get_if<Alarm>(&event)) {
    perform(Note{Severity::Alarm, role, "mirror: " + alarm->text});
  }
}

// --- movement and release ---

void Agent::movement_step(const RoleId& role, Step step, Term term) {
  const auto found = movements_.find(role);
  if (found == movements_.end()) {
    answer(role, step)(failure("no movement is under way"));
    return;
  }
  found->second->perform(step, term, [this, role, step, done = answer(role, step)](const Status& status) {
    if (status && step == Step::Resume) {
      served_[role] = std::make_unique<ServedRole>(movements_.at(role)->release_place());
      mirrors_.at(role)->clean();
      // What is left of the movement goes once its last callback has returned.
      boost::asio::post(io_, [this, role] {
        movements_.erase(role);
        mirrors_.erase(role);
      });
    }
    if (status && step == Step::Rollback) {
      boost::asio::post(io_, [this, role] { movements_.erase(role); });
    }
    done(status);
  });
}

void Agent::release_all() {
  std::vector<std::unique_ptr<MirrorPlace>> mirrors;
  for (auto entry = mirrors_.begin(); entry != mirrors_.end();) {
    if (blade_.roles().contains(entry->first)) {
      ++entry;
      continue;
    }
    mirrors.push_back(std::move(entry->second));
    entry = mirrors_.erase(entry);
  }
  release_guests(io_, std::move(mirrors), [this](std::uint32_t running) {
    boost::asio::post(io_, [this, running] { handle(GuestsReleased{running}); });
  });
}

}  // namespace understudy::host
