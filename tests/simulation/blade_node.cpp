// SPDX-License-Identifier: Apache-2.0
#include "blade_edge.hpp"
#include "trace_words.hpp"

namespace understudy::sim {

namespace {
constexpr Duration last_backoff = 1s;
constexpr Duration attach_timeout = 2s;
}  // namespace

BladeNode::Impl::Impl(Chassis& the_chassis, unsigned its_site)
    : chassis(the_chassis),
      world(the_chassis.world),
      site(its_site),
      blade(*world.blades[site]),
      process(blade.agent) {}

void BladeNode::Impl::start() {
  process.start();
  world.trace(name(), "host-agent starts");
  core.emplace(world.blade_id(site), "boot-" + std::to_string(blade.machine.boot));
  specs.clear();
  mirror_orders.clear();
  served.clear();
  mirrors.clear();
  movements.clear();
  stream.reset();
  connected = false;
  server = 0;
  redirect.reset();
  backoff = 100ms;
  depth = 0;
  for (auto& pairs : world.control_bfd) { pairs[site]->answer(process, site); }
  if (!blade.bridges) { blade.host_gate = true; }
  if (world.has(Bug::GateOpenAtBoot) && site < world.roles() && blade.machine.boot > 1 && !blade.regions[site]) {
    world.create_region(site, site);
    place(site).configured = place(site).gate_open = true;
  }
  adopt_roles();
  if (process.alive()) { look_at_links(); }
  if (process.alive()) { watch_progress(); }
  if (process.alive()) { try_connect(); }
}

void BladeNode::Impl::crash() {
  if (!process.alive()) { return; }
  world.trace(name(), "host-agent is killed");
  world.kill(process);
  for (auto& pairs : world.control_bfd) { pairs[site]->stop_answering(); }
  if (site < world.roles()) { world.mirror_bfd[site]->stop_answering(); }
  if (stream) { stream->close(0); }
  served.clear();  // nobody closes anything in order
}

void BladeNode::Impl::stop_in_order() {
  if (!process.alive()) { return; }
  for (auto& pairs : world.control_bfd) { pairs[site]->leave_in_order(); }
  if (site < world.roles()) { world.mirror_bfd[site]->leave_in_order(); }
  crash();
}

void BladeNode::Impl::handle(const host::Event& event) {
  if (world.tracing()) { world.trace(name() + " <-", describe(event)); }
  perform_all(core->step(process.machine().clock(), event));
  if (process.alive()) { arm_timer(); }
}

void BladeNode::Impl::perform_all(const host::Effects& effects) {
  const auto life = process.life();
  for (const auto& effect : effects) {
    if (world.dies(Daemon::Host, site) || process.life() != life) { return; }
    if (world.tracing()) { world.trace(name() + " ->", describe(effect)); }
    std::visit([this](const auto& one) { perform(one); }, effect);
  }
}

void BladeNode::Impl::arm_timer() {
  const auto deadline = core->next_deadline();
  const auto mine = ++timers;
  if (!deadline) { return; }
  const auto now = process.machine().clock();
  process.post(std::max(*deadline - now, Duration(1ms)), [this, mine] {
    if (mine == timers) { handle(host::Tick{}); }
  });
}

void BladeNode::Impl::perform(const host::HoldSpec& effect) { specs[effect.spec.id] = effect.spec; }

void BladeNode::Impl::perform(const host::HoldMirror& effect) {
  specs[effect.mirror.spec.id] = effect.mirror.spec;
  mirror_orders[effect.mirror.spec.id] = effect.mirror;
}

void BladeNode::Impl::perform(const host::Remember& effect) {
  if (world.has(Bug::ForgetRecords)) { return; }
  const auto record = core->record_of(effect.role);
  if (record) {
    records[effect.role] = *record;
  } else {
    given_up[effect.role] = core->given_up_of(effect.role);
    records.erase(effect.role);
  }
}

/// What host-agent/edge/agent_fitness.cpp does.
void BladeNode::Impl::perform(const host::CheckHealth& effect) {
  const unsigned role = world.role_of(effect.role);
  process.post(world.random.between(1ms, 20ms), [this, role] {
    const bool fails = site == role && world.unhealthy[role];
    handle(host::HealthAnswered{world.role_id(role), fails ? "exit status 1" : ""});
  });
}

void BladeNode::Impl::look_at_links() {
  if (!world.settings.words) { return; }
  for (unsigned segment = 0; segment < kSegments && process.alive(); ++segment) {
    handle(host::LinkChanged{kNetworks[segment], blade.links[segment]});
  }
}

void BladeNode::Impl::hear_application(unsigned role) {
  if (!world.settings.words || site != role || !place(role).app_running) { return; }
  process.post(world.random.between(50us, 1ms), [this, role] {
    handle(host::ApplicationUnfit{world.role_id(role), world.unfit[role] ? "a sensor is out of range" : ""});
  });
}

void BladeNode::Impl::perform(const host::SendReport& effect) {
  if (!connected || !stream) { return; }
  if (const auto* unfit = std::get_if<link::RoleUnfit>(&effect.report)) {
    const bool standby = site == world.standby();
    world.bite(unfit->cause == link::UnfitCause::Health      ? Fault::HealthFails
               : unfit->cause == link::UnfitCause::Apparatus ? Fault::ApplicationUnfit
               : standby                                     ? Fault::StandbyLacks
                                                             : Fault::LinkLost);
  }
  auto report = effect.report;
  if (auto* vote = std::get_if<link::PeerVote>(&report)) { vote->peer = mirror_orders[vote->role].active; }
  stream->send(0, [this, at = server, to = session, report] { chassis.control.report(at, to, report); });
}

void BladeNode::Impl::perform(const host::TellGuest& effect) {
  const unsigned role = world.role_of(effect.role);
  const auto found = mirrors.find(role);
  if (found == mirrors.end()) { return; }
  switch (effect.order) {
    case host::GuestOrder::Configure:
      tell_guest(role, link::guest::Configure{mirror_orders.at(effect.role)});
      break;
    case host::GuestOrder::Activate:
      tell_guest(role, link::guest::Activate{effect.term, 0});
      break;
    case host::GuestOrder::Announce:
      tell_guest(role, link::guest::Announce{});
      break;
    case host::GuestOrder::Quiesce:
      tell_guest(role, link::guest::Quiesce{});
      break;
    case host::GuestOrder::Resume:
      tell_guest(role, link::guest::Resume{});
      break;
    case host::GuestOrder::AllowGrants:
      tell_guest(role, link::guest::AllowGrants{effect.term});
      break;
    case host::GuestOrder::StopGrants:
      tell_guest(role, link::guest::StopGrants{effect.term});
      break;
  }
}

void BladeNode::Impl::perform(const host::AskGrant& effect) {
  const unsigned role = world.role_of(effect.role);
  last_asked[role] = effect.nonce;
  const auto found = served.find(role);
  if (found != served.end() && found->second.sender) { found->second.sender->ask_grant(effect.nonce); }
}

void BladeNode::Impl::perform(const host::TimeGate& effect) {
  const unsigned role = world.role_of(effect.role);
  const auto done = answer(role, host::Step::TimeGate);
  if (process.machine().clock() >= effect.until) { return done("the grant has run out"); }
  if (world.has(Bug::ForgetTheLease)) {
    world.open_host_gate(site, role);
    return done({});
  }
  const bool refresh = effect.how == host::TimedHow::Refresh;
  if (!world.time_host_gate(site, role, refresh, effect.element)) { return done("it has closed by itself"); }
  done({});
}

Done BladeNode::Impl::answer(unsigned role, host::Step step) {
  return [this, role, step, life = process.life()](const Outcome& failed) {
    if (process.life() != life) { return; }
    process.post(0ns, [this, role, step, failed] {
      if (!failed) {
        handle(host::StepDone{world.role_id(role), step});
      } else {
        handle(host::StepFailed{world.role_id(role), step, *failed});
      }
    });
  };
}

// --- the control stream (link/src/control_api_client.cpp) ---

void BladeNode::Impl::try_connect() {
  const auto attempt = ++attempts;
  const unsigned there = world.control_site(server);
  const auto& network = world.network;
  const bool paths = network.passes(site, there) && network.passes(there, site);
  const auto& machine = world.control_machine(server);
  if (paths && machine.runs()) {
    const bool listens = chassis.control.process(server).runs();
    process.post(2 * world.network.latency(site, there), [this, attempt, listens] {
      if (attempt != attempts) { return; }
      if (chassis.control.process(server).hangs()) {  // its kernel accepts, and nobody answers
        process.post(attach_timeout, [this, attempt] {
          if (attempt == attempts) { ask_next(); }
        });
      } else if (listens && chassis.control.process(server).runs()) {
        connect();
      } else {
        ask_next();
      }
    });
    return;
  }
  process.post(attach_timeout, [this, attempt] {
    if (attempt == attempts) { ask_next(); }
  });
}

void BladeNode::Impl::connect() {
  auto& control = chassis.control;
  if (!control.decides(server)) {
    redirect = control.whom_it_follows(server);
    return ask_next();
  }
  const auto token = control.token(server);
  const auto admitted = link::hear(heard, "the state", token);
  if (!admitted && !world.has(Bug::ObeyAnyLeader)) { return ask_next(); }
  if (admitted) { heard = *admitted; }
  world.heard_leader(site, token);
  redirects = 0;
  Stream::End mine;
  mine.process = &process;
  mine.site = site;
  mine.timeout_min = 1s;
  mine.timeout_max = 2200ms;
  mine.on_lost = [this, attempt = attempts] {
    if (attempt != attempts) { return; }
    connected = false;
    ask_next();
  };
  Stream::End theirs = mine;
  theirs.process = &control.process(server);
  theirs.site = world.control_site(server);
  auto number = std::make_shared<ControlNode::SessionId>(0);
  theirs.on_lost = [&control, at = server, number] { control.detached(at, *number); };
  stream = world.network.connect(std::move(mine), std::move(theirs));
  const std::weak_ptr<Stream> weak = stream;
  *number = control.attach(
      server,
      [this, weak, token](const link::Order& order) {
        const auto there = weak.lock();
        return there && there->send(1, [this, order, token] {
          world.obeyed(site, token);
          handle(host::OrderArrived{order});
        });
      },
      [weak] {
        if (const auto there = weak.lock()) { there->close(1); }
      });
  session = *number;
  stream->send(1, [this, attempt = attempts] {
    if (attempt != attempts) { return; }
    connected = true;
    progress.clear();
    backoff = 100ms;
    handle(host::ControlConnected{});
  });
}

/// Where everybody follows somebody who is not reached, each is asked in turn all the same.
void BladeNode::Impl::ask_next() {
  const auto to = std::exchange(redirect, std::nullopt);
  const bool at_once = to && redirects++ % 2 == 0;
  server = at_once ? *to : (server + 1) % world.servers();
  if (!at_once) { return retry_later(); }
  const auto attempt = ++attempts;
  process.post(0ns, [this, attempt] {
    if (attempt == attempts) { try_connect(); }
  });
}

void BladeNode::Impl::retry_later() {
  const auto attempt = ++attempts;
  if (world.has(Bug::NeverReconnect)) { return; }
  process.post(backoff, [this, attempt] {
    if (attempt == attempts) { try_connect(); }
  });
  backoff = std::min(backoff * 2, last_backoff / world.servers());
}

// --- outside ---

BladeNode::BladeNode(Chassis& chassis, unsigned site) : impl_(std::make_unique<Impl>(chassis, site)) {}
BladeNode::~BladeNode() = default;
void BladeNode::start() { impl_->start(); }
void BladeNode::crash() { impl_->crash(); }
void BladeNode::stop_in_order() { impl_->stop_in_order(); }
void BladeNode::on_power_lost() {
  impl_->records.clear();
  impl_->given_up.clear();
  impl_->heard = {};
}

void BladeNode::guest_said(unsigned role, const link::guest::GuestEvent& event) {
  const auto found = impl_->mirrors.find(role);
  if (found == impl_->mirrors.end() || !found->second.has_guest) { return; }
  auto& mirror = found->second;
  const RoleId& id = impl_->world.role_id(role);
  using namespace link::guest;
  if (const auto* hello = std::get_if<Hello>(&event)) {
    if (hello->instance == mirror.instance) { return; }
    if (!mirror.instance.empty()) { impl_->handle(host::GuestLost{id, "another instance"}); }
    mirror.instance = hello->instance;
    const auto activity = hello->activity == Activity::Quiesced ? host::GuestActivity::Quiescing
                                                                : static_cast<host::GuestActivity>(hello->activity);
    impl_->handle(host::GuestHello{id, hello->boot_nonce, activity});
    return;
  }
  if (mirror.instance.empty()) { return; }
  if (const auto* state = std::get_if<State>(&event)) {
    impl_->handle(
        host::GuestPhase{id, static_cast<link::MirrorPhase>(state->phase), state->detail, state->whole_under});
  } else if (const auto* seen = std::get_if<PeerSeen>(&event)) {
    impl_->handle(host::GuestVote{id, seen->vote});
  } else if (const auto* ready = std::get_if<Ready>(&event)) {
    impl_->handle(host::GuestReady{id, ready->term, ready->phases});
  } else if (const auto* failed = std::get_if<ActivateFailed>(&event)) {
    impl_->handle(host::GuestRefused{id, failed->detail});
  } else if (std::holds_alternative<Quiesced>(event)) {
    impl_->handle(host::GuestQuiesced{id});
  } else if (const auto* stopped = std::get_if<GrantsStopped>(&event)) {
    impl_->handle(host::GuestStoppedGrants{id, stopped->term});
  } else if (const auto* missed = std::get_if<QuiesceFailed>(&event)) {
    impl_->handle(host::GuestNotQuiesced{id, missed->detail});
  }
}

void BladeNode::granted(unsigned role, Term term, std::uint64_t nonce) {
  if (impl_->world.has(Bug::CountFromTheAnswer)) { nonce = impl_->last_asked[role]; }
  impl_->handle(host::GrantArrived{impl_->world.role_id(role), term, nonce});
}

void BladeNode::guest_agent_gone(unsigned role) {
  const auto found = impl_->mirrors.find(role);
  if (found == impl_->mirrors.end() || found->second.instance.empty()) { return; }
  found->second.instance.clear();
  impl_->handle(host::GuestLost{impl_->world.role_id(role), "its guest-agent is gone"});
}

void BladeNode::guest_exited(unsigned role) {
  const auto found = impl_->mirrors.find(role);
  if (found == impl_->mirrors.end() || !found->second.has_guest) { return; }
  found->second.has_guest = false;
  // The conversation ends with the channel's close, and its loss is told first.
  const bool spoke = !std::exchange(found->second.instance, {}).empty();
  if (spoke) { impl_->handle(host::GuestLost{impl_->world.role_id(role), "its guest-agent is gone"}); }
  impl_->handle(host::GuestExited{impl_->world.role_id(role), "QEMU ended"});
}

void BladeNode::application_died(unsigned role) {
  const auto served = impl_->served.find(role);
  const auto moving = impl_->movements.find(role);
  const bool ours = (served != impl_->served.end() && served->second.supervises) ||
                    (moving != impl_->movements.end() && moving->second.supervises);
  if (ours) { impl_->handle(host::ApplicationExited{impl_->world.role_id(role), "killed"}); }
}

void BladeNode::links_changed() {
  if (!impl_->process.alive()) { return; }
  impl_->process.deliver([this] { impl_->look_at_links(); });
}

void BladeNode::application_said(unsigned role) {
  if (impl_->process.alive()) { impl_->hear_application(role); }
}

std::shared_ptr<SenderNode> BladeNode::sender(unsigned role) const {
  if (!impl_->process.runs()) { return nullptr; }
  const auto found = impl_->served.find(role);
  return found != impl_->served.end() ? found->second.sender : nullptr;
}

}  // namespace understudy::sim
