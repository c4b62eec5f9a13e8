// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One witness's echoes: is it reached, and since when has every one been answered?
///
///     send ──► answered ──► send ──► answered ──► send ──► (nothing) ──► send ...
///              run begins                                  run ends       `count` of these in a row: DOWN
///
/// An echo has its answer until the next is sent. Whoever sends the next one much later than it should was frozen
/// itself: the run begins anew, since nothing is known of the time between.

#include <optional>
#include <utility>

#include "understudy/link/messages.hpp"

namespace understudy::control {

class EchoRun {
 public:
  EchoRun(unsigned count, Duration spacing) : count_(count), spacing_(spacing) {}

  /// The number of the echo that is sent now.
  std::uint32_t send(Instant now) {
    if (waits_) {
      run_ends();
      if (++missing_ >= count_) { becomes(link::Vote::Down); }
    } else if (number_ != 0 && now - sent_at_ > spacing_) {
      run_ends();
    }
    sent_at_ = now;
    waits_ = true;
    return ++number_;
  }
  void answered(std::uint32_t number) {
    if (!waits_ || number != number_) { return; }
    waits_ = false;
    missing_ = 0;
    if (!since_) {
      since_ = sent_at_;
      changed_ = true;
    }
    becomes(link::Vote::Up);
  }

  [[nodiscard]] link::Vote vote() const { return vote_; }
  [[nodiscard]] std::optional<Instant> answered_since() const { return since_; }
  /// Once after one of the two has changed.
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }

 private:
  void run_ends() {
    changed_ = changed_ || since_;
    since_.reset();
  }
  void becomes(link::Vote vote) {
    changed_ = changed_ || vote != vote_;
    vote_ = vote;
  }

  unsigned count_;
  Duration spacing_;
  std::uint32_t number_ = 0;
  Instant sent_at_;
  bool waits_ = false;
  unsigned missing_ = 0;
  link::Vote vote_ = link::Vote::Unknown;
  std::optional<Instant> since_;
  bool changed_ = false;
};

}  // namespace understudy::control
