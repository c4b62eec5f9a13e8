// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a change of a BFD session says about the peer, the same for every observer.

#include "understudy/link/bfd_session.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link::bfd {

/// Only silence speaks of a failure: a peer that says Down (it does not hear us, or was restarted) or AdminDown (its
/// daemon left in order) is alive. Nothing when the change says nothing new.
inline std::optional<Vote> vote_of(const StateChange& change) {
  if (change.to == SessionState::Up) { return Vote::Up; }
  if (change.to == SessionState::Down && change.diagnostic == Diagnostic::DetectionTimeExpired) { return Vote::Down; }
  if (change.from == SessionState::Up) { return Vote::Unknown; }
  return std::nullopt;
}

}  // namespace understudy::link::bfd
