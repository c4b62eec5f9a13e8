// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Replication of one role as its two ends see it. The product's sender and receiver are bound to sockets and to
/// regions in files, too slow by orders of magnitude; so this is a model of them that keeps what the decisions hang on:
/// the order of received, applied, acknowledged and installed, resume points and histories, rings that are lapped while
/// a mirror is away, deletions (the product's own decide_resume and decide_after_lap), the durable SYNCING mark,
/// silences and backoff, draining. Records, tables, frames and transactions are left out.
///
///   receiver:  Connecting ──► Syncing ──caught up──► Synced          what is acknowledged is applied
///                  ▲ backoff    └───── Lost ◄──────────┘             drain(): to the end or a quiet moment

#include "world.hpp"

namespace understudy::sim {

enum class ReceiverPhase : std::uint8_t { Connecting, Syncing, Synced, Lost };

class Receiver {
 public:
  struct Host {
    std::function<std::optional<Term>(unsigned site)> replicates;  ///< does that blade listen, under which term
    std::function<void(ReceiverPhase)> on_phase;
    std::function<void()> on_applied;
    std::function<void()> on_full_snapshot;
    std::function<void(Term term, std::uint64_t nonce)> on_ask;
    std::function<void(unsigned site, Term term, std::uint64_t nonce)> on_grant;
  };
  Receiver(World& world, unsigned role, Host host) : world_(world), role_(role), host_(std::move(host)) {}

  /// False: a stale term, or the region has a newer writer.
  bool configure(unsigned active, Term term, bool was_synced);
  [[nodiscard]] bool holds_a_whole_copy() const { return ready_ && phase_ == ReceiverPhase::Connecting; }
  /// As its sender knows: synced, and nothing committed is missing.
  [[nodiscard]] bool has_applied_all() const;
  /// Leases: a request of the active, and a grant, over the connection that there is.
  void ask(unsigned site, Term term, std::uint64_t nonce);
  void grant(Term term, std::uint64_t nonce);
  void drain(const std::function<void(bool ready)>& done);
  void release_writers() { close(); }
  /// The agent is gone.
  void forget();

 private:
  /// One connection, both ends' view of it.
  struct Link {
    std::shared_ptr<Stream> stream;
    Term term;
    // the sender's
    std::uint64_t sent = 0;
    std::uint64_t target = 0;
    bool following = false;
    std::uint64_t acknowledged = 0;
    bool synced = false;  ///< its store says "protected by a mirror"
    // the receiver's
    bool caught_up = false;
    std::uint64_t applied_target = 0;
  };
  void connect();
  void connect_later();
  void accept(Term sender);
  void lost();
  void close();
  void become(ReceiverPhase phase);
  void resume(const std::shared_ptr<Link>& link);
  void snapshot(const std::shared_ptr<Link>& link, bool full);
  void resync(const std::shared_ptr<Link>& link);
  [[nodiscard]] bool lapped(const Link& link);
  [[nodiscard]] link::replication::SenderPoint point_of(const Copy& of) const;
  void pump(const std::shared_ptr<Link>& link);
  void on_journal(const std::shared_ptr<Link>& link, std::uint64_t first, std::uint64_t last,
                  const std::vector<shm::TermStart>& history);
  void apply(const std::shared_ptr<Link>& link, std::uint64_t first, std::uint64_t last,
             const std::vector<shm::TermStart>& history);
  void acknowledge(const std::shared_ptr<Link>& link, std::uint64_t sequence);
  void trust();
  void heard();
  void drained();
  [[nodiscard]] std::optional<Copy>& copy() { return world_.blades[world_.standby()]->regions[role_]; }
  [[nodiscard]] std::optional<Copy>& source() { return world_.blades[active_]->regions[role_]; }
  [[nodiscard]] Process& mine() { return world_.guests[role_]->agent; }

  World& world_;
  const unsigned role_;
  Host host_;
  std::shared_ptr<Link> link_;
  unsigned active_ = 0;
  Term term_;
  bool configured_ = false;
  bool stopped_ = true;
  bool ready_ = false;
  ReceiverPhase phase_ = ReceiverPhase::Connecting;
  Duration backoff_{0};
  std::uint64_t attempt_ = 0;
  std::uint64_t quiet_ = 0;
  std::function<void(bool)> on_drained_;
};

}  // namespace understudy::sim
