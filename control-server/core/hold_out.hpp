// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether a blade that fails again and again is held out: it gets no mirrors, so no role's protection comes and goes
/// with it, and no role back as long as the role's mirror can serve it. A person or a timer lets it back. A failure is
/// the blade's own, or that of an application which it serves.
///
///     failure ... failure (the K-th within the window) -> held out -> let back: nothing is held against it any more
///
/// Invariants
///   - Only failures within the window count, and none from before a letting back.
///   - Ages survive a control-server, instants do not: no clock of this machine goes on through its reboot.
/// The surprising rule: what a blade serves or mirrors already is left alone. Taking it away would be one failure more.

#include <deque>
#include <optional>
#include <vector>

#include "core/config.hpp"

namespace understudy::control {

/// What outlives a control-server: how long ago the blade failed, and was held out. Ages, since no clock of this
/// machine goes on through its reboot; the edge turns them into the wall's time and back.
struct HoldOutAges {
  std::vector<Duration> failures;  ///< oldest first
  std::optional<Duration> held;
  bool operator==(const HoldOutAges&) const = default;
};

class HoldOut {
 public:
  /// True: this failure is the one too many.
  bool failed(Instant now, const HoldOutConfig& config);
  void let_back();
  [[nodiscard]] HoldOutAges ages(Instant now) const;
  void restore(Instant now, const HoldOutAges& ages);
  [[nodiscard]] bool held() const { return since_.has_value(); }
  /// When the timer lets it back; nothing: it is not held out, or only a person does.
  [[nodiscard]] std::optional<Instant> until(const HoldOutConfig& config) const;

 private:
  std::deque<Instant> failures_;  ///< within the window, oldest first
  std::optional<Instant> since_;
};

}  // namespace understudy::control
