// SPDX-License-Identifier: Apache-2.0
#include "core/lease.hpp"

#include <algorithm>

namespace understudy::host {

namespace {
constexpr int asks_in_a_lease = 8;
}

/// Numbers are never used twice, not even by a restarted daemon: an answer to a former request must not pass for one to
/// a later.
void Lease::arm(Instant now, const link::ArmLease& order) {
  order_ = order;
  asked_.clear();
  ask_at_ = now;
  nonce_ = std::max(nonce_, static_cast<std::uint64_t>(now.since_boot.count()));
}

void Lease::disarm() {
  const auto last = nonce_;
  *this = Lease{};
  nonce_ = last;
}

std::optional<std::uint64_t> Lease::ask(Instant now) {
  if (!order_ || now < ask_at_) { return std::nullopt; }
  while (!asked_.empty() && asked_.front().second + length() <= now) { asked_.pop_front(); }
  ask_at_ = now + length() / asks_in_a_lease;
  asked_.emplace_back(++nonce_, now);
  return nonce_;
}

std::optional<Lease::Timing> Lease::granted(Instant now, std::uint64_t nonce) {
  if (!order_ || busy_) { return std::nullopt; }
  const auto found = std::find_if(asked_.begin(), asked_.end(), [&](const auto& one) { return one.first == nonce; });
  if (found == asked_.end()) { return std::nullopt; }
  const Instant sent = found->second;
  if (sent + length() <= now || (ran_out_ && sent <= *ran_out_)) { return std::nullopt; }
  busy_ = true;
  const bool open_anew = !timed_ || ran_out_;
  return Timing{open_anew ? TimedHow::Open : TimedHow::Refresh, sent + length()};
}

bool Lease::done(Instant now) {
  if (!std::exchange(busy_, false)) { return false; }  // of a lease that was disarmed meanwhile
  ran_out_.reset();
  granted_at_ = now;
  const bool was_starving = std::exchange(starving_, false);
  return order_ && (!std::exchange(timed_, true) || was_starving);
}

bool Lease::starves(Instant now) {
  if (!order_ || !timed_ || now - granted_at_ <= length() / 2) { return false; }
  return !std::exchange(starving_, true);
}

void Lease::failed(Instant now) {
  if (std::exchange(busy_, false) && timed_) { ran_out_ = now; }
}

}  // namespace understudy::host
