// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <semaphore>
#include <thread>

#include "store_points.hpp"

namespace understudy::shm::crash {

/// Work of a writer in a thread of its own; always only one of the two threads runs.
class SteppedWriter {
 public:
  explicit SteppedWriter(const std::function<void()>& work)
      : thread_([this, work] {
          to_writer_.acquire();
          work();
          done_ = true;
          to_reader_.release();
        }) {
    points::on_store = [this, writer = thread_.get_id()] {
      if (!counting || std::this_thread::get_id() != writer || --allowed_ != 0) { return; }
      to_reader_.release();
      to_writer_.acquire();
    };
  }
  ~SteppedWriter() {
    go(~std::uint64_t{0});
    thread_.join();
    points::on_store = nullptr;
  }
  SteppedWriter(const SteppedWriter&) = delete;
  SteppedWriter& operator=(const SteppedWriter&) = delete;

  /// So many stores; it stands behind the last of them, or has ended.
  void go(std::uint64_t stores) {
    if (done_) { return; }
    allowed_ = stores;
    to_writer_.release();
    to_reader_.acquire();
  }
  [[nodiscard]] bool done() const { return done_; }

  static inline bool counting = true;  ///< else its stores are no steps

 private:
  std::binary_semaphore to_writer_{0};
  std::binary_semaphore to_reader_{0};
  std::uint64_t allowed_ = 0;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace understudy::shm::crash
