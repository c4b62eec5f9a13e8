// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Schema <-> header bytes, and the plan: where everything lies. The plan follows from the checked schema alone;
/// offsets found in a region are only compared with it, never used.

#include <cstdint>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::shm {

struct TablePlan {
  std::uint64_t slot_count = 0;
  std::uint64_t slots_offset = 0;
  std::uint64_t grown_slot_count = 0;  ///< 0: cannot be rebuilt
  std::uint64_t grown_slots_offset = 0;
  std::uint64_t slab_bytes = 0;  ///< 0: no slabs
  std::uint64_t slab_count = 0;
  std::uint64_t slabs_offset = 0;
};
struct StorePlan {
  std::uint64_t control_offset = 0;
  std::uint64_t journal_offset = 0;
  std::uint64_t arena_offset = 0;  ///< 0: no arena
  std::vector<TablePlan> tables;
};
struct RegionPlan {
  std::vector<StorePlan> stores;
  std::uint64_t bytes = 0;  ///< all of it
};

/// Checks every limit of schema.hpp. BadInput.
Status check_schema(const RegionSchema& schema);

/// `schema` has been checked. BadInput when it is larger than any memory.
Result<RegionPlan> plan_region(const RegionSchema& schema);

/// The header for this schema, without its magic.
layout::RegionHeader describe(const RegionSchema& schema, const RegionPlan& plan, std::uint64_t region_bytes,
                              std::uint64_t hash_seed);

std::uint32_t description_checksum(const layout::RegionHeader& header);

/// The schema in a header whose checksum fits. BadInput: not one that this program could have written.
Result<RegionSchema> read_schema(const layout::RegionHeader& header);

}  // namespace understudy::shm
