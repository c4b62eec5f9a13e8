// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The shape of a role's region, with the store "net" as the agents' own. Whoever opens one holds it to that shape: a
/// guest can write another description into its own, and an older version of the role leaves another one behind.

#include <optional>
#include <string>

#include "understudy/link/region_schema.hpp"
#include "understudy/net/records.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::place {

inline shm::RegionSchema region_schema(const link::RoleSpec& spec) {
  return link::region_schema(spec, net::net_store_schema(spec.flow_capacity));
}

/// Refused: it has another schema than `spec` asks for; else as Region::open.
inline Result<shm::Region> open_role_region(const std::string& path, shm::Access access,
                                            std::optional<std::uint64_t> size_bytes, std::uint64_t offset,
                                            const link::RoleSpec& spec) {
  auto found = shm::RegionState::Good;
  auto opened = shm::Region::open(path, access, size_bytes, offset, {Term{}, region_schema(spec)}, &found);
  if (found != shm::RegionState::OtherSchema) { return opened; }
  return failure(
      "region " + path + " was made for another version of role " + spec.id.value + " (" + opened.error().message + ")",
      Errc::Refused);
}

}  // namespace understudy::place
