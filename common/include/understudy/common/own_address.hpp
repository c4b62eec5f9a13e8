// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether this machine has an address, asked before anything is started there.

#include "understudy/common/net_types.hpp"

namespace understudy {

/// True also for one that is still being checked for duplicates, and for what the loopback answers to (127.0.0.0/8).
bool is_own_address(const IpAddress& address);

}  // namespace understudy
