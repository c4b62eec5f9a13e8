// SPDX-License-Identifier: Apache-2.0
// Power that an operator orders by the control API: the blade's own power worker obeys, behind what the core has
// ordered before, and what was read back is an event. The core hears of it as of any blade that falls silent or comes
// back.
#include <boost/asio/post.hpp>

#include "edge/power_orders.hpp"
#include "edge/service.hpp"

namespace understudy::control {

void ControlService::switch_power(const PowerOrder& order) {
  const auto token = leadership_ ? leadership_->token : 0;
  power_workers_.of(order.blade).add([this, token, order, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) { return; }
    const auto& blade = order.blade.value;
    const bool leads = !election_ || election_->holds(token);
    const Status done = !leads     ? Status(failure("this control-server led no more when its turn came"))
                        : order.on ? power_->on(blade)
                                   : power_->off(blade);
    boost::asio::post(io_, [this, alive, event = power_event(order, done)] {
      if (!alive.expired()) { perform(Note{event}); }
    });
  });
}

}  // namespace understudy::control
