// SPDX-License-Identifier: Apache-2.0
/// Putting records, one by one and many.
///
/// Most records are small: a key of one word, a value of a few whole words in the slot. They have a way of their own in
/// here: the same steps in the same order as every commit (writer.hpp), made by the compiler for each number of words.
/// A put of a large table waits for memory; the fewer instructions it has, the more of the next one's waiting runs
/// beside it.
#include <algorithm>
#include <array>

#include "commit_steps.hpp"

namespace understudy::shm {

/// The changes of a small record. A class, so that it may see what is in a StoreWriter.
struct StoreWriter::Small {
  /// A slot found for a key, with what it held.
  struct Place {
    Word* at;
    bool matches;  ///< it has the key; else it is vacant, or there is none
  };
  /// As Table::locate. A call, so that its loop has the registers for itself.
  [[gnu::noinline]] static Place locate(const Table& in, std::uint64_t home, Word key, std::uint64_t reusable_up_to) {
    const auto place = in.locate_from<true>(home, KeyWords(as_bytes_of(key)), reusable_up_to);
    return place.match != nullptr ? Place{place.match, true} : Place{place.vacant, false};
  }

  /// The copy that is not the newest (Table::write_copy).
  template <std::size_t Words>
  [[gnu::always_inline]] static void write_copy(Word* at, Head held, std::uint64_t sequence, const std::byte* value) {
    Word* const to = at + 2 + (held.newest() ^ 1U) * Words;
    words::fence_release();
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Words; ++i) { words::store(to + i, words::at(value, i)); }
    words::publish(at, held.after(sequence, layout::kind_live).word);
  }

  /// A key that is not there: a slot is taken, or an erased record comes back.
  template <std::size_t Words>
  [[gnu::always_inline]] static void insert(Impl& impl, TableIndex table, const Place& place, Word key,
                                            std::uint64_t sequence, const std::byte* value) {
    Word* const at = place.at;
    const Head held = Table::head(at);
    if (place.matches) {
      write_copy<Words>(at, held, sequence, value);
    } else {  // Table::occupy
      if (!held.is_empty()) [[unlikely]] { impl.tables[table].free_slot(at); }
      words::store(at + 1, key);
#pragma GCC unroll 8
      for (std::size_t i = 0; i < Words; ++i) { words::store(at + 2 + i, words::at(value, i)); }
      words::publish(at, Head::first(sequence).word);
    }
    ++impl.records[table];
    impl.publish_count(table, sequence);
  }

  template <std::size_t Words>
  [[gnu::noinline]] static Result<Sequence> put(Impl& impl, TableIndex table, const std::byte* key_at,
                                                const std::byte* value) {
    const Table& in = impl.tables[table];
    const Word key = words::at(key_at, 0);
    const auto home = in.home_of<true>(KeyWords(as_bytes_of(key)));
    const Place place = locate(in, home, key, impl.committed);
    const Head held = place.matches ? Table::head(place.at) : Head{};
    const bool present = held.is_live();
    if (!present && (impl.records[table] >= impl.capacities[table] || place.at == nullptr)) [[unlikely]] {
      return impl.no_room(table, place.at != nullptr);
    }
    impl.note_own_term();
    const std::uint64_t sequence = impl.committed + 1;
    impl.reserve(layout::entry_bytes(sizeof(Word), Words * sizeof(Word)));
    impl.note_entry(sequence, impl.journal.append_words<Words>(impl.end_position, sequence, table, key, value));
    if (present) {
      write_copy<Words>(place.at, held, sequence, value);
    } else {
      insert<Words>(impl, table, place, key, sequence, value);
    }
    if (!impl.commit_point(sequence)) [[unlikely]] { return impl.not_ours(); }
    return Sequence{sequence};
  }

  /// May the record go this way, now? Its words then, else 0.
  [[gnu::always_inline]] static std::size_t words_of(const Impl& impl, TableIndex table, std::size_t key_bytes,
                                                     std::size_t value_bytes) {
    const bool small = impl.is_small(table) && key_bytes == sizeof(Word) && !impl.in_transaction &&
                       value_bytes == impl.tables[table].value_bytes() && impl.can_write();
    return small ? value_bytes / sizeof(Word) : 0;
  }

  /// Any other record.
  [[gnu::noinline]] static Result<Sequence> put_any(Impl& impl, TableIndex table, Bytes key, Bytes value) {
    if (!impl.can_change(table, key, value, layout::op_put)) [[unlikely]] { return impl.cannot_change(table); }
    const Change change{impl.committed + 1, layout::op_put, true, table, key, value};
    return impl.in_transaction ? impl.buffer(change) : impl.write_one(change);
  }
};

Result<Sequence> StoreWriter::put(TableIndex table, Bytes key, Bytes value) {
  auto& impl = *impl_;
  switch (Small::words_of(impl, table, key.size(), value.size())) {
    case 1:
      return Small::put<1>(impl, table, key.data(), value.data());
    case 2:
      return Small::put<2>(impl, table, key.data(), value.data());
    case 3:
      return Small::put<3>(impl, table, key.data(), value.data());
    case 4:
      return Small::put<4>(impl, table, key.data(), value.data());
    default:
      return Small::put_any(impl, table, key, value);
  }
}

Result<Sequence> StoreWriter::put_many(TableIndex table, Bytes keys, Bytes values) {
  auto& impl = *impl_;
  if (impl.in_transaction) { return failure("a transaction is open", Errc::BadInput); }
  if (table >= impl.tables.size()) { return impl.cannot_change(table); }
  const std::size_t key_bytes = impl.tables[table].key_bytes();
  const std::size_t value_bytes = impl.store.schema().tables[table].value_bytes;
  const std::size_t count = keys.size() / key_bytes;
  if (keys.size() != count * key_bytes || values.size() != count * value_bytes) { return impl.wrong_size(table); }
  Sequence last{impl.committed};
  std::array<std::uint64_t, keys_together> homes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written first
  for (std::size_t first = 0; first < count; first += keys_together) {
    const std::size_t end = std::min(count, first + keys_together);
    const auto key_at = [&](std::size_t i) { return keys.subspan(i * key_bytes, key_bytes); };
    const Table& in = impl.tables[table];
    for (std::size_t i = first; i < end; ++i) {
      homes[i - first] = in.home(KeyWords(key_at(i)));
      in.prefetch_home(homes[i - first]);
    }
    for (std::size_t i = first; i < end; ++i) { in.prefetch_further(homes[i - first], KeyWords(key_at(i))); }
    for (std::size_t i = first; i < end; ++i) {
      auto done = put(table, key_at(i), values.subspan(i * value_bytes, value_bytes));
      if (!done) [[unlikely]] { return done; }
      last = *done;
    }
  }
  return last;
}

}  // namespace understudy::shm
