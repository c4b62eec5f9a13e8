// SPDX-License-Identifier: Apache-2.0
#include "store_fits.hpp"

namespace understudy::app {
namespace {

const char* name_of(shm::TableKind kind) {
  switch (kind) {
    case shm::TableKind::Blob:
      return "blob";
    case shm::TableKind::Dense:
      return "dense";
    case shm::TableKind::Hashed:
      break;
  }
  return "hashed";
}

std::string shape_of(const shm::TableSchema& table) {
  return std::string("a ") + name_of(table.kind) + " table \"" + table.name + "\" with keys of " +
         std::to_string(table.key_bytes) + " and values of " + std::to_string(table.value_bytes) + " bytes";
}

bool same_shape(const shm::TableSchema& a, const shm::TableSchema& b) {
  return a.name == b.name && a.kind == b.kind && a.key_bytes == b.key_bytes && a.value_bytes == b.value_bytes;
}

/// Nothing: it fits.
std::string difference(const shm::StoreSchema& program, const shm::StoreSchema& found) {
  if (program.tables.size() != found.tables.size()) {
    return "it has " + std::to_string(found.tables.size()) + " tables, and this program was built for " +
           std::to_string(program.tables.size());
  }
  for (std::size_t i = 0; i < program.tables.size(); ++i) {
    if (same_shape(program.tables[i], found.tables[i])) { continue; }
    return "number " + std::to_string(i) + " is " + shape_of(found.tables[i]) + ", and this program was built for " +
           shape_of(program.tables[i]);
  }
  if ((program.arena_bytes != 0) == (found.arena_bytes != 0)) { return ""; }
  return found.arena_bytes != 0 ? "it has an arena, and this program was built for one without"
                                : "it has no arena, and this program was built for one with an arena";
}

}  // namespace

Status check_store_fits(const shm::StoreSchema& program, const shm::StoreSchema& found,
                        const std::string& region_path) {
  const auto what = difference(program, found);
  if (what.empty()) { return {}; }
  return failure("the store \"" + found.name + "\" of " + region_path + " is of another schema than this program's: " +
                     what + ". The role's [[role.application.table]] lines in group.toml must be this program's, on " +
                     "every blade the same version of it",
                 Errc::Damaged);
}

}  // namespace understudy::app
