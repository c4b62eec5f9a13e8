// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a mirror's copy of a store is brought up to date: the journal from where it stands, the records that changed
/// since, or everything. Pure.
///
///   the copy is an unfinished snapshot                       -> full
///   (term, sequence) is not on the sender's history          -> full: two owners may both have written 1001-1050
///   the copy is ahead of the sender                          -> full: those changes were never this owner's
///   otherwise                                                -> journal; and when the ring was lapped:
///       a deletion happened after the copy's sequence        -> full, by mark and sweep: a scan shows no deletions
///       otherwise                                            -> delta: the records with a newer sequence

#include <optional>
#include <vector>

#include "understudy/link/replication_frame.hpp"

namespace understudy::link::replication {

enum class ResumeWay { Journal, Delta, Full };

/// What the sender knows of its own store at this instant.
struct SenderPoint {
  Sequence committed;
  Sequence purged_up_to;
  std::vector<shm::TermStart> history;
};

/// The term that wrote `sequence`; nothing when the history does not reach back so far.
[[nodiscard]] std::optional<Term> term_at(const std::vector<shm::TermStart>& history, Sequence sequence);

[[nodiscard]] ResumeWay decide_resume(const SenderPoint& sender, const ResumePoint& mirror);

/// The journal no longer holds what follows `held`.
[[nodiscard]] ResumeWay decide_after_lap(const SenderPoint& sender, Sequence held);

}  // namespace understudy::link::replication
