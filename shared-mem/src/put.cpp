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
  template <std::size_t Words>
  static constexpr std::uint64_t entry_bytes = layout::entry_bytes(sizeof(Word), Words * sizeof(Word));

  /// A slot found for a key, with what it held.
  struct Place {
    Word* at;  ///< none: there is no room
    Head held;
    bool matches;  ///< it has the key; else it is vacant
    bool far;      ///< Table::Place::far
    [[nodiscard]] bool is_present() const { return matches && held.is_live(); }
  };
  /// As Table::locate. A call, so that its loop has the registers for itself.
  [[gnu::noinline]] static Place locate(const Table& in, std::uint64_t home, Word key, std::uint64_t reusable_up_to) {
    const auto place = in.locate_from<true>(home, KeyWords(as_bytes_of(key)), reusable_up_to);
    if (place.match != nullptr) { return {place.match, place.held, true, place.far}; }
    return {place.vacant, place.vacant == nullptr ? Head{} : Table::head(place.vacant), false, place.far};
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

  /// An Empty or free slot gets the key (Table::occupy).
  template <std::size_t Words>
  [[gnu::always_inline]] static void occupy(Word* at, Word key, std::uint64_t sequence, const std::byte* value) {
    words::store(at + 1, key);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Words; ++i) { words::store(at + 2 + i, words::at(value, i)); }
    words::publish(at, Head::first(sequence).word);
  }

  [[gnu::always_inline]] static void count_one_more(Impl& impl, TableIndex table, std::uint64_t sequence) {
    ++impl.records[table];
    impl.publish_count(table, sequence);
  }

  /// A key that is not there: a slot is taken, or an erased record comes back.
  template <std::size_t Words>
  [[gnu::always_inline]] static void insert(Impl& impl, TableIndex table, const Place& place, Word key,
                                            std::uint64_t sequence, const std::byte* value) {
    Word* const at = place.at;
    if (place.matches) {
      write_copy<Words>(at, place.held, sequence, value);
    } else {
      if (!place.held.is_empty()) [[unlikely]] { impl.tables[table].free_slot(at); }
      occupy<Words>(at, key, sequence, value);
    }
    count_one_more(impl, table, sequence);
  }

  /// Any small record, whichever slot has it or would have it.
  template <std::size_t Words>
  [[gnu::noinline]] static Result<Sequence> put_from(Impl& impl, TableIndex table, std::uint64_t home, Word key,
                                                     const std::byte* value) {
    const Place place = locate(impl.tables[table], home, key, impl.committed);
    const bool present = place.is_present();
    if (!present && (impl.records[table] >= impl.capacities[table] || place.at == nullptr)) [[unlikely]] {
      if (place.far) { impl.shorten_searches(table); }
      return impl.no_room(table, place.at != nullptr);
    }
    impl.note_own_term();
    const std::uint64_t sequence = impl.committed + 1;
    impl.reserve(entry_bytes<Words>);
    impl.note_entry(sequence, impl.journal.append_words<Words>(impl.end_position, sequence, table, key, value));
    if (present) {
      write_copy<Words>(place.at, place.held, sequence, value);
    } else {
      insert<Words>(impl, table, place, key, sequence, value);
    }
    if (!impl.commit_point(sequence)) [[unlikely]] { return impl.not_ours(); }
    if (place.far) [[unlikely]] { impl.shorten_searches(table); }
    return Sequence{sequence};
  }

  /// The same steps where nothing of what seldom changes is in the way: one bound on the journal's end stands for it
  /// (Impl::allow_fast_puts), and the record is in one of its first two slots or will be. 0: it is otherwise, or the
  /// store is not ours any more; nothing is committed. A leaf: what a call keeps on the stack takes as much room among
  /// the stores that wait for memory as what the region gets.
  template <std::size_t Words>
  [[gnu::noinline]] static std::uint64_t put([[maybe_unused]] Impl& impl, [[maybe_unused]] TableIndex table,
                                             [[maybe_unused]] const std::byte* key_at,
                                             [[maybe_unused]] const std::byte* value) {
#if defined(__x86_64__)
    const std::uint64_t end = impl.end_position + entry_bytes<Words>;
    if (end > impl.fast_until || !impl.still_ours()) [[unlikely]] { return 0; }
    const Table& in = impl.tables[table];
    const Word key = words::at(key_at, 0);
    const std::uint64_t home = in.home_of_small(key);
    Word* at = const_cast<Word*>(in.near_slot<Words>(home, key));
    const Head held = Table::head(at);
    const bool there = words::load(at + 1) == key;
    if (there) {
      if (!held.is_live()) [[unlikely]] { return 0; }
    } else {
      at = const_cast<Word*>(in.near_vacant<Words>(home));
      if (at == nullptr || !Table::head(at).is_empty() || impl.records[table] >= impl.capacities[table]) { return 0; }
    }
    const std::uint64_t sequence = impl.committed + 1;
    impl.reserve(entry_bytes<Words>);
    impl.journal.append_unwrapped<Words>(impl.end_position, sequence, table, key, value);
    impl.end_position = end;
    if (there) {
      write_copy<Words>(at, held, sequence, value);
    } else {
      occupy<Words>(at, key, sequence, value);
      count_one_more(impl, table, sequence);
    }
    impl.publish_end(sequence);
    if (!impl.still_ours()) [[unlikely]] { return 0; }
    impl.publish_commit(sequence);
    return sequence;
#else
    return 0;
#endif
  }

  /// Any record of any table.
  [[gnu::noinline]] static Result<Sequence> put_any(Impl& impl, TableIndex table, Bytes key, Bytes value) {
    if (!impl.can_change(table, key, value, layout::op_put)) [[unlikely]] { return impl.cannot_change(table); }
    const Change change{impl.committed + 1, layout::op_put, true, table, key, value};
    return impl.in_transaction ? impl.buffer(change) : impl.write_one(change);
  }

  /// Any small record.
  [[gnu::noinline]] static Result<Sequence> put_slowly(Impl& impl, TableIndex table, const std::byte* key,
                                                       const std::byte* value) {
    const Bytes key_bytes(key, sizeof(Word));
    return put_at(impl, table, impl.tables[table].home(KeyWords(key_bytes)), key_bytes,
                  {value, impl.store.impl_->small_bytes[table]});
  }

  /// Any record, for who has asked for the lines of its slot.
  static Result<Sequence> put_at(Impl& impl, TableIndex table, std::uint64_t home, Bytes key, Bytes value) {
    const std::size_t words = impl.store.impl_->small_words(table, key.size(), value.size());
    if (words == 0 || words > 4 || impl.in_transaction || !impl.can_write()) {
      return put_any(impl, table, key, value);
    }
    if (!impl.may_go_on(layout::entry_bytes(key.size(), value.size()))) [[unlikely]] { return impl.not_ours(); }
    impl.allow_fast_puts();
    switch (words) {
      case 1:
        return put_from<1>(impl, table, home, words::at(key.data(), 0), value.data());
      case 2:
        return put_from<2>(impl, table, home, words::at(key.data(), 0), value.data());
      case 3:
        return put_from<3>(impl, table, home, words::at(key.data(), 0), value.data());
      default:
        return put_from<4>(impl, table, home, words::at(key.data(), 0), value.data());
    }
  }
};

void StoreWriter::Impl::choose_puts() {
  static constexpr Put of_words[] = {nullptr, Small::put<1>, Small::put<2>, Small::put<3>, Small::put<4>};
  for (std::size_t table = 0; table < tables.size(); ++table) {
    const std::size_t words = store.impl_->small_bytes[table] / sizeof(Word);
    put_of[table] = words < std::size(of_words) ? of_words[words] : nullptr;
  }
}

/// The next entries up to the one that needs an anchor. The ring ends where a segment does, so none of them wraps.
void StoreWriter::Impl::allow_fast_puts() {
  const bool fast = crc32c_has_instruction && history_has_term && sync == 0 &&
                    committed <= layout::sequence_max - max_transaction - journal.ring_bytes();
  fast_until = fast ? std::min(next_anchor, ask_from) : 0;
}

Result<Sequence> StoreWriter::put(TableIndex table, Bytes key, Bytes value) {
  Impl& impl = *impl_;
  const bool small = impl.store.impl_->small_words(table, key.size(), value.size()) != 0 && !impl.in_transaction;
  if (!small) [[unlikely]] { return Small::put_any(impl, table, key, value); }
  if (const Impl::Put how = impl.put_of[table]; how != nullptr) [[likely]] {
    const std::uint64_t sequence = how(impl, table, key.data(), value.data());
    if (sequence != 0) [[likely]] { return Sequence{sequence}; }
  }
  return Small::put_slowly(impl, table, key.data(), value.data());
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
      auto done = Small::put_at(impl, table, homes[i - first], key_at(i), values.subspan(i * value_bytes, value_bytes));
      if (!done) [[unlikely]] { return done; }
      last = *done;
    }
  }
  return last;
}

}  // namespace understudy::shm
