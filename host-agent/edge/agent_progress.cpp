// SPDX-License-Identifier: Apache-2.0
// How far the mirrors of the roles that this host serves have come, for the control-server's synchronization unit (see
// agent.hpp and progress_pace.hpp). The active tells it, since it alone knows both ends: what was committed, and what
// was acknowledged.
#include "edge/agent.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::host {

namespace {
constexpr auto look_interval = std::chrono::milliseconds(250);
}

void Agent::watch_progress() {
  progress_timer_.expires_after(look_interval);
  progress_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) { return; }
    tell_progress();
    watch_progress();
  });
}

void Agent::tell_progress() {
  std::erase_if(progress_, [this](const auto& one) { return !served_.contains(one.first); });
  if (connected_to_.empty()) { return; }
  for (const auto& [role, served] : served_) {
    const auto progress = served->progress();
    if (progress && progress_[role].tells(boot_now(), *progress)) { control_->send(*progress); }
  }
}

}  // namespace understudy::host
