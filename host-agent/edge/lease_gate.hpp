// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The gate of a role whose lease is armed (core/lease.hpp), in the kernel.
///
///   plain ── a first grant: open for a while ──► timed ── refresh, refresh, ... ── untime: the lease is off ──► plain
///                                                  │ nothing is done any more, whatever has stopped: closed
///                                                  └── a grant that was asked for after that: open for a while
///
/// Invariant: when time_gate() ends under a grant that has run out meanwhile, the gate is closed. This process may have
/// stood still between any two instructions, so the clock is read again after each port (rule 4).

#include <string>
#include <vector>

#include "core/effects.hpp"
#include "understudy/net/gate.hpp"

namespace understudy::host {

/// Expired: the grant has, or an element before it was refreshed.
Status time_gate(net::Gate& gate, const std::vector<std::string>& ports, const TimeGate& effect);
Status untime_gate(net::Gate& gate, const std::vector<std::string>& ports);

}  // namespace understudy::host
