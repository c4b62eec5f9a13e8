// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What opening finds, for whoever opens, looks or has just formatted.

#include <memory>

#include "mapping.hpp"
#include "region_impl.hpp"

namespace understudy::shm {

/// `impl` when it is Good, else `error`.
struct Opened {
  RegionState state = RegionState::Damaged;
  std::shared_ptr<Region_impl> impl;
  Error error;
};
Opened open_checked(const Source& source, Access access, const Wanted& wanted);

/// A region of so many bytes can hold `plan`.
Status check_size(std::uint64_t size_bytes, const RegionPlan& plan);

}  // namespace understudy::shm
