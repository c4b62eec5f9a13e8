// SPDX-License-Identifier: Apache-2.0
/// The mirror's side: a sender's changes keep their sequence numbers.
///
///   SYNCED --begin_sync--> SNAPSHOT --end_sync(at >= newest record and deletion)--> SYNCED
///                             |                                                       ^
///                             +--end_sync(at <  one of them)--> CATCHING_UP --apply() reached it--+
///
///   SYNCED, CATCHING_UP  apply() writes the own journal, tables and commit point as a writer does: without gaps
///                        (apply.cpp).
///   SNAPSHOT             records and entries change slots one by one, each only if it is newer than the slot; the
///                        journal starts anew at the end. A full snapshot takes nothing that was there before for
///                        newer: it marks the slots it has seen and sweeps the others.
///
/// The mark is stored before the first change and taken away after the last one. If the receiver dies between them,
/// the mark stays, and after a begun full snapshot also committed() = 0 and no history: the sender starts over.
#include <algorithm>
#include <bit>
#include <cstring>

#include "table_writing.hpp"
#include "understudy/shm/while_busy.hpp"
#include "writer.hpp"

namespace understudy::shm {

void SeenSlots::start(const std::vector<Table>& tables) {
  bits_.clear();
  for (const Table& table : tables) { bits_.emplace_back(table.slot_count(), false); }
}

/// Keeps the live area at the last checkpoint, so that a takeover finds it there. Not while the copy is unfinished.
void StoreWriter::Impl::follow_arena(std::span<const Change> applied) {
  const auto& live = store.impl_->live;
  if (!live || sync != 0) { return; }
  bool brought = !live_follows;
  if (!live_follows) {
    live->restore(committed);
    live_follows = true;
  } else {
    for (const Change& page : applied) {
      if (page.table != live->table_index()) { continue; }
      live->bring(KeyWords(page.key).words[0], page.value);
      brought = true;
    }
  }
  if (brought) { live->note_exact(committed); }
}

Status StoreWriter::begin_sync(bool full) {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours; }
  if (impl.in_transaction) { return failure("a transaction is open", Errc::BadInput); }
  words::publish(&impl.control.commit.sync, layout::sync_snapshot);
  impl.sync = layout::sync_snapshot;
  impl.fast_until = 0;
  impl.snapshot_begun = true;
  impl.sync_highest = 0;
  impl.snapshot_slots.stop();
  impl.live_follows = false;
  impl.count_what_may_grow();
  if (full || impl.committed == 0) {  // from nothing means that nothing that is there may stay unseen
    impl.snapshot_slots.start(impl.tables);
    if (const auto& live = impl.store.impl_->live; live) {
      live->forget();  // sequences begin anew
      if (live->is_mixed()) { live->note_mixed(false); }
    }
    words::publish(&impl.control.history.count, 0);
    impl.restart_journal(0);
  } else {
    impl.restart_journal(impl.committed);
  }
  return {};
}

Status StoreWriter::apply_snapshot_record(TableIndex table, Bytes key, Bytes value, Sequence sequence) {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours; }
  if (!impl.snapshot_begun) { return failure("no snapshot was begun", Errc::BadInput); }
  if (table >= impl.tables.size() ||
      !fits(impl.store.schema().tables[table], layout::op_put, key.size(), value.size()) || sequence.value == 0 ||
      sequence.value > layout::sequence_max) {
    return failure("received a snapshot record that does not fit the schema", Errc::Damaged);
  }
  return impl.change_unordered({sequence.value, layout::op_put, true, table, key, value});
}

Status StoreWriter::end_sync(Sequence at, const std::vector<TermStart>& history, Sequence purged_up_to) {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours; }
  if (!impl.snapshot_begun) { return failure("no snapshot was begun", Errc::BadInput); }
  if (at.value > layout::sequence_max || purged_up_to.value > layout::sequence_max) {
    return failure("received an end that cannot be", Errc::Damaged);
  }
  for (TableIndex t = 0; impl.snapshot_slots.marking() && t < impl.tables.size(); ++t) { impl.sweep_unseen(t); }
  impl.write_history(history);
  impl.purged_up_to = purged_up_to.value;
  words::publish(&impl.control.commit.purged_up_to, purged_up_to.value);
  impl.recount(at.value);
  impl.restart_journal(at.value);
  // The scan may have seen changes later than `at`: newer records, and deletions, which it shows by showing nothing.
  const std::uint64_t seen = std::max(impl.sync_highest, purged_up_to.value);
  impl.sync = seen > at.value ? seen : 0;
  impl.fast_until = 0;
  words::publish(&impl.control.commit.sync, impl.sync);  // the last store: from here on the content holds
  impl.snapshot_begun = false;
  impl.snapshot_slots.stop();
  impl.follow_arena({});
  return {};
}

Status StoreWriter::accept_unsynced() {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours; }
  if (impl.sync == 0) { return {}; }
  std::uint64_t highest = impl.committed;
  for (const Table& table : impl.tables) {
    for (std::uint64_t index = 0; index < table.slot_count(); ++index) {
      highest = std::max(highest, Table::head(table.slot(index)).sequence());
    }
  }
  if (highest > layout::sequence_max) { return failure("the store holds a sequence that cannot be", Errc::Damaged); }
  if (const auto& live = impl.store.impl_->live; live) { live->note_mixed(true); }
  impl.note_purged(highest);
  impl.recount(highest);
  impl.restart_journal(highest);
  words::publish(&impl.control.commit.sync, 0);
  impl.sync = 0;
  impl.snapshot_begun = false;
  impl.snapshot_slots.stop();
  return {};
}

Status StoreWriter::extend_history(const std::vector<TermStart>& history) {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours; }
  const auto held = impl.store.history();
  const auto same = [](const TermStart& a, const TermStart& b) { return a.term == b.term && a.first == b.first; };
  // Both may have dropped their oldest terms: where they overlap they must agree.
  auto at = history.begin();
  if (!held.empty()) {
    at = std::find_if(history.begin(), history.end(), [&](const TermStart& start) { return same(start, held.back()); });
    if (at == history.end()) { return failure("the history received does not continue the one held", Errc::Refused); }
    ++at;
  }
  std::uint64_t count = words::load(&impl.control.history.count);
  for (; at != history.end(); ++at, ++count) {
    auto& entry = impl.control.history.entries[count % layout::history_entries];
    words::store(&entry.term, at->term.value);
    words::store(&entry.first, at->first.value);
    words::publish(&impl.control.history.count, count + 1);
  }
  return {};
}

/// One change of a snapshot, at once and for itself. Not newer than the slot: nothing, unless a full snapshot sees
/// the slot for the first time; then what it held belongs to another history.
Status StoreWriter::Impl::change_unordered(const Change& change) {
  sync_highest = std::max(sync_highest, change.sequence);
  const auto find = [&] { return tables[change.table].locate(KeyWords(change.key), ~std::uint64_t{0}); };
  auto place = find();
  if (place.match != nullptr) {
    const Table& in = tables[change.table];
    const std::uint64_t index = in.index_of(place.match);
    const bool first_seen = snapshot_slots.marking() && !snapshot_slots.has(change.table, index);
    if (!first_seen && place.held.sequence() >= change.sequence) { return {}; }
    if (!first_seen) { return put_with_room(change, place); }
    release_slot(change.table, place.match);
    snapshot_slots.add(change.table, index);
    if (change.op == layout::op_erase) { return {}; }
    return put_with_room(change, {nullptr, place.match, {}});
  }
  if (change.op == layout::op_erase) { return {}; }
  if (records[change.table] >= capacities[change.table] && can_grow(change.table)) {
    if (!grow(change.table)) { return not_ours(); }
    place = find();
  }
  return put_with_room(change, place);
}

/// What another history, or an older state, left behind takes the room, slots and slabs: in a full snapshot it goes
/// when that is needed, or in the way of a search, and what of it is still the sender's is brought again.
Status StoreWriter::Impl::put_with_room(const Change& change, const Table::Place& place) {
  if (!snapshot_slots.marking()) { return put_unordered(change, place); }
  const bool in_the_way = place.far && std::has_single_bit(++far_searches[change.table]);
  if (!in_the_way) {
    if (auto done = put_unordered(change, place); done) { return done; }
  }
  sweep_unseen(change.table);
  return put_unordered(change, tables[change.table].locate(KeyWords(change.key), ~std::uint64_t{0}));
}

/// Puts, or erases what `place` matches. What it replaces is free at once: no commit point is being waited for.
Status StoreWriter::Impl::put_unordered(const Change& change, const Table::Place& place) {
  const Table& in = tables[change.table];
  const auto no_room_left = [&] {
    return failure("table \"" + store.schema().tables[change.table].name + "\" has no room left for the snapshot",
                   Errc::Full);
  };
  if (place.match == nullptr && place.vacant == nullptr) { return no_room_left(); }
  Word ref = 0;
  Bytes value = change.value;
  if (slabs[change.table].exist()) {
    if (!store_value(change, place.match, ref)) { return no_room_left(); }
    value = std::as_bytes(std::span(&ref, 1));
  }
  // Counted anew at the end; until then only the rebuild asks.
  const bool was_live = place.is_present();
  records[change.table] += change.op == layout::op_put ? 1 : 0;
  records[change.table] -= was_live ? 1 : 0;
  if (place.match != nullptr) {
    in.write_copy(place, change.sequence, change.op == layout::op_put ? layout::kind_live : layout::kind_erased, value);
  } else {
    in.occupy(place.vacant, KeyWords(change.key), change.sequence, value);
    if (snapshot_slots.marking()) { snapshot_slots.add(change.table, in.index_of(place.vacant)); }
  }
  free_replaced();
  return {};
}

/// Whatever the slot held is gone, its slab too.
void StoreWriter::Impl::release_slot(TableIndex table, Word* at) {
  const Table& in = tables[table];
  const Head held = Table::head(at);
  if (held.is_live()) {
    --records[table];
    if (slabs[table].exist()) {
      pools[table].prepare(in, slabs[table]);
      replaced.push_back({table, words::load(in.value_of(at, held.newest()))});
    }
  }
  in.free_slot(at);
  free_replaced();
}

void StoreWriter::Impl::sweep_unseen(TableIndex table) {
  WhileBusy::Steps walk;
  for (std::uint64_t index = 0; index < tables[table].slot_count(); ++index) {
    walk.step();
    Word* at = tables[table].slot(index);
    if (!snapshot_slots.has(table, index) && Table::head(at).has_sequence()) { release_slot(table, at); }
  }
  empty_what_is_vacant(table, 0);  // a deletion keeps its slot and its number: in a sync a later one may ask for it
}

std::uint64_t StoreWriter::Impl::live_records(TableIndex table) const {
  std::uint64_t live = 0;
  WhileBusy::Steps walk;
  for (std::uint64_t index = 0; index < tables[table].slot_count(); ++index) {
    walk.step();
    live += Table::head(tables[table].slot(index)).is_live() ? 1U : 0U;
  }
  return live;
}

/// An interrupted snapshot published no counts: what the region tells is of before it.
void StoreWriter::Impl::count_what_may_grow() {
  for (TableIndex table = 0; table < tables.size(); ++table) {
    if (can_grow(table)) { records[table] = live_records(table); }
  }
}

void StoreWriter::Impl::recount(std::uint64_t at) {
  for (TableIndex t = 0; t < tables.size(); ++t) {
    records[t] = live_records(t);
    auto& copies = control.counts[t].copies;
    words::invalidate(&copies[1].sequence, layout::invalid_sequence);
    words::invalidate(&copies[0].sequence, layout::invalid_sequence);
    words::store(&copies[0].records, records[t]);
    words::publish(&copies[0].sequence, at);
  }
  counts_changed = 0;
}

/// An empty journal that goes on after `at`. Only while the sync mark is set.
void StoreWriter::Impl::restart_journal(std::uint64_t at) {
  reserved_end += journal.ring_bytes() + sizeof(Word);  // every older position is lapped, the present end too (J3)
  words::invalidate(&control.commit.reserved_end, reserved_end);
  end_position = reserved_end;
  end_copy = 0;
  words::invalidate(&control.commit.ends[1].sequence, layout::invalid_sequence);
  words::invalidate(&control.commit.ends[0].sequence, layout::invalid_sequence);
  words::store(&control.commit.ends[0].position, end_position);
  words::publish(&control.commit.ends[0].sequence, at);
  words::publish(&control.commit.committed, at);
  committed = at;
}

void StoreWriter::Impl::write_history(const std::vector<TermStart>& history) {
  words::publish(&control.history.count, 0);
  const std::size_t skip = history.size() > layout::history_entries ? history.size() - layout::history_entries : 0;
  std::uint64_t count = 0;
  for (std::size_t i = skip; i < history.size(); ++i, ++count) {
    words::store(&control.history.entries[count].term, history[i].term.value);
    words::store(&control.history.entries[count].first, history[i].first.value);
  }
  words::publish(&control.history.count, count);
  history_has_term = false;
  fast_until = 0;
}

}  // namespace understudy::shm
