// SPDX-License-Identifier: Apache-2.0
/// A table rebuilt larger, once, in the slots that were reserved for it (schema.hpp: capacity_max).
///
///   1  whatever an interrupted rebuild left in the larger slots is emptied; nobody reads them yet
///   2  every record is copied there with its sequence
///   3  is the store still ours? (asked before each record too)
///   4  grown = 1     <- one word; from here on writer and readers use the larger slots
///
/// Stopped before 4: the table is as it was, a later rebuild starts over. Stopped after 4: all done. Records, counts
/// and the commit point do not change in between, so every instant is the same state. The first slots are never
/// written again: a reader that is late, or a scan that began there, finds what was there
/// (Store::Impl::look_into_slot).
///
/// A rebuild is local to a region and in no journal: a mirror grows when a change would not fit otherwise.
#include <algorithm>

#include "understudy/shm/while_busy.hpp"
#include "writer.hpp"

namespace understudy::shm {

Status StoreWriter::rebuild(TableIndex table) {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours; }
  if (table >= impl.tables.size()) { return failure("no table " + std::to_string(table), Errc::BadInput); }
  const TableSchema& described = impl.store.schema().tables[table];
  if (!described.can_grow()) {
    return failure("table \"" + described.name + "\" was created without room for more than " +
                       std::to_string(described.capacity) + " records (capacity_max)",
                   Errc::BadInput);
  }
  if (impl.in_transaction) { return failure("a transaction is open", Errc::BadInput); }
  if (impl.sync != 0) { return failure("store \"" + impl.store.schema().name + "\" is not synced", Errc::Refused); }
  if (!impl.can_grow(table)) { return {}; }
  return impl.grow(table) ? Status() : Status(impl.not_ours());
}

bool StoreWriter::Impl::can_grow(TableIndex table) const {
  return store.schema().tables[table].can_grow() && !store.impl_->is_grown(table);
}

/// False: another writer took over.
bool StoreWriter::Impl::grow(TableIndex table) {
  const Table& from = tables[table];
  const Table& to = store.impl_->larger[table];
  WhileBusy::Steps walk;
  for (std::uint64_t index = 0; index < to.slot_count(); ++index) {
    walk.step();
    if (!still_ours()) { return false; }  // asked for each: the slots may be a later writer's table by now
    to.make_empty(to.slot(index));
  }
  const bool marking = snapshot_slots.marking();
  std::vector<bool> seen(marking ? to.slot_count() : 0);
  for (std::uint64_t index = 0; index < from.slot_count(); ++index) {
    walk.step();
    const Word* at = from.slot(index);
    const Head held = Table::head(at);
    // Between two states of the sender a deletion still keeps older records out.
    const bool kept = held.is_live() || (sync != 0 && held.has_sequence());
    if (!kept) { continue; }
    if (!still_ours()) { return false; }
    const Word* copied = to.take_over(from, at);
    if (marking && copied != nullptr && snapshot_slots.has(table, index)) { seen[to.index_of(copied)] = true; }
  }
  if (!still_ours()) { return false; }
  words::publish(&control.tables[table].grown, 1);
  if (marking) { snapshot_slots.replace(table, std::move(seen)); }
  tables[table] = to;
  capacities[table] = store.capacity(table);
  return true;
}

/// Makes room for changes of a sender whose table may have grown. False: another writer took over.
bool StoreWriter::Impl::grow_for(std::span<const Change> all) {
  for (TableIndex table = 0; table < tables.size(); ++table) {
    if (!can_grow(table)) { continue; }
    const auto puts = std::count_if(all.begin(), all.end(), [table](const Change& change) {
      return change.table == table && change.op == layout::op_put;
    });
    if (records[table] + static_cast<std::uint64_t>(puts) > capacities[table] && !grow(table)) { return false; }
  }
  return true;
}

}  // namespace understudy::shm
