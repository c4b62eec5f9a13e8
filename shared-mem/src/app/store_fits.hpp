// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Is the store in a region the one that an application was built for? Its code reads and writes structs of fixed sizes
/// in tables that it names or numbers: these must be the region's. How many records fit, how long the journal and how
/// large the arena is, is for the group's configuration to choose.
///
/// The region's schema is a copy that was made and checked when it was opened, so that nobody changes it afterwards.

#include <string>

#include "understudy/common/result.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::app {

/// Damaged, as Region::open says of another schema: the message names what differs and where both are written down.
[[nodiscard]] Status check_store_fits(const shm::StoreSchema& program, const shm::StoreSchema& found,
                                      const std::string& region_path);

}  // namespace understudy::app
