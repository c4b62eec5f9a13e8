// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The shape of a role's region: the store "net" of the agents and the application's own store. The same on the
/// active, in the mirror and on the standby's host, since it is made from the role's bundle alone.

#include "understudy/link/messages.hpp"
#include "understudy/net/records.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::place {

inline shm::RegionSchema region_schema(const link::RoleSpec& spec) {
  shm::RegionSchema schema;
  schema.stores.push_back(net::net_store_schema(spec.flow_capacity));
  if (!spec.application.store.empty()) {
    shm::StoreSchema store{spec.application.store, {}, spec.application.journal_bytes};
    for (const auto& table : spec.application.tables) {
      store.tables.push_back({table.name, table.key_bytes, table.value_bytes, table.capacity});
    }
    schema.stores.push_back(std::move(store));
  }
  return schema;
}

}  // namespace understudy::place
