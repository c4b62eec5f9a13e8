// SPDX-License-Identifier: Apache-2.0
/// What a simulated control-server does: the store, the switch, power units, orders.
#include "control_edge.hpp"

namespace understudy::sim {

using namespace control;

namespace {
constexpr Duration command_limit = 10s;
}

void ControlServer::on_worker(ControlWorker& worker, Duration takes, std::function<Event()> work) {
  worker.jobs.push_back([this, &worker, takes, asked_in = reign_, work = std::move(work)] {
    if (asked_in != reign_ || !leads()) {  // of who does not lead any more: it is not begun
      worker.busy = false;
      return next_job(worker);
    }
    // What was begun comes to pass, whether or not somebody still waits for it.
    world.scheduler.after(takes, [this, &worker, life = process.life(), reign = reign_, work] {
      const auto event = work();
      if (process.life() != life || life == 0) { return; }
      process.deliver([this, reign, event] {
        if (reign == reign_ && group) { step(event); }
      });
      worker.busy = false;
      next_job(worker);
    });
  });
  next_job(worker);
}

void ControlServer::next_job(ControlWorker& worker) {
  if (worker.busy || worker.jobs.empty()) { return; }
  worker.busy = true;
  const auto job = std::move(worker.jobs.front());
  worker.jobs.pop_front();
  job();
}

// --- the store ---

/// The role's ownership is another one from this moment on.
void ControlServer::written(const Ownership& before, const Ownership& next) {
  if (next.term != before.term) { ++world.evidence.at(static_cast<std::size_t>(next.evidence)); }
  const unsigned role = world.role_of(next.role);
  if (!world.has(Bug::OrderBeforeStore)) { world.stored(role, next.highest()); }
  if (next.term > before.term && next.place == Place{world.blade_id(role), PlaceKind::Host}) {
    world.starts_anew(role);
  }
}

void ControlServer::perform(const KeepHoldOut& effect) {
  if (world.has(Bug::ForgetTheHoldOut)) { return; }
  const KeptHoldOut kept{world.scheduler.now(), effect.ages};
  if (!all_.several()) {
    return put("kept/" + effect.blade.value, [this, kept, blade = effect.blade] { all_.disk.hold_outs[blade] = kept; });
  }
  write_latest(
      "kept/" + effect.blade.value, "that a blade failed",
      [this, kept, blade = effect.blade] { all_.etcd.state.hold_outs[blade] = kept; }, [](bool) {});
}

/// A request that is given up may come to etcd after the next one. One that finds another revision than was known has
/// learnt it, and is made once more at once.
void ControlServer::write_latest(const std::string& key, const char* what, Action change,
                                 std::function<void(bool)> done, bool again) {
  const auto result = std::make_shared<std::pair<bool, std::int64_t>>();
  const auto begin = [this, key, what, change, result, by = token]() -> Action {
    return [this, key, what, change, result, by, known = revisions_[key]] {
      *result = all_.etcd.latest(by, key, known, what);
      if (result->first) { change(); }
    };
  };
  const auto ended = [this, key, what, change, done, result, again](bool came) {
    if (came) { revisions_[key] = result->second; }
    if (!came || result->first || again) { return done(came && result->first); }
    write_latest(key, what, change, done, true);
  };
  on_store_when_it_begins(begin, ended, again);  // a second try comes before whatever was said since
}

void ControlServer::perform(const KeepProtection& effect) {
  const auto keep = [effect](std::set<RoleId>& roles) {
    if (effect.is) {
      roles.insert(effect.role);
    } else {
      roles.erase(effect.role);
    }
  };
  if (all_.several()) {
    unwritten_[effect.role] = effect.is;
    return write_latest(
        "protected/" + effect.role.value, "that a role is protected",
        [this, keep] { keep(all_.etcd.state.is_protected); },
        [this, effect](bool came) { protection_kept(effect, came); });
  }
  put("protected/" + effect.role.value, [this, keep, is = effect.is] {
    keep(all_.disk.is_protected);
    if (!is) { all_.disk.former.clear(); }  // it is flushed, and all before it
  });
}

void ControlServer::protection_kept(const KeepProtection& effect, bool came) {
  const auto is_news = [this, effect] {
    const auto found = unwritten_.find(effect.role);
    return found == unwritten_.end() || found->second != effect.is;
  };
  if (is_news()) { return; }
  if (came) {
    unwritten_.erase(effect.role);
    return;
  }
  world.scheduler.after(500ms, [this, effect, is_news, life = process.life(), reign = reign_] {
    if (process.life() == life && reign_ == reign && !is_news()) { perform(effect); }
  });
}

// --- switch, power, orders ---

void ControlServer::perform(const Isolate& effect) {
  const unsigned site = world.site_of(effect.blade);
  if (world.has(Bug::SkipIsolation)) {
    queue.push_back(IsolateDone{effect.blade});
    return;
  }
  const bool hangs = world.fails(world.troubles.switch_hangs, Fault::SwitchHangs);
  const bool fails = world.device_fails(world.troubles.switch_fails, Fault::SwitchFails);
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

void ControlServer::perform(const Readmit& effect) {
  const unsigned site = world.site_of(effect.blade);
  const bool hangs = world.fails(world.troubles.switch_hangs, Fault::SwitchHangs);
  const bool fails = world.device_fails(world.troubles.switch_fails, Fault::SwitchFails);
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

void ControlServer::look_at_ports(unsigned site) {
  on_worker(switch_worker, world.random.between(1ms, 4ms), [this, site]() -> Event {
    const auto& open = world.blades[site]->ports_open;
    PortsSeen seen{world.blade_id(site), !open[0] && !open[1]};
    seen.half_closed = open[0] != open[1];
    seen.known = !world.troubles.switch_hangs;
    return seen;
  });
}

void ControlServer::perform(const PowerOff& effect) {
  const unsigned wanted = world.site_of(effect.blade);
  const unsigned site = world.has(Bug::ShootTheNeighbour) ? (wanted + 1) % world.roles() : wanted;
  const bool hangs = world.fails(world.troubles.fence_hangs, Fault::FenceHangs);
  const bool fails = world.device_fails(world.troubles.fence_fails, Fault::FenceFails);
  const bool lies = world.fails(world.troubles.fence_lies, Fault::FenceLies);
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

void ControlServer::perform(const Send& effect) {
  check_order(effect.order);
  const auto found = session_of.find(effect.blade);
  if (found != session_of.end()) { (void)sessions.at(found->second).say(effect.order); }
}

void ControlServer::check_order(const link::Order& order) {
  if (const auto* serve = std::get_if<link::ServeRole>(&order)) {
    world.ordered(world.role_of(serve->spec.id), serve->term, "serve");
  } else if (const auto* activate = std::get_if<link::Activate>(&order)) {
    world.ordered(world.role_of(activate->role), activate->term, "activate");
    all_.on_activate(world.role_of(activate->role), activate->term);
  } else if (const auto* mirror = std::get_if<link::RunMirror>(&order)) {
    const auto& guest = world.guests[world.role_of(mirror->spec.id)];
    if (all_.held_now.contains(world.blade_id(world.standby())) && !guest->machine.runs()) {
      world.violate(Invariant::HeldOut, world.blade_id(world.standby()).value + " is held out and is told to mirror " +
                                            mirror->spec.id.value);
    }
  } else if (const auto* move = std::get_if<link::Move>(&order)) {
    world.ordered(world.role_of(move->role), move->term, "move");
  }
}

void ControlServer::perform(const Note& effect) {
  const auto& event = effect.event;
  flush_events();
  if (event.kind != "held-out") { return; }
  if (event.text.find("is let back") != std::string::npos) {
    all_.held_now.erase(event.blade);
    all_.failures[event.blade] = 1;
    return;
  }
  all_.held_now.insert(event.blade);
  if (all_.failures[event.blade] <= kHeldOutAfter) {
    world.violate(Invariant::HeldOut, event.blade.value + " is held out and has come only " +
                                          std::to_string(all_.failures[event.blade]) + " times");
  }
}

}  // namespace understudy::sim
