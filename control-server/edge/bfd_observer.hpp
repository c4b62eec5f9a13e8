// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The control-server's own eyes: one BFD session with every blade, told as votes.
///
///   at the start   UNKNOWN   bounded: then silence is DOWN (a restarted observer has seen nothing yet, rule 2)
///   session up     UP
///   silence        DOWN
///   peer left in order (AdminDown)  UNKNOWN: an orderly stop of a daemon is no failure of its blade
///
/// BFD's thread only posts; votes are formed and told on the io_context.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>

#include "core/config.hpp"
#include "understudy/link/bfd_service.hpp"

namespace understudy::control {

class BfdObserver {
 public:
  using OnVote = std::function<void(const BladeId&, link::Vote)>;
  static Result<std::unique_ptr<BfdObserver>> start(boost::asio::io_context& io, const IpAddress& local,
                                                    const GroupConfig& group, OnVote on_vote);
  ~BfdObserver();
  BfdObserver(const BfdObserver&) = delete;
  BfdObserver& operator=(const BfdObserver&) = delete;

 private:
  explicit BfdObserver(boost::asio::io_context& io, OnVote on_vote);
  void on_change(const IpAddress& peer, const link::bfd::StateChange& change);
  void vote(const IpAddress& peer, link::Vote vote);

  OnVote on_vote_;
  boost::asio::steady_timer start_over_;
  std::map<IpAddress, BladeId> blades_;
  std::map<IpAddress, link::Vote> votes_;  ///< absent: nothing seen since the start
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::unique_ptr<link::bfd::BfdService> service_;  ///< last: its thread ends first
};

}  // namespace understudy::control
