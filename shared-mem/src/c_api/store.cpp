// SPDX-License-Identifier: Apache-2.0
// The C API of stores: each function is its C++ twin with other argument types.
#include <algorithm>
#include <functional>

#include "handles.hpp"
#include "understudy/app/commit_mirrored.hpp"

namespace us = understudy;
namespace shm = understudy::shm;
using namespace understudy::c_api;  // what every part of the C API is made with

namespace {

bool visited(understudy_visit visit, void* context, const shm::Store::Record& record) {
  return visit(context, record.key.data(), record.value.data(), record.value.size(), record.sequence.value) != 0;
}

us::Result<shm::TableIndex> table_named(const understudy_store* store, const char* name) {
  const auto wanted = text_of(name, "the table's name");
  return wanted ? store->store.table(*wanted) : us::Result<shm::TableIndex>(wanted.error());
}

understudy_mirrored answer_of(us::app::CommitMirrored::Answer answer) {
  using Answer = us::app::CommitMirrored::Answer;
  switch (answer) {
    case Answer::Now:
      return UNDERSTUDY_MIRRORED_NOW;
    case Answer::Exposed:
      return UNDERSTUDY_MIRRORED_EXPOSED;
    case Answer::Wait:
      return UNDERSTUDY_MIRRORED_WAIT;
    case Answer::Expired:
      break;
  }
  return UNDERSTUDY_MIRRORED_EXPIRED;
}

}  // namespace

understudy_status understudy_store_open(const understudy_region* region, const char* name, understudy_store** store) {
  *store = nullptr;
  const auto wanted = text_of(name, "the store's name");
  return wanted ? us::c_api::handed_out(region->region.store(*wanted), store) : told(wanted.error());
}

void understudy_store_close(understudy_store* store) { delete store; }

const understudy_store_schema* understudy_store_schema_of(const understudy_store* store) {
  auto& described = store->described;
  if (!described) { described = std::make_unique<us::c_api::DescribedStores>(std::vector{store->store.schema()}); }
  return described->all().data();
}

understudy_status understudy_store_table(const understudy_store* store, const char* name, uint32_t* table) {
  const auto found = table_named(store, name);
  if (found) { *table = found.value(); }
  return found ? UNDERSTUDY_OK : told(found.error());
}

understudy_status understudy_store_table_sized(const understudy_store* store, const char* name, uint32_t key_bytes,
                                               uint32_t value_bytes, uint32_t* table) {
  const auto found = table_named(store, name);
  if (!found) { return told(found.error()); }
  const auto& schema = store->store.schema().tables[found.value()];
  if (schema.key_bytes != key_bytes || schema.value_bytes != value_bytes) {
    return told(us::failure("table \"" + schema.name + "\" of store \"" + store->store.schema().name +
                                "\" has keys of " + std::to_string(schema.key_bytes) + " and values of " +
                                std::to_string(schema.value_bytes) + " bytes, and this program was built for " +
                                std::to_string(key_bytes) + " and " + std::to_string(value_bytes),
                            us::Errc::BadInput));
  }
  *table = found.value();
  return UNDERSTUDY_OK;
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

understudy_status understudy_store_get_blobs(const understudy_store* store, uint32_t table, size_t count,
                                             const void* keys, void* values, uint32_t* lengths) {
  static_assert(UNDERSTUDY_ABSENT == shm::Store::absent);
  const auto* schema = table_of(store->store, table);
  if (schema == nullptr) { return told(no_table(store->store, table)); }
  const auto got = store->store.get_blobs(table, bytes(keys, count * schema->key_bytes),
                                          bytes(values, count * schema->value_bytes), {lengths, count});
  return got ? UNDERSTUDY_OK : told(got.error());
}

understudy_status understudy_store_read_together(const understudy_store* store, understudy_read read, void* context,
                                                 int tries, uint64_t* at) {
  understudy_status said = UNDERSTUDY_OK;
  const auto read_once = [&]() -> us::Status {
    said = read(context);
    return said == UNDERSTUDY_OK ? us::Status{} : us::failure(understudy_last_error());
  };
  const auto together = store->store.read_together(read_once, tries);
  // What the caller's own function said is said as it was; its text may be the caller's business.
  const bool is_readers = !together && together.error().code == us::Errc::Failed && said != UNDERSTUDY_OK;
  return is_readers ? said : told_with(together, at);
}

understudy_status understudy_store_scan(const understudy_store* store, uint32_t table, uint64_t after,
                                        understudy_visit visit, void* context) {
  return understudy_store_scan_between(store, table, after, visit, nullptr, context);
}

understudy_status understudy_store_scan_between(const understudy_store* store, uint32_t table, uint64_t after,
                                                understudy_visit visit, understudy_between between, void* context) {
  if (table_of(store->store, table) == nullptr) { return told(no_table(store->store, table)); }
  std::function<bool()> pause;
  if (between != nullptr) {
    pause = [&] { return between(context) != 0; };
  }
  return told(store->store.scan(
      table, us::Sequence{after}, [&](const shm::Store::Record& record) { return visited(visit, context, record); },
      pause));
}

understudy_status understudy_store_scan_ordered(const understudy_store* store, uint32_t table, understudy_visit visit,
                                                void* context, uint64_t* at) {
  if (table_of(store->store, table) == nullptr) { return told(no_table(store->store, table)); }
  return told_with(store->store.scan_ordered(
                       table, [&](const shm::Store::Record& record) { return visited(visit, context, record); }),
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
uint64_t understudy_store_purged_up_to(const understudy_store* store) { return store->store.purged_up_to().value; }
uint64_t understudy_store_epoch(const understudy_store* store) { return store->store.epoch(); }

size_t understudy_store_history(const understudy_store* store, understudy_term_start* starts, size_t room) {
  const auto history = store->store.history();
  for (std::size_t i = 0; i < std::min(room, history.size()); ++i) {
    starts[i] = {history[i].term.value, history[i].first.value};
  }
  return history.size();
}

int understudy_store_syncing(const understudy_store* store) { return store->store.syncing() ? 1 : 0; }

int understudy_store_mirrored(const understudy_store* store, uint64_t* acknowledged) {
  const auto mirrored = store->store.mirrored();
  if (acknowledged != nullptr) { *acknowledged = mirrored.acknowledged.value; }
  return mirrored.protected_by_mirror ? 1 : 0;
}

int understudy_store_throttled(const understudy_store* store) { return store->store.throttled() ? 1 : 0; }

uint64_t understudy_store_writer_waited(const understudy_store* store) {
  return static_cast<std::uint64_t>(store->store.writer_waited().count());
}

understudy_mirrored understudy_store_commit_mirrored(const understudy_store* store, uint64_t sequence) {
  constexpr us::Instant never{us::Duration::max()};  // the deadline is the caller's
  return answer_of(
      us::app::CommitMirrored(us::Sequence{sequence}, never).check(store->store.mirrored(), us::Instant{}));
}

understudy_mirrored understudy_store_commit_mirrored_wait(const understudy_store* store, uint64_t sequence,
                                                          uint64_t timeout_ns) {
  constexpr auto longest = static_cast<std::uint64_t>(us::Duration::max().count());
  const us::Duration timeout(static_cast<us::Duration::rep>(std::min(timeout_ns, longest)));
  const auto waited = us::app::commit_mirrored(store->store, us::Sequence{sequence}, timeout);
  if (waited.answer == us::app::CommitMirrored::Answer::Expired) {
    told(us::failure(us::app::describe(waited, store->store, us::Sequence{sequence}), us::Errc::Expired));
  }
  return answer_of(waited.answer);
}

understudy_status understudy_store_become_writer(const understudy_store* store, uint64_t term,
                                                 understudy_writer** writer) {
  return us::c_api::handed_out(store->store.become_writer(us::Term{term}), writer);
}

understudy_status understudy_store_can_become_writer(const understudy_store* store, uint64_t term) {
  return told(store->store.can_become_writer(us::Term{term}));
}
