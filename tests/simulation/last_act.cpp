// SPDX-License-Identifier: Apache-2.0
#include "last_act.hpp"

namespace understudy::sim {

LastAct::LastAct(Chassis& chassis, Faults& faults)
    : chassis_(chassis), world_(chassis.world), faults_(faults), random_(chassis.world.settings.seed ^ 0x1a57U) {}

const char* LastAct::kind() const { return kind_word(kind_number()); }

const char* LastAct::kind_word(std::size_t number) {
  constexpr std::array<const char*, kLastActs> words{"while the control-server was away",
                                                     "while the switch did not obey",
                                                     "while neither switch nor power obeyed",
                                                     "with the control-server that led",
                                                     "while the control-server that led stood still",
                                                     "while the control-server that led did not reach etcd",
                                                     "in its application, and the standby while it took over,",
                                                     "and has moved to the standby, which died too,",
                                                     "after its host-agent was stopped in order",
                                                     "while the maintenance network was away for a moment"};
  return words.at(number);
}

/// Roles whose mirror has it all and may take over; where leases are to prove the stop, the armed ones.
std::vector<unsigned> LastAct::candidates() const {
  std::vector<unsigned> found;
  for (unsigned role = 0; role < world_.roles(); ++role) {
    const auto view = chassis_.control.view(role);
    // What is served there moves, and then there are no mirrors any more.
    if (view.place.blade == world_.blade_id(world_.standby())) { return {}; }
    const bool armed = kind_ != Kind::Frozen || view.lease == "armed";
    if (view.name == "protected" && armed) { found.push_back(role); }
  }
  return found;
}

bool LastAct::begin() {
  const auto& settings = world_.settings;
  if (settings.actives == 1) { return false; }  // nobody else may be there to witness that our network works
  if (settings.servers > 1) {
    if (!chassis_.control.leader()) { return false; }
    kind_ = static_cast<Kind>(static_cast<unsigned>(Kind::LeaderOff) + random_.below(4));
    if (settings.control_on_standby && kind_ == Kind::Activating) { kind_ = Kind::MovedStandby; }
  } else {
    kind_ = static_cast<Kind>(random_.below(settings.leases && !settings.control_on_standby ? 3 : 2));
  }
  if (settings.blinks && settings.servers == 1 && random_.chance(0.7)) {
    kind_ = random_.chance(0.5) ? Kind::OrderlyOff : Kind::InABlink;
  }
  const auto roles = candidates();
  if (roles.empty()) { return false; }
  role_ = roles[random_.below(static_cast<unsigned>(roles.size()))];
  world_.watch_outages(false);
  strike();
  return true;
}

void LastAct::strike() {
  const Duration at = 4s;
  auto& scheduler = world_.scheduler;
  switch (kind_) {
    case Kind::Away: {
      const auto before = random_.between(0s, random_.chance(0.5) ? 100ms : 4s);
      scheduler.after(at - before, [this] { chassis_.control.crash(0); });
      faults_.restart_control(0, at + random_.between(50ms, 12s));
      break;
    }
    case Kind::NoSwitch:
      world_.troubles.switch_fails = true;
      if (random_.chance(0.7)) {
        scheduler.after(at + random_.between(0s, 4s), [this] {
          chassis_.blades[world_.standby()]->crash();
          faults_.restart_agent(world_.standby(), random_.between(20ms, 1500ms));
        });
      }
      break;
    case Kind::Frozen:
      world_.troubles.switch_fails = world_.troubles.fence_fails = true;
      break;
    case Kind::MovedStandby:
      break;
    case Kind::OrderlyOff: {
      const auto before = random_.between(20ms, 500ms);
      scheduler.after(at - before, [this, before] {
        when_whole([this, before] {
          chassis_.blades[role_]->stop_in_order();
          world_.scheduler.after(before, [this] { strike_active(); });
        });
      });
      return;
    }
    case Kind::InABlink:
      strike_in_a_blink(at);
      break;
    case Kind::Activating:
      scheduler.after(at, [this] { strike_application(); });
      return;
    default:
      strike_leader(at + random_.between(-100ms, random_.chance(0.5) ? 100ms : 1s));
      break;
  }
  scheduler.after(at, [this] { strike_active(); });
}

void LastAct::when_whole(Action strike) {
  constexpr Duration look_again = 100ms;
  constexpr Duration longest = 10s;
  const auto& copy = world_.blades[world_.standby()]->regions[role_];
  const bool whole = copy && !copy->syncing() && copy->committed() != 0;
  // The lease is what proves the stop there: it is let go while the mirror is scanned.
  const bool armed = kind_ != Kind::Frozen || chassis_.control.view(role_).lease == "armed";
  if ((whole && armed) || waited_ >= longest) { return strike(); }
  waited_ += look_again;
  world_.scheduler.after(look_again, [this, strike = std::move(strike)] { when_whole(strike); });
}

void LastAct::strike_active() {
  if (kind_ == Kind::OrderlyOff) { return kill_active(); }  // whole when it was stopped, and nothing came since
  when_whole([this] { kill_active(); });
}

void LastAct::kill_active() {
  world_.trace("FAULT", world_.blade_id(role_).value + " is gone for good, " + kind());
  faults_.leave_dead(role_, kind_ == Kind::Frozen);
}

bool LastAct::step(const Serves& serves) {
  auto& control = chassis_.control;
  const unsigned standby = world_.standby();
  const auto view = control.view(role_);
  switch (scene_) {
    case Scene::TakenOver:
      if (view.name == "on-mirror") { (void)control.operator_move(role_); }
      if (view.name == "on-host" && serves(role_, view)) { scene_ = Scene::Moved; }
      return false;
    case Scene::Moved:
      world_.trace("FAULT", world_.blade_id(standby).value + ", an active now, dies with the control-server on it");
      faults_.leave_dead(standby, false);
      scene_ = Scene::Died;
      return false;
    case Scene::Died: {
      const auto leader = control.leader();
      bool others = leader && !world_.server_on_standby(*leader) && view.name == "lost";
      for (unsigned other = 0; other < world_.roles(); ++other) {
        if (other != role_) { others = others && serves(other, control.view(other)); }
      }
      if (!others) { return false; }
      faults_.bring_back(standby);
      scene_ = Scene::IsBack;
      return false;
    }
    case Scene::IsBack:
      return view.place == Place{world_.blade_id(standby), PlaceKind::Host} && serves(role_, view);
  }
  return false;
}

std::string LastAct::waits_for() const {
  constexpr std::array<const char*, 4> scenes{"the role has moved to the standby's host", "the standby dies",
                                              "another leads, tells that the role is lost, and all others are served",
                                              "the standby, which is back, serves the role again"};
  const auto view = chassis_.control.view(role_);
  return world_.role_id(role_).value + " is " + view.name + " at " + to_string(view.place) +
         "; awaited in vain: " + scenes[static_cast<std::size_t>(scene_)] + "; " + view.detail;
}

void LastAct::strike_leader(Duration at) {
  world_.scheduler.after(at, [this] {
    const auto leader = chassis_.control.leader();
    if (!leader || world_.server_on_standby(*leader)) { return; }  // then its death is another history
    world_.trace("FAULT", "server " + std::to_string(*leader + 1) + ", which leads, " + kind());
    if (kind_ == Kind::LeaderOff) { return faults_.leave_off(*leader); }
    if (kind_ == Kind::LeaderCut) { return faults_.cut_from_store(*leader, 1h); }
    auto& box = *world_.control_boxes[*leader];
    world_.network.before_change();
    box.freeze();
    world_.network.after_change();
    world_.scheduler.after(12s, [this, &box] {
      world_.network.before_change();
      box.thaw();
      world_.network.after_change();
    });
  });
}

/// Shorter than a copy counts whose stream has ended.
void LastAct::strike_in_a_blink(Duration at) {
  const auto lasts = random_.between(200ms, 2500ms);
  const auto before = random_.between(0ms, 500ms);
  world_.scheduler.after(at - before, [this, lasts] { faults_.blink(lasts); });
}

/// Its blade is healthy, and has all of it.
void LastAct::strike_application() {
  world_.trace("FAULT", world_.role_id(role_).value + " fails " + kind());
  faults_.accuse_active(role_);
  auto& blade = *world_.blades[role_];
  blade.places[role_].app_running = false;
  world_.touch();
  struck_ = true;
  blade.agent.post(1ms, [this] { chassis_.blades[role_]->application_died(role_); });
}

void LastAct::on_activate(unsigned role) {
  if (kind_ != Kind::Activating || role != role_ || !std::exchange(struck_, false)) { return; }
  world_.scheduler.after(random_.between(0ns, 5ms), [this] {
    constexpr unsigned taking_over = 3;
    // A mirror that has served is another history, also when the control-server has not heard of it yet.
    too_late_ = chassis_.control.state(role_) != taking_over || world_.guests[role_]->tap_open;
    if (!too_late_) { faults_.leave_dead(world_.standby(), false); }
  });
}

}  // namespace understudy::sim
