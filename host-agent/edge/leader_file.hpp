// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The leader that this blade heard last, in run_dir: a restarted host-agent obeys no older one (leader_guard.hpp). Not
/// over a reboot, after which the blade holds nothing that an old order could spoil.

#include <string>

#include "understudy/link/leader_guard.hpp"

namespace understudy::host {

Status write_heard_leader(const std::string& run_dir, const link::HeardLeader& heard);
/// Nobody, when there is no file or it is damaged (told in the log).
link::HeardLeader read_heard_leader(const std::string& run_dir);

}  // namespace understudy::host
