// SPDX-License-Identifier: Apache-2.0
#pragma once
/// BFD between an observer and a blade: the product's own sessions (link/bfd_session) and votes (link/bfd_vote), packet
/// by packet. A pair that is up on a path where nothing has happened for a while rests: its packets would say nothing.
/// It wakes, with a packet each way, just before anything changes.

#include <memory>
#include <optional>

#include "network.hpp"
#include "understudy/link/bfd_session.hpp"
#include "understudy/link/bfd_vote.hpp"

namespace understudy::sim {

class BfdPair {
 public:
  BfdPair(Network& network, Random& random);

  /// The observer begins to watch; `on_vote` runs in its process.
  void watch(Process& observer, unsigned site, std::function<void(link::Vote)> on_vote);
  /// The blade's daemon answers.
  void answer(Process& blade, unsigned site);
  /// The observer's process has died or does not watch any more; the answering daemon has died.
  void stop_watching();
  void stop_answering();
  /// It tells the observer that it leaves in order, and is gone.
  void leave_in_order();

 private:
  struct End {
    Process* process = nullptr;
    unsigned site = 0;
    std::uint64_t life = 0;
    std::optional<link::bfd::Session> session;
    std::optional<link::bfd::PeerVote> vote;
    std::optional<Instant> timer;
    std::uint64_t timers = 0;
    Instant up_since;
  };
  void start(End& end, Process& process, unsigned site, Duration interval);
  void take(unsigned index, const link::bfd::Session::Output& output);
  void tick(unsigned index);
  void arm(unsigned index);
  void say(End& end, bool changed);
  [[nodiscard]] bool there(const End& end) const { return end.session && end.process->life() == end.life; }
  [[nodiscard]] bool may_rest() const;
  void wake();

  Network& network_;
  Random& random_;
  End ends_[2];  ///< observer, blade
  std::function<void(link::Vote)> on_vote_;
  bool resting_ = false;
  std::uint32_t discriminators_ = 0;
};

}  // namespace understudy::sim
