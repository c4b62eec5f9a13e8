// SPDX-License-Identifier: Apache-2.0
#pragma once
/// For how long a writer believes a sender that asks to be waited for (rule 23). The sender may have died, and whoever
/// else writes the region may write any word at any moment, so each bound is the writer's own, by its own clock:
///
///   one commit           commit_max
///   one and the same word  unchanged_max from when it was first seen; then it is not believed until it changes
///   all commits together   credit_max, which comes back as time passes without waiting
///
/// Pure: the clock is an argument.

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace understudy::shm {

class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  static constexpr Clock::duration commit_max = std::chrono::milliseconds(200);
  static constexpr Clock::duration unchanged_max = std::chrono::milliseconds(400);
  static constexpr Clock::duration credit_max = std::chrono::minutes(5);

  /// May a commit that has waited since `from` go on waiting for who says `word`?
  [[nodiscard]] bool lasts(std::uint64_t word, Time from, Time now) {
    if (word != word_) {
      word_ = word;
      changed_ = now;
    }
    return now - changed_ < unchanged_max && now - from < std::min(commit_max, credit_at(from));
  }
  void waited(Time from, Time to) {
    credit_ = std::max(credit_at(from) - (to - from), Clock::duration::zero());
    since_ = to;
  }

 private:
  [[nodiscard]] Clock::duration credit_at(Time now) const {
    return since_ == Time{} ? credit_max : std::min(credit_max, credit_ + (now - since_));
  }

  std::uint64_t word_ = 0;
  Time changed_{};
  Clock::duration credit_{};
  Time since_{};  ///< the end of the last waiting
};

}  // namespace understudy::shm
