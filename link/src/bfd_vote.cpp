// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_vote.hpp"

#include <utility>

namespace understudy::link::bfd {

PeerVote::PeerVote(Instant now, Duration unknown_max) : unknown_max_(unknown_max), deadline_(now + unknown_max) {}

bool PeerVote::become(Vote vote, std::optional<Instant> deadline) {
  deadline_ = deadline;
  return std::exchange(vote_, vote) != vote;
}

bool PeerVote::on_change(Instant now, const StateChange& change) {
  if (change.to == SessionState::Up) { return become(Vote::Up, std::nullopt); }
  if (change.from != SessionState::Up) { return false; }  // on the way up: nothing is known yet, the bound runs on
  if (change.remote_state == SessionState::AdminDown) { return become(Vote::Unknown, now + unknown_max_); }
  if (change.diagnostic == Diagnostic::NeighborSignaledDown) { return become(Vote::Unknown, now + unknown_max_); }
  return become(Vote::Down, std::nullopt);
}

bool PeerVote::on_time(Instant now) { return deadline_ && now >= *deadline_ && become(Vote::Down, std::nullopt); }

}  // namespace understudy::link::bfd
