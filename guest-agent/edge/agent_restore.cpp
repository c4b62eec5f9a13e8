// SPDX-License-Identifier: Apache-2.0
// What goes on by itself in a mirror (see agent.hpp): a restarted agent takes up the service of its guest, an ended
// application is started again, and after a full snapshot the kernel forgets what the active no longer has.
#include "edge/agent.hpp"
#include "place/surplus.hpp"
#include "understudy/common/log.hpp"

namespace understudy::guest {

namespace {
constexpr auto restore_pause = std::chrono::seconds(1);
/// An application that ended less than this ago is started after the pause only.
constexpr auto restart_window = std::chrono::seconds(10);
constexpr auto restart_pause = std::chrono::seconds(1);
}  // namespace

/// The guest's kernel and application have served on meanwhile, so nothing is taken away when this fails: it is tried
/// again. No grace period: it belongs to a take-over.
void Agent::restore() {
  auto writing = restore_writing();
  if (writing) {
    place_->start_application([this](const Status& started) {
      if (!started) { return try_application_again(core_.term(), started.error()); }
      place_->activate(core_.term(), [this](const Status& active) {
        if (!active) { return try_application_again(core_.term(), active.error()); }
        alarm("", "application");
        handle(StepDone{Step::Restore});
      });
    });
    return;
  }
  alarm("the restarted guest-agent could not go on yet: " + writing.error().message);
  restore_timer_.expires_after(restore_pause);
  restore_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) { restore(); }
  });
}

Status Agent::restore_writing() {
  if (!place_) {
    if (auto made = make_place(false); !made) { return made; }
  }
  return place_->begin_writing(core_.term());
}

/// It serves, so somebody has to: nobody else does while this mirror has the role.
void Agent::try_application_again(Term term, const Error& error) {
  alarm("the application does not become active, trying again: " + error.message, "application");
  restart_application(term);
}

void Agent::restart_application(Term term) {
  const auto now = std::chrono::steady_clock::now();
  const bool again = application_ended_ && now - *application_ended_ < restart_window;
  application_ended_ = now;
  restart_timer_.expires_after(again ? restart_pause : std::chrono::seconds(0));
  restart_timer_.async_wait([this, term](const boost::system::error_code& error) {
    if (error || !place_) { return; }
    place_->start_application([this, term](const Status& started) {
      if (!started) { return try_application_again(term, started.error()); }
      // The store is good at any instant: the new process goes on under the same term.
      if (core_.activity() != Activity::Serving || core_.term() != term) { return alarm("", "application"); }
      place_->activate(term, [this, term](const Status& active) {
        if (!active) { return try_application_again(term, active.error()); }
        alarm("", "application");
        handle(StepDone{Step::Restore});
      });
    });
  });
}

void Agent::remove_surplus() {
  const auto store = place_->region().store(net::net_store_name);
  if (!store || !installer_) { return alarm("after a snapshot the kernel could not be compared"); }
  // What was refused before this snapshot began was of a former copy.
  refusals_before_ = refusals_at_sync_;
  refusals_told_ = 0;
  if (installer_->report().refused == refusals_before_) { alarm("", "kernel"); }
  // What waits to be installed may be of the former time too: it must be seen below, not come after.
  if (auto flushed = installer_->flush(); !flushed) { return alarm("installing: " + flushed.error().message); }
  const auto surplus = place::Surplus::find(*place_, *store);
  if (!surplus) { return alarm("after a snapshot the kernel could not be compared: " + surplus.error().message); }
  const auto erasures = surplus->erasures();
  on_applied(net::net_store_name, erasures);
  if (!erasures.empty()) { log::info("{} records of a former time left this kernel", erasures.size()); }
}

}  // namespace understudy::guest
