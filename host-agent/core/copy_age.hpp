// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Is a mirror's whole copy the active's last state, or has the active lived on without it?
///
///     in step ─its stream ends─► AWAY ─its active is heard after `grace`─► OLDER ─in step again, or overwritten─► in
///     step
///                                  └─ not heard any more: the active died with its stream, as far as anybody knows ─┘
///
/// A control-server that was there knows this by itself. This is for one that finds the mirror so, after a time in
/// which nobody decided.
///
/// Invariants
///   - OLDER takes the mirror's own ears: an active that died with its stream is never heard after the grace.
///   - A voice must last for `sure`, counted while this daemon is awake: what it hears first after a stop may be old.
/// The surprising rule: who has been silent since leaves it OLDER.

#include <algorithm>
#include <optional>

#include "understudy/link/messages.hpp"

namespace understudy::host {

class CopyAge {
 public:
  static constexpr Duration grace = link::kSyncGrace;
  static constexpr Duration sure = std::chrono::seconds(1);
  static constexpr Duration late = std::chrono::milliseconds(500);

  /// After each step. `away`: the copy is whole, and nothing comes; `heard`: the mirror hears its active. True once:
  /// it has become an older one.
  bool look(Instant now, bool away, bool heard) {
    if (!away) {
      *this = {};
      return false;
    }
    if (!away_since_) { away_since_ = now; }
    if (older_) { return false; }
    if (!heard) {
      at_.reset();
      return false;
    }
    if (!at_) { at_ = std::max(*away_since_ + grace, now + sure); }
    if (now < *at_) { return false; }
    if (now > *at_ + late) {  // we stood still: whatever has become of the voice is told behind this
      at_ = now + sure;
      return false;
    }
    at_.reset();
    older_ = true;
    return true;
  }
  [[nodiscard]] bool older() const { return older_; }
  [[nodiscard]] std::optional<Instant> next_deadline() const { return at_; }

 private:
  std::optional<Instant> away_since_;
  std::optional<Instant> at_;  ///< if it is heard until then
  bool older_ = false;
};

}  // namespace understudy::host
