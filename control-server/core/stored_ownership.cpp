// SPDX-License-Identifier: Apache-2.0
#include "core/stored_ownership.hpp"

namespace understudy::control {

Status check_change(const Ownership& now, Term expected, Term expected_reserved, const Ownership& next) {
  const bool grows = next.term >= now.term && next.highest() >= now.highest() &&
                     (next.term > now.term || next.reserved > now.reserved);
  Ownership released = now;
  released.leased = !now.leased;
  const bool only_the_lease = now.term.value != 0 && next == released;
  if (now.term == expected && now.reserved == expected_reserved && (grows || only_the_lease)) { return {}; }
  return failure(next.role.value + " is stored under term " + std::to_string(now.term.value) + " (reserved " +
                     std::to_string(now.reserved.value) + "); asked was " + std::to_string(expected.value) +
                     " (reserved " + std::to_string(expected_reserved.value) + ") to " +
                     std::to_string(next.term.value) + " (reserved " + std::to_string(next.reserved.value) + ")",
                 Errc::Refused);
}

bool is_written(const StoredOwnership& known, const Ownership& next, std::uint64_t token) {
  return known.ownership == next && known.token == token;
}

Status judge_refusal(const RoleId& role, const Ownership& next, std::uint64_t token, std::uint64_t leader,
                     const std::optional<StoredOwnership>& found) {
  if (leader != token) { return deposed(); }
  if (!found) { return failure(role.value + " has vanished from etcd: somebody deleted its key", Errc::Refused); }
  if (is_written(*found, next, token)) { return {}; }
  return failure(role.value + " was changed in etcd by somebody else: it is stored under term " +
                     std::to_string(found->ownership.term.value) + " at " + to_string(found->ownership.place),
                 Errc::Refused);
}

Error deposed() { return failure("this control-server does not lead any more: nothing was written", Errc::Expired); }

}  // namespace understudy::control
