// SPDX-License-Identifier: Apache-2.0
// The C API of regions, stores, writers and journals: each function is its C++ twin with other argument types.
#include <array>

#include "handles.hpp"
#include "understudy/app/commit_mirrored.hpp"

namespace us = understudy;
namespace shm = understudy::shm;
using us::c_api::told;

namespace understudy::c_api {
namespace {

thread_local std::string last_error;

shm::Bytes bytes(const void* at, std::size_t size) { return {static_cast<const std::byte*>(at), size}; }
std::span<std::byte> bytes(void* at, std::size_t size) { return {static_cast<std::byte*>(at), size}; }

/// The table's description; nothing when there is no such table.
const shm::TableSchema* table_of(const shm::Store& store, std::uint32_t table) {
  const auto& tables = store.schema().tables;
  return table < tables.size() ? &tables[table] : nullptr;
}

Error no_table(const shm::Store& store, std::uint32_t table) {
  return failure("the store \"" + store.schema().name + "\" has no table " + std::to_string(table), Errc::BadInput);
}

bool visited(understudy_visit visit, void* context, const shm::Store::Record& record) {
  return visit(context, record.key.data(), record.value.data(), record.value.size(), record.sequence.value) != 0;
}

/// `sequence` may be NULL.
understudy_status told_with(const Result<Sequence>& result, std::uint64_t* sequence) {
  if (!result) { return c_api::told(result.error()); }
  if (sequence != nullptr) { *sequence = result.value().value; }
  return UNDERSTUDY_OK;
}

/// Of one change: inside a transaction it has no sequence yet, and `sequence` stays as it is.
understudy_status told_of_change(const understudy_writer& writer, const Result<Sequence>& result,
                                 std::uint64_t* sequence) {
  return told_with(result, writer.writer.in_transaction() ? nullptr : sequence);
}

}  // namespace

understudy_status told(const Error& error) {
  static constexpr std::array statuses{UNDERSTUDY_FAILED,  UNDERSTUDY_BAD_INPUT, UNDERSTUDY_NOT_FOUND,
                                       UNDERSTUDY_REFUSED, UNDERSTUDY_FULL,      UNDERSTUDY_EXPIRED,
                                       UNDERSTUDY_DAMAGED};
  last_error = error.message;
  return statuses.at(static_cast<std::size_t>(error.code));
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

namespace {
Result<shm::Wanted> wanted_of(const understudy_wanted* wanted) {
  shm::Wanted known;
  if (wanted == nullptr) { return known; }
  known.lowest_term = Term{wanted->lowest_term};
  if (wanted->stores != nullptr) {
    auto schema = schema_of(wanted->stores, wanted->store_count);
    if (!schema) { return schema.error(); }
    known.schema = std::move(schema).value();
  }
  return known;
}
}  // namespace

}  // namespace understudy::c_api

using us::c_api::bytes;
using us::c_api::no_table;
using us::c_api::table_of;

const char* understudy_last_error(void) { return us::c_api::last_error.c_str(); }

// --- regions ---

understudy_status understudy_region_create(const char* path, uint64_t size_bytes, const understudy_store_schema* stores,
                                           size_t store_count, understudy_region** region) {
  *region = nullptr;
  const auto schema = us::c_api::schema_of(stores, store_count);
  if (!schema) { return told(schema.error()); }
  if (size_bytes == 0) {
    const auto needed = shm::Region::size_needed(*schema);
    if (!needed) { return told(needed.error()); }
    size_bytes = needed.value();
  }
  return us::c_api::handed_out(shm::Region::create(path, size_bytes, *schema), region);
}

understudy_status understudy_region_open(const char* path, int writable, uint64_t size_bytes,
                                         understudy_region** region) {
  const auto size = size_bytes == 0 ? std::nullopt : std::optional(size_bytes);
  return us::c_api::handed_out(shm::Region::open(path, us::c_api::access_of(writable), size), region);
}

understudy_status understudy_region_open_fd(int fd, int writable, uint64_t size_bytes, uint64_t offset,
                                            understudy_region** region) {
  const auto size = size_bytes == 0 ? std::nullopt : std::optional(size_bytes);
  return us::c_api::handed_out(shm::Region::open(fd, us::c_api::access_of(writable), size, offset), region);
}

understudy_status understudy_region_format_fd(int fd, uint64_t size_bytes, uint64_t offset,
                                              const understudy_store_schema* stores, size_t store_count,
                                              understudy_region** region) {
  *region = nullptr;
  const auto schema = us::c_api::schema_of(stores, store_count);
  if (!schema) { return told(schema.error()); }
  return us::c_api::handed_out(shm::Region::format(fd, size_bytes, *schema, offset), region);
}

understudy_status understudy_region_open_wanted(const char* path, int writable, uint64_t size_bytes,
                                                const understudy_wanted* wanted, understudy_region** region) {
  *region = nullptr;
  const auto size = size_bytes == 0 ? std::nullopt : std::optional(size_bytes);
  const auto known = us::c_api::wanted_of(wanted);
  if (!known) { return told(known.error()); }
  return us::c_api::handed_out(shm::Region::open(path, us::c_api::access_of(writable), size, 0, known.value()), region);
}

understudy_region_state understudy_region_inspect(const char* path, uint64_t size_bytes,
                                                  const understudy_wanted* wanted) {
  const auto size = size_bytes == 0 ? std::nullopt : std::optional(size_bytes);
  const auto known = us::c_api::wanted_of(wanted);
  if (!known) { return UNDERSTUDY_REGION_OTHER_SCHEMA; }
  switch (shm::Region::inspect(path, size, 0, known.value())) {
    case shm::RegionState::Absent:
      return UNDERSTUDY_REGION_ABSENT;
    case shm::RegionState::Foreign:
      return UNDERSTUDY_REGION_FOREIGN;
    case shm::RegionState::OtherLayoutVersion:
      return UNDERSTUDY_REGION_OTHER_LAYOUT_VERSION;
    case shm::RegionState::OtherSchema:
      return UNDERSTUDY_REGION_OTHER_SCHEMA;
    case shm::RegionState::Damaged:
      return UNDERSTUDY_REGION_DAMAGED;
    case shm::RegionState::StaleTerm:
      return UNDERSTUDY_REGION_STALE_TERM;
    case shm::RegionState::Good:
      break;
  }
  return UNDERSTUDY_REGION_GOOD;
}

void understudy_region_prefault(const understudy_region* region) {
  if (region != nullptr) { region->region.prefault(); }
}

void understudy_region_close(understudy_region* region) { delete region; }

// --- reading ---

understudy_status understudy_store_open(const understudy_region* region, const char* name, understudy_store** store) {
  return us::c_api::handed_out(region->region.store(name), store);
}

void understudy_store_close(understudy_store* store) { delete store; }

understudy_status understudy_store_table(const understudy_store* store, const char* name, uint32_t* table) {
  const auto found = store->store.table(name);
  if (found) { *table = found.value(); }
  return found ? UNDERSTUDY_OK : told(found.error());
}

understudy_status understudy_store_get(const understudy_store* store, uint32_t table, const void* key, void* value) {
  const auto* schema = table_of(store->store, table);
  if (schema == nullptr) { return told(no_table(store->store, table)); }
  return told(store->store.get(table, bytes(key, schema->key_bytes), bytes(value, schema->value_bytes)));
}

understudy_status understudy_store_get_many(const understudy_store* store, uint32_t table, size_t count,
                                            const void* keys, void* values, uint8_t* found) {
  const auto* schema = table_of(store->store, table);
  if (schema == nullptr) { return told(no_table(store->store, table)); }
  const auto got = store->store.get_many(table, bytes(keys, count * schema->key_bytes),
                                         bytes(values, count * schema->value_bytes), {found, count});
  return got ? UNDERSTUDY_OK : told(got.error());
}

understudy_status understudy_store_get_blob(const understudy_store* store, uint32_t table, const void* key, void* value,
                                            size_t* value_bytes) {
  *value_bytes = 0;
  const auto* schema = table_of(store->store, table);
  if (schema == nullptr) { return told(no_table(store->store, table)); }
  const auto got = store->store.get_blob(table, bytes(key, schema->key_bytes), bytes(value, schema->value_bytes));
  if (got) { *value_bytes = got.value(); }
  return got ? UNDERSTUDY_OK : told(got.error());
}

understudy_status understudy_store_scan(const understudy_store* store, uint32_t table, uint64_t after,
                                        understudy_visit visit, void* context) {
  if (table_of(store->store, table) == nullptr) { return told(no_table(store->store, table)); }
  return told(store->store.scan(table, us::Sequence{after}, [&](const shm::Store::Record& record) {
    return us::c_api::visited(visit, context, record);
  }));
}

understudy_status understudy_store_scan_ordered(const understudy_store* store, uint32_t table, understudy_visit visit,
                                                void* context, uint64_t* at) {
  if (table_of(store->store, table) == nullptr) { return told(no_table(store->store, table)); }
  return us::c_api::told_with(
      store->store.scan_ordered(
          table, [&](const shm::Store::Record& record) { return us::c_api::visited(visit, context, record); }),
      at);
}

uint64_t understudy_store_count(const understudy_store* store, uint32_t table) {
  return table_of(store->store, table) == nullptr ? 0 : store->store.count(table);
}

uint64_t understudy_store_capacity(const understudy_store* store, uint32_t table) {
  return store->store.capacity(table);
}

uint64_t understudy_store_refused_full(const understudy_store* store, uint32_t table) {
  return store->store.refused_full(table);
}

uint64_t understudy_store_committed(const understudy_store* store) { return store->store.committed().value; }
uint64_t understudy_store_term(const understudy_store* store) { return store->store.term().value; }

understudy_mirrored understudy_store_commit_mirrored(const understudy_store* store, uint64_t sequence) {
  using us::app::CommitMirrored;
  constexpr us::Instant never{us::Duration::max()};  // the deadline is the caller's
  switch (CommitMirrored(us::Sequence{sequence}, never).check(store->store.mirrored(), us::Instant{})) {
    case CommitMirrored::Answer::Now:
      return UNDERSTUDY_MIRRORED_NOW;
    case CommitMirrored::Answer::Exposed:
      return UNDERSTUDY_MIRRORED_EXPOSED;
    case CommitMirrored::Answer::Wait:
    case CommitMirrored::Answer::Expired:
      break;
  }
  return UNDERSTUDY_MIRRORED_WAIT;
}

// --- writing ---

understudy_status understudy_store_become_writer(const understudy_store* store, uint64_t term,
                                                 understudy_writer** writer) {
  return us::c_api::handed_out(store->store.become_writer(us::Term{term}), writer);
}

void understudy_writer_close(understudy_writer* writer) { delete writer; }

understudy_status understudy_writer_put(understudy_writer* writer, uint32_t table, const void* key, const void* value,
                                        uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  if (schema->kind == shm::TableKind::Blob) {
    return told(us::failure("table \"" + schema->name + "\" has blobs: understudy_writer_put_blob writes them",
                            us::Errc::BadInput));
  }
  const auto done = writer->writer.put(table, bytes(key, schema->key_bytes), bytes(value, schema->value_bytes));
  return us::c_api::told_of_change(*writer, done, sequence);
}

understudy_status understudy_writer_put_many(understudy_writer* writer, uint32_t table, size_t count, const void* keys,
                                             const void* values, uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  return us::c_api::told_with(writer->writer.put_many(table, bytes(keys, count * schema->key_bytes),
                                                      bytes(values, count * schema->value_bytes)),
                              sequence);
}

understudy_status understudy_writer_put_blob(understudy_writer* writer, uint32_t table, const void* key,
                                             const void* value, size_t value_bytes, uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  const auto done = writer->writer.put(table, bytes(key, schema->key_bytes), bytes(value, value_bytes));
  return us::c_api::told_of_change(*writer, done, sequence);
}

understudy_status understudy_writer_rebuild(understudy_writer* writer, uint32_t table) {
  return told(writer->writer.rebuild(table));
}

understudy_status understudy_writer_erase(understudy_writer* writer, uint32_t table, const void* key,
                                          uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  return us::c_api::told_of_change(*writer, writer->writer.erase(table, bytes(key, schema->key_bytes)), sequence);
}

understudy_status understudy_writer_begin(understudy_writer* writer) { return told(writer->writer.begin()); }

understudy_status understudy_writer_commit(understudy_writer* writer, uint64_t* sequence) {
  return us::c_api::told_with(writer->writer.commit(), sequence);
}

understudy_status understudy_writer_rollback(understudy_writer* writer) { return told(writer->writer.rollback()); }

// --- the journal ---

understudy_status understudy_journal_open(const understudy_store* store, uint64_t after, understudy_journal** journal) {
  *journal = new understudy_journal{store->store, shm::JournalReader(store->store, us::Sequence{after})};
  return UNDERSTUDY_OK;
}

void understudy_journal_close(understudy_journal* journal) { delete journal; }

understudy_status understudy_journal_read(understudy_journal* journal, understudy_visit_change visit, void* context,
                                          size_t* changes) {
  constexpr std::size_t chunk_bytes = 64 * 1024;
  *changes = 0;
  const auto chunk = journal->reader.read(chunk_bytes);
  if (!chunk) { return told(chunk.error()); }
  if (chunk->state == shm::JournalReader::State::Lapped) {
    return told(us::failure("the journal of \"" + journal->store.schema().name + "\" was lapped", us::Errc::Expired));
  }
  if (chunk->state == shm::JournalReader::State::Nothing) { return UNDERSTUDY_OK; }
  return told(shm::for_each_entry(chunk->bytes, [&](const shm::JournalEntry& entry) {
    const bool erased = entry.op == shm::JournalEntry::Op::Erase;
    const understudy_change change{entry.sequence.value,
                                   entry.table,
                                   erased ? 1 : 0,
                                   entry.key.data(),
                                   erased ? nullptr : entry.value.data(),
                                   entry.value.size(),
                                   entry.ends_transaction ? 1 : 0};
    ++*changes;
    visit(context, &change);
  }));
}
