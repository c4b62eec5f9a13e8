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
static_assert(static_cast<std::uint32_t>(TableKind::Hashed) == layout::table_hashed &&
              static_cast<std::uint32_t>(TableKind::Blob) == layout::table_blob &&
              static_cast<std::uint32_t>(TableKind::Dense) == layout::table_dense);

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
  const bool blob = table.kind == TableKind::Blob;
  const std::uint32_t value_bytes_max = blob ? layout::blob_bytes_max : layout::value_bytes_max;
  if (table.value_bytes < 1 || table.value_bytes > value_bytes_max) {
    return bad("a value has 1 to " + std::to_string(value_bytes_max) + " bytes, not " +
               std::to_string(table.value_bytes));
  }
  const unsigned bits = blob ? 31 : 32;  // a slab's index has 32, and there are more slabs than records
  if (table.capacity < 1 || table.capacity > std::uint64_t{1} << bits) {
    return bad("capacity " + std::to_string(table.capacity) + " is not between 1 and 2^" + std::to_string(bits));
  }
  if (table.capacity_max != 0 &&
      (table.capacity_max <= table.capacity || table.capacity_max > std::uint64_t{1} << bits)) {
    return bad("capacity_max " + std::to_string(table.capacity_max) + " is not above the capacity and at most 2^" +
               std::to_string(bits));
  }
  switch (table.kind) {
    case TableKind::Hashed:
    case TableKind::Blob:
      return {};
    case TableKind::Dense:
      if (table.key_bytes != sizeof(std::uint64_t)) { return bad("a dense table's key has 8 bytes"); }
      if (table.can_grow()) { return bad("a dense table has one capacity for ever"); }
      return {};
  }
  return bad("kind " + std::to_string(static_cast<std::uint32_t>(table.kind)) + " is none");
}

/// A live area needs its table of checkpointed pages (with_arena() makes it).
Status check_arena(const StoreSchema& store) {
  const std::uint64_t pages = store.arena_bytes / layout::page_bytes;
  if (store.arena_bytes == 0) { return {}; }
  if (std::ranges::find(store.tables, arena_table(pages)) != store.tables.end()) { return {}; }
  return failure("store \"" + store.name + "\": an arena of " + std::to_string(store.arena_bytes) +
                     " bytes needs a dense table \"" + arena_table_name + "\" of " + std::to_string(pages) +
                     " pages of 4096 bytes",
                 Errc::BadInput);
}

/// The largest entry of any of its tables.
std::uint64_t largest_entry(const StoreSchema& store) {
  std::uint64_t largest = 0;
  for (const auto& table : store.tables) {
    largest = std::max(largest, layout::entry_bytes(table.key_bytes, table.value_bytes));
  }
  return largest;
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
  if (2 * largest_entry(store) > store.journal_bytes) {
    return bad("journal_bytes " + std::to_string(store.journal_bytes) + " does not hold two of its largest changes");
  }
  if (store.arena_bytes % layout::page_bytes != 0 || store.arena_bytes > bytes_max) {
    return bad("arena_bytes " + std::to_string(store.arena_bytes) + " is not a number of whole pages of 4096 bytes");
  }
  return check_arena(store);
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

std::uint64_t slot_bytes(const TableSchema& table) {
  switch (table.kind) {
    case TableKind::Blob:
      return 8 * layout::slot_words(table.key_bytes, sizeof(layout::blob_ref(0, 0)));
    case TableKind::Dense:
      return 8 * layout::slot_words(0, table.value_bytes);
    case TableKind::Hashed:
      break;
  }
  return 8 * layout::slot_words(table.key_bytes, table.value_bytes);
}

void describe_table(layout::TableDescription& to, const TableSchema& table, const TablePlan& plan) {
  write_name(to.name, table.name);
  to.key_bytes = table.key_bytes;
  to.value_bytes = table.value_bytes;
  to.kind = static_cast<std::uint32_t>(table.kind);
  to.capacity = table.capacity;
  to.capacity_max = std::max(table.capacity, table.capacity_max);
  to.slot_count = plan.slot_count;
  to.slots_offset = plan.slots_offset;
  to.grown_slot_count = plan.grown_slot_count;
  to.grown_slots_offset = plan.grown_slots_offset;
  to.slab_bytes = plan.slab_bytes;
  to.slab_count = plan.slab_count;
  to.slabs_offset = plan.slabs_offset;
}

/// Places a table at `at` and moves it behind the table. No product here overflows: check_schema() bounds them.
TablePlan place_table(const TableSchema& table, std::uint64_t& at) {
  TablePlan placed;
  const std::uint64_t bytes = slot_bytes(table);
  placed.slot_count = table.kind == TableKind::Dense ? table.capacity : layout::slots_for(table.capacity);
  placed.slots_offset = at;
  at += whole_pages(placed.slot_count * bytes);
  if (table.can_grow()) {
    placed.grown_slot_count = layout::slots_for(table.capacity_max);  // never dense: check_table()
    placed.grown_slots_offset = at;
    at += whole_pages(placed.grown_slot_count * bytes);
  }
  if (table.kind == TableKind::Blob) {
    placed.slab_bytes = layout::slab_bytes(table.value_bytes);
    placed.slab_count = layout::slabs_for(std::max(table.capacity, table.capacity_max));
    placed.slabs_offset = at;
    at += whole_pages(placed.slab_count * placed.slab_bytes);
  }
  return placed;
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
      placed.tables.push_back(place_table(table, at));
      if (at > bytes_max) { return failure("the schema needs more than 64 TiB", Errc::BadInput); }
    }
    if (store.arena_bytes != 0) {
      placed.arena_offset = at;
      at += store.arena_bytes;
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
    to.arena_bytes = store.arena_bytes;
    to.arena_offset = plan.stores[s].arena_offset;
    to.table_count = static_cast<std::uint32_t>(store.tables.size());
    for (std::size_t t = 0; t < store.tables.size(); ++t) {
      describe_table(to.tables[t], store.tables[t], plan.stores[s].tables[t]);
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
    StoreSchema store{read_name(from.name), {}, from.journal_bytes, from.arena_bytes};
    for (std::size_t t = 0; t < from.table_count; ++t) {
      const auto& table = from.tables[t];
      const bool can_grow = table.capacity_max != table.capacity;
      store.tables.push_back({read_name(table.name), table.key_bytes, table.value_bytes, table.capacity,
                              static_cast<TableKind>(table.kind), can_grow ? table.capacity_max : 0});
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
