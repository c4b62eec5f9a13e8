// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <algorithm>
#include <cstring>

namespace understudy::shm {
namespace {

bool is_present(const Table::Place& place) {
  return place.match != nullptr && version::is_live(Table::versions(place.match).newest_version());
}

}  // namespace

StoreWriter::StoreWriter(std::unique_ptr<StoreWriter::Impl> impl) : impl_(std::move(impl)) {}
StoreWriter::StoreWriter(StoreWriter&&) noexcept = default;
StoreWriter& StoreWriter::operator=(StoreWriter&&) noexcept = default;
StoreWriter::~StoreWriter() = default;

Sequence StoreWriter::committed() const { return Sequence{impl_->committed}; }
const Store& StoreWriter::store() const { return impl_->store; }

Result<Sequence> StoreWriter::put(TableIndex table, Bytes key, Bytes value) {
  if (!impl_->can_change(table, key, value, layout::op_put)) [[unlikely]] { return impl_->cannot_change(table); }
  const Change change{impl_->committed + 1, layout::op_put, true, table, key, value};
  return impl_->in_transaction ? impl_->buffer(change) : impl_->write_one(change);
}

Result<Sequence> StoreWriter::erase(TableIndex table, Bytes key) {
  if (!impl_->can_change(table, key, {}, layout::op_erase)) [[unlikely]] { return impl_->cannot_change(table); }
  const Change change{impl_->committed + 1, layout::op_erase, true, table, key, {}};
  return impl_->in_transaction ? impl_->buffer(change) : impl_->write_one(change);
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
  return failure("store \"" + store.schema().name + "\" has another writer by now (term " +
                     std::to_string(words::load(&control.writer.term)) + ", epoch " +
                     std::to_string(words::load(&control.writer.epoch)) + ")",
                 Errc::Refused);
}

/// Is it ours to write, and does the change fit its table? The reasons are told by cannot_change().
bool StoreWriter::Impl::can_change(TableIndex table, Bytes key, Bytes value, std::uint8_t op) const {
  if (!still_ours() || sync != 0 || table >= tables.size()) { return false; }
  const std::size_t value_bytes = op == layout::op_put ? tables[table].value_bytes() : 0;
  const bool fits = value.size() == value_bytes ||
                    (slabs[table].exist() && op == layout::op_put && value.size() <= slabs[table].value_bytes());
  return fits && key.size() == tables[table].key_bytes() && tables[table].can_hold(key) &&
         committed <= layout::sequence_max - max_transaction;
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

/// The fast path: one change, one look at the table, no copy and no allocation.
Result<Sequence> StoreWriter::Impl::write_one(const Change& change) {
  const Table& in = tables[change.table];
  in.prefetch(KeyWords(change.key));
  const std::uint64_t size = compose(change);  // while the slot is on its way
  const auto place = in.locate(KeyWords(change.key), committed);
  if (!is_present(place)) {
    if (change.op == layout::op_erase) { return failure("no such record", Errc::NotFound); }
    if (records[change.table] >= capacities[change.table]) { return no_room(change.table, true); }
    if (place.match == nullptr && place.vacant == nullptr) { return no_room(change.table, false); }
  }
  note_own_term();
  reserve(size);
  write_composed(change.sequence, size);
  if (!change_table(change, place)) [[unlikely]] { return undo(change.table).error(); }
  if (!commit_point(change.sequence)) { return not_ours(); }
  if (change.op == layout::op_erase) { in.shorten_probing(place.match, committed); }
  return Sequence{committed};
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
    if (change.may_insert) { change.may_insert = !is_present(tables[table].locate(KeyWords(change.key), committed)); }
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
    const bool present = is_present(in.locate(key, committed));
    if (change.op == layout::op_erase && !present) { return failure("no such record", Errc::NotFound); }
    if (!present) { count_transaction(change.table); }
    if (!present && after_all >= capacities[change.table]) { return no_room(change.table, true); }
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
    std::ranges::copy(*from, to.begin());
    arena_used += from->size();
    *from = to;
  }
}

/// Only foreign bytes in the table can bring this about; the region is left as after a writer that died here.
Status StoreWriter::Impl::undo(TableIndex table) {
  if (auto undone = take_back_unfinished(); !undone) { return undone; }
  read_counts();
  return no_room(table, false);
}

/// Several changes, all checked, with sequences from committed + 1 on.
Status StoreWriter::Impl::commit_all(std::span<Change> all) {
  const std::uint64_t before = committed;
  const auto ask_for = [this](const Change& change) { tables[change.table].prefetch(KeyWords(change.key)); };
  for (const Change& change : all.first(std::min(keys_ahead, all.size()))) { ask_for(change); }
  write_entries(all);
  for (const Change& change : all) {
    if (static_cast<std::size_t>(&all.back() - &change) >= keys_ahead) { ask_for(*(&change + keys_ahead)); }
    const auto place = tables[change.table].locate(KeyWords(change.key), before);
    if (change_table(change, place)) { continue; }
    return undo(change.table);
  }
  if (!commit_point(all.back().sequence)) { return not_ours(); }
  for (const Change& change : all) {
    if (change.op != layout::op_erase) { continue; }
    const auto place = tables[change.table].locate(KeyWords(change.key), 0);
    if (place.match != nullptr) { tables[change.table].shorten_probing(place.match, committed); }
  }
  return {};
}

/// History tells terms that wrote something: the entry is made by the first own change (rule 21).
void StoreWriter::Impl::note_own_term() {
  if (history_has_term) { return; }
  history_has_term = true;
  auto& shared = control.history;
  const std::uint64_t count = words::load(&shared.count);
  if (count > 0) {
    auto& last = shared.entries[(count - 1) % layout::history_entries];
    if (words::load(&last.term) == term) { return; }
    if (words::load(&last.first) == committed + 1) {  // its term never committed anything
      words::publish(&last.term, term);
      return;
    }
  }
  auto& next = shared.entries[count % layout::history_entries];
  words::store(&next.term, term);
  words::store(&next.first, committed + 1);
  words::publish(&shared.count, count + 1);
}

/// The entry in this writer's own memory; its size in bytes.
std::uint64_t StoreWriter::Impl::compose(const Change& change) {
  const EntryHead head{change.sequence, change.op,
                       change.ends_transaction ? layout::flag_ends_transaction : std::uint8_t{0},
                       static_cast<std::uint16_t>(change.table)};
  return compose_entry(entry, head, change.key, change.value);
}

void StoreWriter::Impl::reserve(std::uint64_t bytes) {
  if (end_position + bytes <= reserved_end) { return; }
  reserved_end = end_position + bytes;
  words::invalidate(&control.commit.reserved_end, reserved_end);
}

/// What was composed last; its bytes are reserved.
void StoreWriter::Impl::write_composed(std::uint64_t sequence, std::uint64_t size) {
  journal.write(end_position, std::span(entry.words).first(size / 8));
  journal.note_anchor(end_position, sequence);
  end_position += size;
}

void StoreWriter::Impl::write_entries(std::span<const Change> all) {
  std::uint64_t total = 0;
  for (const Change& change : all) { total += layout::entry_bytes(change.key.size(), change.value.size()); }
  reserve(total);
  for (const Change& change : all) { write_composed(change.sequence, compose(change)); }
}

/// A blob's value goes to a slab of its own, and `ref` tells which. `replaces`: the slot with the record so far, if
/// there is one. False: no slab is free.
bool StoreWriter::Impl::store_value(const Change& change, const Word* replaces, Word& ref) {
  const Slabs& in = slabs[change.table];
  SlabPool& pool = pools[change.table];
  pool.prepare(tables[change.table], in);
  if (change.op == layout::op_put) {
    const auto slab = pool.take();
    if (!slab) { return false; }
    in.write(*slab, change.sequence, change.value);
    ref = layout::blob_ref(*slab, change.value.size());
  }
  if (replaces != nullptr) {
    const Versions held = Table::versions(replaces);
    if (version::is_live(held.newest_version())) {
      replaced.push_back({change.table, words::load(tables[change.table].value_of(replaces, held.newest()))});
    }
  }
  return true;
}

void StoreWriter::Impl::free_replaced() {
  for (const Replaced& old : replaced) { pools[old.table].release(old.ref); }
  replaced.clear();
}

/// False: there is no place for it. A deletion of what is not there changes nothing.
bool StoreWriter::Impl::change_table(const Change& change, const Table::Place& place) {
  const Table& in = tables[change.table];
  bool was_live = false;
  if (place.match != nullptr) {
    const Word newest = Table::versions(place.match).newest_version();
    if (version::sequence(newest) >= change.sequence) { return true; }  // a snapshot brought something newer
    was_live = version::is_live(newest);
  }
  Word ref = 0;
  Bytes value = change.value;
  if (slabs[change.table].exist()) {
    if (!store_value(change, place.match, ref)) { return false; }
    value = std::as_bytes(std::span(&ref, 1));
  }
  if (change.op == layout::op_erase) {
    note_purged(change.sequence);
    if (!was_live) { return true; }
    in.write_copy(place.match, change.sequence, layout::kind_erased, {});
    --records[change.table];
  } else if (place.match != nullptr) {
    in.write_copy(place.match, change.sequence, layout::kind_live, value);
    if (was_live) { return true; }
    ++records[change.table];
  } else if (place.vacant != nullptr) {
    in.occupy(place.vacant, KeyWords(change.key), change.sequence, value);
    ++records[change.table];
  } else {
    return false;
  }
  counts_changed |= 1U << change.table;
  return true;
}

void StoreWriter::Impl::note_purged(std::uint64_t sequence) {
  if (sequence <= purged_up_to) { return; }
  purged_up_to = sequence;
  words::publish(&control.commit.purged_up_to, sequence);
}

void StoreWriter::Impl::publish_counts(std::uint64_t sequence) {
  for (; counts_changed != 0; counts_changed &= counts_changed - 1) {
    const auto table = static_cast<std::size_t>(std::countr_zero(counts_changed));
    auto& copies = control.counts[table].copies;
    // The newest committed copy stays; an invalid one counts as older than any.
    const auto age = [](const layout::CountCopy& copy) { return words::load(&copy.sequence) + 1; };
    auto& unused = age(copies[0]) < age(copies[1]) ? copies[0] : copies[1];
    words::invalidate(&unused.sequence, layout::invalid_sequence);
    words::store(&unused.records, records[table]);
    words::publish(&unused.sequence, sequence);
  }
}

void StoreWriter::Impl::publish_end(std::uint64_t sequence) {
  auto& end = control.commit.ends[1 - end_copy];
  words::invalidate(&end.sequence, layout::invalid_sequence);
  words::store(&end.position, end_position);
  words::publish(&end.sequence, sequence);
}

/// False: another writer took over; this one must not touch the region any more.
bool StoreWriter::Impl::commit_point(std::uint64_t sequence) {
  publish_counts(sequence);
  publish_end(sequence);
  if (!still_ours()) { return false; }
  words::publish(&control.commit.committed, sequence);
  committed = sequence;
  end_copy = 1 - end_copy;
  if (!replaced.empty()) { free_replaced(); }
  return true;
}

}  // namespace understudy::shm
