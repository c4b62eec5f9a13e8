// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The time in which this control-server was awake. A process that stood still, a machine that was suspended and a
/// clock that jumped look the same: the clock has gone on, and nobody was there to see or hear anything.
///
///     the clock    ├─ beat ─┼─ beat ─┼──────────── stood still ────────────┼─ beat ─┤
///     awake        ├────────┼────────┼── `most` ──┤ then: missed           ├────────┤
///
/// Whatever is waited for (a voice that is steady, a switch that answers, a lease that runs out) is waited for while we
/// are awake: a late wake-up is our own failure and nobody else's.
///
/// Invariants
///   - It never goes faster than the clock, and never back.
///   - It does go on where every single step comes late: by `most` with each.
/// The surprising rule: somebody must look at the clock again and again (Group::next_deadline asks for it), for a jump
/// in a silence in which nothing happens cannot be told from the silence.

#include <algorithm>
#include <optional>

#include "understudy/common/types.hpp"

namespace understudy::control {

class AwakeTime {
 public:
  explicit AwakeTime(Duration most) : most_(most) {}

  /// Once in each step: how late it is.
  Instant step(Instant clock) {
    const Duration passed = clock_ ? std::max(clock - *clock_, Duration{0}) : Duration{0};
    const Duration counted = std::min(passed, most_);
    missed_ = passed - counted;
    now_ = clock_ ? now_ + counted : clock;
    clock_ = clock_ ? std::max(*clock_, clock) : clock;
    if (missed_ > Duration{0}) { woke_ = clock_; }
    return now_;
  }
  /// By the clock, in the last step.
  [[nodiscard]] Duration missed() const { return missed_; }
  /// When the clock will show that it is so late, if nothing is missed until then; nothing: there was no step yet.
  [[nodiscard]] std::optional<Instant> by_clock(Instant awake) const {
    if (!clock_) { return std::nullopt; }
    return *clock_ + (awake - now_);
  }
  /// Of something that somebody else saw, by the clock, and has told now: what he saw before we woke counts from then.
  [[nodiscard]] Instant told(Instant clock) const {
    const Instant at = woke_ ? std::max(*woke_, clock) : clock;
    return now_ - (clock_.value_or(at) - at);
  }
  [[nodiscard]] std::optional<Instant> beat(Duration every) const {
    return clock_ ? std::optional(*clock_ + every) : std::nullopt;
  }

 private:
  Duration most_;
  std::optional<Instant> clock_;  ///< of the last step
  Instant now_;
  Duration missed_{0};
  std::optional<Instant> woke_;  ///< by the clock: something was missed before
};

/// What was good until `until` when we stood still, at `now`: older by what was `missed`, yet not over before what has
/// arrived meanwhile is heard. The clock's own step comes before all that waits in sockets and other threads.
inline Instant aged(Instant until, Duration missed, Instant now) {
  constexpr Duration to_hear = std::chrono::seconds(1);
  return std::max(until - missed, std::min(until, now + to_hear));
}

}  // namespace understudy::control
