// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The shape of a role's region, with the store "net" as the agents' own.

#include "understudy/link/region_schema.hpp"
#include "understudy/net/records.hpp"

namespace understudy::place {

inline shm::RegionSchema region_schema(const link::RoleSpec& spec) {
  return link::region_schema(spec, net::net_store_schema(spec.flow_capacity));
}

}  // namespace understudy::place
