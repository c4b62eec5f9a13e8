// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Eyes of an observer: BFD sessions with its peers, told as votes (bfd_vote.hpp).
///
///   BFD's thread ──post──► io_context: PeerVote ──► on_vote        (a timer ends what may not stay UNKNOWN)
///
/// Threads: everything here, on_vote included, belongs to the io_context's thread.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>

#include "understudy/link/bfd_service.hpp"
#include "understudy/link/bfd_vote.hpp"

namespace understudy::link::bfd {

class Observer {
 public:
  using OnVote = std::function<void(const IpAddress& peer, Vote)>;
  struct Options {
    BfdService::Options service;
    /// BFD says hello once a second while a session is not up: less than a few seconds would be no chance.
    Duration unknown_max = kVoteUnknownMax;
  };
  static Result<std::unique_ptr<Observer>> start(boost::asio::io_context& io, const Options& options, OnVote on_vote);
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  /// The vote begins as UNKNOWN and is not told until it changes. Errors as BfdService::add_peer.
  Status add_peer(const IpAddress& peer, const PeerOptions& options);
  /// No vote for it is told afterwards. NotFound: not watched.
  Status remove_peer(const IpAddress& peer);

 private:
  Observer(boost::asio::io_context& io, Duration unknown_max, OnVote on_vote);
  void on_event(const PeerEvent& event);
  [[nodiscard]] BfdService::Refused tell_refusals();
  void arm();

  boost::asio::io_context& io_;
  Duration unknown_max_;
  OnVote on_vote_;
  boost::asio::steady_timer timer_;
  std::map<IpAddress, PeerVote> votes_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::unique_ptr<BfdService> service_;  ///< last: its thread ends first
};

}  // namespace understudy::link::bfd
