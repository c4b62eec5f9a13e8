// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The receiving end of a role's replication, in a mirror: the product's ReceiverCore with its Applier on the mirror's
/// region, and around it what link/src/replication_receiver.cpp does. The other end is in sender_node.hpp, what
/// carries the bytes in wire.hpp.

#include "replication_receiver_core.hpp"
#include "sender_node.hpp"

namespace understudy::sim {

class Receiver {
 public:
  using Phase = link::replication::ReceiverPhase;
  struct Host {
    std::function<std::shared_ptr<SenderNode>(unsigned site)> listens;  ///< there, at this moment
    std::function<void(Phase)> on_phase;
    std::function<void()> on_applied;
    std::function<void()> on_full_snapshot;
    std::function<void(Term term, std::uint64_t nonce)> on_ask;
  };
  Receiver(World& world, unsigned role, Host host);
  ~Receiver();

  /// False: a stale term, or the region has a newer writer.
  bool configure(unsigned active, Term term, bool was_synced);
  [[nodiscard]] bool holds_a_whole_copy() const;
  void grant(Term term, std::uint64_t nonce);
  void drain(const std::function<void(bool ready)>& done);
  void release_writers();
  /// The agent is gone.
  void forget();

 private:
  class Edge;
  void make_core();
  [[nodiscard]] Process& mine() { return world_.guests[role_]->agent; }

  World& world_;
  const unsigned role_;
  const Host host_;
  std::shared_ptr<Edge> edge_;
  std::shared_ptr<link::replication::ReceiverCore> core_;
  std::shared_ptr<RoleRegion> region_;  ///< the core's
  unsigned active_ = 0;
};

}  // namespace understudy::sim
