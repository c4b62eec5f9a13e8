// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How an entry gets into the ring: word by word, the checksum on the way. A header, so that the writer's fast path has
/// no call in it.

#include "crc32c_words.hpp"
#include "journal.hpp"

namespace understudy::shm {
namespace journal_writing {

/// Where the next word of an entry goes, and the checksum so far. Values that are handed on, so that they stay in
/// registers: a store to shared memory might change any object that has an address.
template <class Sum>
struct Cursor {
  Word* ring;
  std::uint64_t mask;
  std::uint64_t word;
  Sum sum;
};

template <class Sum>
[[gnu::always_inline]] inline Cursor<Sum> write_word(Cursor<Sum> to, Word content) {
  words::store(to.ring + (to.word & to.mask), content);
  ++to.word;
  to.sum.add(content);
  return to;
}

template <class Sum>
[[gnu::always_inline]] inline Cursor<Sum> write_bytes(Cursor<Sum> to, std::span<const std::byte> bytes) {
  const std::size_t whole = bytes.size() / sizeof(Word);
  const std::byte* from = bytes.data();
  for (std::size_t i = 0; i < whole; ++i) {
    Word content;
    std::memcpy(&content, from + i * sizeof content, sizeof content);
    to = write_word(to, content);
  }
  const std::size_t rest = bytes.size() % sizeof(Word);
  return rest == 0 ? to : write_word(to, words::padded(from + whole * sizeof(Word), rest));
}

/// The word with the checksum goes last.
template <class Sum>
[[gnu::always_inline]] inline void write_entry(Cursor<Sum> to, const EntryHead& head, std::span<const std::byte> key,
                                               std::span<const std::byte> value) {
  Word* const checksum_at = to.ring + ((to.word + 1) & to.mask);
  const Word lengths = std::uint64_t{key.size()} << 32 | std::uint64_t{head.table} << 48;
  const Word kind = std::uint64_t{value.size()} | std::uint64_t{head.op} << 32 | std::uint64_t{head.flags} << 40;
  to = write_word(to, head.sequence);
  to.sum.add(lengths);
  ++to.word;
  to = write_word(to, kind);
  to = write_bytes(to, key);
  to = write_bytes(to, value);
  words::store(checksum_at, lengths | to.sum.result());
}

}  // namespace journal_writing

[[gnu::always_inline]] inline std::uint64_t Journal::append(std::uint64_t position, const EntryHead& head,
                                                            std::span<const std::byte> key,
                                                            std::span<const std::byte> value) const {
#if defined(__x86_64__)
  if (crc32c_has_instruction) [[likely]] {
    journal_writing::write_entry(
        journal_writing::Cursor<CrcByInstruction>{ring_, word_mask_, position / sizeof(Word), {}}, head, key, value);
    return layout::entry_bytes(key.size(), value.size());
  }
#endif
  journal_writing::write_entry(journal_writing::Cursor<CrcByTable>{ring_, word_mask_, position / sizeof(Word), {}},
                               head, key, value);
  return layout::entry_bytes(key.size(), value.size());
}

#if defined(__x86_64__)
template <std::size_t Words>
[[gnu::always_inline]] inline void Journal::append_unwrapped(std::uint64_t position, std::uint64_t sequence,
                                                             std::uint32_t table, Word key,
                                                             const std::byte* value) const {
  Word* const at = ring_ + (position / sizeof(Word) & word_mask_);
  const Word lengths = std::uint64_t{sizeof(Word)} << 32 | std::uint64_t{table} << 48;
  const Word kind =
      Words * sizeof(Word) | std::uint64_t{layout::op_put} << 32 | std::uint64_t{layout::flag_ends_transaction} << 40;
  CrcByInstruction sum;
  words::store(at, sequence);
  words::store(at + 2, kind);
  words::store(at + entry_header_words, key);
  for (const Word content : {sequence, lengths, kind, key}) { sum.add(content); }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Words; ++i) {
    const Word content = words::at(value, i);
    words::store(at + entry_header_words + 1 + i, content);
    sum.add(content);
  }
  words::store(at + 1, lengths | sum.result());
}
#endif

template <std::size_t Words>
[[gnu::always_inline]] inline std::uint64_t Journal::append_words(std::uint64_t position, std::uint64_t sequence,
                                                                  std::uint32_t table, Word key,
                                                                  const std::byte* value) const {
  constexpr std::uint64_t entry_words = entry_header_words + 1 + Words;
#if defined(__x86_64__)
  const std::uint64_t word = position / sizeof(Word) & word_mask_;
  if (crc32c_has_instruction && word + entry_words <= word_mask_ + 1) [[likely]] {
    append_unwrapped<Words>(position, sequence, table, key, value);
    return entry_words * sizeof(Word);
  }
#endif
  return append(position, {sequence, layout::op_put, layout::flag_ends_transaction, static_cast<std::uint16_t>(table)},
                std::as_bytes(std::span(&key, 1)), {value, Words * sizeof(Word)});
}

}  // namespace understudy::shm
