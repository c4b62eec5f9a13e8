// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What one BFD session says about its peer, as a vote (D4). Pure: time and changes in, votes out.
///
///   start ──► UNKNOWN ──────── never up for `unknown_max` ────────► DOWN
///                │ up                                                ▲ ▲
///                ▼                                                   │ │
///               UP ───────────── silence (detection time) ───────────┘ │
///                │ ▲ up again                                          │ not up again for `unknown_max`
///                ▼ │                                                   │
///             UNKNOWN  the peer said Down: it lives and has lost us ───┘
///             UNKNOWN  the peer said AdminDown: an orderly stop is no failure (RFC 5882 3.2): a daemon that is
///                      restarted is back within the bound. A machine that is shut down ends in order too, and is not
///
/// The bound matters: such a machine would be waited for as long as it is off, and a peer that had just lost us, or
/// that we had never heard, may die before the session is up again, and then no change of state would ever tell of its
/// death (rule 2).

#include <optional>

#include "understudy/common/types.hpp"
#include "understudy/link/bfd_session.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link::bfd {

class PeerVote {
 public:
  PeerVote(Instant now, Duration unknown_max);

  [[nodiscard]] Vote vote() const { return vote_; }
  /// When on_time() has something to say; nothing: not by time alone.
  [[nodiscard]] std::optional<Instant> deadline() const { return deadline_; }

  /// Both return whether the vote is another one now.
  bool on_change(Instant now, const StateChange& change);
  bool on_time(Instant now);

 private:
  bool become(Vote vote, std::optional<Instant> deadline);

  Duration unknown_max_;
  Vote vote_ = Vote::Unknown;
  std::optional<Instant> deadline_;
};

}  // namespace understudy::link::bfd
