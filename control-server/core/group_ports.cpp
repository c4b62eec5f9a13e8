// SPDX-License-Identifier: Apache-2.0
/// The standby's own ports. They are closed only so that an active can have its role back (role_give_back.cpp), or by a
/// person; a mirror that takes over behind closed ports would be heard by nobody.
#include "core/group.hpp"

namespace understudy::control {

void Group::open_standby(StepContext& context) {
  auto& standby = blades_.at(blades_.standby());
  // As the first look may be answered by nobody, and a person or a restarted switch may change them at any time.
  if (!standby.ports_look_at || context.now >= *standby.ports_look_at) {
    if (standby.ports_look_at) { context.look_at_ports(blades_.standby()); }
    standby.ports_look_at = context.now + config_.timings.ports_look;
  }
  if (!standby.maybe_closed() || !standby.connected || standby.ports.awaited(PortOrders::Kind::Isolate)) {
    standby.ports_again_at.reset();
    return;
  }
  // What its mirrors hold is told after its Hello, and in answer to what they are ordered then.
  if (!standby.ports_again_at) { standby.ports_again_at = context.now + config_.timings.retry; }
  if (context.now < *standby.ports_again_at) { return; }
  standby.ports_again_at = context.now + config_.timings.retry;
  bool clear = true;
  for (auto& role : roles_) { clear = role.standby_is_clear(context) && clear; }
  if (clear) { context.readmit(blades_.standby()); }
}

}  // namespace understudy::control
