// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Small records (Table::is_small): a key of one word, a value of a few whole words, so that the compiler knows the
/// size of everything. The first slots of a key are looked at without a branch between them.

#include "table.hpp"

namespace understudy::shm {

/// `same` where `a` is `b`, else `other`.
[[gnu::always_inline]] inline const Word* chosen(Word a, Word b, const Word* same, const Word* other) {
#if defined(__x86_64__)  // the compiler might make a branch of it
  __asm__("cmpq %[a], %[b]\n\tcmoveq %[same], %[other]"
          : [other] "+r"(other)
          : [a] "r"(a), [b] "r"(b), [same] "r"(same)
          : "cc");
  return other;
#else
  return a == b ? same : other;
#endif
}

/// In a large table the home slot has the key in two of three cases and one of the first two in four of five: a branch
/// on which it is would be guessed wrong too often, and each wrong guess waits for memory. So there is none, and both
/// slots' lines are asked for. Of three or four slots the further lines cost as much as the guesses.
template <std::size_t Words>
[[gnu::always_inline]] inline const Word* Table::near_slot(std::uint64_t home, Word key) const {
  constexpr std::uint64_t stride = layout::slot_words(sizeof(Word), Words * sizeof(Word));
  const Word* const first = slots_ + (home & mask_) * stride;
  const Word* const second = slots_ + ((home + 1) & mask_) * stride;
  const Word* const at = chosen(words::load(second + 1), key, second, first);
  return chosen(words::load(first + 1), key, first, at);
}

template <std::size_t Words>
[[gnu::always_inline]] inline const Word* Table::near_vacant(std::uint64_t home) const {
  constexpr std::uint64_t stride = layout::slot_words(sizeof(Word), Words * sizeof(Word));
  constexpr Word kind_mask = Word{3} << layout::head_newest_kind_shift;
  constexpr Word live = Word{layout::kind_live} << layout::head_newest_kind_shift;
  const Word* const first = slots_ + (home & mask_) * stride;
  const Word* const second = slots_ + ((home + 1) & mask_) * stride;
  const Word* const at = chosen(words::load(second) & kind_mask, live, nullptr, second);
  return chosen(words::load(first) & kind_mask, live, at, first);
}

/// The newest copy.
template <std::size_t Words>
[[gnu::always_inline]] inline Seen Table::copy_words(const Word* at, Head seen, std::uint64_t limit, std::byte* value) {
  if (seen.sequence() - 1 >= limit || seen.newest_kind() != layout::kind_live) [[unlikely]] { return Seen::Changed; }
  const Word* const from = at + 2 + (seen.word & 1) * Words;
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Words; ++i) {
    const Word word = words::load(from + i);
    std::memcpy(value + i * sizeof word, &word, sizeof word);
  }
  return words::unchanged(at, seen.word) ? Seen::Present : Seen::Changed;
}

/// The key is looked at once more after the head: what was chosen by it may have got another one since.
template <std::size_t Words>
[[gnu::always_inline]] inline Seen Table::get_words(Word key, std::uint64_t limit, std::byte* value) const {
  const Word* const at = near_slot<Words>(home_of_small(key), key);
  const Head seen = head(at);
  if (words::load(at + 1) != key) [[unlikely]] { return Seen::Changed; }
  return copy_words<Words>(at, seen, limit, value);
}

template <std::size_t Words>
[[gnu::noinline]] Seen Table::get_words_from(std::uint64_t home, Word key, std::uint64_t limit,
                                             std::byte* value) const {
  Head seen;
  std::uint64_t probes = near_probes;
  const Word* const at = find_of<true>(home, KeyWords(std::as_bytes(std::span(&key, 1))), seen, probes);
  return at == nullptr ? Seen::Changed : copy_words<Words>(at, seen, limit, value);
}

}  // namespace understudy::shm
