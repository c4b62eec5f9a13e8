// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A voice that comes and goes: from when on is it steady?
///
///     heard ──────┐  ┌────┐ ┌──────────────┬── steady: `voices_return` after the last change,
///     not heard   └──┘    └─┘              │   or `voices_flap` after the first one of a run of changes, and after
///                 ▲ first   ▲ last         │   the silence began that it is asked about
///
/// The surprising rule: whoever comes and goes for longer than `voices_flap` is not a network that is coming back, but
/// a bad cable. He is believed while he is heard, or he would keep everybody waiting for ever.

#include <algorithm>
#include <optional>

#include "core/config.hpp"

namespace understudy::control {

class Waver {
 public:
  void changed(Instant now, const Timings& timings) {
    const bool goes_on = last_ && now < *last_ + timings.voices_return;
    if (!goes_on) { first_ = now; }
    last_ = now;
  }
  void reset() { last_.reset(); }
  /// Nothing: never.
  [[nodiscard]] const std::optional<Instant>& last() const { return last_; }
  /// Nothing: it is steady now. Asked for a witness of a silence that began at `silent_since`: how it came and went
  /// before may have been the whole network's blinking, and the silence the last of that.
  [[nodiscard]] std::optional<Instant> steady_at(const Timings& timings, Instant now, Instant silent_since) const {
    if (!last_) { return std::nullopt; }
    Instant at = std::min(*last_ + timings.voices_return, first_ + timings.voices_flap);
    at = std::min(*last_ + timings.voices_return, std::max(at, silent_since + timings.voices_flap));
    return at > now ? std::optional(at) : std::nullopt;
  }

 private:
  std::optional<Instant> last_;
  Instant first_;
};

}  // namespace understudy::control
