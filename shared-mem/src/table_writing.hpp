// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The writer's way through a table: find the slot, write its other copy. Without a call, since the fewer instructions
/// a change has, the more of the next one's cache misses run beside it. What is rarer is in table.cpp.
///
///   locate      the slot that has the key, or the one where it would go
///   write_copy  value of the copy that is not the newest, head
///   write_newest_copy  head := the copy before it, value, head    of the newest copy while it is not committed
///   occupy      (head := free,) key, value 0, head

#include "table.hpp"

namespace understudy::shm {

/// May the slot be given to another key? Deletions that are not committed yet must stay findable to be taken back.
inline bool is_vacant(const Head& seen, std::uint64_t reusable_up_to) {
  return !seen.is_live() && seen.sequence() <= reusable_up_to;
}

template <bool OneWord>
inline Table::Place Table::locate_from(std::uint64_t home, const KeyWords& key, std::uint64_t reusable_up_to) const {
  Place place;
  if (!OneWord && dense_) [[unlikely]] {
    if (key.words[0] >= slot_count_) { return place; }
    Word* at = slot(key.words[0]);
    place.held = head(at);
    (place.held.has_sequence() ? place.match : place.vacant) = at;
    return place;
  }
  const std::uint64_t stride = slot_words_;
  const std::uint64_t last = mask_;
  const bool one_word = OneWord || key_words_ == 1;
  std::uint64_t index = home & last;
  for (std::uint64_t probe = 0; probe <= last; ++probe, index = (index + 1) & last) {
    Word* at = slots_ + index * stride;
    const Head seen = head(at);
    const bool same = one_word ? words::load(key_of(at)) == key.words[0] : key_equals(at, key);
    if (same && seen.has_sequence()) [[likely]] {
      place.match = at;
      place.held = seen;
      place.far = probe >= far_probes;
      return place;
    }
    if (place.vacant == nullptr && is_vacant(seen, reusable_up_to)) { place.vacant = at; }
    if (seen.is_empty()) {
      place.far = probe >= far_probes;
      return place;
    }
  }
  place.far = last >= far_probes;
  return place;
}

[[gnu::always_inline]] inline void Table::write_copy(const Place& place, std::uint64_t sequence, std::uint64_t kind,
                                                     std::span<const std::byte> value) const {
  Word* at = place.match;
  words::fence_release();  // who sees this value sees also the head and the commit that made its copy free
  words::store_bytes(value_of(at, place.held.newest() ^ 1U), value);
  words::publish(at, place.held.after(sequence, kind).word);
}

/// The newest copy is not committed: it is taken back and written once more, and the other one stays.
[[gnu::always_inline]] inline void Table::write_newest_copy(const Place& place, std::uint64_t committed,
                                                            std::uint64_t sequence,
                                                            std::span<const std::byte> value) const {
  const Head other = place.held.before(committed);
  words::invalidate(place.match, other.word);
  write_copy({place.match, nullptr, other}, sequence, layout::kind_live, value);
}

[[gnu::always_inline]] inline void Table::occupy(Word* at, const KeyWords& key, std::uint64_t sequence,
                                                 std::span<const std::byte> value) const {
  if (!head(at).is_empty()) { free_slot(at); }
  // An Empty slot stays Empty until its first publication, a freed one free: the half-written key is nobody's.
  for (std::size_t i = 0; i < key_words_; ++i) { words::store(at + 1 + i, key.words[i]); }
  words::store_bytes(value_of(at, 0), value);
  words::publish(at, Head::first(sequence).word);
}

}  // namespace understudy::shm
