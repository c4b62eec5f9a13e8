// SPDX-License-Identifier: Apache-2.0
#include "core/hold_out.hpp"

#include <algorithm>

namespace understudy::control {

bool HoldOut::failed(Instant now, const HoldOutConfig& config) {
  if (config.failures == 0) { return false; }
  if (since_) {  // from its last failure on, however far apart they are
    since_ = now;
    return false;
  }
  while (!failures_.empty() && failures_.front() + config.within <= now) { failures_.pop_front(); }
  failures_.push_back(now);
  if (failures_.size() > config.failures) { failures_.pop_front(); }
  if (failures_.size() < config.failures) { return false; }
  since_ = now;
  return true;
}

void HoldOut::let_back() {
  failures_.clear();
  since_.reset();
}

HoldOutAges HoldOut::ages(Instant now) const {
  HoldOutAges ages;
  for (const auto& failure : failures_) { ages.failures.push_back(now - failure); }
  if (since_) { ages.held = now - *since_; }
  return ages;
}

/// A clock that went back makes what was written look younger than now: it has happened all the same.
void HoldOut::restore(Instant now, const HoldOutAges& ages) {
  failures_.clear();
  for (const auto& age : ages.failures) { failures_.push_back(now - std::max(age, Duration{0})); }
  since_.reset();
  if (ages.held) { since_ = now - std::max(*ages.held, Duration{0}); }
}

std::optional<Instant> HoldOut::until(const HoldOutConfig& config) const {
  if (!since_ || config.lasts == Duration{0}) { return std::nullopt; }
  return *since_ + config.lasts;
}

}  // namespace understudy::control
