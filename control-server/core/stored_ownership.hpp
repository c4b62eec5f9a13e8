// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a leader of several control-servers knows of a stored ownership, and what an answer of the store means: decided
/// here, so that the simulator's store is written to as the real one.

#include <cstdint>
#include <optional>

#include "core/ownership.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

struct StoredOwnership {
  Ownership ownership;
  std::int64_t revision = 0;  ///< of the last change of its key; 0: not there
  std::uint64_t token = 0;    ///< of the leadership that wrote it
};

/// Besides the comparison: no number is ever taken back, whoever asks, and a place never changes without a newer one.
/// `now`: what is stored, term 0 when nothing is. Refused with the reason.
Status check_change(const Ownership& now, Term expected, Term expected_reserved, const Ownership& next);

/// An answer that did not come may have been about this very change: then there is nothing to write.
[[nodiscard]] bool is_written(const StoredOwnership& known, const Ownership& next, std::uint64_t token);

/// The transaction was refused: we do not lead (`leader` is another's token, 0: nobody's), or the key is not as we knew
/// it. The latter also when it was tried a second time and the first had been done: then all is well. Expired: we do
/// not lead any more; Refused: somebody else has changed it.
Status judge_refusal(const RoleId& role, const Ownership& next, std::uint64_t token, std::uint64_t leader,
                     const std::optional<StoredOwnership>& found);

/// Nothing was written: the lead is another's.
[[nodiscard]] Error deposed();

}  // namespace understudy::control
