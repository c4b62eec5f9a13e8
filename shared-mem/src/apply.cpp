// SPDX-License-Identifier: Apache-2.0
/// A sender's journal entries into a mirror's store: transactions whole, as many at once as one commit may hold.
///
///   SNAPSHOT               each change for itself, only where it is newer (sync.cpp)
///   SYNCED                 groups of transactions (received.hpp): journal bytes as they came, tables, one commit point
///   CATCHING_UP, an arena, the order matters to more than the tables, or a table is about to be rebuilt:
///   a table without room   one transaction at a time
///
/// A group commits in the order of every commit (writer.hpp), so frozen or killed anywhere in it the mirror holds the
/// state before its first or after its last transaction, and the next writer takes back what its journal bytes name.
#include <algorithm>

#include "writer.hpp"

namespace understudy::shm {
namespace {

void tell(const ReceivedGroup& group, std::vector<JournalEntry>& applied) {
  for (const Change& change : group.changes()) {
    applied.push_back({Sequence{change.sequence}, change.table,
                       change.op == layout::op_put ? JournalEntry::Op::Put : JournalEntry::Op::Erase, change.key,
                       change.value, change.ends_transaction});
  }
}

void tell(const PutRun& run, std::vector<JournalEntry>& applied) {
  for (std::size_t i = 0; i < run.size(); ++i) {
    applied.push_back({Sequence{run.first() + i}, run.table(), JournalEntry::Op::Put, run.key(i), run.value(i), true});
  }
}

}  // namespace

Result<Sequence> StoreWriter::apply(Bytes entries, std::vector<JournalEntry>* applied) {
  auto& impl = *impl_;
  if (auto ours = impl.check_ours(); !ours) { return ours.error(); }
  if (impl.in_transaction) { return failure("a transaction is open", Errc::BadInput); }
  const bool snapshot = impl.sync == layout::sync_snapshot;
  if (snapshot && !impl.snapshot_begun) {
    return failure("a snapshot was interrupted here: begin_sync first", Errc::Refused);
  }
  auto& group = impl.received;
  bool one_by_one = false;
  std::uint64_t last = impl.committed;
  while (!entries.empty()) {
    const std::uint64_t held = snapshot ? 0 : impl.committed;
    if (!one_by_one) {
      const auto bytes = impl.apply_run(entries);
      if (!bytes) { return bytes.error(); }
      if (*bytes != 0) {
        last = impl.committed;
        if (applied != nullptr) { tell(impl.run, *applied); }
        entries = entries.subspan(*bytes);
        continue;
      }
    }
    if (auto read = impl.read_group(entries, one_by_one); !read) { return read.error(); }
    if (snapshot) {
      for (const Change& change : group.changes()) {
        if (auto done = impl.change_unordered(change); !done) { return done.error(); }
        last = std::max(last, change.sequence);
      }
    } else if (group.changes().back().sequence > held) {
      const bool several = group.transactions() > 1;
      if (several && impl.must_grow_for(group.changes())) {
        one_by_one = true;  // not sooner than the sender's own
        continue;
      }
      auto done = impl.commit_group();
      if (!done && several && done.error().code == Errc::Damaged) {
        one_by_one = true;  // what its first transactions erase may be the room that its last ones need
        continue;
      }
      if (!done) { return done.error(); }
      last = impl.committed;
    }
    if (applied != nullptr && group.changes().back().sequence > held) { tell(group, *applied); }
    entries = entries.subspan(group.bytes().size());
  }
  return Sequence{last};
}

Status StoreWriter::Impl::read_group(Bytes entries, bool one_by_one) {
  const auto& live = store.impl_->live;
  const bool alone = one_by_one || live || (sync != 0 && sync != layout::sync_snapshot);
  ReceivedGroup::Limits limits{alone ? 1 : ReceivedGroup::changes_max, journal.ring_bytes(), committed};
  if (live) { limits.arena = live->table_index(); }
  return received.read(entries, store.schema(), tables, limits);
}

/// The transactions of `received`, with everything around them.
Status StoreWriter::Impl::commit_group() {
  const auto changed = received.changes();
  if (changed.front().sequence != committed + 1) {
    return failure("received sequence " + std::to_string(changed.front().sequence) + " does not follow " +
                       std::to_string(committed),
                   Errc::BadInput);
  }
  if (!received.allowed()) { return failure("received a transaction that no sender writes", Errc::Damaged); }
  if (store.impl_->growable != 0 && !grow_for(changed)) { return not_ours(); }
  if (auto done = commit_received(); !done) { return done; }
  if (sync != 0 && committed >= sync) {
    words::publish(&control.commit.sync, 0);
    sync = 0;
  }
  follow_arena(changed);
  return {};
}

/// Could the changes take more room than a table has that can be rebuilt?
bool StoreWriter::Impl::must_grow_for(std::span<const Change> all) const {
  if (store.impl_->growable == 0) { return false; }
  for (TableIndex table = 0; table < tables.size(); ++table) {
    if (can_grow(table) && records[table] + all.size() > capacities[table]) { return true; }
  }
  return false;
}

}  // namespace understudy::shm
