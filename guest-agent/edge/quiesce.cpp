// SPDX-License-Identifier: Apache-2.0
#include "edge/quiesce.hpp"

namespace understudy::guest {

namespace {
constexpr auto application_quiesce_limit = std::chrono::milliseconds(800);  ///< below the host's own
}  // namespace

void Quiesce::begin(std::uint64_t marker, Duration marker_limit, Done done) {
  attempt_ = std::make_shared<int>(0);
  unmarked_.clear();
  const auto rest = [this, attempt = std::weak_ptr(attempt_),
                     done = std::move(done)](std::vector<std::string> missing) {
    unmarked_ = std::move(missing);
    quiet_application([this, attempt, done](const Status& quiesced) {
      if (attempt.expired()) { return; }
      place_.hold_still();
      done(quiesced);
    });
  };
  if (marker == 0) {
    rest({});
  } else {
    markers_.await(marker, marker_limit, rest);
  }
}

void Quiesce::give_up() {
  attempt_.reset();
  markers_.give_up();
  place_.go_on();
}

void Quiesce::quiet_application(const std::function<void(Status)>& next) {
  auto* application = place_.application();
  const auto status = application == nullptr ? app::ApplicationStatus{} : application->status();
  // One that has not connected again since this agent was restarted may be one that needs it.
  if (!status.running || (status.connected && !status.needs_quiescing)) { return next({}); }
  application->quiesce(application_quiesce_limit, next);
}

}  // namespace understudy::guest
