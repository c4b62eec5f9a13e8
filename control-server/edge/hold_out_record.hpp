// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the state store keeps of a blade that failed: a line of text in the wall's time.

#include <map>
#include <string>

#include "core/hold_out.hpp"
#include "edge/state_store.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

inline const std::string kHoldOutKey = "hold-out/";  ///< and the blade's name

/// "HELD FAILURE FAILURE ...", nanoseconds since 1970; HELD is "-" for a blade that is not held out.
[[nodiscard]] std::string hold_out_record(const HoldOutAges& ages, std::int64_t wall_ns);
[[nodiscard]] Result<HoldOutAges> read_hold_out_record(const std::string& text, std::int64_t wall_ns);

/// All that `store` keeps. A record that makes no sense is told and is no reason not to start: the blade begins without
/// a past. A store that cannot be read is one.
[[nodiscard]] Result<std::map<BladeId, HoldOutAges>> read_hold_outs(StateStore& store, std::int64_t wall_ns);

struct HoldOutsToBegin {
  std::map<BladeId, HoldOutAges> ages;
  std::string problem;  ///< why they are not known; empty: they are
};
/// Hold-outs only restrain: who decides does so without them rather than not at all, where a store that answers for all
/// else does not for them, again and again. A failure: the store does not answer.
Result<HoldOutsToBegin> hold_outs_to_begin(StateStore& store, std::int64_t wall_ns);

}  // namespace understudy::control
