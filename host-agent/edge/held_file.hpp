// SPDX-License-Identifier: Apache-2.0
#pragma once
/// <run_dir>/held-<role>.json: what this blade holds of a role, for the next daemon (core/held_record.hpp). Of another
/// boot it means nothing: the kernel's state, the processes and the regions are gone with it.
/// <run_dir>/given-up-<role>.json: the highest term of a role that it does not hold any more.

#include <string>
#include <vector>

#include "core/held_record.hpp"
#include "understudy/common/result.hpp"

namespace understudy::host {

Status write_held(const std::string& run_dir, const std::string& boot_id, const HeldRecord& record);
/// Its terms are written down before its record goes; a failure leaves the record.
Status give_up_held(const std::string& run_dir, const std::string& boot_id, const GivenUp& left);

struct HeldFiles {
  std::vector<HeldRecord> records;    ///< of this boot, in order of role
  std::vector<GivenUp> given_up;      ///< likewise
  std::vector<std::string> problems;  ///< files that cannot be read, one sentence each
};
[[nodiscard]] HeldFiles read_held(const std::string& run_dir, const std::string& boot_id);

}  // namespace understudy::host
