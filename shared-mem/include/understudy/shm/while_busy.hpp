// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a thread does now and then while a call of this library walks over whole tables: a rebuild, the begin and the
/// end of a snapshot, a first look at a table's slabs. With tens of millions of slots that takes seconds, in which the
/// thread's event loop does not come to its turn, and whoever waits for a word from it takes it for dead.
///
///   const WhileBusy busy([&] { say_that_we_are_alive(); });
///   writer.apply(entries);                      // calls it on this thread, every few thousand slots
///
/// It must not use the region's objects that the call is one of; to read committed() is allowed. Agent only.

#include <cstdint>
#include <functional>
#include <utility>

namespace understudy::shm {

class WhileBusy {
 public:
  explicit WhileBusy(std::function<void()> meanwhile)
      : meanwhile_(std::move(meanwhile)), before_(std::exchange(current(), this)) {}
  ~WhileBusy() { current() = before_; }
  WhileBusy(const WhileBusy&) = delete;
  WhileBusy& operator=(const WhileBusy&) = delete;

  /// A walk counts its steps.
  class Steps {
   public:
    void step() {
      if (++count_ % steps_each == 0 && current() != nullptr) { current()->meanwhile_(); }
    }

   private:
    std::uint64_t count_ = 0;
  };
  static constexpr std::uint64_t steps_each = 4096;

 private:
  static WhileBusy*& current() {
    static thread_local WhileBusy* innermost = nullptr;
    return innermost;
  }
  std::function<void()> meanwhile_;
  WhileBusy* before_;
};

}  // namespace understudy::shm
