// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a daemon gives up at its start. Call it before any thread is started: capabilities are a thread's own, and only
/// those that come later inherit the loss. Linux, capabilities(7).

#include <vector>

#include "understudy/common/result.hpp"

namespace understudy {

/// What programs that are started may get: root's full set again (applications, guests, power commands need it), or no
/// more than this process has (no_new_privs, and the bounding set is cut as well).
enum class Programs { MayHaveMore, HaveNoMore };

/// Keeps those of `kept` (CAP_NET_ADMIN, ...) that the process has and gives everything else up for good. Files and
/// sockets that are made from now on are their owner's only (umask 077). A failure leaves it as it was.
Status drop_privileges(const std::vector<int>& kept, Programs programs);

/// As many open files as the hard limit lets this process have (it starts with 1024 of them in most places), so that
/// connections of strangers cannot take the last one from a command that must isolate a blade. Never lowers it.
Status raise_descriptor_limit();

}  // namespace understudy
