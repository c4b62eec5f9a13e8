// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Independent witnesses: who is cut off, the silent blade or those who listen for it?
///
///      blade's packets   | | | | |                          silent (BFD)
///                                 ◄──────── detection ────────►│
///                                    ◄────── window ──────────►│       an echo that was sent in the window and
///      witness's echoes  . . . . . . . . . . . . . . . . . . . │ . . . answered: our network worked, the blade is gone
///
/// A cable that is out silences both. So a witness has answered for us when its unbroken run of answers
///   - covers the window: known a moment later (`spacing` is how far apart two echoes are at most, and a missing
///     answer is known when the next one is due); or
///   - lasts for `steady` while the blade stays silent: a blade whose voice only came back late is heard by then. This
///     is for a witness that is asked seldom, and for one that has itself been away.
/// One that was lost for `steady` before the silence began has failed by itself: it counts for nobody, as if it were
/// not there. docs/VOTES.md has the table of what follows; votes.hpp applies it.
///
/// Invariants
///   - A witness says nothing about a blade, only about the network of those who listen.
///   - One that answered is enough; that all are lost takes every one that counts.
/// The surprising rule: an answer that arrives after the silence began proves nothing when its echo was sent before.
/// The cable may have gone in between, and taken the blade's packets with it.

#include <optional>
#include <vector>

#include "understudy/link/messages.hpp"

namespace understudy::control {

/// One witness, as we hear it.
struct WitnessVoice {
  link::Vote vote = link::Vote::Unknown;
  Instant since;  ///< of the vote
  std::optional<Instant>
      answered_since;   ///< every echo that was sent from then on was answered; none: the last was not
  Duration spacing{0};  ///< two echoes are never further apart, or the run of answers began anew
};

struct WitnessBench {
  std::vector<WitnessVoice> voices;
  Duration window{0};  ///< from the first packet that the blade owes to the moment when it is called silent
  Duration steady{0};
};

enum class Witnesses : std::uint8_t {
  None,     ///< none that counts
  Awaited,  ///< it is not known yet
  Lost,     ///< every one that counts
  Reached,  ///< one at least
};

struct WitnessWord {
  Witnesses said = Witnesses::None;
  std::optional<Instant> again;  ///< while awaited: ask then, if no witness was heard or lost before
};

/// Did our network work when the blade fell silent, for the observer that noticed last? `ours`: when we noticed, where
/// that was earlier; an answer counts for both.
[[nodiscard]] WitnessWord ask(const WitnessBench& bench, Instant silent_since, Instant now,
                              std::optional<Instant> ours = std::nullopt);

}  // namespace understudy::control
