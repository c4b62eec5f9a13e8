// SPDX-License-Identifier: Apache-2.0
// Errors, schemas and arguments of the C API.
#include "handles.hpp"

#include <array>

namespace understudy::c_api {
namespace {

thread_local std::string last_error;

}  // namespace

understudy_status told(const Error& error) {
  static constexpr std::array statuses{UNDERSTUDY_FAILED,  UNDERSTUDY_BAD_INPUT, UNDERSTUDY_NOT_FOUND,
                                       UNDERSTUDY_REFUSED, UNDERSTUDY_FULL,      UNDERSTUDY_EXPIRED,
                                       UNDERSTUDY_DAMAGED};
  last_error = error.message;
  return statuses.at(static_cast<std::size_t>(error.code));
}

understudy_status told_with(const Result<Sequence>& result, std::uint64_t* sequence) {
  if (!result) { return told(result.error()); }
  if (sequence != nullptr) { *sequence = result.value().value; }
  return UNDERSTUDY_OK;
}

Result<std::string> text_of(const char* passed, const char* what) {
  if (passed == nullptr) { return failure(std::string(what) + " is NULL", Errc::BadInput); }
  return std::string(passed);
}

const shm::TableSchema* table_of(const shm::Store& store, std::uint32_t table) {
  const auto& tables = store.schema().tables;
  return table < tables.size() ? &tables[table] : nullptr;
}

Error no_table(const shm::Store& store, std::uint32_t table) {
  return failure("the store \"" + store.schema().name + "\" has no table " + std::to_string(table), Errc::BadInput);
}

Result<shm::StoreSchema> schema_of(const understudy_store_schema* described) {
  if (described == nullptr || described->name == nullptr || (described->tables == nullptr && described->table_count)) {
    return failure("a store's schema needs a name and its tables", Errc::BadInput);
  }
  shm::StoreSchema schema{described->name, {}, described->journal_bytes, described->arena_bytes};
  for (std::size_t i = 0; i < described->table_count; ++i) {
    const auto& table = described->tables[i];
    if (table.name == nullptr) {
      return failure("table " + std::to_string(i) + " of the store \"" + schema.name + "\" has no name",
                     Errc::BadInput);
    }
    schema.tables.push_back({table.name, table.key_bytes, table.value_bytes, table.capacity,
                             static_cast<shm::TableKind>(table.kind), table.capacity_max});
  }
  return schema;
}

Result<shm::RegionSchema> schema_of(const understudy_store_schema* stores, std::size_t count) {
  shm::RegionSchema schema;
  for (std::size_t i = 0; i < count; ++i) {
    auto store = schema_of(stores + i);
    if (!store) { return store.error(); }
    schema.stores.push_back(std::move(store).value());
  }
  return schema;
}

DescribedStores::DescribedStores(std::vector<shm::StoreSchema> stores) : stores_(std::move(stores)) {
  tables_.reserve(stores_.size());
  for (const auto& store : stores_) {
    auto& tables = tables_.emplace_back();
    for (const auto& table : store.tables) {
      tables.push_back({table.name.c_str(), table.key_bytes, table.value_bytes, table.capacity,
                        static_cast<understudy_table_kind>(table.kind), table.capacity_max});
    }
    described_.push_back({store.name.c_str(), tables.data(), tables.size(), store.journal_bytes, store.arena_bytes});
  }
}

}  // namespace understudy::c_api

const char* understudy_last_error(void) { return understudy::c_api::last_error.c_str(); }
