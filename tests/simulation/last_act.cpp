// SPDX-License-Identifier: Apache-2.0
#include "last_act.hpp"

namespace understudy::sim {

LastAct::LastAct(Chassis& chassis, Faults& faults)
    : chassis_(chassis), world_(chassis.world), faults_(faults), random_(chassis.world.settings.seed ^ 0x1a57U) {}

const char* LastAct::kind() const {
  return kind_ == Kind::Away       ? "while the control-server was away"
         : kind_ == Kind::NoSwitch ? "while the switch did not obey"
                                   : "while neither switch nor power obeyed";
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
  kind_ = static_cast<Kind>(random_.below(settings.leases && !settings.control_on_standby ? 3 : 2));
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
      scheduler.after(at - before, [this] { chassis_.control.crash(); });
      faults_.restart_control(at + random_.between(50ms, 12s));
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
  }
  scheduler.after(at, [this] {
    world_.trace("FAULT", world_.blade_id(role_).value + " is gone for good, " + kind());
    faults_.leave_dead(role_, kind_ == Kind::Frozen);
  });
}

}  // namespace understudy::sim
