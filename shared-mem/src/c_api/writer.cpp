// SPDX-License-Identifier: Apache-2.0
// The C API of writers: each function is its C++ twin with other argument types.
#include "handles.hpp"

namespace us = understudy;
namespace shm = understudy::shm;
using namespace understudy::c_api;  // what every part of the C API is made with

namespace {

/// Of one change: inside a transaction it has no sequence yet, and `sequence` stays as it is.
understudy_status told_of_change(const understudy_writer& writer, const us::Result<us::Sequence>& result,
                                 std::uint64_t* sequence) {
  return told_with(result, writer.writer.in_transaction() ? nullptr : sequence);
}

}  // namespace

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
  return told_of_change(*writer, done, sequence);
}

understudy_status understudy_writer_put_many(understudy_writer* writer, uint32_t table, size_t count, const void* keys,
                                             const void* values, uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  return told_with(writer->writer.put_many(table, bytes(keys, count * schema->key_bytes),
                                           bytes(values, count * schema->value_bytes)),
                   sequence);
}

understudy_status understudy_writer_put_blob(understudy_writer* writer, uint32_t table, const void* key,
                                             const void* value, size_t value_bytes, uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  const auto done = writer->writer.put(table, bytes(key, schema->key_bytes), bytes(value, value_bytes));
  return told_of_change(*writer, done, sequence);
}

understudy_status understudy_writer_rebuild(understudy_writer* writer, uint32_t table) {
  return told(writer->writer.rebuild(table));
}

understudy_status understudy_writer_erase(understudy_writer* writer, uint32_t table, const void* key,
                                          uint64_t* sequence) {
  const auto* schema = table_of(writer->writer.store(), table);
  if (schema == nullptr) { return told(no_table(writer->writer.store(), table)); }
  return told_of_change(*writer, writer->writer.erase(table, bytes(key, schema->key_bytes)), sequence);
}

understudy_status understudy_writer_begin(understudy_writer* writer) { return told(writer->writer.begin()); }

understudy_status understudy_writer_commit(understudy_writer* writer, uint64_t* sequence) {
  return told_with(writer->writer.commit(), sequence);
}

understudy_status understudy_writer_rollback(understudy_writer* writer) { return told(writer->writer.rollback()); }

void understudy_writer_never_wait(understudy_writer* writer) { writer->writer.never_wait(); }

int understudy_writer_in_transaction(const understudy_writer* writer) {
  return writer->writer.in_transaction() ? 1 : 0;
}

uint64_t understudy_writer_committed(const understudy_writer* writer) { return writer->writer.committed().value; }

understudy_status understudy_writer_accept_unsynced(understudy_writer* writer) {
  return told(writer->writer.accept_unsynced());
}
