// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The movement policy that an operator has chosen, as the state store keeps it: "CHOSEN over FILE".
///
/// It outlives whoever decides, until the file's policy is changed: then that is the newer word.

#include <optional>
#include <string>

#include "edge/state_store.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

inline const std::string kPolicyKey = "policy";

[[nodiscard]] std::string policy_record(link::MovementPolicy chosen, link::MovementPolicy in_file);

/// Nothing: nobody has chosen, or not over this file's. A record that cannot be read is told and counts as none.
[[nodiscard]] Result<std::optional<link::MovementPolicy>> read_policy(StateStore& store, link::MovementPolicy in_file);

}  // namespace understudy::control
