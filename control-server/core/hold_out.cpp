// SPDX-License-Identifier: Apache-2.0
#include "core/hold_out.hpp"

namespace understudy::control {

bool HoldOut::failed(Instant now, const HoldOutConfig& config) {
  if (config.failures == 0) { return false; }
  while (!failures_.empty() && failures_.front() + config.within <= now) { failures_.pop_front(); }
  failures_.push_back(now);
  if (failures_.size() > config.failures) { failures_.pop_front(); }
  if (failures_.size() < config.failures) { return false; }
  const bool fresh = !since_;
  since_ = now;  // one that goes on failing is held out from its last failure on
  return fresh;
}

void HoldOut::let_back() {
  failures_.clear();
  since_.reset();
}

std::optional<Instant> HoldOut::until(const HoldOutConfig& config) const {
  if (!since_ || config.lasts == Duration{0}) { return std::nullopt; }
  return *since_ + config.lasts;
}

}  // namespace understudy::control
