// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What follows from a blade's own word that it is no good place for the role that it serves: its health command fails,
/// its application says so, or it lacks the link to a network of the role. A role that is served badly is better off
/// than one that is not served at all, so it goes only where it is surely better served.
///
///   the blade is / its mirror   not synced, or   synced; standby   synced; it lacks   synced; it lacks one
///                              standby away     has all links     the same           that the blade has
///   fit                        Fit              Fit               Fit                Fit
///   unwell                     NobodyCan        TAKE OVER                            NoBetter
///   without a link             NobodyCan        TAKE OVER *       NetworkFailed +    NoBetter
///   both                       NobodyCan        TAKE OVER         TAKE OVER          NoBetter
///
///   unwell: by its health command, or its application's word
///   * when that has stood for a moment (Wait): that a switch died, and that it is back, is told by all its blades, one
///     after the other. Not when all of several actives on a network lack it: NetworkFailed.
///   + whatever the mirror is.
///   Instead of TAKE OVER for a while after such a takeover: TriedBefore. One that failed has given the role back.
///
/// Invariants
///   - All but TAKE OVER leave the role where it is, with an alarm. Nothing here makes a role LOST.
///   - A takeover for this reason is tried once in a while: one that failed has given the role back, as unwell as
///   before.
/// The surprising rule: when all actives of a network lack it, nobody moves. The switch has died, and the standby's own
/// word that it has the link may only be a moment younger than the truth.

#include <optional>
#include <set>
#include <string>

#include "understudy/link/messages.hpp"

namespace understudy::control {

enum class FitnessVerdict : std::uint8_t { Fit, TakeOver, Wait, NobodyCan, NoBetter, NetworkFailed, TriedBefore };

struct FitnessCase {
  bool unwell = false;                  ///< by its health command or its application
  std::set<std::string> lacks;          ///< the role's networks that its blade has no link to
  std::set<std::string> standby_lacks;  ///< and those that its standby has none to
  std::set<std::string> all_lack;       ///< networks that every one of several actives lacks
  bool mirror_synced = false;           ///< by its own word, on a standby that is there
  bool links_settled = false;           ///< which of them it lacks alone has stood for long enough
  bool tried_before = false;            ///< a takeover for this was begun a short while ago
};

/// Those that neither its standby nor all actives lack too.
[[nodiscard]] std::set<std::string> lacked_by_the_blade_alone(const FitnessCase& of);
[[nodiscard]] FitnessVerdict judge_fitness(const FitnessCase& of);

}  // namespace understudy::control
