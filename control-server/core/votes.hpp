// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Is this active dead? A judgement over what both observers say (D4, rules 1 and 2). Nothing else decides that.
///
///      control-server ──BFD──► active ◄──BFD── mirror            own \ mirror   Up          Down        Unknown
///             └────── BFD ─────► others (witnesses)              Up             healthy     mirror      healthy
///                                                                Down           control     DEAD *      one observer
///                                                                Unknown        healthy     one obs.    healthy
///   * only with a witness that our network works, and not when all actives fell silent at once. Where both
///   observers hang on one cable a witness must be steady: when that cable comes back the voices do one after the
///   other. Elsewhere it must have been heard before the silence began, or for long enough since: a network that comes
///   back does so voice by voice too. On one cable it must be heard on after the silence began: the cable silences
///   everybody within one interval of BFD. Independent witnesses, where the group has any, can say more than another
///   blade: see witnesses.hpp. "mirror"/"control": that observer alone is blind, an alarm and no failover.
/// A mirror that had lost the active long before (a network that blinks twice brings its voice back to us first) says
/// nothing about this silence, and then the same is asked as on one cable: our own cable silences everybody within one
/// interval too.
/// docs/VOTES.md has the whole table; a test compares it with this function, row by row.
///
/// Invariants
///   - One observer's word alone never kills: DEAD takes both, and somebody who shows that the network works.
///   - The same votes give the same verdict; time enters only as the ages of the votes.
/// The surprising rule: a difference between the observers means nothing for `settle`, since they never see one
/// failure at the same instant.

#include <optional>

#include "core/witnesses.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::control {

struct Ballot {
  link::Vote vote = link::Vote::Unknown;
  Instant since;
  /// Down, and unknown before: it took leave, or was never heard, and has not spoken within its bound. It may have
  /// tried to for a while, so that the network must have worked for a while before.
  bool overdue = false;
};

enum class Verdict : std::uint8_t {
  Healthy,
  Unsettled,        ///< wait: the other observer may be about to see it too
  Dead,             ///< both observers, and ours has a witness
  ControlBlind,     ///< the control-server alone sees nothing
  MirrorBlind,      ///< the mirror alone sees nothing
  OneObserver,      ///< one sees nothing, the other says nothing
  ObserversFailed,  ///< rule 1: more likely our own network than the actives
  BfdBlocked,       ///< both observers, and its host-agent talks: not judge() says so, the role does
  CutOff,           ///< no independent witness is reached either: it is us
};

/// What the control-server sees of everybody else.
struct Surroundings {
  std::size_t actives = 0;   ///< that serve, or did until a moment ago
  bool all_at_once = false;  ///< every one of them fell silent, within one settle time
  bool witness = false;      ///< another blade is seen alive
  std::optional<Instant> witness_from =
      {};                   ///< none yet, but then: who comes and goes will have been steady for long enough
  Duration same_cable{0};   ///< both observers hang on one: how much longer the witness must have been heard
  WitnessBench bench = {};  ///< independent witnesses; no voices: the group has none
};

struct Judgement {
  Verdict verdict = Verdict::Healthy;
  std::optional<Instant> again;  ///< ask again then
};

/// While one observer has lost the active and the other says nothing, or neither says anything: when they will have
/// decided at the latest. Both have lost it: when the second one did. Nothing: no such doubt.
[[nodiscard]] std::optional<Instant> judgement_is_due(const Ballot& own, const Ballot& mirror);

/// The mirror had lost the active before we did, and not by the moment that one failure takes to be seen by both: its
/// word is about something else, and of this silence ours is the only one.
[[nodiscard]] bool mirrors_word_is_older(const Ballot& own, const Ballot& mirror, Duration settle);

[[nodiscard]] Judgement judge(const Ballot& own, const Ballot& mirror, const Surroundings& surroundings,
                              Duration settle, Instant now);

}  // namespace understudy::control
