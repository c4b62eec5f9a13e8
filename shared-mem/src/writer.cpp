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
  if (auto checked = impl_->check_own_change(table, key, &value); !checked) { return checked.error(); }
  const Change change{impl_->committed + 1, layout::op_put, true, table, key, value};
  return impl_->in_transaction ? impl_->buffer(change) : impl_->write_one(change);
}

Result<Sequence> StoreWriter::erase(TableIndex table, Bytes key) {
  if (auto checked = impl_->check_own_change(table, key, nullptr); !checked) { return checked.error(); }
  const Change change{impl_->committed + 1, layout::op_erase, true, table, key, {}};
  return impl_->in_transaction ? impl_->buffer(change) : impl_->write_one(change);
}

Status StoreWriter::begin() {
  if (impl_->in_transaction) { return failure("a transaction is open already", Errc::BadInput); }
  impl_->in_transaction = true;
  impl_->changes.clear();
  impl_->arena_used = 0;
  impl_->transaction_bytes = 0;
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

Status StoreWriter::Impl::check_ours() const {
  if (still_ours()) { return {}; }
  return failure("store \"" + store.schema().name + "\" has another writer by now (term " +
                     std::to_string(words::load(&control.writer.term)) + ", epoch " +
                     std::to_string(words::load(&control.writer.epoch)) + ")",
                 Errc::Refused);
}

Status StoreWriter::Impl::check_own_change(TableIndex table, Bytes key, const Bytes* value) const {
  if (auto ours = check_ours(); !ours) { return ours; }
  if (sync != 0) { return failure("store \"" + store.schema().name + "\" is not synced", Errc::Refused); }
  if (table >= tables.size()) { return failure("no table " + std::to_string(table), Errc::BadInput); }
  const Table& in = tables[table];
  if (key.size() != in.key_bytes() || (value != nullptr && value->size() != in.value_bytes())) {
    return failure("key or value has not the size of table \"" + store.schema().tables[table].name + "\"",
                   Errc::BadInput);
  }
  if (committed > layout::sequence_max - max_transaction) { return failure("no sequence numbers left", Errc::Full); }
  return {};
}

/// The fast path: one change, one look at the table, no copy and no allocation.
Result<Sequence> StoreWriter::Impl::write_one(Change change) {
  const Table& in = tables[change.table];
  const auto place = in.locate(KeyWords(change.key), committed);
  const bool present = is_present(place);
  if (!present) {
    if (change.op == layout::op_erase) { return failure("no such record", Errc::NotFound); }
    if (records[change.table] >= store.schema().tables[change.table].capacity) {
      return failure("table \"" + store.schema().tables[change.table].name + "\" is full", Errc::Full);
    }
    if (place.match == nullptr && place.vacant == nullptr) {
      return failure("table \"" + store.schema().tables[change.table].name + "\" has no slot left", Errc::Damaged);
    }
  }
  note_own_term();
  write_entries({&change, 1});
  change_table(change, place);
  if (auto done = commit_point(change.sequence); !done) { return done.error(); }
  if (change.op == layout::op_erase) { in.shorten_probing(place.match, committed); }
  return Sequence{committed};
}

const Change* StoreWriter::Impl::buffered(TableIndex table, Bytes key) const {
  const auto found = std::find_if(changes.begin(), changes.end(), [&](const Change& change) {
    return change.table == table && std::equal(key.begin(), key.end(), change.key.begin(), change.key.end());
  });
  return found == changes.end() ? nullptr : &*found;
}

/// Keeps a change of an open transaction; everything that could refuse it later is looked at now.
Result<Sequence> StoreWriter::Impl::buffer(Change change) {
  const auto& schema = store.schema().tables[change.table];
  if (changes.size() == max_transaction) { return failure("64 changes are a whole transaction", Errc::Full); }
  const std::uint64_t bytes = layout::entry_bytes(change.key.size(), change.value.size());
  if (transaction_bytes + bytes > journal.ring_bytes() / 2) {
    return failure("the transaction is larger than half of the journal", Errc::Full);
  }
  if (buffered(change.table, change.key) != nullptr) {
    return failure("the key is in this transaction already", Errc::BadInput);
  }
  const auto place = tables[change.table].locate(KeyWords(change.key), committed);
  const bool present = is_present(place);
  if (change.op == layout::op_erase && !present) { return failure("no such record", Errc::NotFound); }
  std::uint64_t after_all = records[change.table];
  for (const Change& earlier : changes) {
    if (earlier.table == change.table) { after_all += earlier.inserts ? 1 : 0; }
    if (earlier.table == change.table) { after_all -= earlier.op == layout::op_erase ? 1 : 0; }
  }
  if (change.op == layout::op_put && !present && after_all >= schema.capacity) {
    return failure("table \"" + schema.name + "\" is full", Errc::Full);
  }
  change.inserts = change.op == layout::op_put && !present;
  change.sequence = committed + 1 + changes.size();
  change.ends_transaction = false;
  const auto keep = [&](Bytes from) {
    const std::span to = std::span(arena).subspan(arena_used, from.size());
    std::copy(from.begin(), from.end(), to.begin());
    arena_used += from.size();
    return Bytes(to);
  };
  if (arena.empty()) { arena.resize(max_transaction * (layout::key_bytes_max + layout::value_bytes_max)); }
  change.key = keep(change.key);
  change.value = keep(change.value);
  transaction_bytes += bytes;
  changes.push_back(change);
  return Sequence{change.sequence};
}

/// Several changes, all checked, with sequences from committed + 1 on.
Status StoreWriter::Impl::commit_all(std::span<Change> all) {
  const std::uint64_t before = committed;
  write_entries(all);
  for (const Change& change : all) {
    const auto place = tables[change.table].locate(KeyWords(change.key), before);
    if (change_table(change, place)) { continue; }
    // Only foreign bytes in the table can bring this about; leave it as a writer that died here would.
    if (auto undone = take_back_unfinished(); !undone) { return undone; }
    return failure("table \"" + store.schema().tables[change.table].name + "\" has no slot left", Errc::Damaged);
  }
  if (auto done = commit_point(all.back().sequence); !done) { return done; }
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

void StoreWriter::Impl::write_entries(std::span<const Change> all) {
  std::uint64_t total = 0;
  for (const Change& change : all) { total += layout::entry_bytes(change.key.size(), change.value.size()); }
  if (end_position + total > reserved_end) {
    reserved_end = end_position + total;
    words::invalidate(&control.commit.reserved_end, reserved_end);
  }
  for (const Change& change : all) {
    layout::JournalEntryHeader header{};
    header.sequence = change.sequence;
    header.op = change.op;
    header.flags = change.ends_transaction ? layout::flag_ends_transaction : 0;
    header.table = static_cast<std::uint16_t>(change.table);
    const std::uint64_t size = compose_entry(entry, header, change.key, change.value);
    journal.write(end_position, std::span(entry.words).first(size / 8));
    journal.note_anchor(end_position, change.sequence);
    end_position += size;
  }
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
  if (change.op == layout::op_erase) {
    note_purged(change.sequence);
    if (!was_live) { return true; }
    in.write_copy(place.match, change.sequence, layout::kind_erased, {});
    --records[change.table];
  } else if (place.match != nullptr) {
    in.write_copy(place.match, change.sequence, layout::kind_live, change.value);
    if (was_live) { return true; }
    ++records[change.table];
  } else if (place.vacant != nullptr) {
    in.occupy(place.vacant, KeyWords(change.key), change.sequence, change.value);
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

Status StoreWriter::Impl::commit_point(std::uint64_t sequence) {
  publish_counts(sequence);
  publish_end(sequence);
  if (auto ours = check_ours(); !ours) { return ours; }
  words::publish(&control.commit.committed, sequence);
  committed = sequence;
  end_copy = 1 - end_copy;
  return {};
}

}  // namespace understudy::shm
