// SPDX-License-Identifier: Apache-2.0
#include "guest_node.hpp"

#include "chassis.hpp"
#include "core/mirror.hpp"
#include "replication.hpp"
#include "trace_words.hpp"

namespace understudy::sim {

namespace wire = link::guest;

namespace {
constexpr Duration agent_restart = 1s;  ///< init starts a dead agent again
constexpr Duration install_pause = 50ms;
}  // namespace

struct GuestNode::Impl {
  Impl(Chassis& the_chassis, unsigned its_role)
      : chassis(the_chassis),
        world(the_chassis.world),
        role(its_role),
        guest(*world.guests[role]),
        process(guest.agent),
        receiver(world, role, receiver_host()) {}

  Chassis& chassis;
  World& world;
  const unsigned role;
  Guest& guest;
  Process& process;
  Receiver receiver;

  // --- the agent ---
  std::optional<guest::Mirror> core;
  std::string instance;
  std::uint64_t instances = 0;
  link::RunMirror mirror;
  bool place = false;
  bool drained = false;
  std::optional<IpAddress> watched;
  bool install_pending = false;
  bool supervises = false;
  Instant to_host_last;
  Instant to_guest_last;

  [[nodiscard]] std::string name() const { return guest.machine.name; }
  [[nodiscard]] std::shared_ptr<RoleRegion>& copy() { return world.blades[world.standby()]->regions[role]; }
  [[nodiscard]] bool trouble() { return world.fails(world.troubles.steps_fail, Fault::FailedStep); }
  [[nodiscard]] Duration pace(Duration low, Duration high) {
    if (!world.troubles.slow_guests) { return world.random.between(low, high); }
    world.bite(Fault::SlowGuest);
    return world.random.between(high, high * 60);
  }

  Receiver::Host receiver_host() {
    Receiver::Host host;
    host.listens = [this](unsigned site) { return chassis.blades[site]->sender(role); };
    host.on_phase = [this](Receiver::Phase phase) { on_phase(phase); };
    host.on_applied = [this] { install_later(); };
    host.on_ask = [this](Term term, std::uint64_t nonce) { handle(guest::GrantAsked{term, nonce}); };
    host.on_full_snapshot = [this] { guest.installed = copy()->committed(); };
    return host;
  }

  void on_phase(Receiver::Phase phase) {
    using Phase = Receiver::Phase;
    if (phase == Phase::Syncing && world.has(Bug::ServeUnfinished)) { phase = Phase::Synced; }
    switch (phase) {
      case Phase::Connecting:
        return handle(guest::SyncChanged{guest::SyncPhase::Connecting, ""});
      case Phase::Syncing:
        return handle(guest::SyncChanged{guest::SyncPhase::Syncing, ""});
      case Phase::Synced:
        guest.whole_mark = mirror.term;
        return handle(guest::SyncChanged{guest::SyncPhase::Synced, ""});
      case Phase::Lost:
        return handle(guest::SyncChanged{guest::SyncPhase::Lost, ""});
      case Phase::Drained:
        return;
    }
  }

  // --- QEMU ---

  void power_on() {
    guest.machine.power_on();
    guest.nonce = "boot-" + std::to_string(guest.machine.boot);
    guest.configured = guest.app_running = false;
    guest.app_active.reset();
    guest.serving_mark.reset();
    guest.tried_mark.reset();
    guest.whole_mark.reset();
    guest.mirror.reset();
    guest.installed = 0;
    world.touch();
    boot_after(world.troubles.slow_guests ? world.random.between(3s, 20s) : world.random.between(1s, 3s));
  }
  void boot_after(Duration wait) {
    world.scheduler.after(wait, [this, boot = guest.machine.boot] {
      if (guest.machine.up && guest.machine.boot == boot && !process.alive()) {
        guest.machine.run([this, boot] {
          if (guest.machine.boot == boot && !process.alive()) { start(); }
        });
      }
    });
  }

  void end() {
    if (!guest.machine.up) { return; }
    world.trace(name(), "QEMU ends");
    // Nothing takes over from the region of a mirror that died: the next guest has a new one. See docs/SIMULATION.md.
    if (copy() && !guest.tap_open) { copy()->trusted = false; }
    world.kill_guest(role);  // it closes nothing
    process.stop();
    world.mirror_bfd[role]->stop_watching();
    receiver.forget();
    to_host([this] { chassis.blades[world.standby()]->guest_exited(role); });
  }
  void to_host(const Action& action) { carry(to_host_last, world.blades[world.standby()]->agent, action); }
  /// In order; what is under way when the receiver dies is lost.
  void carry(Instant& last, Process& to, const Action& action) {
    last = std::max(last, world.scheduler.now() + world.random.between(50us, 500us));
    world.scheduler.at(last, [&to, life = to.life(), action] {
      if (life != 0 && to.life() == life) { to.deliver(action); }
    });
  }

  // --- the agent's life ---

  void start() {
    process.start();
    instance = guest.nonce + "." + std::to_string(++instances);
    world.trace(name(), "guest-agent starts");
    core.emplace();
    mirror = {};
    place = drained = install_pending = supervises = false;
    watched.reset();
    receiver.forget();
    if (guest.serving_mark && guest.mirror) {
      mirror = *guest.mirror;
      core->adopt_serving(*guest.serving_mark);
      restore();
    }
    if (process.alive()) { say_hello(); }
  }

  void crash() {
    if (!process.alive()) { return; }
    world.trace(name(), "guest-agent is killed");
    world.kill(process);
    world.mirror_bfd[role]->stop_watching();
    receiver.forget();
    to_host([this] { chassis.blades[world.standby()]->guest_agent_gone(role); });
    boot_after(agent_restart);
  }

  void restore() {
    place = true;
    if (!world.begin_writing(world.standby(), role, core->term(), PlaceKind::Mirror)) {
      process.post(1s, [this] { restore(); });
      return;
    }
    start_application([this](const std::optional<std::string>& failed) {
      if (!failed) {
        activate(core->term(), [this](const std::optional<std::string>& inactive) { restored(inactive); });
      }
    });
  }
  void restored(const std::optional<std::string>& inactive) {
    if (!inactive) { handle(guest::StepDone{guest::Step::Restore}); }
  }

  // --- the channel ---

  void send(const wire::GuestEvent& event) {
    if (world.tracing()) { world.trace(name() + " =>", describe(event)); }
    to_host([this, event] { chassis.blades[world.standby()]->guest_said(role, event); });
  }
  void say_hello() {
    wire::Hello hello;
    hello.boot_nonce = guest.nonce;
    hello.instance = instance;
    switch (core->activity()) {
      case guest::Activity::Idle:
        hello.activity = wire::Activity::Idle;
        break;
      case guest::Activity::Configuring:
      case guest::Activity::Mirroring:
        hello.activity = wire::Activity::Mirroring;
        break;
      case guest::Activity::Draining:
      case guest::Activity::Installing:
      case guest::Activity::HandingOver:
      case guest::Activity::Starting:
        hello.activity = wire::Activity::Activating;
        break;
      case guest::Activity::Serving:
        hello.activity = wire::Activity::Serving;
        break;
      case guest::Activity::Quiescing:
        hello.activity = wire::Activity::Quiescing;
        break;
      case guest::Activity::Quiesced:
        hello.activity = wire::Activity::Quiesced;
        break;
    }
    send(hello);
  }
  void on_order(const wire::GuestOrder& order) {
    if (const auto* configure = std::get_if<wire::Configure>(&order)) {
      handle(guest::ConfigureOrder{configure->mirror});
    } else if (const auto* activate_order = std::get_if<wire::Activate>(&order)) {
      handle(guest::ActivateOrder{activate_order->term});
    } else if (std::holds_alternative<wire::Announce>(order)) {
      handle(guest::AnnounceOrder{});
    } else if (std::holds_alternative<wire::Quiesce>(order)) {
      handle(guest::QuiesceOrder{});
    } else if (std::holds_alternative<wire::Resume>(order)) {
      handle(guest::ResumeOrder{});
    } else if (const auto* allow = std::get_if<wire::AllowGrants>(&order)) {
      handle(guest::AllowGrantsOrder{allow->term});
    } else if (const auto* stop = std::get_if<wire::StopGrants>(&order)) {
      handle(guest::StopGrantsOrder{stop->term});
    }
  }

  void handle(const guest::Event& event) {
    if (!process.alive()) { return; }
    if (world.tracing()) { world.trace(name() + " <-", describe(event)); }
    const auto life = process.life();
    for (const auto& effect : core->step(event)) {
      if (world.dies(Daemon::Guest, role) || process.life() != life) { return; }
      if (world.tracing()) { world.trace(name() + " ->", describe(effect)); }
      std::visit([this](const auto& one) { perform(one); }, effect);
    }
  }

  // --- effects ---

  using Done = std::function<void(const std::optional<std::string>& failed)>;

  void perform(const guest::Do& effect) {
    const auto step = effect.step;
    const Done done = [this, step](const std::optional<std::string>& failed) {
      process.post(0ns, [this, step, failed] {
        if (!failed) {
          handle(guest::StepDone{step});
        } else {
          handle(guest::StepFailed{step, *failed});
        }
      });
    };
    switch (step) {
      case guest::Step::Configure:
        return configure(done);
      case guest::Step::Drain:
        if (drained) { return done({}); }
        return receiver.drain([this, done](bool ready) {
          if (!ready) { return done("the copy is unfinished"); }
          drained = true;
          done({});
        });
      case guest::Step::Install:
        process.post(pace(1ms, 10ms), [this, done] {
          if (trouble()) {
            if (copy()) { copy()->trusted = false; }  // see docs/SIMULATION.md
            return done("the kernel does not answer");
          }
          if (!world.has(Bug::AnnounceBeforeInstall) && copy()) { guest.installed = copy()->committed(); }
          done({});
        });
        return;
      case guest::Step::HandOver:
        guest.serving_mark = effect.term;
        receiver.release_writers();
        if (!world.begin_writing(world.standby(), role, effect.term, PlaceKind::Mirror)) {
          return done("the region has a newer writer");
        }
        return done({});
      case guest::Step::StartApplication:
      case guest::Step::Resume:
        return activate(effect.term, done);
      case guest::Step::Quiesce:
        return done({});
      case guest::Step::BackToMirroring:
        guest.tried_mark = std::exchange(guest.serving_mark, std::nullopt);
        return;
      case guest::Step::RestartApplication:
        return restart_application(effect.term);
      case guest::Step::Restore:
        return;
    }
  }
  void perform(const guest::HoldMirror& effect) { mirror = effect.mirror; }
  void perform(const guest::TellPhase& effect) {
    auto phase = wire::GuestPhase::Failed;
    if (effect.phase < link::MirrorPhase::Failed) { phase = static_cast<wire::GuestPhase>(effect.phase); }
    send(wire::State{phase, effect.detail, effect.whole_under});
  }
  void perform(const guest::TellVote& effect) { send(wire::PeerSeen{effect.vote}); }
  void perform(const guest::TellReady& effect) { send(wire::Ready{effect.term, effect.phases}); }
  void perform(const guest::TellActivateFailed& effect) { send(wire::ActivateFailed{effect.detail}); }
  void perform(const guest::TellQuiesced& /*effect*/) { send(wire::Quiesced{}); }
  void perform(const guest::TellQuiesceFailed& effect) { send(wire::QuiesceFailed{effect.detail}); }
  void perform(const guest::TellAlarm& effect) { send(wire::Alarm{effect.text}); }
  void perform(const guest::Announce& /*effect*/) { world.announce_from_guest(role); }
  void perform(const guest::PowerOff& /*effect*/) { end(); }
  /// Some are lost, and some come late, as behind a busy line.
  void perform(const guest::Grant& effect) {
    const auto fate = world.lease_random.unit();
    if (fate < world.lost_grants) { return; }
    if (fate > 1 - world.late_grants) {  // it was said, and whatever becomes of the sayer it arrives
      auto& active = world.blades[role]->agent;
      world.scheduler.after(world.lease_random.between(100ms, 14s), [this, effect, &active, life = active.life()] {
        if (life == 0 || active.life() != life) { return; }
        active.deliver([this, effect] { chassis.blades[role]->granted(role, effect.term, effect.nonce); });
      });
      return;
    }
    receiver.grant(effect.term, effect.nonce);
  }
  void perform(const guest::TellGrantsStopped& effect) { send(wire::GrantsStopped{effect.term}); }

  // --- steps ---

  void configure(const Done& done) {
    guest.mirror = mirror;
    if (!place) {
      if (trouble()) { return done("no NIC with the MAC of the port"); }
      place = true;
      guest.configured = true;
      world.touch();
    }
    watch_active();
    start_application([this, done](const std::optional<std::string>& failed) {
      if (failed) { return done(failed); }
      drained = false;
      const unsigned active = world.site_of(mirror.active);
      const bool synced = guest.whole_mark == mirror.term;
      const bool handed_over = guest.tried_mark && *guest.tried_mark > mirror.term;
      if (synced && handed_over && copy() && !copy()->syncing()) {
        guest.installed = copy()->committed();
        drained = true;
        handle(guest::SyncChanged{guest::SyncPhase::Held, ""});
        return done({});
      }
      if (!receiver.configure(active, mirror.term, synced)) { return done("the region has a newer writer"); }
      if (synced && receiver.holds_a_whole_copy()) {
        guest.installed = copy()->committed();
        handle(guest::SyncChanged{guest::SyncPhase::Held, ""});
      }
      done({});
    });
  }
  void watch_active() {
    if (watched == mirror.active_address) { return; }
    watched = mirror.active_address;
    world.mirror_bfd[role]->watch(process, world.standby(),
                                  [this](link::Vote vote) { handle(guest::PeerChanged{vote}); });
  }
  void start_application(const Done& done) {
    supervises = true;
    if (guest.app_running) {
      process.post(2ms, [done] { done({}); });
      return;
    }
    process.post(pace(20ms, 100ms), [this, done] {
      if (trouble()) { return done("the application does not become ready"); }
      guest.app_running = true;
      world.touch();
      done({});
    });
  }
  void activate(Term term, const Done& done) {
    process.post(pace(1ms, 5ms), [this, term, done] {
      if (!guest.app_running) { return done("the application has ended"); }
      guest.app_active = term;
      world.touch();
      done({});
    });
  }
  void restart_application(Term term) {
    process.post(world.random.between(10ms, 1s), [this, term] {
      if (!place) { return; }
      start_application([this, term](const std::optional<std::string>& failed) {
        if (failed) { return restart_application(term); }
        if (core->activity() != guest::Activity::Serving || core->term() != term) { return; }
        activate(term, [this](const std::optional<std::string>& inactive) { restored(inactive); });
      });
    });
  }
  void install_later() {
    if (std::exchange(install_pending, true)) { return; }
    process.post(install_pause, [this] {
      install_pending = false;
      if (copy() && !world.has(Bug::AnnounceBeforeInstall)) { guest.installed = copy()->committed(); }
    });
  }
};

GuestNode::GuestNode(Chassis& chassis, unsigned role) : impl_(std::make_unique<Impl>(chassis, role)) {}
GuestNode::~GuestNode() = default;
void GuestNode::power_on() { impl_->power_on(); }
void GuestNode::end() { impl_->end(); }
void GuestNode::agent_crash() { impl_->crash(); }
void GuestNode::application_died() {
  if (!impl_->guest.machine.up || !impl_->guest.app_running) { return; }
  impl_->guest.app_running = false;
  impl_->world.touch();
  if (impl_->process.alive() && impl_->supervises) {
    impl_->process.deliver([this] { impl_->handle(guest::ApplicationEnded{"killed"}); });
  }
}

void GuestNode::order(const std::string& instance, const wire::GuestOrder& order) {
  impl_->carry(impl_->to_guest_last, impl_->process, [this, instance, order] {
    if (instance == impl_->instance) { impl_->on_order(order); }
  });
}

void GuestNode::identify() {
  impl_->carry(impl_->to_guest_last, impl_->process, [this] { impl_->say_hello(); });
}

}  // namespace understudy::sim
