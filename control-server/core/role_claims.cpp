// SPDX-License-Identifier: Apache-2.0
/// Whose word about a role's terms counts: its own blade's, and the standbys'. Any blade's certificate is good for a
/// Hello, and a term that is taken from one is taken for ever: it is stored with the next decision.
#include "core/role_machine.hpp"

namespace understudy::control {

namespace {
/// No group takes over so often while its state store is away.
constexpr std::uint64_t terms_ahead_max = 1U << 20U;
}  // namespace

/// False: what this blade says of the role changes nothing, and a person is told.
bool RoleMachine::claim_counts(StepContext& context, const BladeId& blade, const link::HeldRole& held) {
  const std::string topic = "claim of " + blade.value;
  const std::string what = to_string(Place{blade, held.kind}) +
                           (held.serving ? " says that it serves" : " says that it holds") + " the role under term " +
                           std::to_string(held.term.value);
  if (blade != config_.active && !context.blades.is_standby(blade) && blade != own_.place.blade) {
    raise(context, topic, what + ", where the configuration never put it; ignored");
    if (own_.term.value != 0) { context.send(blade, link::StandDown{id(), own_.term}); }
    return false;
  }
  if (held.term.value > own_.highest().value + terms_ahead_max) {
    raise(context, topic,
          what + ", far beyond term " + std::to_string(own_.highest().value) +
              " of the state store; not believed: remove the record of the role on that blade, or restore the store");
    distrusted_.insert(blade);
    held_.erase(blade);
    return false;
  }
  return true;
}

void RoleMachine::claim_is_over(StepContext& context, const BladeId& blade) {
  distrusted_.erase(blade);
  clear(context, "claim of " + blade.value);
}

}  // namespace understudy::control
