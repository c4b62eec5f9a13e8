// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The sending end of a role's replication, in a host-agent: the product's MirrorLink, and around it what
/// link/src/replication_sender.cpp does, with the same calls in the same order.

#include "replication_mirror_link.hpp"
#include "wire.hpp"

namespace understudy::sim {

/// A snapshot's scan, as link/src/replication_scan.cpp's thread makes it: the product's scan and its records, collected
/// while the application goes on, and handed over bit by bit.
class SimScan final : public link::replication::Scan {
 public:
  SimScan(World& world, unsigned role, Process& process, const shm::Store& store, Sequence after,
          std::size_t piece_bytes);
  Taken take() override;

 private:
  struct Step {
    std::vector<std::byte> piece;
    Sequence mark;
  };
  void walk(const shm::Store& store, Sequence after, std::size_t piece_bytes);

  World& world_;
  const unsigned role_;
  Process& process_;
  std::vector<Step> steps_;
  std::size_t next_ = 0;
  Status status_;
  Instant ready_;  ///< for the next step
};

class SenderNode : public std::enable_shared_from_this<SenderNode> {
 public:
  using Phase = link::replication::SenderPhase;
  struct Handlers {
    std::function<void(std::uint64_t nonce)> on_grant;
    Action on_phase;
  };
  SenderNode(World& world, unsigned site, unsigned role, Term term, Handlers handlers);

  /// False: the region's stores cannot be opened.
  [[nodiscard]] bool start();
  /// A mirror has connected; it says Hello next.
  void accept(std::shared_ptr<SimWire> wire, const std::weak_ptr<RoleRegion>& mirror);
  /// By the daemon's own will; one that has died does nothing any more.
  void stop();
  /// Ships the rest, waits for the mirror to have applied it, and stops; false: not all of it.
  void finish(Duration limit, std::function<void(bool)> done);
  void ask_grant(std::uint64_t nonce);
  /// The daemon has read something, or its timer has run: what the stores say of the mirror may be another.
  void look();

  [[nodiscard]] Term term() const { return options_.term; }
  [[nodiscard]] link::SyncProgress progress() const;

 private:
  Status on_hello(const std::shared_ptr<SimWire>& wire, const link::replication::Frame& frame,
                  const std::weak_ptr<RoleRegion>& mirror);
  void become(Phase phase);
  void finished(bool all);
  void count();

  World& world_;
  const unsigned site_;
  const unsigned role_;
  Process& process_;
  const std::shared_ptr<RoleRegion> region_;
  const Action on_phase_;
  link::replication::SendingOptions options_;
  std::vector<shm::Store> stores_;
  std::vector<link::replication::StoreCounters> counters_;
  Exercised counted_;                 ///< of counters_, so far
  std::weak_ptr<RoleRegion> mirror_;  ///< of the mirror that said Hello last
  std::vector<std::shared_ptr<SimWire>> candidates_;
  std::shared_ptr<link::replication::MirrorLink> link_;
  std::function<void(bool)> on_finished_;
  Phase phase_ = Phase::NoMirror;
  bool stopped_ = false;
};

}  // namespace understudy::sim
