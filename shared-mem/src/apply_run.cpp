// SPDX-License-Identifier: Apache-2.0
/// A run of puts (put_run.hpp) into journal and table, in the order of every commit (writer.hpp).
#include <algorithm>

#include "commit_steps.hpp"

namespace understudy::shm {
namespace {

/// Asks for the copy that will be overwritten, where the home slot is the key's, as far as the slot's own lines do not
/// hold it.
void ask_for_copy(const Table& in, std::uint64_t home, std::size_t bytes) {
  constexpr std::size_t bytes_max = 512;
  const Word* at = in.slot(home);
  const auto* to = reinterpret_cast<const std::byte*>(in.value_of(at, Table::head(at).newest() ^ 1U));
  bytes = std::min(bytes, bytes_max) + layout::cache_line_bytes;
  for (std::size_t i = 0; i < bytes; i += layout::cache_line_bytes) { __builtin_prefetch(to + i, 1); }
}

}  // namespace

/// How many bytes of `entries` were applied as a run; 0: nothing was, it is no such run or does not fit as one.
Result<std::uint64_t> StoreWriter::Impl::apply_run(Bytes entries) {
  if (sync != 0 || store.impl_->live) { return std::uint64_t{0}; }
  run.read(entries, committed + 1, tables, small, std::min(journal.ring_bytes() / 2, layout::transaction_bytes_max));
  if (run.empty()) { return std::uint64_t{0}; }
  const TableIndex table = run.table();
  if (can_grow(table) && records[table] + run.size() > capacities[table]) { return std::uint64_t{0}; }
  write_run();
  bool placed = false;
  switch (run.value_words()) {
    case 3:
      placed = change_table_by_run<3>();
      break;
    default:
      placed = change_table_by_run<0>();
  }
  if (!placed) {  // foreign bytes in the table; one by one tells
    if (auto undone = take_back_unfinished(); !undone) { return undone.error(); }
    read_counts();
    return std::uint64_t{0};
  }
  if (!commit_point(run.last())) { return not_ours(); }
  return run.bytes().size();
}

/// The entries as they came, and the anchors of the segments in which one of them begins.
void StoreWriter::Impl::write_run() {
  const std::uint64_t begin = end_position;
  reserve(run.bytes().size());
  journal.write_bytes(begin, run.bytes());
  for (std::uint64_t i = 0; i < run.size();) {
    const std::uint64_t position = begin + i * run.entry_bytes();
    journal.note_anchor(position, run.first() + i);
    i = (journal.next_anchor(position) - begin + run.entry_bytes() - 1) / run.entry_bytes();
  }
  end_position = begin + run.bytes().size();
}

/// False: a key has no place. `Words`: of a value; 0: any number.
template <std::size_t Words>
bool StoreWriter::Impl::change_table_by_run() {
  const Table in = tables[run.table()];  // a copy: after each store to shared memory its members would be loaded again
  const std::uint64_t before = committed;
  std::uint64_t added = 0;
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (i % keys_together == 0) {
      const std::size_t end = std::min(run.size(), i + keys_together);
      for (std::size_t ahead = i; ahead < end; ++ahead) {
        in.prefetch_further(run.home(ahead), run.key(ahead));
        if (Words == 0 && run.value_words() > 4) { ask_for_copy(in, run.home(ahead), run.value(ahead).size()); }
      }
    }
    const KeyWords key(run.key(i));
    const Bytes value = Words != 0 ? Bytes(run.value(i).data(), Words * sizeof(Word)) : run.value(i);
    const std::uint64_t sequence = run.first() + i;
    const auto place = in.locate_from<true>(run.home(i), key, before);
    if (place.match != nullptr) [[likely]] {
      if (place.held.sequence() > before) [[unlikely]] {
        if (place.held.sequence() >= sequence) { return false; }  // foreign bytes
        in.write_newest_copy(place, before, sequence, value);
      } else {
        in.write_copy(place, sequence, layout::kind_live, value);
        added += place.held.is_live() ? 0U : 1U;
      }
    } else if (place.vacant != nullptr) {
      in.occupy(place.vacant, key, sequence, value);
      ++added;
    } else {
      return false;
    }
  }
  records[run.table()] += added;
  if (added != 0) { counts_changed |= 1U << run.table(); }
  return true;
}

}  // namespace understudy::shm
