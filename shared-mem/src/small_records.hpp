// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Reading small records (Table::is_small): a key of one word, a value of a few whole words, so that the compiler knows
/// the size of everything. The first two slots of a key are looked at without a branch between them.

#include "table.hpp"

namespace understudy::shm {

/// The first two slots of a key, and the one of them that has it. In a large table the home slot has it in two of three
/// cases and one of the two in four of five: a branch on which it is would be guessed wrong too often, and each wrong
/// guess waits for memory. So there is none, and both slots' lines are asked for.
template <std::size_t Words>
struct Table::NearSlots {
  const Word* first;  ///< the home slot
  Word first_head;
  const Word* at;  ///< the home slot if it has the key, else the next one
  Head head;       ///< of `at`
  bool has_key;    ///< does one of them? The key may be one that was left there.

  [[gnu::always_inline]] NearSlots(const Table& in, std::uint64_t home, Word key)
      : first(in.slots_ + (home & in.mask_) * stride) {
    const Word* const second = in.slots_ + ((home + 1) & in.mask_) * stride;
    first_head = words::load_acquire(first);
    const Word second_head = words::load_acquire(second);
    Word at_first = words::load(first + 1) == key ? 1 : 0;
    Word at_second = words::load(second + 1) == key ? 1 : 0;
    __asm__("" : "+r"(at_first), "+r"(at_second));  // no branch of the compiler's either
    const Word mask = Word{0} - at_first;
    const auto address = (reinterpret_cast<Word>(first) & mask) | (reinterpret_cast<Word>(second) & ~mask);
    at = reinterpret_cast<const Word*>(address);
    head = {(first_head & mask) | (second_head & ~mask)};
    has_key = (at_first | at_second) != 0;
  }

 private:
  static constexpr std::uint64_t stride = layout::slot_words(sizeof(Word), Words * sizeof(Word));
};

/// The newest copy.
template <std::size_t Words>
[[gnu::always_inline]] inline Seen Table::copy_words(const Word* at, Head seen, std::uint64_t limit, std::byte* value) {
  if (seen.sequence() > limit || !seen.is_live()) [[unlikely]] { return Seen::Changed; }
  const Word* const from = at + 2 + (seen.word & 1) * Words;
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Words; ++i) {
    const Word word = words::load(from + i);
    std::memcpy(value + i * sizeof word, &word, sizeof word);
  }
  return words::unchanged(at, seen.word) ? Seen::Present : Seen::Changed;
}

template <std::size_t Words>
[[gnu::always_inline]] inline Seen Table::get_words(Word key, std::uint64_t limit, std::byte* value) const {
  const std::uint64_t home = home_of_small(key);
  const NearSlots<Words> near(*this, home, key);
  if (!near.has_key) [[unlikely]] { return get_words_from<Words>(home, key, limit, value); }
  return copy_words<Words>(near.at, near.head, limit, value);
}

template <std::size_t Words>
[[gnu::noinline]] Seen Table::get_words_from(std::uint64_t home, Word key, std::uint64_t limit,
                                             std::byte* value) const {
  Head seen;
  const Word* const at = find_of<true>(home, KeyWords(std::as_bytes(std::span(&key, 1))), seen);
  return at == nullptr ? Seen::Changed : copy_words<Words>(at, seen, limit, value);
}

}  // namespace understudy::shm
