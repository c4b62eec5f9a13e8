// SPDX-License-Identifier: Apache-2.0
#include "description.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "understudy/shm/crc32c.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t bytes_max = std::uint64_t{1} << 46;  // far beyond any memory, far from overflow

bool good_name(const std::string& name) {
  return !name.empty() && name.size() < layout::name_bytes && name.find('\0') == std::string::npos;
}

Status check_table(const TableSchema& table) {
  const auto bad = [&](const std::string& what) {
    return failure("table \"" + table.name.substr(0, 64) + "\": " + what, Errc::BadInput);
  };
  if (!good_name(table.name)) { return bad("a name has 1 to 31 bytes"); }
  if (table.key_bytes < 1 || table.key_bytes > layout::key_bytes_max) {
    return bad("a key has 1 to 256 bytes, not " + std::to_string(table.key_bytes));
  }
  if (table.value_bytes < 1 || table.value_bytes > layout::value_bytes_max) {
    return bad("a value has 1 to 4096 bytes, not " + std::to_string(table.value_bytes));
  }
  if (table.capacity < 1 || table.capacity > std::uint64_t{1} << 32) {
    return bad("capacity " + std::to_string(table.capacity) + " is not between 1 and 2^32");
  }
  return {};
}

Status check_store(const StoreSchema& store) {
  const auto bad = [&](const std::string& what) {
    return failure("store \"" + store.name.substr(0, 64) + "\": " + what, Errc::BadInput);
  };
  if (!good_name(store.name)) { return bad("a name has 1 to 31 bytes"); }
  if (store.tables.empty() || store.tables.size() > layout::tables_max) { return bad("it has 1 to 16 tables"); }
  if (!std::has_single_bit(store.journal_bytes) || store.journal_bytes < layout::journal_bytes_min ||
      store.journal_bytes > bytes_max) {
    return bad("journal_bytes " + std::to_string(store.journal_bytes) + " is not a power of two of 64 KiB or more");
  }
  std::set<std::string> names;
  for (const auto& table : store.tables) {
    if (auto checked = check_table(table); !checked) { return checked.error(); }
    if (!names.insert(table.name).second) { return bad("two tables are called \"" + table.name + "\""); }
  }
  return {};
}

template <std::size_t Size>
void write_name(char (&to)[Size], const std::string& name) {
  std::memcpy(to, name.data(), std::min(name.size(), Size - 1));
}

template <std::size_t Size>
std::string read_name(const char (&from)[Size]) {
  return {from, strnlen(from, Size)};
}

constexpr std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + layout::page_bytes - 1) / layout::page_bytes * layout::page_bytes;
}

}  // namespace

Status check_schema(const RegionSchema& schema) {
  if (schema.stores.empty() || schema.stores.size() > layout::stores_max) {
    return failure("a region has 1 to 8 stores, not " + std::to_string(schema.stores.size()), Errc::BadInput);
  }
  std::set<std::string> names;
  for (const auto& store : schema.stores) {
    if (auto checked = check_store(store); !checked) { return checked.error(); }
    if (!names.insert(store.name).second) {
      return failure("two stores are called \"" + store.name + "\"", Errc::BadInput);
    }
  }
  return {};
}

Result<RegionPlan> plan_region(const RegionSchema& schema) {
  RegionPlan plan;
  std::uint64_t at = layout::header_area_bytes;
  for (const auto& store : schema.stores) {
    StorePlan placed;
    placed.control_offset = at;
    placed.journal_offset = at + layout::page_bytes;
    at = placed.journal_offset + store.journal_bytes;
    for (const auto& table : store.tables) {
      placed.slots_offsets.push_back(at);
      const std::uint64_t slots = layout::slots_for(table.capacity);  // at most 2^34 slots of at most 8.5 KB
      at += whole_pages(slots * 8 * layout::slot_words(table.key_bytes, table.value_bytes));
      if (at > bytes_max) { return failure("the schema needs more than 64 TiB", Errc::BadInput); }
    }
    plan.stores.push_back(std::move(placed));
  }
  plan.bytes = at;
  return plan;
}

layout::RegionHeader describe(const RegionSchema& schema, const RegionPlan& plan, std::uint64_t region_bytes,
                              std::uint64_t hash_seed) {
  layout::RegionHeader header{};
  header.layout_version = layout::layout_version;
  header.header_bytes = sizeof header;
  header.region_bytes = region_bytes;
  header.hash_seed = hash_seed;
  header.store_count = static_cast<std::uint32_t>(schema.stores.size());
  for (std::size_t s = 0; s < schema.stores.size(); ++s) {
    const auto& store = schema.stores[s];
    auto& to = header.stores[s];
    write_name(to.name, store.name);
    to.journal_bytes = store.journal_bytes;
    to.control_offset = plan.stores[s].control_offset;
    to.journal_offset = plan.stores[s].journal_offset;
    to.table_count = static_cast<std::uint32_t>(store.tables.size());
    for (std::size_t t = 0; t < store.tables.size(); ++t) {
      const auto& table = store.tables[t];
      write_name(to.tables[t].name, table.name);
      to.tables[t].key_bytes = table.key_bytes;
      to.tables[t].value_bytes = table.value_bytes;
      to.tables[t].capacity = table.capacity;
      to.tables[t].slot_count = layout::slots_for(table.capacity);
      to.tables[t].slots_offset = plan.stores[s].slots_offsets[t];
    }
  }
  header.description_crc32c = description_checksum(header);
  return header;
}

std::uint32_t description_checksum(const layout::RegionHeader& header) {
  layout::RegionHeader copy = header;
  copy.magic = 0;
  copy.description_crc32c = 0;
  return crc32c(std::as_bytes(std::span(&copy, 1)));
}

Result<RegionSchema> read_schema(const layout::RegionHeader& header) {
  if (header.store_count > layout::stores_max) { return failure("more than 8 stores", Errc::BadInput); }
  RegionSchema schema;
  for (std::size_t s = 0; s < header.store_count; ++s) {
    const auto& from = header.stores[s];
    if (from.table_count > layout::tables_max) { return failure("more than 16 tables", Errc::BadInput); }
    StoreSchema store{read_name(from.name), {}, from.journal_bytes};
    for (std::size_t t = 0; t < from.table_count; ++t) {
      const auto& table = from.tables[t];
      store.tables.push_back({read_name(table.name), table.key_bytes, table.value_bytes, table.capacity});
    }
    schema.stores.push_back(std::move(store));
  }
  if (auto checked = check_schema(schema); !checked) { return checked.error(); }
  auto plan = plan_region(schema);
  if (!plan) { return plan.error(); }
  const auto expected = describe(schema, *plan, header.region_bytes, header.hash_seed);
  if (expected.description_crc32c != header.description_crc32c) {
    return failure("the stored offsets are not the ones that follow from the schema", Errc::BadInput);
  }
  return schema;
}

}  // namespace understudy::shm
