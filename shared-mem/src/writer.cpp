// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"
#include "table_writing.hpp"

#include <algorithm>
#include <cstring>

namespace understudy::shm {

StoreWriter::StoreWriter(std::unique_ptr<StoreWriter::Impl> impl) : impl_(std::move(impl)) {}
StoreWriter::StoreWriter(StoreWriter&&) noexcept = default;
StoreWriter& StoreWriter::operator=(StoreWriter&&) noexcept = default;
StoreWriter::~StoreWriter() = default;

Sequence StoreWriter::committed() const { return Sequence{impl_->committed}; }
const Store& StoreWriter::store() const { return impl_->store; }
bool StoreWriter::in_transaction() const { return impl_->in_transaction; }

Result<Sequence> StoreWriter::erase(TableIndex table, Bytes key) {
  if (!impl_->can_change(table, key, {}, layout::op_erase)) [[unlikely]] { return impl_->cannot_change(table); }
  const Change change{impl_->committed + 1, layout::op_erase, true, table, key, {}};
  return impl_->in_transaction ? impl_->buffer(change) : impl_->write_one(change);
}

void StoreWriter::never_wait() {
  impl_->waits = false;
  impl_->ask_from = ~std::uint64_t{0};
}

Status StoreWriter::begin() {
  if (impl_->in_transaction) { return failure("a transaction is open already", Errc::BadInput); }
  impl_->in_transaction = true;
  impl_->changes.clear();
  impl_->hashes_seen.fill(0);
  impl_->arena_used = 0;
  impl_->transaction_bytes = 0;
  impl_->records_after = impl_->records;
  return {};
}

Result<Sequence> StoreWriter::commit() {
  if (!impl_->in_transaction) { return failure("no transaction is open", Errc::BadInput); }
  impl_->in_transaction = false;
  if (auto ours = impl_->check_ours(); !ours) { return ours.error(); }
  if (impl_->changes.empty()) { return committed(); }
  if (!impl_->may_go_on(impl_->transaction_bytes)) { return impl_->not_ours(); }
  impl_->changes.back().ends_transaction = true;
  impl_->note_own_term();
  if (auto done = impl_->commit_all(impl_->changes); !done) { return done.error(); }
  return committed();
}

Status StoreWriter::rollback() {
  if (!impl_->in_transaction) { return failure("no transaction is open", Errc::BadInput); }
  impl_->in_transaction = false;
  return {};
}

Error StoreWriter::Impl::not_ours() const {
  if (generation != process_generation) {
    return failure("store \"" + store.schema().name +
                       "\" is written by the process that this one was forked from: a forked child may read it, and "
                       "write only once it has become the writer itself",
                   Errc::Refused);
  }
  return failure("store \"" + store.schema().name + "\" has another writer by now (term " +
                     std::to_string(words::load(&control.writer.term)) + ", epoch " +
                     std::to_string(words::load(&control.writer.epoch)) + ")",
                 Errc::Refused);
}

/// Is it ours to write, and does the change fit its table? The reasons are told by cannot_change().
bool StoreWriter::Impl::can_change(TableIndex table, Bytes key, Bytes value, std::uint8_t op) const {
  if (!can_write() || table >= tables.size()) { return false; }
  const std::size_t value_bytes = op == layout::op_put ? tables[table].value_bytes() : 0;
  const bool fits = value.size() == value_bytes ||
                    (slabs[table].exist() && op == layout::op_put && value.size() <= slabs[table].value_bytes());
  return fits && key.size() == tables[table].key_bytes() && tables[table].can_hold(key);
}

Error StoreWriter::Impl::cannot_change(TableIndex table) const {
  if (!still_ours()) { return not_ours(); }
  if (sync != 0) { return failure("store \"" + store.schema().name + "\" is not synced", Errc::Refused); }
  if (table >= tables.size()) { return failure("no table " + std::to_string(table), Errc::BadInput); }
  if (committed > layout::sequence_max - max_transaction) { return failure("no sequence numbers left", Errc::Full); }
  if (store.schema().tables[table].kind == TableKind::Dense) {
    return failure("dense table \"" + store.schema().tables[table].name + "\": the key is not below its " +
                       std::to_string(tables[table].slot_count()) + " slots, or a size is wrong",
                   Errc::BadInput);
  }
  return wrong_size(table);
}

Error StoreWriter::Impl::wrong_size(TableIndex table) const {
  return failure("key or value has not the size of table \"" + store.schema().tables[table].name + "\"",
                 Errc::BadInput);
}

Error StoreWriter::Impl::no_room(TableIndex table, bool at_capacity) const {
  if (at_capacity) { return is_full(table); }
  return failure("table \"" + store.schema().tables[table].name + "\" has no slot or slab left", Errc::Damaged);
}

/// Counted in the region too, so that whoever watches it can say so: the writer may be a program without an operator.
Error StoreWriter::Impl::is_full(TableIndex table) const {
  auto& counter = control.tables[table].refused_full;
  words::publish(&counter, words::load(&counter) + 1);
  const TableSchema& described = store.schema().tables[table];
  return failure("table \"" + described.name + "\" is full: it holds " + std::to_string(records[table]) + " of " +
                     std::to_string(capacities[table]) + " records" +
                     (can_grow(table) ? "; a rebuild makes room for " + std::to_string(described.capacity_max) : ""),
                 Errc::Full);
}

/// Almost always told by one bit: the changes are looked at only when another key has set it.
bool StoreWriter::Impl::is_buffered(const Change& change) {
  std::uint64_t& word = hashes_seen[change.hash / 64 % hashes_seen.size()];
  const std::uint64_t bit = std::uint64_t{1} << (change.hash % 64);
  const bool seen = (word & bit) != 0;
  word |= bit;
  if (!seen) { return false; }
  return std::any_of(changes.begin(), changes.end(), [&](const Change& earlier) {
    return earlier.hash == change.hash && earlier.table == change.table && std::ranges::equal(earlier.key, change.key);
  });
}

/// Looks which of the buffered puts are new records indeed; until then each was taken for one.
void StoreWriter::Impl::count_transaction(TableIndex table) {
  records_after[table] = records[table];
  for (Change& change : changes) {
    if (change.table != table) { continue; }
    if (change.may_insert) { change.may_insert = !tables[table].locate(KeyWords(change.key), committed).is_present(); }
    records_after[table] += change.may_insert ? 1 : 0;
    records_after[table] -= change.op == layout::op_erase ? 1 : 0;
  }
}

/// Keeps a change of an open transaction; everything that could refuse it later is looked at now.
Result<Sequence> StoreWriter::Impl::buffer(Change change) {
  if (changes.size() == max_transaction) { return failure("64 changes are a whole transaction", Errc::Full); }
  const std::uint64_t bytes = layout::entry_bytes(change.key.size(), change.value.size());
  const std::uint64_t bytes_max = std::min(journal.ring_bytes() / 2, layout::transaction_bytes_max);
  if (transaction_bytes + bytes > bytes_max) {
    return failure("the transaction is larger than half of the journal or 1 MiB", Errc::Full);
  }
  const Table& in = tables[change.table];
  const KeyWords key(change.key);
  change.hash = in.home(key);
  if (is_buffered(change)) { return failure("the key is in this transaction already", Errc::BadInput); }
  // With room to spare a put needs no look at the table before the commit, which looks for all keys at once.
  auto& after_all = records_after[change.table];
  change.may_insert = change.op == layout::op_put;
  if (change.op == layout::op_erase || after_all >= capacities[change.table]) {
    const auto place = in.locate(key, committed);
    const bool present = place.is_present();
    if (change.op == layout::op_erase && !present) { return is_absent(change.table, place); }
    if (!present) { count_transaction(change.table); }
    if (!present && after_all >= capacities[change.table]) {
      if (place.far) { shorten_searches(change.table); }
      return no_room(change.table, true);
    }
    change.may_insert = change.op == layout::op_put && !present;
  }
  change.sequence = committed + 1 + changes.size();
  change.ends_transaction = false;
  keep_bytes(change);
  transaction_bytes += bytes;
  after_all += change.may_insert ? 1 : 0;
  after_all -= change.op == layout::op_erase ? 1 : 0;
  changes.push_back(change);
  return Sequence{change.sequence};
}

/// The caller's bytes are his own again after the call.
void StoreWriter::Impl::keep_bytes(Change& change) {
  if (arena.empty()) { arena.resize(std::min(journal.ring_bytes() / 2, layout::transaction_bytes_max)); }
  for (Bytes* from : {&change.key, &change.value}) {
    const std::span to = std::span(arena).subspan(arena_used, from->size());
    if (!from->empty()) { std::memcpy(to.data(), from->data(), from->size()); }
    arena_used += from->size();
    *from = to;
  }
}

}  // namespace understudy::shm
