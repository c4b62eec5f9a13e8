// SPDX-License-Identifier: Apache-2.0
// The agent's steps: what the blade's core asks for, done with places, guests and gates (see agent.hpp).
#include <algorithm>
#include <boost/asio/post.hpp>

#include "edge/agent.hpp"
#include "edge/lease_gate.hpp"
#include "edge/shutdown_unit.hpp"
#include "place/region_schema.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {

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

const std::string kMirrorTopic = "mirror-";  ///< what the role's guest says, as far as it is a word

bool is_topic(const std::string& text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= 20 && std::all_of(text.begin(), text.end(), letter);
}

GuestActivity activity_of(link::guest::Activity activity) {
  switch (activity) {
    case link::guest::Activity::Idle:
      return GuestActivity::Idle;
    case link::guest::Activity::Mirroring:
      return GuestActivity::Mirroring;
    case link::guest::Activity::Activating:
      return GuestActivity::Activating;
    case link::guest::Activity::Serving:
      return GuestActivity::Serving;
    case link::guest::Activity::Quiescing:
    case link::guest::Activity::Quiesced:
      return GuestActivity::Quiescing;
  }
  return GuestActivity::Idle;
}

/// A guest's words go into no alarm as they are.
std::vector<std::string> known_ports(const link::RoleSpec& spec, const std::vector<std::string>& said) {
  std::vector<std::string> known;
  for (const auto& port : spec.ports) {
    if (std::find(said.begin(), said.end(), port.name) != said.end()) { known.push_back(port.name); }
  }
  return known;
}
}  // namespace

// --- a role on this host ---

place::RolePlaceCallbacks Agent::place_callbacks(const RoleId& role) {
  place::RolePlaceCallbacks callbacks;
  callbacks.on_application_exit = [this, role](const std::string& detail) { handle(ApplicationExited{role, detail}); };
  callbacks.on_unfit = [this, role](const std::string& unfit) { application_said(role, unfit); };
  callbacks.on_alarm = [this, role](const std::string& text, const std::string& topic) { alarm(role, topic, text); };
  callbacks.on_changes = [this, role] {
    if (const auto found = served_.find(role); found != served_.end()) { found->second->poke(); }
  };
  return callbacks;
}

place::PlaceOptions Agent::place_options(const link::RoleSpec& spec, bool moved) const {
  if (moved) { return moved_place(config_, spec); }
  place::PlaceOptions options;
  options.run_dir = config_.run_dir;
  options.region_path = config_.region_path(spec.id);
  options.excluded = {config_.address};
  for (const auto& port : spec.ports) {
    if (const auto found = config_.networks.find(port.network); found != config_.networks.end()) {
      options.ports.emplace_back(port.name, found->second);
    }
  }
  return options;
}

Result<Agent::RoleGate> Agent::gate_of(const link::RoleSpec& spec, bool moved) {
  if (moved && !network_.is_ready()) {
    return failure(spec.id.value + " was moved to this host, but its bridges are gone", Errc::NotFound);
  }
  if (moved) { return RoleGate{&network_.gate(), moved_gate_ports(spec)}; }
  if (!host_gate_) {
    return failure("the service interfaces of this blade are uplinks of its mirrors' bridges: " + spec.id.value +
                       " can be served on its host only by a movement",
                   Errc::Refused);
  }
  RoleGate gate{&*host_gate_, {}};
  for (const auto& [port, interface] : place_options(spec, false).ports) { gate.ports.push_back(interface); }
  return gate;
}

void Agent::prepare_host(const RoleId& role, Term term) {
  const auto done = answer(role, Step::PrepareHost);
  const auto& spec = specs_.at(role);
  const bool moved = blade_.roles().at(role).moved;
  if (auto gate = gate_of(spec, moved); !gate) {
    done(gate.error());
    return;
  }
  preparing_.erase(role);
  served_.erase(role);
  tell(told_.over(role, "table-"));  // of a place that is made anew
  served_[role] = std::make_unique<ServedRole>(
      std::make_unique<place::RolePlace>(io_, spec, place_options(spec, moved), place_callbacks(role)));
  auto& place = served_.at(role)->place();
  if (auto configured = place.configure(); !configured) { return done(configured); }
  if (place.has_region_file()) {
    const auto opened = place.open_region();
    return opened ? start_serving(role, term, done) : done(opened);
  }
  const RegionOrder order{place.options().region_path, spec.region_bytes, place::region_schema(spec), 0, true};
  // A later order for the role, or one to stand down, takes its place: then nobody hears of this region.
  const auto& wanted = preparing_[role] = std::make_shared<int>(0);
  regions_.make(order, wanted, [this, role, term, done](Result<std::optional<shm::Region>> made) {
    preparing_.erase(role);
    if (!made) { return done(made.error()); }
    auto& prepared = served_.at(role)->place();
    if (*made) {
      prepared.take_region(std::move(**made));
    } else if (auto opened = prepared.open_region(); !opened) {
      return done(opened);
    }
    start_serving(role, term, done);
  });
}

void Agent::start_serving(const RoleId& role, Term term, const std::function<void(Status)>& done) {
  served_.at(role)->place().start_application([this, role, term, done](const Status& ready) {
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
  const auto& held = blade_.roles().at(role);
  auto gate = gate_of(held.spec, held.moved);
  if (!gate) { return gate.error(); }
  if (auto remembered = ensure_remembered(role); !remembered) { return remembered; }
  for (const auto& port : gate->ports) {
    if (auto opened = gate->gate->open(port); !opened) { return opened; }
  }
  served_.at(role)->place().announce();
  if (!held.moved) { let_mirror_follow(role, held.term); }
  return {};
}

void Agent::let_mirror_follow(const RoleId& role, Term term) {
  const auto on_phase = [this, role](link::replication::SenderPhase phase, const std::string& detail) {
    log::info("{}: replication {} {}", role.value, link::replication::to_string(phase), detail);
    boost::asio::post(io_, [this] { tell_progress(); });
  };
  if (auto listens = served_.at(role)->replicate(
          io_, term, specs_.at(role).mirror_blade, config_.address.address, config_.replication_port, config_.tls.wire,
          on_phase, [this](const std::string& what) { control_->tell_refused(what); },
          [this, role, term](std::uint64_t nonce) {
            handle(GrantArrived{role, term, nonce});
          },
          [this, role](bool is_alarm, const std::string& what) {
            alarm(role, "throttle", is_alarm ? what : "");
            if (!is_alarm) { perform(Note{Severity::Info, role, what}); }
          },
          [this, role](const std::string& what) { alarm(role, "journal", what); });
      !listens) {
    alarm(role, "replication", "no mirror can follow: " + log::describe(listens.error()));
  } else {
    alarm(role, "replication", "");
  }
  const auto added = let_watch(specs_.at(role).mirror_address.address);
  alarm(role, "watch", added ? "" : "the mirror cannot watch this blade: " + log::describe(added.error()));
}

Status Agent::close_host_gate(const RoleId& role) {
  preparing_.erase(role);
  const auto& held = blade_.roles().at(role);
  auto gate = gate_of(held.spec, held.moved);
  const Status closed = gate ? net::close_all(*gate->gate, gate->ports) : Status(gate.error());
  if (const auto found = served_.find(role); found != served_.end()) {
    found->second->stop_replicating();
    found->second->place().stop_writing();
  }
  stop_application(role);
  return closed;
}

// --- the lease's gate ---

Status Agent::time_gate(const TimeGate& effect) {
  const auto& held = blade_.roles().at(effect.role);
  auto gate = gate_of(held.spec, held.moved);
  return gate ? host::time_gate(*gate->gate, gate->ports, effect) : gate.error();
}

Status Agent::untime_gate(const RoleId& role) {
  const auto& held = blade_.roles().at(role);
  auto gate = gate_of(held.spec, held.moved);
  return gate ? host::untime_gate(*gate->gate, gate->ports) : gate.error();
}

/// Without a mirror that follows nobody hears it, and the gate closes in time.
void Agent::perform(const AskGrant& effect) {
  if (const auto found = served_.find(effect.role); found != served_.end()) { found->second->ask_grant(effect.nonce); }
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
    if (!choice) {
      launch_guests(choice.error(), Accelerator::Tcg);
      return;
    }
    log::info("mirrors: {}", choice->reason);
    choose_device(choice->accelerator);
  });
}

void Agent::choose_device(Accelerator accelerator) {
  RegionDeviceOptions options;
  options.wanted = config_.mirrors.memory;
  options.qemu = config_.mirrors.qemu;
  options.accelerator = accelerator;
  choose_region_device(io_, options, [this, accelerator](const Result<RegionDeviceChoice>& choice) {
    if (choice) { log::info("mirrors: {}", choice->reason); }
    launch_guests(choice, accelerator);
  });
}

/// One in a turn of the loop: between two of them whoever waits is answered.
void Agent::launch_guests(const Result<RegionDeviceChoice>& choice, Accelerator accelerator) {
  for (const auto& waiting : std::exchange(guests_waiting_, {})) {
    boost::asio::post(io_, [this, waiting, choice, accelerator] {
      if (!blade_.roles().contains(waiting)) { return; }  // released meanwhile
      if (choice) {
        launch_guest(waiting, accelerator, choice->device);
      } else {
        answer(waiting, Step::StartGuest)(choice.error());
      }
    });
  }
}

void Agent::launch_guest(const RoleId& role, Accelerator accelerator, RegionDevice device) {
  const auto done = answer(role, Step::StartGuest);
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
  mirror =
      std::make_unique<MirrorPlace>(io_, config_, network_, regions_, mirror_orders_.at(role), guest_callbacks(role));
  mirror->start(accelerator, device, done);
}

GuestCallbacks Agent::guest_callbacks(const RoleId& role) {
  GuestCallbacks callbacks;
  callbacks.on_hello = [this, role](const link::guest::Hello& hello) {
    tell(told_.over(role, kMirrorTopic));  // whatever a guest-agent said before its hello is void
    handle(GuestHello{role, hello.boot_nonce, activity_of(hello.activity)});
  };
  callbacks.on_slow_memory = [this, role](const std::string& text) { handle(GuestWarning{role, text}); };
  callbacks.on_event = [this, role](const link::guest::GuestEvent& event) { on_guest_event(role, event); };
  callbacks.on_lost = [this, role] {
    const auto mirror = mirrors_.find(role);  // none while it goes: a guest that is let go loses its agent too
    const std::string where = mirror == mirrors_.end() ? "" : mirror->second->console_hint();
    const std::string text = "mirror-" + role.value + ": its guest-agent is gone" + where;
    perform(Note{Severity::Info, role, text});
    handle(GuestLost{role, text});
  };
  callbacks.on_qmp_event = [role](const QmpEvent& event) { log::debug("mirror of {}: {}", role.value, event.name); };
  callbacks.on_failed = [this, role](const Error& error) {
    perform(Note{Severity::Alarm, role, error.message});
    const auto held = blade_.roles().find(role);
    if (held == blade_.roles().end()) { return; }
    // One that was adopted and does not speak serves on, as long as it serves. One that spoke does not share its
    // region: no copy is in there.
    const auto mirror = mirrors_.find(role);
    const bool unshared =
        mirror != mirrors_.end() && mirror->second->has_guest() && mirror->second->guest().has_spoken();
    const auto stage = held->second.stage;
    if (stage == RoleStage::StartingGuest || (stage == RoleStage::Mirroring && unshared)) { stop_guest(role); }
  };
  callbacks.on_exit = [this, role](const std::string& how) {
    tell(told_.over(role, kMirrorTopic));
    handle(GuestExited{role, how});
  };
  return callbacks;
}

void Agent::on_guest_event(const RoleId& role, const link::guest::GuestEvent& event) {
  auto& [pace, timer] = paced_.try_emplace(role, PacedGuest{{}, boost::asio::steady_timer(io_)}).first->second;
  const bool waited = pace.deadline().has_value();
  if (const auto now = pace.heard(boot_now(), event)) { hear_guest(role, *now); }
  if (waited || !pace.deadline()) { return; }
  log::warn("the mirror of {} says more than is heard: only its newest word of each kind counts", role.value);
  timer.expires_after(GuestPace::window);
  timer.async_wait([this, role](const boost::system::error_code& error) {
    if (error) { return; }
    for (const auto& due : paced_.at(role).pace.due(boot_now())) { hear_guest(role, due); }
  });
}

void Agent::hear_guest(const RoleId& role, const link::guest::GuestEvent& event) {
  using namespace link::guest;
  if (const auto* state = std::get_if<State>(&event)) {
    handle(GuestPhase{role, phase_of(state->phase), state->detail, state->whole_under});
  }
  if (const auto* seen = std::get_if<PeerSeen>(&event)) { handle(GuestVote{role, seen->vote}); }
  if (const auto* ready = std::get_if<Ready>(&event)) { handle(GuestReady{role, ready->term, ready->phases}); }
  if (const auto* failed = std::get_if<ActivateFailed>(&event)) { handle(GuestRefused{role, failed->detail}); }
  if (const auto* quiesced = std::get_if<Quiesced>(&event)) {
    const auto moving = movements_.find(role);
    if (moving != movements_.end()) { moving->second->heard_final(*quiesced); }
    handle(GuestQuiesced{role, known_ports(specs_[role], quiesced->unmarked)});
  }
  if (const auto* failed = std::get_if<QuiesceFailed>(&event)) { handle(GuestNotQuiesced{role, failed->detail}); }
  if (const auto* stopped = std::get_if<GrantsStopped>(&event)) { handle(GuestStoppedGrants{role, stopped->term}); }
  if (const auto* said = std::get_if<Alarm>(&event)) {
    const std::string topic = is_topic(said->topic) ? kMirrorTopic + said->topic : "";
    if (!said->text.empty()) {
      alarm(role, topic, "mirror: " + said->text);
    } else if (!topic.empty()) {
      alarm(role, topic, "");
    }
  }
}

// --- movement and release ---

void Agent::movement_step(const RoleId& role, Step step, Term term) {
  const bool undoes = step == Step::Rollback || step == Step::Discard;
  if (step == Step::PrepareMovement || (undoes && !movements_.contains(role))) {
    // A rollback without a movement undoes what a former daemon had begun: its guest may be frozen.
    movements_[role] = std::make_unique<MovementUnit>(
        io_, config_, *mirrors_.at(role),
        std::make_unique<TransferUnit>(io_, config_, network_, specs_.at(role), place_callbacks(role)),
        step == Step::Rollback);
  }
  const auto found = movements_.find(role);
  if (found == movements_.end()) {
    answer(role, step)(failure("no movement is under way"));
    return;
  }
  found->second->perform(step, term, [this, role, step, done = answer(role, step)](const Status& status) {
    if (status && step == Step::Resume) {
      boost::asio::post(io_, [this, role] { resumed(role); });
      return;
    }
    const auto moving = movements_.find(role);
    if (status && step == Step::PrepareMovement && moving != movements_.end() &&
        moving->second->application_needs_quiescing()) {
      boost::asio::post(io_, [this, role] { handle(ApplicationNeedsQuiescing{role}); });  // before the step's answer
    }
    if (status && (step == Step::Rollback || step == Step::Discard)) {
      boost::asio::post(io_, [this, role] { movements_.erase(role); });
    }
    done(status);
  });
}

/// In one go with the core's answer to it: the end of an application that comes before finds the movement still there,
/// one that comes after finds the served role.
void Agent::resumed(const RoleId& role) {
  handle(StepDone{role, Step::Resume});
  const auto held = blade_.roles().find(role);
  if (held == blade_.roles().end() || held->second.stage != RoleStage::ServingHost) { return; }  // once more
  served_[role] = std::make_unique<ServedRole>(movements_.at(role)->release_place());
  mirrors_.at(role)->clean();
  movements_.erase(role);
  mirrors_.erase(role);
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
