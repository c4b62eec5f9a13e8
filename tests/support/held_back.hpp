// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A thread of what is tested stands still where a test wants it to, and goes on when the test says so, at the latest
/// when the test ends.

#include <condition_variable>
#include <mutex>

namespace understudy::test {

class HeldBack {
 public:
  HeldBack() = default;
  HeldBack(const HeldBack&) = delete;
  HeldBack& operator=(const HeldBack&) = delete;
  ~HeldBack() {
    let_go();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_ == 0; });
  }
  /// Of the thread that is held back.
  void wait() {
    std::unique_lock lock(mutex_);
    ++inside_;
    ++came_;
    changed_.wait(lock, [this] { return free_; });
    --inside_;
    changed_.notify_all();
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    free_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool waits() {
    const std::lock_guard lock(mutex_);
    return inside_ > 0;
  }
  /// How many have come here, held back or not.
  [[nodiscard]] int came() {
    const std::lock_guard lock(mutex_);
    return came_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  int came_ = 0;
  bool free_ = false;
};

}  // namespace understudy::test
