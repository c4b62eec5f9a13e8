// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a region holds: stores (one writer each) with tables and a journal.

#include <cstdint>
#include <string>
#include <vector>

namespace understudy::shm {

/// How a table keeps its records.
enum class TableKind : std::uint32_t {
  Hashed = 0,  ///< any key, values of one size
  Blob = 1,    ///< any key, values of 0 to value_bytes bytes
  Dense = 2,   ///< the key is a std::uint64_t below capacity; values of one size, found without looking for them
};

/// One keyed table. Sizes in bytes, as stored; keys and values are trivially copyable structs without padding.
struct TableSchema {
  std::string name;               ///< 1-31 bytes
  std::uint32_t key_bytes = 0;    ///< 1-256; of a dense table 8
  std::uint32_t value_bytes = 0;  ///< 1-4096; of a blob table the largest, 1-65536
  std::uint64_t capacity = 0;     ///< records that fit for certain
  TableKind kind = TableKind::Hashed;
  std::uint64_t capacity_max = 0;  ///< above capacity: what a rebuild brings, reserved as well. 0: no rebuild
  bool operator==(const TableSchema&) const = default;
  [[nodiscard]] bool can_grow() const { return capacity_max > capacity; }
};

/// The dense table that holds the checkpointed pages of a store's arena.
inline constexpr const char* arena_table_name = "arena";
inline constexpr std::uint32_t arena_page_bytes = 4096;
[[nodiscard]] inline TableSchema arena_table(std::uint64_t pages) {
  return {arena_table_name, sizeof(std::uint64_t), arena_page_bytes, pages, TableKind::Dense};
}
[[nodiscard]] inline bool is_arena_table(const TableSchema& table) {
  return table.name == arena_table_name && table.kind == TableKind::Dense && table.value_bytes == arena_page_bytes;
}

/// One writer's part of a region.
struct StoreSchema {
  std::string name;                 ///< 1-31 bytes
  std::vector<TableSchema> tables;  ///< 1-16
  std::uint64_t journal_bytes = 0;  ///< ring size, a power of two, at least 64 KiB and room for two largest entries
  std::uint64_t arena_bytes = 0;    ///< whole pages; 0: no arena. Set by with_arena() (arena.hpp)
  bool operator==(const StoreSchema&) const = default;
};

struct RegionSchema {
  std::vector<StoreSchema> stores;  ///< 1-8
  bool operator==(const RegionSchema&) const = default;
};

}  // namespace understudy::shm
