// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A network namespace without a name, held by one thread: it is gone with the test, however that ends.

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <queue>
#include <string>
#include <thread>

namespace understudy::test {

class NetworkNamespace {
 public:
  NetworkNamespace() : thread_([this] { serve(); }) {
    run([this] {
      good_ = unshare(CLONE_NEWNET) == 0 && command("ip link set lo up");
      thread_id_ = static_cast<int>(syscall(SYS_gettid));
    });
  }
  ~NetworkNamespace() {
    post(nullptr);
    thread_.join();
  }
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  /// Runs `work` inside and waits for it. Sockets, threads and processes made there belong to the namespace.
  void run(const std::function<void()>& work) {
    std::promise<void> done;
    post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  bool ip(const std::string& arguments) {
    bool ok = false;
    run([&] { ok = command("ip " + arguments); });
    return ok;
  }
  [[nodiscard]] bool good() const { return good_; }
  /// What `ip link ... netns` takes.
  [[nodiscard]] std::string id() const { return std::to_string(thread_id_); }

 private:
  static bool command(const std::string& line) { return std::system(line.c_str()) == 0; }
  void post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    queue_.push(std::move(work));
    changed_.notify_one();
  }
  void serve() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !queue_.empty(); });
      const auto work = std::move(queue_.front());
      queue_.pop();
      lock.unlock();
      if (!work) { return; }
      work();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<std::function<void()>> queue_;
  int thread_id_ = 0;
  bool good_ = false;
  std::thread thread_;
};

}  // namespace understudy::test
