// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One thread that does slow things in order, so that the loop that decides never waits for a switch or a power unit.
/// What changes something goes before everything that only looks: a switch that takes long to tell how its ports are
/// must not keep a blade from being isolated.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "understudy/common/types.hpp"

namespace understudy::control {

/// Jobs post their results to the io_context themselves. Every job has its own deadline, so the destructor, which lets
/// the running job end and drops the others, is bounded too.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      jobs_.clear();
      looks_.clear();
    }
    wake_.notify_one();
    thread_.join();
  }

  void add(std::function<void()> job) { add_to(jobs_, std::move(job)); }
  /// A job that changes nothing: begun when no other waits. A long one asks is_wanted() in between.
  void add_look(std::function<void()> job) { add_to(looks_, std::move(job)); }
  /// A job that changes something waits, or the end of all.
  [[nodiscard]] bool is_wanted() {
    const std::lock_guard lock(mutex_);
    return stopping_ || !jobs_.empty();
  }

 private:
  void add_to(std::deque<std::function<void()>>& queue, std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      queue.push_back(std::move(job));
    }
    wake_.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty() || !looks_.empty(); });
      if (stopping_) { return; }
      auto& queue = jobs_.empty() ? looks_ : jobs_;
      const auto job = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;  ///< guards what is below
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::deque<std::function<void()>> looks_;
  bool stopping_ = false;
  std::thread thread_;  ///< last: starts when everything else is there
};

/// A worker for each blade, made when it is first needed: what hangs for one blade keeps no other waiting.
class WorkerForEachBlade {
 public:
  [[nodiscard]] Worker& of(const BladeId& blade) { return workers_[blade]; }
  /// Lets running jobs end.
  void clear() { workers_.clear(); }

 private:
  std::map<BladeId, Worker> workers_;
};

}  // namespace understudy::control
