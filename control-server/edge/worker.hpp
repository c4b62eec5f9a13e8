// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One thread that does slow things in order, so that the loop that decides never waits for a switch or a power unit.

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
    }
    wake_.notify_one();
    thread_.join();
  }

  void add(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) { return; }
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;  ///< guards what is below
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
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
