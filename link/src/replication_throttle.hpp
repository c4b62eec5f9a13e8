// SPDX-License-Identifier: Apache-2.0
#pragma once
/// When the writer of a store that laps its sender again and again is made to wait, and until when (rule 23). Pure.
///
///          lapped `tries_max` times in a row              synced, and for `calm` the writer had not to wait;
///   Free ─────────────────────────────────► Throttled ──────────────────────────────────────────────────► Free
///    ▲                                          │         or `limit` is over (no whole copy: the mirror is let go)
///    └──── lapped as many times all the same: the mirror is let go
///
/// It outlives connections: a mirror that is lost while it is on has one try when it comes again.

#include <chrono>
#include <cstdint>
#include <string>

#include "understudy/common/types.hpp"

namespace understudy::link::replication {

class WriterThrottle {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Limits {
    std::uint32_t tries_max;
    Duration limit;
    Duration calm;
  };

  enum class AfterLap { TryAgain, Begin, LetMirrorGo };
  /// The ring was lapped before the mirror was synced, or later.
  AfterLap lapped(const Limits& limits, Time now);
  /// The mirror is synced without a throttle: earlier tries do not count any more.
  void caught_up() {
    if (!on_) { laps_ = 0; }
  }

  /// No mirror is there to wait for.
  void pause();

  enum class Verdict { GoOn, Calm, TimeUp };
  /// Once in a while, while it is on. `waited`: how long the writer has waited in all (Store::writer_waited). What is
  /// not GoOn has ended it.
  Verdict look(const Limits& limits, Time now, bool synced, Duration waited);

  [[nodiscard]] bool on() const { return on_; }
  [[nodiscard]] std::uint32_t laps() const { return laps_; }  ///< in a row
  [[nodiscard]] std::uint64_t times() const { return times_; }
  [[nodiscard]] Time since() const { return since_; }

 private:
  void end();
  std::uint32_t tries_max_ = 0;

  bool on_ = false;
  std::uint32_t laps_ = 0;
  std::uint64_t times_ = 0;
  Time since_{};
  Time calm_since_{};
  Duration waited_{};
};

/// What a person is told; `store` and `role` by name.
struct ThrottleTold {
  std::string role;
  std::string store;
  std::uint64_t journal_bytes = 0;
  std::uint32_t laps = 0;
  Duration lasted{};
  Duration waited{};  ///< of that the writer
};
[[nodiscard]] std::string begins(const ThrottleTold& told, Duration limit);
[[nodiscard]] std::string ended_calm(const ThrottleTold& told);
[[nodiscard]] std::string ended_late(const ThrottleTold& told, bool synced);
[[nodiscard]] std::string in_vain(const ThrottleTold& told);

}  // namespace understudy::link::replication
