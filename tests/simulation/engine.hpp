// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Virtual time. Everything in a run happens as an item of one queue, in the order of (time, number), and every choice
/// comes from one generator: a seed replays a run exactly.
///
///   Scheduler ──► item ──► Process of a Machine: dropped when the process or the machine has died since,
///                                                kept for the thaw when the machine stands still
///
/// A machine's clock (CLOCK_BOOTTIME) has a rate and an offset of its own: it may be slow or jump, never go back.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "understudy/common/types.hpp"

namespace understudy::sim {

using namespace std::chrono_literals;
using Action = std::function<void()>;

/// xoshiro256** with splitmix64 seeding: the same numbers with every library.
class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();
  unsigned below(unsigned bound) { return static_cast<unsigned>(next() % bound); }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  Duration between(Duration low, Duration high) {
    return low + Duration(static_cast<Duration::rep>(unit() * static_cast<double>((high - low).count())));
  }

 private:
  std::uint64_t state_[4];
};

class Process;

class Scheduler {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  void at(Instant when, Action action) { add(when, {std::move(action)}); }
  void after(Duration wait, Action action) { at(now_ + wait, std::move(action)); }
  /// Of this life of the process, or not at all.
  void after(Duration wait, Process& process, bool on_its_loop, Action action);
  /// False: nothing is left to do, or the next item lies behind `end`.
  bool run_one(Instant end);
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

 private:
  /// Small, since the queue's order is kept by moving these.
  struct Item {
    Instant when;
    std::uint64_t number;
    std::size_t place;  ///< of what is to be done
  };
  struct Work {
    Action action;
    Process* process = nullptr;  ///< whose it is; none: the world's
    std::uint64_t life = 0;
    bool on_its_loop = false;
  };
  void add(Instant when, Work work);
  struct Later {
    bool operator()(const Item& a, const Item& b) const {
      return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
  };
  Instant now_{1h};
  std::uint64_t number_ = 0;
  std::uint64_t steps_ = 0;
  std::vector<Item> items_;
  std::vector<Work> works_;
  std::vector<std::size_t> vacant_;  ///< places of works_ that are empty
};

class Machine {
 public:
  Machine(Scheduler& scheduler, std::string name, Machine* host = nullptr);

  std::string name;
  bool up = false;
  std::uint64_t boot = 0;  ///< grows with every power-on

  [[nodiscard]] bool frozen() const { return frozen_ || (host_ != nullptr && host_->frozen()); }
  [[nodiscard]] bool runs() const { return up && !frozen() && (host_ == nullptr || host_->up); }
  void power_on();
  void power_off();
  void freeze() { frozen_ = true; }
  /// What waited happens now, in order.
  void thaw();

  [[nodiscard]] Instant clock() const;
  /// How long the world waits while this clock counts `local`.
  [[nodiscard]] Duration real(Duration local) const;
  void set_rate(double rate);
  void jump(Duration forward);

  /// Runs the action now, or keeps it for the thaw.
  template <class Work>
  void run(Work&& work) {
    if (!up) { return; }
    if (frozen() || !waiting_.empty()) {
      waiting_.emplace_back(std::forward<Work>(work));
    } else {
      work();
    }
  }

 private:
  void flush();
  Scheduler& scheduler_;
  Machine* host_;
  std::vector<Machine*> guests_;
  bool frozen_ = false;
  std::vector<Action> waiting_;
  double rate_ = 1.0;
  Instant base_real_;
  Instant base_local_;
};

/// A daemon. What it posted is dropped when it has died since.
class Process {
 public:
  Process(Scheduler& scheduler, Machine& machine) : scheduler_(scheduler), machine_(machine) {}

  [[nodiscard]] bool alive() const { return life_ != 0 && boot_ == machine_.boot && machine_.up; }
  [[nodiscard]] bool runs() const { return alive() && machine_.runs(); }
  [[nodiscard]] std::uint64_t life() const { return alive() ? life_ : 0; }
  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] const Machine& machine() const { return machine_; }
  void start() {
    stop();
    life_ = ++lives_;
    boot_ = machine_.boot;
  }
  void stop() {
    life_ = 0;
    hangs_ = false;
    waiting_.clear();
  }
  /// After `wait` of this machine's clock, on its loop.
  void post(Duration wait, Action action) { post(wait, true, std::move(action)); }
  /// Likewise, on a thread of its own: it goes on while the loop hangs.
  void post_beside(Duration wait, Action action) { post(wait, false, std::move(action)); }
  /// The loop stands still, in a system call that does not come back; what arrives for it waits.
  void hang() { hangs_ = true; }
  void go_on();
  [[nodiscard]] bool hangs() const { return alive() && hangs_; }
  /// On its loop: now, or when that goes on.
  template <class Work>
  void on_loop(Work&& work) {
    if (hangs_ || !waiting_.empty()) {
      waiting_.emplace_back(std::forward<Work>(work));
    } else {
      work();
    }
  }
  /// From outside: a message or signal arrives now.
  void deliver(Action action) { post(0ns, std::move(action)); }
  /// What was posted in this life is due.
  void run(std::uint64_t life, bool on_its_loop, Action action);

 private:
  void post(Duration wait, bool on_its_loop, Action action) {
    if (alive()) { scheduler_.after(machine_.real(wait), *this, on_its_loop, std::move(action)); }
  }
  Scheduler& scheduler_;
  Machine& machine_;
  std::uint64_t life_ = 0;
  std::uint64_t lives_ = 0;
  std::uint64_t boot_ = 0;
  bool hangs_ = false;
  std::vector<Action> waiting_;  ///< for the loop
};

}  // namespace understudy::sim
