// SPDX-License-Identifier: Apache-2.0
#include "control_node.hpp"

#include <deque>
#include <set>

#include "core/group.hpp"
#include "trace_words.hpp"

namespace understudy::sim {

using namespace control;

namespace {

constexpr Duration command_limit = 10s;
constexpr unsigned kHeldOutAfter = 2;

GroupConfig make_config(const World& world) {
  GroupConfig config;
  for (unsigned site = 0; site <= world.standby(); ++site) {
    const auto number = std::to_string(site + 1);
    config.blades.push_back({world.blade_id(site),
                             IpAddress::parse("192.168.1." + number).value(),
                             {"b" + number + "-ext", "b" + number + "-int"},
                             site == world.standby()});
  }
  for (unsigned role = 0; role < world.roles(); ++role) {
    link::RoleSpec spec;
    spec.id = world.role_id(role);
    spec.number = role + 1;
    spec.version = "1";
    const auto priority = world.priority_of(role);
    config.roles.push_back({spec, world.blade_id(role), world.has(Bug::LowerFirst) ? 1000 - priority : priority});
  }
  config.movement = world.settings.always_move ? link::MovementPolicy::Always : link::MovementPolicy::Manual;
  config.has_power = true;
  if (world.settings.switchovers) { config.hold_out = {kHeldOutAfter, 10min, 20s}; }
  config.leases = world.settings.leases;
  config.control_shares_standby_blade = world.settings.control_on_standby;
  return config;
}

/// One thing after the other; an answer finds its daemon alive or is nobody's.
struct Worker {
  std::deque<Action> jobs;
  bool busy = false;
};

}  // namespace

struct ControlNode::Impl {
  explicit Impl(World& the_world) : world(the_world), process(the_world.scheduler, the_world.control_machine()) {}

  World& world;
  Process process;
  // --- on its disk ---
  std::map<RoleId, Ownership> store;
  std::set<RoleId> kept_protection;  ///< what it has not any more is flushed: a power cut takes nothing back
  std::vector<std::map<RoleId, Ownership>> former;  ///< after each of the last writes that were not flushed
  struct Kept {
    Instant at;
    HoldOutAges ages;
  };
  std::map<BladeId, Kept> hold_outs;
  std::map<RoleId, Ownership> on_disk;  ///< planted bug: all that was really written
  // --- the daemon ---
  std::optional<Group> group;
  std::deque<Event> queue;
  bool stepping = false;
  std::uint64_t timers = 0;
  Worker switch_worker;
  Worker power_worker;
  struct Session {
    std::function<bool(const link::Order&)> say;
    std::function<void()> close;
  };
  std::map<SessionId, Session> sessions;
  std::map<SessionId, BladeId> blade_of;
  std::map<BladeId, SessionId> session_of;
  SessionId last_session = 0;

  void start() {
    if (world.has(Bug::StoreInMemoryOnly)) { store = on_disk; }
    process.start();
    world.trace("control", "starts");
    world.standby_heard(false);
    std::vector<Ownership> stored;
    for (const auto& [role, ownership] : store) { stored.push_back(ownership); }
    std::map<BladeId, HoldOutAges> held_out;
    for (const auto& [blade, kept] : hold_outs) {
      auto& ages = held_out[blade] = kept.ages;
      const Duration since = world.scheduler.now() - kept.at;
      for (auto& age : ages.failures) { age += since; }
      if (ages.held) { *ages.held += since; }
    }
    group.emplace(make_config(world), stored, kept_protection, std::move(held_out));
    queue.clear();
    stepping = false;
    switch_worker = {};
    power_worker = {};
    sessions.clear();
    blade_of.clear();
    session_of.clear();
    step(Started{});
    if (!process.alive()) { return; }
    for (unsigned site = 0; site <= world.standby(); ++site) { look_at_ports(site); }
    for (unsigned site = 0; site <= world.standby(); ++site) {
      world.control_bfd[site]->watch(process, world.control_site(), [this, site](link::Vote vote) {
        step(BfdChanged{world.blade_id(site), vote});
        if (world.has(Bug::OneVoteIsEnough) && site != world.standby() && process.alive()) {
          step(AgentReport{world.blade_id(world.standby()),
                           link::PeerVote{world.role_id(site), world.blade_id(site), vote}});
        }
      });
    }
  }

  void crash() {
    if (!process.alive()) { return; }
    world.trace("control", "is killed");
    world.kill(process);
    for (auto& pair : world.control_bfd) { pair->stop_watching(); }
    auto closing = std::exchange(sessions, {});
    for (auto& [id, session] : closing) { session.close(); }
  }

  void tell_what_is_held() {
    for (unsigned role = 0; role < world.roles(); ++role) {
      const auto found = store.find(world.role_id(role));
      world.store_holds(role, found == store.end() ? Term{} : found->second.highest());
    }
  }

  // --- the loop ---

  void step(const Event& event) {
    queue.push_back(event);
    if (stepping) { return; }
    stepping = true;
    const auto life = process.life();
    for (unsigned steps = 0; !queue.empty(); ++steps) {
      const Event next = std::move(queue.front());
      queue.pop_front();
      if (world.tracing()) { world.trace("control <-", describe(next)); }
      const auto effects = group->step(process.machine().clock(), next);
      look_for_takeovers();
      for (const auto& effect : effects) {
        if (world.dies(Daemon::Control, 0) || process.life() != life) { return; }
        if (world.tracing()) { world.trace("control ->", describe(effect)); }
        std::visit([this](const auto& one) { perform(one); }, effect);
      }
      if (steps > 1000) {
        world.violate(Invariant::EdgeHolds, "the control-server's core never comes to rest");
        return;
      }
    }
    stepping = false;
    arm_timer();
    look_at_states();
  }

  void arm_timer() {
    const auto deadline = group->next_deadline();
    const auto mine = ++timers;
    if (!deadline || world.has(Bug::NoTimers)) { return; }
    const auto now = process.machine().clock();
    process.post(std::max(Duration{0}, *deadline - now), [this, mine] {
      if (mine == timers) { step(Tick{}); }
    });
  }

  void on_worker(Worker& worker, Duration takes, std::function<Event()> work) {
    worker.jobs.push_back([this, &worker, takes, work = std::move(work)] {
      // What was begun comes to pass, whether or not somebody still waits for it.
      world.scheduler.after(takes, [this, &worker, life = process.life(), work] {
        const auto event = work();
        if (process.life() != life || life == 0) { return; }
        process.deliver([this, event] { step(event); });
        worker.busy = false;
        next_job(worker);
      });
    });
    next_job(worker);
  }
  void next_job(Worker& worker) {
    if (worker.busy || worker.jobs.empty()) { return; }
    worker.busy = true;
    const auto job = std::move(worker.jobs.front());
    worker.jobs.pop_front();
    job();
  }

  // --- effects ---

  void perform(const Persist& effect) {
    const auto& next = effect.next;
    if (world.fails(world.troubles.store_refuses)) {
      queue.push_back(StoreFailed{next.role, next.highest(), false, "disk full"});
      return;
    }
    auto& stored = store[next.role];
    if (stored.term != effect.expected || stored.reserved != effect.expected_reserved) {
      queue.push_back(StoreFailed{next.role, next.highest(), true, "another term"});
      return;
    }
    if (!world.has(Bug::OrderBeforeStore)) { world.stored(world.role_of(next.role), next.highest()); }
    const unsigned role = world.role_of(next.role);
    if (next.term > stored.term && next.place == Place{world.blade_id(role), PlaceKind::Host}) {
      world.starts_anew(role);
    }
    // As the product flushes: a host that let go of a role tells nobody later that somebody else has it, and a gate
    // that nothing closes by itself must not be taken for a timed one.
    const bool let_go = next.evidence == link::StopEvidence::StoodDown && next.place.kind == PlaceKind::Mirror;
    const bool exposes = stored.leased && !next.leased && next.term == stored.term;
    const bool flushed = let_go || exposes;
    if (!flushed) { former.push_back(store); }
    if (former.size() > 4) { former.erase(former.begin()); }
    stored = next;
    if (flushed) { former.clear(); }
    if (former.size() % 4 == 1) { on_disk = store; }
    queue.push_back(StoreDone{next.role, next.highest()});
  }

  void perform(const KeepHoldOut& effect) {
    if (world.has(Bug::ForgetTheHoldOut)) { return; }
    hold_outs[effect.blade] = {world.scheduler.now(), effect.ages};
  }

  void perform(const KeepProtection& effect) {
    if (effect.is) {
      kept_protection.insert(effect.role);
    } else {
      kept_protection.erase(effect.role);
      former.clear();  // it is flushed, and all before it
    }
  }

  void perform(const Isolate& effect) {
    const unsigned site = world.site_of(effect.blade);
    if (world.has(Bug::SkipIsolation)) {
      queue.push_back(IsolateDone{effect.blade});
      return;
    }
    const bool hangs = world.fails(world.troubles.switch_hangs);
    const bool fails = world.device_fails(world.troubles.switch_fails);
    on_worker(switch_worker, hangs ? command_limit : world.random.between(1ms, 8ms),
              [this, site, hangs, fails]() -> Event {
                const auto& id = world.blade_id(site);
                if (hangs && world.troubles.switch_hangs) { return IsolateFailed{id, "the switch does not answer"}; }
                world.set_port(site, 0, false);
                if (fails) { return IsolateFailed{id, "the switch closed one port of two"}; }
                if (!world.has(Bug::HalfIsolation)) { world.set_port(site, 1, false); }
                return IsolateDone{id};
              });
  }

  void perform(const Readmit& effect) {
    const unsigned site = world.site_of(effect.blade);
    const bool hangs = world.fails(world.troubles.switch_hangs);
    const bool fails = world.device_fails(world.troubles.switch_fails);
    on_worker(switch_worker, hangs ? command_limit : world.random.between(1ms, 8ms),
              [this, site, hangs, fails]() -> Event {
                const auto& id = world.blade_id(site);
                if (hangs && world.troubles.switch_hangs) { return ReadmitFailed{id, "the switch does not answer"}; }
                if (world.has(Bug::ReadmitNothing)) { return ReadmitDone{id}; }
                world.set_port(site, 0, true);
                if (fails) { return ReadmitFailed{id, "the switch opened one port of two"}; }
                world.set_port(site, 1, true);
                return ReadmitDone{id};
              });
  }

  void perform(const LookAtPorts& effect) { look_at_ports(world.site_of(effect.blade)); }
  void look_at_ports(unsigned site) {
    on_worker(switch_worker, world.random.between(1ms, 4ms), [this, site]() -> Event {
      const auto& open = world.blades[site]->ports_open;
      PortsSeen seen{world.blade_id(site), !open[0] && !open[1]};
      seen.half_closed = open[0] != open[1];
      seen.known = !world.troubles.switch_hangs;
      return seen;
    });
  }

  void perform(const PowerOff& effect) {
    const unsigned wanted = world.site_of(effect.blade);
    const unsigned site = world.has(Bug::ShootTheNeighbour) ? (wanted + 1) % world.roles() : wanted;
    const bool hangs = world.fails(world.troubles.fence_hangs);
    const bool fails = world.device_fails(world.troubles.fence_fails);
    const bool lies = world.fails(world.troubles.fence_lies);
    const auto takes = hangs ? command_limit : world.random.between(300ms, 2s);
    on_worker(power_worker, takes, [this, wanted, site, hangs, fails, lies]() -> Event {
      const auto& id = world.blade_id(wanted);
      if (fails) { return PowerFailed{id, "the fence agent failed"}; }
      if (hangs) {  // it is told to have failed, and does it later all the same
        world.scheduler.after(world.random.between(100ms, 3s), [this, site] {
          if (world.troubles.fence_hangs) { world.power_off(site); }
        });
        return PowerFailed{id, "the fence agent did not end in time"};
      }
      if (!lies) { world.power_off(site); }
      return PowerDone{id};
    });
  }

  void perform(const Send& effect) {
    check_order(effect.order);
    const auto found = session_of.find(effect.blade);
    if (found != session_of.end()) { (void)sessions.at(found->second).say(effect.order); }
  }
  void check_order(const link::Order& order) {
    if (const auto* serve = std::get_if<link::ServeRole>(&order)) {
      world.ordered(world.role_of(serve->spec.id), serve->term, "serve");
    } else if (const auto* activate = std::get_if<link::Activate>(&order)) {
      world.ordered(world.role_of(activate->role), activate->term, "activate");
      on_activate(world.role_of(activate->role), activate->term);
    } else if (const auto* mirror = std::get_if<link::RunMirror>(&order)) {
      if (held_now.contains(world.blade_id(world.standby()))) {
        world.violate(Invariant::HeldOut, world.blade_id(world.standby()).value +
                                              " is held out and is told to mirror " + mirror->spec.id.value);
      }
    } else if (const auto* move = std::get_if<link::Move>(&order)) {
      world.ordered(world.role_of(move->role), move->term, "move");
    }
  }
  std::function<void(unsigned, Term)> on_activate = [](unsigned, Term) {};
  std::function<void(unsigned, unsigned)> on_state = [](unsigned, unsigned) {};
  std::function<void(unsigned)> on_takeover = [](unsigned) {};
  /// Before anybody is told: a role may pass through this state within one step of the daemon.
  void look_for_takeovers() {
    for (unsigned role = 0; role < world.roles(); ++role) {
      const bool taking_over = group->find(world.role_id(role))->state() == RoleState::TakingOver;
      if (taking_over && states[role] != static_cast<unsigned>(RoleState::TakingOver)) { on_takeover(role); }
    }
  }
  std::vector<unsigned> states = std::vector<unsigned>(kSitesMax, 0);
  void look_at_states() {
    for (unsigned role = 0; role < world.roles(); ++role) {
      const auto state = static_cast<unsigned>(group->find(world.role_id(role))->state());
      if (std::exchange(states[role], state) != state) { on_state(role, state); }
    }
  }
  /// What was told of hold-outs, and how often each blade came: without a Hello before and after there is no failure.
  std::set<BladeId> held_now;
  std::map<BladeId, unsigned> hellos;
  void perform(const Note& effect) {
    const auto& event = effect.event;
    if (event.kind != "held-out") { return; }
    if (event.text.find("is let back") != std::string::npos) {
      held_now.erase(event.blade);
      hellos[event.blade] = 1;
      return;
    }
    held_now.insert(event.blade);
    if (hellos[event.blade] <= kHeldOutAfter) {
      world.violate(Invariant::HeldOut, event.blade.value + " is held out and has come only " +
                                            std::to_string(hellos[event.blade]) + " times");
    }
  }

  // --- host-agents ---

  void report(SessionId session, const link::Report& report) {
    if (!sessions.contains(session)) { return; }
    const auto* hello = std::get_if<link::Hello>(&report);
    if (hello != nullptr && !on_hello(session, *hello)) { return; }
    const auto found = blade_of.find(session);
    if (found != blade_of.end()) { step(AgentReport{found->second, report}); }
  }
  bool on_hello(SessionId session, const link::Hello& hello) {
    const auto older = session_of.find(hello.blade);
    if (older != session_of.end() && older->second != session) {
      const auto stale = older->second;
      blade_of.erase(stale);
      close(stale);
    }
    ++hellos[hello.blade];
    blade_of[session] = hello.blade;
    session_of[hello.blade] = session;
    if (hello.blade == world.blade_id(world.standby())) { world.standby_heard(true); }
    return true;
  }
  void close(SessionId session) {
    const auto found = sessions.find(session);
    if (found == sessions.end()) { return; }
    const auto closing = found->second.close;
    sessions.erase(found);
    closing();
  }
  void detached(SessionId session) {
    sessions.erase(session);
    const auto found = blade_of.find(session);
    if (found == blade_of.end()) { return; }
    const BladeId blade = found->second;
    blade_of.erase(found);
    session_of.erase(blade);
    if (blade == world.blade_id(world.standby())) { world.standby_heard(false); }
    step(AgentLost{blade});
  }
};

ControlNode::ControlNode(World& world) : impl_(std::make_unique<Impl>(world)) {}
ControlNode::~ControlNode() = default;
void ControlNode::start() { impl_->start(); }
void ControlNode::crash() { impl_->crash(); }
Process& ControlNode::process() { return impl_->process; }
void ControlNode::on_activate(std::function<void(unsigned, Term)> callback) {
  impl_->on_activate = std::move(callback);
}
void ControlNode::on_state(std::function<void(unsigned, unsigned)> callback) { impl_->on_state = std::move(callback); }
void ControlNode::on_takeover(std::function<void(unsigned)> callback) { impl_->on_takeover = std::move(callback); }
unsigned ControlNode::state(unsigned role) const { return impl_->states[role]; }
void ControlNode::power_lost() {
  impl_->process.stop();
  for (auto& pair : impl_->world.control_bfd) { pair->stop_watching(); }
  impl_->sessions.clear();
}

void ControlNode::lose_store() {
  impl_->store.clear();
  impl_->former.clear();
  impl_->kept_protection.clear();
  impl_->hold_outs.clear();
  impl_->held_now.clear();
  impl_->on_disk.clear();
  impl_->tell_what_is_held();
}
void ControlNode::tear_store(unsigned writes) {
  for (; writes > 0 && !impl_->former.empty(); --writes) {
    impl_->store = impl_->former.back();
    impl_->former.pop_back();
  }
  impl_->tell_what_is_held();
}

RoleView ControlNode::view(unsigned role) const {
  RoleView view;
  if (!impl_->process.alive()) { return view; }
  const auto* machine = impl_->group->find(impl_->world.role_id(role));
  const auto status = machine->status();
  view.state = static_cast<unsigned>(machine->state());
  view.name = status.state;
  view.place = status.place;
  view.term = status.term;
  view.detail = status.detail;
  view.lease = status.lease;
  view.frozen = status.detail.find("a person must stop one") != std::string::npos ||
                status.detail.find("no more automatic decision") != std::string::npos;
  return view;
}

void ControlNode::operator_move(unsigned role) {
  if (!impl_->process.runs() || !impl_->group->check_move(impl_->world.role_id(role))) { return; }
  impl_->step(OperatorMove{impl_->world.role_id(role)});
}
void ControlNode::operator_switchover(unsigned role, bool force) {
  const auto& id = impl_->world.role_id(role);
  if (!impl_->process.runs() || !impl_->group->check_switchover(id, force)) { return; }
  impl_->step(OperatorSwitchover{id, force});
}
void ControlNode::operator_policy(bool always) {
  if (!impl_->process.runs()) { return; }
  impl_->step(OperatorPolicy{always ? link::MovementPolicy::Always : link::MovementPolicy::Manual});
}

ControlNode::SessionId ControlNode::attach(std::function<bool(const link::Order&)> say, std::function<void()> close) {
  const auto id = ++impl_->last_session;
  impl_->sessions[id] = {std::move(say), std::move(close)};
  return id;
}
void ControlNode::report(SessionId session, const link::Report& report) { impl_->report(session, report); }
void ControlNode::detached(SessionId session) { impl_->detached(session); }

}  // namespace understudy::sim
