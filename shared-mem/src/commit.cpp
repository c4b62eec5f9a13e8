// SPDX-License-Identifier: Apache-2.0
/// One commit, whether of one change or of many, in the order that writer.hpp tells. What is on the way of every change
/// is inlined: the fewer instructions a change has, the more of the next one's cache misses run beside it.
#include <algorithm>

#include "journal_append.hpp"
#include "writer.hpp"

namespace understudy::shm {
namespace {

/// So many changes ahead the copy that will be written is asked for, and so much of it.
constexpr std::size_t copies_ahead = 4;
constexpr std::size_t copy_bytes_ahead = 512;

}  // namespace

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

[[gnu::always_inline]] inline void StoreWriter::Impl::reserve(std::uint64_t bytes) {
  if (end_position + bytes <= reserved_end) { return; }
  reserved_end = end_position + bytes;
  words::invalidate(&control.commit.reserved_end, reserved_end);
}

/// Its bytes are reserved.
[[gnu::always_inline]] inline void StoreWriter::Impl::write_entry(const Change& change) {
  const EntryHead head{change.sequence, change.op,
                       change.ends_transaction ? layout::flag_ends_transaction : std::uint8_t{0},
                       static_cast<std::uint16_t>(change.table)};
  const std::uint64_t begin = end_position;
  end_position += journal.append(begin, head, change.key, change.value);
  if (begin < next_anchor) [[likely]] { return; }
  journal.note_anchor(begin, change.sequence);
  next_anchor = journal.next_anchor(begin);
}

void StoreWriter::Impl::write_entries(std::span<const Change> all) {
  std::uint64_t total = 0;
  for (const Change& change : all) { total += layout::entry_bytes(change.key.size(), change.value.size()); }
  reserve(total);
  for (const Change& change : all) { write_entry(change); }
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

void StoreWriter::Impl::note_purged(std::uint64_t sequence) {
  if (sequence <= purged_up_to) { return; }
  purged_up_to = sequence;
  words::publish(&control.commit.purged_up_to, sequence);
}

/// False: there is no place for it. A deletion of what is not there changes nothing.
template <bool Small>
[[gnu::always_inline]] inline bool StoreWriter::Impl::change_table(const Change& change, const KeyWords& key,
                                                                   const Table::Place& place) {
  const Table& in = tables[change.table];
  const Word newest = place.held.newest_version();
  if (version::sequence(newest) >= change.sequence) { return true; }  // a snapshot brought something newer
  const bool was_live = version::is_live(newest);
  Word ref = 0;
  Bytes value = change.value;
  if (!Small && slabs[change.table].exist()) {
    if (!store_value(change, place.match, ref)) { return false; }
    value = std::as_bytes(std::span(&ref, 1));
  }
  if (change.op == layout::op_erase) {
    note_purged(change.sequence);
    if (!was_live) { return true; }
    in.write_copy(place, change.sequence, layout::kind_erased, {});
    --records[change.table];
  } else if (place.match != nullptr) {
    in.write_copy(place, change.sequence, layout::kind_live, value);
    if (was_live) { return true; }
    ++records[change.table];
  } else if (place.vacant != nullptr) {
    in.occupy(place.vacant, key, change.sequence, value);
    ++records[change.table];
  } else {
    return false;
  }
  counts_changed |= 1U << change.table;
  return true;
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

[[gnu::always_inline]] inline void StoreWriter::Impl::publish_end(std::uint64_t sequence) {
  auto& end = control.commit.ends[1 - end_copy];
  words::invalidate(&end.sequence, layout::invalid_sequence);
  words::store(&end.position, end_position);
  words::publish(&end.sequence, sequence);
}

/// False: another writer took over; this one must not touch the region any more.
[[gnu::always_inline]] inline bool StoreWriter::Impl::commit_point(std::uint64_t sequence) {
  if (counts_changed != 0) { publish_counts(sequence); }
  publish_end(sequence);
  if (!still_ours()) { return false; }
  words::publish(&control.commit.committed, sequence);
  committed = sequence;
  end_copy = 1 - end_copy;
  if (!replaced.empty()) { free_replaced(); }
  return true;
}

/// One change, one look at the table, no copy and no allocation.
/// `Small`: a put of a key of one word and a value of whole words into slots, as most are. The same code, from which
/// the compiler takes out what need not be asked then.
template <bool Small>
[[gnu::always_inline]] inline Result<Sequence> StoreWriter::Impl::write_one_as(const Change& change) {
  const Table& in = tables[change.table];
  const KeyWords key(change.key);
  const auto home = in.home_of<Small>(key);
  in.prefetch_home(home);
  const auto place = in.locate_from<Small>(home, key, committed);
  if (!place.is_present()) {
    if (change.op == layout::op_erase) { return failure("no such record", Errc::NotFound); }
    if (records[change.table] >= capacities[change.table]) { return no_room(change.table, true); }
    if (place.match == nullptr && place.vacant == nullptr) { return no_room(change.table, false); }
  }
  if (!history_has_term) [[unlikely]] { note_own_term(); }
  reserve(layout::entry_bytes(change.key.size(), change.value.size()));
  write_entry(change);
  if (!change_table<Small>(change, key, place)) [[unlikely]] { return undo(change.table).error(); }
  if (!commit_point(change.sequence)) [[unlikely]] { return not_ours(); }
  if (change.op == layout::op_erase) { in.shorten_probing(place.match, committed); }
  return Sequence{committed};
}

Result<Sequence> StoreWriter::Impl::write_one(const Change& change) { return write_one_as<false>(change); }

Result<Sequence> StoreWriter::put(TableIndex table, Bytes key, Bytes value) {
  auto& impl = *impl_;
  const bool small = impl.is_small(table) && key.size() == sizeof(Word) && !impl.in_transaction &&
                     value.size() == impl.tables[table].value_bytes() && impl.can_write();
  if (small) [[likely]] {
    // Sizes as the compiler understands them: one word, whole words.
    const Bytes word(key.data(), sizeof(Word));
    const Bytes whole(value.data(), value.size() / sizeof(Word) * sizeof(Word));
    return impl.write_one_as<true>({impl.committed + 1, layout::op_put, true, table, word, whole});
  }
  if (!impl.can_change(table, key, value, layout::op_put)) [[unlikely]] { return impl.cannot_change(table); }
  const Change change{impl.committed + 1, layout::op_put, true, table, key, value};
  return impl.in_transaction ? impl.buffer(change) : impl.write_one(change);
}

/// Several changes, all checked, with sequences from committed + 1 on.
Status StoreWriter::Impl::commit_all(std::span<Change> all) {
  const std::uint64_t before = committed;
  const auto ask_for = [this](const Change& change) { tables[change.table].prefetch(KeyWords(change.key)); };
  for (const Change& change : all.first(std::min(keys_ahead, all.size()))) { ask_for(change); }
  write_entries(all);
  for (const Change& change : all) {
    if (static_cast<std::size_t>(&all.back() - &change) >= keys_ahead) { ask_for(*(&change + keys_ahead)); }
    const KeyWords key(change.key);
    if (change_table<false>(change, key, tables[change.table].locate(key, before))) { continue; }
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

/// Asks for the copy that the change will overwrite, as far as the slot's first two lines do not hold it. A guess: the
/// slot may be another one of the run.
void StoreWriter::Impl::ask_for_copy(const Change& change) const {
  const Table& in = tables[change.table];
  if (change.value.size() < 4 * sizeof(Word) || slabs[change.table].exist()) { return; }
  const Word* at = in.slot(change.hash);
  const auto* to = reinterpret_cast<const std::byte*>(in.value_of(at, 1 - Table::versions(at).newest()));
  const std::size_t bytes = std::min(change.value.size(), copy_bytes_ahead);
  for (std::size_t i = 0; i < bytes + layout::cache_line_bytes; i += layout::cache_line_bytes) {
    __builtin_prefetch(to + i, 1);
  }
}

/// The same order of stores as commit_all(), with the entries as they are instead of composed anew.
Status StoreWriter::Impl::commit_received() {
  const std::uint64_t before = committed;
  const auto changed = received.changes();
  write_received();
  for (std::size_t i = 0; i < changed.size(); ++i) {
    if (i + copies_ahead < changed.size()) { ask_for_copy(changed[i + copies_ahead]); }
    const Change& change = changed[i];
    if (received.is_superseded(i)) {
      if (change.op == layout::op_erase) { note_purged(change.sequence); }
      continue;
    }
    const KeyWords key(change.key);
    const auto place = tables[change.table].locate_from(change.hash, key, before);
    if (!change_table<false>(change, key, place)) { return undo(change.table); }
  }
  if (!commit_point(changed.back().sequence)) { return not_ours(); }
  for (std::size_t i = 0; i < changed.size(); ++i) {
    const Change& change = changed[i];
    if (change.op != layout::op_erase || received.is_superseded(i)) { continue; }
    const auto place = tables[change.table].locate(KeyWords(change.key), 0);
    if (place.match != nullptr) { tables[change.table].shorten_probing(place.match, committed); }
  }
  return {};
}

/// The group's bytes into the journal, then the anchors of the segments in which an entry of it begins.
void StoreWriter::Impl::write_received() {
  const Bytes bytes = received.bytes();
  reserve(bytes.size());
  journal.write_bytes(end_position, bytes);
  std::uint64_t segment = ~std::uint64_t{0};
  for (const Change& change : received.changes()) {
    const auto at = static_cast<std::uint64_t>(change.key.data() - bytes.data()) - sizeof(layout::JournalEntryHeader);
    const std::uint64_t position = end_position + at;
    if (journal.segment_of(position) == segment) { continue; }
    segment = journal.segment_of(position);
    journal.note_anchor(position, change.sequence);
  }
  end_position += bytes.size();
}

/// Only foreign bytes in the table can bring this about; the region is left as after a writer that died here.
Status StoreWriter::Impl::undo(TableIndex table) {
  if (auto undone = take_back_unfinished(); !undone) { return undone; }
  read_counts();
  return no_room(table, false);
}

}  // namespace understudy::shm
