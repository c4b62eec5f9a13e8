// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Agent only. What makers of regions leave behind when they are killed: NAME.new.PID.N, a file of the region's whole
/// size that nobody would ever give back.

#include <functional>
#include <string>
#include <vector>

namespace understudy::shm {

struct Unfinished {
  std::string path;
  int memory = -1;  ///< its name is gone; whoever closes this gives the memory back, which takes a while. -1: it stays
  std::string why_it_stays{};
};

/// Takes the names of those in `folder` whose NAME `wanted` says yes to. A file of any other name, or that its maker
/// has locked, is nobody's business here. One that is a whole region stays: whoever gave it such a name has it for a
/// region.
[[nodiscard]] std::vector<Unfinished> unlink_unfinished(const std::string& folder,
                                                        const std::function<bool(const std::string& name)>& wanted);

}  // namespace understudy::shm
