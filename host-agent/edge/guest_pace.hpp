// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How much of what a guest says of itself is heard. A guest is not trusted: each change of its phase or vote goes to
/// the control-server and into the event log, and one that changes it thousands of times a second would end this
/// blade's stream and so every role's protection.
///
///     State, PeerSeen ──► within the budget: at once
///                         beyond it: the newest of each kind waits for the next window, older ones are lost
///     Alarm           ──► within the budget, else lost
///     all else        ──► at once: answers to orders, which are few
///
/// An honest guest never comes near the budget. The newest word is never lost. One thread.

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "understudy/common/types.hpp"
#include "understudy/link/guest_channel.hpp"

namespace understudy::host {

class GuestPace {
 public:
  static constexpr int budget = 50;
  static constexpr Duration window = std::chrono::seconds(1);

  /// What is to be heard now.
  std::optional<link::guest::GuestEvent> heard(Instant now, const link::guest::GuestEvent& event) {
    using namespace link::guest;
    const bool state = std::holds_alternative<State>(event);
    const bool vote = std::holds_alternative<PeerSeen>(event);
    if (!state && !vote && !std::holds_alternative<Alarm>(event)) { return event; }
    if (now - since_ >= window) { open_window(now); }
    auto* waiting = state ? &state_ : vote ? &vote_ : nullptr;
    if (spent_ < budget && (waiting == nullptr || !*waiting)) {
      ++spent_;
      return event;
    }
    if (waiting != nullptr) { *waiting = event; }
    return std::nullopt;
  }

  /// When something waits: until when.
  [[nodiscard]] std::optional<Instant> deadline() const {
    if (!state_ && !vote_) { return std::nullopt; }
    return since_ + window;
  }

  /// What has waited long enough, in the order vote, phase: a phase may be acted on by what the vote says.
  std::vector<link::guest::GuestEvent> due(Instant now) {
    std::vector<link::guest::GuestEvent> events;
    if (now - since_ < window) { return events; }
    open_window(now);
    for (auto* waiting : {&vote_, &state_}) {
      if (!*waiting) { continue; }
      events.push_back(*std::exchange(*waiting, std::nullopt));
      ++spent_;
    }
    return events;
  }

 private:
  void open_window(Instant now) {
    since_ = now;
    spent_ = 0;
  }

  Instant since_{};
  int spent_ = 0;
  std::optional<link::guest::GuestEvent> state_;
  std::optional<link::guest::GuestEvent> vote_;
};

}  // namespace understudy::host
