// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The shape of a role's region: the agents' store and the application's own. Made from the role's bundle alone, so it
/// is the same on the active, in the mirror, on the standby's host, and for the control-server that checks the bundle.

#include "understudy/link/messages.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::link {

inline shm::RegionSchema region_schema(const RoleSpec& spec, shm::StoreSchema agents_store) {
  shm::RegionSchema schema{{std::move(agents_store)}};
  if (!spec.application.store.empty()) {
    shm::StoreSchema store{spec.application.store, {}, spec.application.journal_bytes};
    for (const auto& table : spec.application.tables) {
      store.tables.push_back({table.name, table.key_bytes, table.value_bytes, table.capacity,
                              static_cast<shm::TableKind>(table.kind), table.capacity_max});
      if (shm::is_arena_table(store.tables.back())) { store.arena_bytes = table.capacity * shm::arena_page_bytes; }
    }
    schema.stores.push_back(std::move(store));
  }
  return schema;
}

}  // namespace understudy::link
