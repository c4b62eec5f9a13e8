// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The maintenance network: datagrams (BFD) that are lost, delayed, doubled and overtaken, and streams (the control
/// API, replication) that behave as TCP with keepalive does.
///
///   a stream   what is sent arrives in order, once, or not at all; a cut path holds it back; an end that hears nothing
///              for its timeout ends it for itself only; a process that dies ends it for the other side at once, since
///              its kernel closes it; a machine that loses its power closes nothing
///
/// Same machine: a path that nothing cuts.

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "engine.hpp"
#include "words.hpp"

namespace understudy::sim {

inline constexpr unsigned kSitesMax = 10;

/// From one site to another, one way.
struct Path {
  unsigned cuts = 0;     ///< how many faults cut it
  unsigned filters = 0;  ///< how many keep datagrams from it: streams live
  double loss = 0;
  double twice = 0;
  Duration delay{0};
  Duration spread{0};  ///< more than the time between two packets: they overtake each other
  Instant newest;      ///< arrival of a datagram
  [[nodiscard]] bool calm() const {
    return cuts == 0 && filters == 0 && loss == 0 && twice == 0 && delay == 0ns && spread == 0ns;
  }
};

class Network;

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  struct End {
    Process* process = nullptr;
    unsigned site = 0;
    std::uint64_t life = 0;
    Duration timeout_min{0};
    Duration timeout_max{0};
    std::function<void()> on_lost;
    bool open = true;
    std::deque<Action> held;  ///< for this end, behind a cut path
    Instant last_arrival;
  };

  Stream(Network& network, End a, End b);
  /// False: this end is closed. What is sent runs at the other end.
  bool send(unsigned from, Action action);
  /// By this end's own will or death, with a kernel that tells the other side.
  void close(unsigned end);
  [[nodiscard]] bool open(unsigned end) const { return ends_[end].open; }
  [[nodiscard]] bool closed() const { return !ends_[0].open && !ends_[1].open; }

  /// Something about the network or a machine has changed.
  void look();

 private:
  void arrive(unsigned to, Action action);
  void lose(unsigned end);
  void tell_closed(unsigned end);
  [[nodiscard]] bool healthy() const;

  Network& network_;
  std::array<End, 2> ends_;
  bool suspicious_ = false;
  std::uint64_t doubt_ = 0;
};

class Network {
 public:
  Network(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}

  Path& path(unsigned from, unsigned to) { return paths_[from][to]; }
  [[nodiscard]] const Path& path(unsigned from, unsigned to) const { return paths_[from][to]; }
  [[nodiscard]] bool passes(unsigned from, unsigned to) const { return from == to || paths_[from][to].cuts == 0; }
  [[nodiscard]] bool calm(unsigned a, unsigned b) const {
    return a == b || (paths_[a][b].calm() && paths_[b][a].calm());
  }

  /// Call before anything that BFD could notice changes, and after it.
  void before_change();
  void after_change();
  [[nodiscard]] Instant last_change() const { return last_change_; }
  void on_before_change(Action action) { watchers_.push_back(std::move(action)); }

  void datagram(unsigned from, unsigned to, Process& receiver, Action action);
  std::shared_ptr<Stream> connect(Stream::End a, Stream::End b);
  Duration latency(unsigned from, unsigned to);
  /// Something came to pass because of a fault.
  std::function<void(Fault)> on_bite = [](Fault) {};
  void cut_bites(unsigned from, unsigned to) {
    on_bite(paths_[to][from].cuts != 0 ? Fault::Partition : Fault::OneWayPartition);
  }
  bool bfd_on_loops = false;  ///< planted bug
  Scheduler& scheduler() { return scheduler_; }
  Random& random() { return random_; }

 private:
  Scheduler& scheduler_;
  Random& random_;
  std::array<std::array<Path, kSitesMax>, kSitesMax> paths_{};
  std::vector<std::shared_ptr<Stream>> streams_;
  std::vector<Action> watchers_;
  Instant last_change_;
};

}  // namespace understudy::sim
