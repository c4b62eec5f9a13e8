// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/shutdown_ladder.hpp"

#include <boost/asio/steady_timer.hpp>

namespace understudy::host {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

struct Climb : std::enable_shared_from_this<Climb> {
  Climb(asio::io_context& context, Guest& climbed, ShutdownDeadlines given,
        std::function<void(Result<ShutdownReport>)> given_done)
      : guest(climbed), deadlines(given), done(std::move(given_done)), timer(context) {}

  Guest& guest;
  ShutdownDeadlines deadlines;
  std::function<void(Result<ShutdownReport>)> done;
  asio::steady_timer timer;
  Clock::time_point begun = Clock::now();
  ShutdownRung rung = ShutdownRung::Agent;

  void begin() {
    guest.when_gone([self = shared_from_this()] {
      self->finish(ShutdownReport{self->rung, Clock::now() - self->begun});
    });
    if (guest.send(link::guest::Shutdown{})) { return wait(deadlines.agent); }
    climb();  // no guest-agent to ask
  }

  void wait(std::chrono::milliseconds time) {
    timer.expires_after(time);
    timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error && self->done) { self->climb(); }
    });
  }

  void climb() {
    if (rung == ShutdownRung::Agent) {
      rung = ShutdownRung::PowerButton;
      guest.qmp().powerdown(deadlines.power_button, [self = shared_from_this()](const Status& pressed) {
        if (!pressed && self->done && self->rung == ShutdownRung::PowerButton) { self->climb(); }
      });
      return wait(deadlines.power_button);
    }
    if (rung == ShutdownRung::Kill) { return; }
    rung = ShutdownRung::Kill;
    timer.cancel();
    guest.kill(deadlines.kill, [self = shared_from_this()](const Status& killed) {
      if (!killed) { self->finish(killed.error()); }
    });
  }

  void finish(Result<ShutdownReport> result) {
    timer.cancel();
    if (auto call = std::exchange(done, nullptr)) { call(std::move(result)); }
  }
};

}  // namespace

const char* to_string(ShutdownRung rung) {
  switch (rung) {
    case ShutdownRung::Agent:
      return "agent";
    case ShutdownRung::PowerButton:
      return "power button";
    case ShutdownRung::Kill:
      return "kill";
  }
  return "unknown";
}

void shut_down(asio::io_context& io, Guest& guest, ShutdownDeadlines deadlines,
               std::function<void(Result<ShutdownReport>)> done) {
  std::make_shared<Climb>(io, guest, deadlines, std::move(done))->begin();
}

}  // namespace understudy::host
