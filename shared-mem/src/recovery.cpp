// SPDX-License-Identifier: Apache-2.0
/// Becoming the writer: whatever the former one left unfinished is taken back, then writing goes on (rule 17).
///
///   ends[committed]            what the former writer had begun                  reserved_end
///        |  entry L+1  |  entry L+2  |  (torn or never written)                    |
///
/// Entries were written before the tables, so the complete ones at the end of the journal name every slot that may
/// hold a copy above `committed`: at most one transaction of 64 changes, or one group of a mirror (191, received.hpp),
/// or a checkpoint's pages, which half of the ring bounds; whatever the size of the tables. Taking those back can be
/// repeated any number of times; a death in here leaves the same work to the next one.
#include <algorithm>

#include "table_writing.hpp"
#include "writer.hpp"

namespace understudy::shm {
namespace {

/// No writer leaves more changes whose slots have to be searched for: of a transaction, a mirror's group, a run. Those
/// of an arena's checkpoint, in a dense table, have not.
constexpr std::size_t searched_max =
    std::max(PutRun::puts_max, ReceivedGroup::changes_max - 1 + StoreWriter::max_transaction);

/// Nobody gets beyond these by writing: with 10 million changes and 4 GiB of journal a second they are reached after
/// 1,800 and 34 years. Where a counter stands beyond, somebody else has written it, and to go on would end in the first
/// commit: a position that begins at 0 again, or no sequence left, for ever.
constexpr std::uint64_t position_max = std::uint64_t{1} << 62;
constexpr std::uint64_t committed_max = layout::sequence_max - (std::uint64_t{1} << 40);

constexpr const char* more_than_any = "it has more unfinished changes than any writer leaves";

struct Unfinished {
  const StoreSchema& schema;
  std::uint64_t committed;
  std::uint64_t position;  ///< where its entries end
  std::uint64_t reserved_end;
};
/// Calls `each(header, key)` for the complete entries behind the commit point. False: there are more than any writer
/// leaves.
template <class Each>
bool for_unfinished(const Journal& journal, EntryBuffer& entry, Unfinished of, const Each& each) {
  const std::uint64_t ring_end = of.position + journal.ring_bytes();
  std::size_t searched = 0;
  for (std::uint64_t sequence = of.committed + 1; of.position < ring_end; ++sequence) {
    if (of.position == of.reserved_end) { break; }
    const auto size = journal.read_entry(of.position, entry);
    if (!size || entry.header().sequence != sequence) { break; }  // from here on the tables were not touched
    const auto header = entry.header();
    const auto& tables = of.schema.tables;
    if (header.table >= tables.size() || header.key_bytes != tables[header.table].key_bytes) { break; }
    if (tables[header.table].kind != TableKind::Dense && ++searched > searched_max) { return false; }
    each(header, entry.bytes(*size).subspan(sizeof header, header.key_bytes));
    of.position += *size;
  }
  return true;
}

}  // namespace

Result<StoreWriter> Store::become_writer(Term term) const {
  if (impl_->region->access != Access::ReadWrite) { return open_for_reading_only(*impl_->region); }
  auto lock = WriterLock::take(*impl_->region, impl_->index);
  if (!lock) { return lock.error(); }
  auto writer = std::make_unique<StoreWriter::Impl>(*this, std::move(*lock));
  if (auto adopted = writer->adopt(term.value); !adopted) { return adopted.error(); }
  return StoreWriter(std::move(writer));
}

Status Store::can_become_writer(Term term) const {
  if (impl_->region->access != Access::ReadWrite) {
    return failure("region " + impl_->region->path + " is open for reading only", Errc::Refused);
  }
  auto lock = WriterLock::take(*impl_->region, impl_->index);
  if (!lock) { return lock.error(); }
  return impl_->check_writable(term.value);
}

Status Store::can_be_served_under(Term term) const {
  if (syncing()) {
    return failure("store \"" + schema().name + "\" is marked as a copy that is not whole", Errc::Refused);
  }
  return impl_->check_writable(term.value);
}

StoreWriter::Impl::Impl(Store of, WriterLock held)
    : store(std::move(of)),
      control(*store.impl_->control),
      journal(store.impl_->journal),
      tables(store.impl_->tables),
      slabs(store.impl_->slabs),
      lock(std::move(held)) {
  changes.reserve(max_transaction);
  pools.resize(tables.size());
  for (std::size_t table = 0; table < tables.size(); ++table) {
    small |= std::uint32_t{tables[table].is_small()} << table;
  }
  choose_puts();
}

/// What is wrong with the copy, so that nobody can go on with it; or nothing. A former writer may be committing: it is
/// looked at again when commit point and journal do not fit.
Status Store::Impl::check_writable(std::uint64_t term) const {
  const std::uint64_t former = words::load_acquire(&control->writer.term);
  if (term < former) {
    return failure("term " + std::to_string(term) + " is older than the term " + std::to_string(former) +
                       " of store \"" + schema().name + "\"",
                   Errc::Refused);
  }
  const auto entry = std::make_unique_for_overwrite<EntryBuffer>();
  constexpr int long_tails_max = 10;  // then it is looked at when it is taken over
  int long_tails = 0;
  for (int tries = 0; tries < read_tries_max; ++tries) {
    const std::uint64_t at = committed();
    if (at > committed_max) { return damaged("its commit point cannot be"); }
    const auto end = journal.end_of(at);
    const auto reserved_end = words::load_acquire(&control->commit.reserved_end);
    if (reserved_end > position_max) { return damaged("its journal has an end that cannot be"); }
    if (syncing()) { return {}; }
    if (!end || !journal_holds(*end, reserved_end)) { continue; }
    const bool bounded = for_unfinished(journal, *entry, {schema(), at, *end, reserved_end}, [](auto...) {});
    if (bounded || ++long_tails == long_tails_max) { return {}; }
    if (committed() == at) { return damaged(more_than_any); }
  }
  return damaged("its journal does not end where the commit point says");
}

Error Store::Impl::damaged(const std::string& what) const {
  return failure("store \"" + schema().name + "\" is damaged: " + what, Errc::Damaged);
}

bool Store::Impl::journal_holds(std::uint64_t end, std::uint64_t reserved_end) const {
  return reserved_end % 8 == 0 && reserved_end - end <= journal.ring_bytes();
}

Status StoreWriter::Impl::adopt(std::uint64_t new_term) {
  // Before anything is stored: who is refused has not stopped the former writer.
  if (auto sound = store.impl_->check_writable(new_term); !sound) { return sound; }
  // Looked at before the commit point: a sender that lives has been told of nothing that is not committed.
  const Sequence acknowledged = store.mirrored().acknowledged;
  // From the first of these stores on a former writer that still runs finds itself replaced.
  term = new_term;
  epoch = words::load_acquire(&control.writer.epoch) + 1;
  words::publish(&control.writer.term, term);
  words::publish(&control.writer.epoch, epoch);

  for (TableIndex table = 0; table < tables.size(); ++table) {
    tables[table] = store.impl_->table(table);
    capacities[table] = store.capacity(table);
  }
  committed = words::load_acquire(&control.commit.committed);
  // More than is committed: another history's sender said so, and this one's next changes have those numbers. Nobody
  // has acknowledged them, and until a sender is made nobody is there to be waited for.
  if (acknowledged.value > committed) { words::publish(&control.mirror.mirrored, 0); }
  reserved_end = words::load(&control.commit.reserved_end);
  purged_up_to = words::load(&control.commit.purged_up_to);
  sync = words::load(&control.commit.sync);
  if (sync != 0 && !store.syncing()) {  // its writer died between the last commit and this
    words::publish(&control.commit.sync, 0);
    sync = 0;
  }
  if (sync != 0) { reserved_end &= ~std::uint64_t{7}; }  // the journal is about to begin anew there
  const auto end = journal.end_of(committed);
  const bool holds = end && store.impl_->journal_holds(*end, reserved_end);
  if (committed > committed_max || reserved_end > position_max || (sync == 0 && !holds)) {
    return store.impl_->damaged("somebody wrote it while it was taken over");
  }
  end_position = holds ? *end : reserved_end;
  end_copy = words::load(&control.commit.ends[0].sequence) == committed ? 0 : 1;
  // A copy that is still being synced is whole neither way: the next snapshot or catch-up puts it right.
  if (sync == 0) {
    if (auto undone = take_back_unfinished(); !undone) { return undone; }
  }
  read_counts();
  return {};
}

Status StoreWriter::Impl::take_back_unfinished() {
  end_position = journal.end_of(committed).value_or(end_position);
  const Unfinished tail{store.schema(), committed, end_position, reserved_end};
  const bool bounded = for_unfinished(journal, entry, tail, [&](const layout::JournalEntryHeader& header, Bytes key) {
    const auto place = tables[header.table].locate(KeyWords(key), 0);
    if (place.match != nullptr) { take_back(header.table, place.match, header.sequence); }
  });
  if (!bounded) { return store.impl_->damaged(more_than_any); }
  for (std::size_t table = 0; table < tables.size(); ++table) {
    for (auto& copy : control.counts[table].copies) {
      const std::uint64_t sequence = words::load(&copy.sequence);
      if (sequence > committed && sequence != layout::invalid_sequence) {
        words::invalidate(&copy.sequence, layout::invalid_sequence);
      }
    }
  }
  // An anchor or a deletion of what never happened would mislead: followers into old bytes, a mirror into waiting for
  // it.
  for (auto& anchor : control.anchors) {
    if (words::load(&anchor.sequence) > committed) { words::invalidate(&anchor.sequence, 0); }
  }
  if (sync == 0 && purged_up_to > committed) {
    purged_up_to = committed;
    words::publish(&control.commit.purged_up_to, purged_up_to);
  }
  counts_changed = 0;
  next_anchor = 0;
  fast_until = 0;
  replaced.clear();
  for (SlabPool& pool : pools) { pool.forget(); }  // what was taken back freed the slabs that it referred to
  return {};
}

/// The copy before it counts again. Its sequence the head told until then; a slab still tells it of a blob, for others
/// it is not above `committed`, which is as good: the record was the same at both.
void StoreWriter::Impl::take_back(TableIndex table, Word* at, std::uint64_t sequence) {
  std::uint64_t older = committed;
  if (slabs[table].exist()) {
    const Word ref = words::load(tables[table].value_of(at, Table::head(at).newest() ^ 1U));
    if (const auto written = slabs[table].sequence_of(ref, committed); written != 0) { older = written; }
  }
  tables[table].take_back(at, sequence, older);
}

void StoreWriter::Impl::read_counts() {
  for (std::size_t table = 0; table < tables.size(); ++table) {
    records[table] = store.count(static_cast<TableIndex>(table));
  }
}

}  // namespace understudy::shm
