// SPDX-License-Identifier: Apache-2.0
#include "core/leading.hpp"

#include <algorithm>
#include <utility>

namespace understudy::control {

Leading::Step Leading::begin(Instant now) {
  sent_ = now;
  const auto given_up = std::exchange(given_up_, 0);
  if (token_ != 0 && token_ == given_up) {
    drops_first_ = lease_ != 0;
    auto step = lose(given_up_why_);
    return drops_first_ ? step : Step{keep_lease().ask, 0, false, step.lost};
  }
  if (token_ != 0 && now >= until_) {
    drops_first_ = lease_ != 0;
    auto step = lose("its lease could not be renewed in time: " +
                     (problem_.empty() ? std::string("it was stopped") : problem_));
    return drops_first_ ? step : Step{keep_lease().ask, 0, false, step.lost};
  }
  return keep_lease();
}

Leading::Step Leading::answered(Instant now, const LeadAnswer& answer) {
  return std::visit([&](const auto& one) { return on(now, one); }, answer);
}

void Leading::give_up(std::uint64_t token, const std::string& why) {
  given_up_ = token;
  given_up_why_ = why;
}

/// With the lease goes the key, where it is still ours: the next leadership, maybe ours, has a token of its own.
Leading::Step Leading::lose(const std::string& why) {
  token_ = 0;
  Step step;
  step.lost = why;
  if (const auto lease = std::exchange(lease_, 0); lease != 0) { step.ask = DropLease{lease}; }
  return step;
}

Leading::Step Leading::keep_lease() const {
  Step step;
  if (lease_ != 0) {
    step.ask = KeepLease{lease_};
  } else {
    step.ask = GrantLease{};
  }
  return step;
}

/// The round ends; what we hold we go on holding, for as long as it lasts. A lease that could not be dropped ends by
/// itself.
Leading::Step Leading::on(Instant /*now*/, const NoAnswer& answer) {
  if (std::exchange(drops_first_, false)) { return keep_lease(); }
  problem_ = answer.why;
  return {};
}

Leading::Step Leading::on(Instant /*now*/, const LeaseKept& answer) {
  if (answer.alive) { return {LookWhoLeads{}, 0, false, std::nullopt}; }
  lease_ = 0;
  Step step{GrantLease{}, 0, false, std::nullopt};
  if (std::exchange(token_, 0) != 0) { step.lost = "its lease has run out in etcd"; }
  return step;
}

Leading::Step Leading::on(Instant /*now*/, const LeaseGranted& answer) {
  lease_ = answer.lease;
  return {LookWhoLeads{}, 0, false, std::nullopt};
}

Leading::Step Leading::on(Instant now, const LeaderSeen& answer) {
  problem_.clear();
  if (answer.token != 0) {
    vacant_since_.reset();
  } else if (!vacant_since_) {
    vacant_since_ = now;
  }
  // Won by a campaign whose answer did not come. Left alone it would stay there for ever: it is our lease that keeps
  // it.
  if (token_ == 0 && answer.token != 0 && answer.lease == lease_) { return win(answer.token); }
  if (token_ == 0) {
    const bool may = vacant_since_ && now - *vacant_since_ >= timings_.patience;
    return may ? Step{Campaign{lease_}, 0, false, std::nullopt} : Step{};
  }
  if (answer.token != token_) {
    return lose("another control-server leads: " + (answer.who.empty() ? "the key of ours is gone" : answer.who));
  }
  if (now >= until_) { return lose("its lease could not be renewed in time"); }
  until_ = std::max(until_, sent_ + timings_.lease - timings_.margin);
  return {std::nullopt, 0, true, std::nullopt};
}

Leading::Step Leading::on(Instant /*now*/, const CampaignEnded& answer) {
  return answer.token == 0 ? Step{} : win(answer.token);  // 0: somebody else was quicker
}

Leading::Step Leading::win(std::uint64_t token) {
  token_ = token;
  until_ = sent_ + timings_.lease - timings_.margin;
  return {std::nullopt, token_, false, std::nullopt};
}

Leading::Step Leading::on(Instant /*now*/, const LeaseDropped& /*answer*/) {
  return std::exchange(drops_first_, false) ? keep_lease() : Step{};
}

}  // namespace understudy::control
