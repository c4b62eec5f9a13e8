// SPDX-License-Identifier: Apache-2.0
/// One commit, whether of one change or of many, in the order that writer.hpp tells. What is on the way of every change
/// is inlined: the fewer instructions a change has, the more of the next one's cache misses run beside it.
#include <algorithm>
#include <bit>

#include "commit_steps.hpp"

namespace understudy::shm {
namespace {

/// So much of a copy that will be written is asked for.
constexpr std::size_t copy_bytes_ahead = 512;

}  // namespace
/// History tells terms that wrote something: the entry is made by the first own change (rule 21).
void StoreWriter::Impl::write_own_term() {
  history_has_term = true;
  auto& shared = control.history;
  const std::uint64_t count = words::load(&shared.count);
  const auto at = [&](std::uint64_t i) -> layout::HistoryEntry& { return shared.entries[i % layout::history_entries]; };
  // Terms that committed nothing here: one that died before, or whose changes a sender told of and did not bring.
  const std::uint64_t oldest = count - std::min<std::uint64_t>(count, layout::history_kept);
  std::uint64_t ahead = count;
  while (ahead > oldest && words::load(&at(ahead - 1).first) > committed) { --ahead; }
  if (ahead == count) {
    if (count > 0 && words::load(&at(count - 1).term) == term) { return; }
    words::store(&at(count).term, term);
    words::store(&at(count).first, committed + 1);
    words::publish(&shared.count, count + 1);
    return;
  }
  // They become this one. Word by word, and after each of them terms and sequences still grow: first where they begin,
  // the oldest first, then the names, the newest first.
  for (std::uint64_t i = ahead; i < count; ++i) { words::publish(&at(i).first, committed + 1); }
  for (std::uint64_t i = count; i > ahead; --i) { words::publish(&at(i - 1).term, term); }
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
    const Head held = Table::head(replaces);
    if (held.is_live()) {
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
bool StoreWriter::Impl::change_table(const Change& change, const KeyWords& key, const Table::Place& place) {
  const Table& in = tables[change.table];
  if (place.held.sequence() >= change.sequence) { return true; }  // a snapshot brought something newer
  const bool was_live = place.held.is_live();
  Word ref = 0;
  Bytes value = change.value;
  if (slabs[change.table].exist()) {
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
    publish_count(static_cast<TableIndex>(std::countr_zero(counts_changed)), sequence);
  }
}

/// One change, one look at the table, no copy and no allocation.
Result<Sequence> StoreWriter::Impl::write_one(const Change& change) {
  const std::uint64_t bytes = layout::entry_bytes(change.key.size(), change.value.size());
  if (!may_go_on(bytes)) [[unlikely]] { return not_ours(); }
  const Table& in = tables[change.table];
  const KeyWords key(change.key);
  const auto home = in.home(key);
  in.prefetch_home(home);
  const auto place = in.locate_from(home, key, committed);
  if (!place.is_present()) {
    if (change.op == layout::op_erase) { return is_absent(change.table, place); }
    if (auto room = check_room(change.table, place); !room) {
      if (place.far) { shorten_searches(change.table); }
      return room.error();
    }
  }
  note_own_term();
  reserve(bytes);
  write_entry(change);
  if (!change_table(change, key, place)) [[unlikely]] { return undo(change.table).error(); }
  if (!commit_point(change.sequence)) [[unlikely]] { return not_ours(); }
  free_replaced();
  const bool short_run = change.op != layout::op_erase || in.shorten_probing(place.match, committed);
  if (place.far || !short_run) [[unlikely]] { shorten_searches(change.table); }
  return Sequence{committed};
}

/// Several changes, all checked, with sequences from committed + 1 on.
Status StoreWriter::Impl::commit_all(std::span<Change> all) {
  for (Change& change : all) {
    change.hash = tables[change.table].home(KeyWords(change.key));
    tables[change.table].prefetch_home(change.hash);
  }
  write_entries(all);
  return change_tables(all);
}

/// The entries of a group are in the journal already, as they came.
Status StoreWriter::Impl::commit_received() {
  write_received();
  return change_tables(received.changes());
}

/// The second half of a commit: the entries are written, the lines of the changes' home slots asked for. What a later
/// change of the group supersedes is in the journal only.
Status StoreWriter::Impl::change_tables(std::span<const Change> all) {
  const std::uint64_t before = committed;
  bool erases = false;
  std::uint32_t far = 0;  // bit for each table in which a search was
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % keys_together == 0) { look_further(all.subspan(i, std::min(keys_together, all.size() - i))); }
    const Change& change = all[i];
    erases = erases || change.op == layout::op_erase;
    if (change.superseded) {
      if (change.op == layout::op_erase) { note_purged(change.sequence); }
      continue;
    }
    const KeyWords key(change.key);
    const auto place = tables[change.table].locate_from(change.hash, key, before);
    far |= std::uint32_t{place.far} << change.table;
    if (!change_table(change, key, place)) { return undo(change.table); }
  }
  if (!commit_point(all.back().sequence)) { return not_ours(); }
  free_replaced();
  for (const Change& change : all.first(erases ? all.size() : 0)) {
    if (change.op != layout::op_erase || change.superseded) { continue; }
    const auto place = tables[change.table].locate_from(change.hash, KeyWords(change.key), 0);
    if (place.match == nullptr || tables[change.table].shorten_probing(place.match, committed)) { continue; }
    far |= 1U << change.table;
  }
  for (; far != 0; far &= far - 1) { shorten_searches(static_cast<TableIndex>(std::countr_zero(far))); }
  return {};
}

Error StoreWriter::Impl::is_absent(TableIndex table, const Table::Place& place) {
  if (place.far) { shorten_searches(table); }
  return failure("no such record", Errc::NotFound);
}

/// Between two commits, after the search for a key was far: nearly no slot of the table is Empty, as earlier programs
/// left it, or foreign bytes, or a full snapshot into a table of other records. Where that is no help, as many keys lie
/// far from their homes, it is tried again after as many such searches as there were: all of them together cost little
/// more than their searches.
void StoreWriter::Impl::shorten_searches(TableIndex table) {
  if (sync == 0 && std::has_single_bit(++far_searches[table])) { empty_what_is_vacant(table, committed); }
}

void StoreWriter::Impl::empty_what_is_vacant(TableIndex table, std::uint64_t reusable_up_to) {
  constexpr std::uint64_t part_that_helps = 64;
  const Table& in = tables[table];
  if (in.empty_what_is_vacant(reusable_up_to) > in.slot_count() / part_that_helps) { far_searches[table] = 0; }
}

/// Asks for what the home slots' first two lines do not hold: the next slot where it is not the key's, and of a larger
/// value the copy that will be overwritten. A guess: the slot may be another one of the run.
void StoreWriter::Impl::look_further(std::span<const Change> all) const {
  for (const Change& change : all) {
    const Table& in = tables[change.table];
    in.prefetch_further(change.hash, KeyWords(change.key));
    if (change.value.size() < 4 * sizeof(Word) || slabs[change.table].exist()) { continue; }
    const Word* at = in.slot(change.hash);
    const auto* to = reinterpret_cast<const std::byte*>(in.value_of(at, Table::head(at).newest() ^ 1U));
    const std::size_t bytes = std::min(change.value.size(), copy_bytes_ahead);
    for (std::size_t i = 0; i < bytes + layout::cache_line_bytes; i += layout::cache_line_bytes) {
      __builtin_prefetch(to + i, 1);
    }
  }
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

/// Is there room for a key that is not present?
Status StoreWriter::Impl::check_room(TableIndex table, const Table::Place& place) const {
  if (records[table] >= capacities[table]) { return no_room(table, true); }
  if (place.match == nullptr && place.vacant == nullptr) { return no_room(table, false); }
  return {};
}

/// Only foreign bytes in the table can bring this about; the region is left as after a writer that died here.
Status StoreWriter::Impl::undo(TableIndex table) {
  if (auto undone = take_back_unfinished(); !undone) { return undone; }
  read_counts();
  return no_room(table, false);
}

}  // namespace understudy::shm
