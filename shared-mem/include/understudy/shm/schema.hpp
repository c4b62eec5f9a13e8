// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a region holds: stores (one writer each) with tables of fixed-size records and a journal.

#include <cstdint>
#include <string>
#include <vector>

namespace understudy::shm {

/// One keyed table. Sizes in bytes, as stored; keys and values are trivially copyable structs without padding.
struct TableSchema {
  std::string name;               ///< 1-31 bytes
  std::uint32_t key_bytes = 0;    ///< 1-256
  std::uint32_t value_bytes = 0;  ///< 1-4096
  std::uint64_t capacity = 0;     ///< records that fit for certain
  bool operator==(const TableSchema&) const = default;
};

/// One writer's part of a region.
struct StoreSchema {
  std::string name;                 ///< 1-31 bytes
  std::vector<TableSchema> tables;  ///< 1-16
  std::uint64_t journal_bytes = 0;  ///< ring size, a power of two, at least 64 KiB
  bool operator==(const StoreSchema&) const = default;
};

struct RegionSchema {
  std::vector<StoreSchema> stores;  ///< 1-8
  bool operator==(const RegionSchema&) const = default;
};

}  // namespace understudy::shm
