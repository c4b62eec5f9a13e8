// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a blade writes down of a role before it acts on it, so that a restarted daemon adopts what is really there
/// (D13).

#include <cstdint>
#include <optional>

#include "understudy/link/messages.hpp"

namespace understudy::host {

enum class RoleStage : std::uint8_t {
  PreparingHost,
  OpeningHost,
  ServingHost,
  ClosingHost,
  HandingOver,
  StartingGuest,
  Mirroring,
  Activating,
  OpeningMirror,
  ServingMirror,
  ClosingMirror,
  Moving,
};
[[nodiscard]] const char* to_string(RoleStage stage);

struct HeldRecord {
  link::RoleSpec spec;
  RoleStage stage = RoleStage::PreparingHost;
  Term term;                                 ///< of what this blade holds
  Term move_term;                            ///< Moving: reserved for the host
  bool moved = false;                        ///< on this host in a namespace of its own, where a movement brought it
  std::optional<link::RunMirror> mirror;     ///< the order that its guest follows
  Term spent = {};                           ///< of an activation that failed: nobody else may have it
  bool spoiled = false;                      ///< its guest wrote its region itself: it is no mirror any more
  std::optional<link::ArmLease> lease = {};  ///< ServingHost: what keeps its gate open
  Term highest = {};                         ///< that this blade ever held or gave up of the role, in this boot
  bool operator==(const HeldRecord&) const = default;
};

/// What is left to remember of a role that is not held any more: its state store may be lost, and must not give the
/// same term again while a region that was written under it may be there. A reboot takes the regions, and this too.
struct GivenUp {
  RoleId role;
  Term highest;
  bool operator==(const GivenUp&) const = default;
};

/// What the edge found besides the record, before it adopts.
struct HostFindings {
  bool gate_open = false;  ///< ServingHost: all of the role's ports, by the kernel's word
  bool committed = false;  ///< Moving: the commit's record of `move_term` is there
};

}  // namespace understudy::host
