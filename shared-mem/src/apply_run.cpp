// SPDX-License-Identifier: Apache-2.0
/// A run of puts (put_run.hpp) into journal and table, in the order of every commit (writer.hpp).
#include <algorithm>

#include "commit_steps.hpp"

namespace understudy::shm {
namespace {

/// Asks for the copy that will be overwritten, as far as the slot's own lines do not hold it.
void ask_for_copy(const Table& in, const Word* at, std::size_t bytes) {
  constexpr std::size_t bytes_max = 512;
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
  bool far = false;
  const bool placed = run.value_words() == 3 ? change_table_by_run<3>(far) : change_table_by_run<0>(far);
  if (!placed) {  // foreign bytes in the table; one by one tells
    if (auto undone = take_back_unfinished(); !undone) { return undone.error(); }
    read_counts();
    return std::uint64_t{0};
  }
  if (!commit_point(run.last())) { return not_ours(); }
  if (far) [[unlikely]] { shorten_searches(table); }
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

/// Where some puts of the run find their keys, mostly: in one of the first three slots, whose lines are asked for on
/// the way. Without a branch, since which one it is changes from key to key.
void StoreWriter::Impl::look_for_slots(const Table& in, std::size_t first, std::span<const Word*> slots) const {
  const auto key_of = [&](std::size_t i) { return words::at(run.key(first + i).data(), 0); };
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::uint64_t home = run.home(first + i);
    const Word* const at = in.slot(home);
    slots[i] = chosen(words::load(in.key_of(at)), key_of(i), at, in.slot(home + 1));
    in.prefetch_slot(slots[i]);
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Word* const at = slots[i];
    slots[i] = chosen(words::load(in.key_of(at)), key_of(i), at, in.slot(run.home(first + i) + 2));
    in.prefetch_slot(slots[i]);
  }
  if (run.value_words() <= 4) { return; }
  for (const Word* at : slots) { ask_for_copy(in, at, run.value_words() * sizeof(Word)); }
}

/// False: a key has no place. `far`: the search for one was (Table::Place). `Words`: of a value; 0: any number.
template <std::size_t Words>
bool StoreWriter::Impl::change_table_by_run(bool& far) {
  const Table in = tables[run.table()];  // a copy: after each store to shared memory its members would be loaded again
  const std::uint64_t before = committed;
  std::array<const Word*, keys_together> slots;  // NOLINT(cppcoreguidelines-pro-type-member-init): written first
  std::uint64_t added = 0;
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (i % keys_together == 0) {
      look_for_slots(in, i, std::span(slots).first(std::min(keys_together, run.size() - i)));
    }
    const Bytes value = Words != 0 ? Bytes(run.value(i).data(), Words * sizeof(Word)) : run.value(i);
    const std::uint64_t sequence = run.first() + i;
    Word* const at = const_cast<Word*>(slots[i % keys_together]);
    const Head held = Table::head(at);
    const bool is_it = words::load(in.key_of(at)) == words::at(run.key(i).data(), 0);
    if (is_it && held.is_live() && held.sequence() <= before) [[likely]] {
      in.write_copy({at, nullptr, held}, sequence, layout::kind_live, value);
      continue;
    }
    const auto place = in.locate_from<true>(run.home(i), KeyWords(run.key(i)), before);
    far = far || place.far;
    if (place.match != nullptr) [[likely]] {
      if (place.held.sequence() > before) [[unlikely]] {
        if (place.held.sequence() >= sequence) { return false; }  // foreign bytes
        in.write_newest_copy(place, before, sequence, value);
      } else {
        in.write_copy(place, sequence, layout::kind_live, value);
        added += place.held.is_live() ? 0U : 1U;
      }
    } else if (place.vacant != nullptr) {
      in.occupy(place.vacant, KeyWords(run.key(i)), sequence, value);
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
