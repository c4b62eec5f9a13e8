// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The steps that every commit takes (writer.hpp), inlined on the way of each change.

#include "journal_append.hpp"
#include "small_records.hpp"
#include "table_writing.hpp"
#include "writer.hpp"

namespace understudy::shm {

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
  note_entry(change.sequence, journal.append(end_position, head, change.key, change.value));
}

/// An entry of so many bytes was written at the end.
[[gnu::always_inline]] inline void StoreWriter::Impl::note_entry(std::uint64_t sequence, std::uint64_t bytes) {
  const std::uint64_t begin = end_position;
  end_position += bytes;
  if (begin < next_anchor) [[likely]] { return; }
  journal.note_anchor(begin, sequence);
  next_anchor = journal.next_anchor(begin);
}

/// Before the commit of `sequence`.
[[gnu::always_inline]] inline void StoreWriter::Impl::publish_count(TableIndex table, std::uint64_t sequence) {
  auto& copies = control.counts[table].copies;
  // The newest committed copy stays; an invalid one counts as older than any.
  const auto age = [](const layout::CountCopy& copy) { return words::load(&copy.sequence) + 1; };
  auto& unused = age(copies[0]) < age(copies[1]) ? copies[0] : copies[1];
  words::invalidate(&unused.sequence, layout::invalid_sequence);
  words::store(&unused.records, records[table]);
  words::publish(&unused.sequence, sequence);
}

[[gnu::always_inline]] inline void StoreWriter::Impl::publish_end(std::uint64_t sequence) {
  auto& end = control.commit.ends[1 - end_copy];
  words::invalidate(&end.sequence, layout::invalid_sequence);
  words::store(&end.position, end_position);
  words::publish(&end.sequence, sequence);
}

[[gnu::always_inline]] inline void StoreWriter::Impl::publish_commit(std::uint64_t sequence) {
  words::publish(&control.commit.committed, sequence);
  committed = sequence;
  end_copy = 1 - end_copy;
}

/// False: another writer took over; this one must not touch the region any more.
[[gnu::always_inline]] inline bool StoreWriter::Impl::commit_point(std::uint64_t sequence) {
  if (counts_changed != 0) { publish_counts(sequence); }
  publish_end(sequence);
  if (!still_ours()) [[unlikely]] { return false; }
  publish_commit(sequence);
  return true;
}

}  // namespace understudy::shm
