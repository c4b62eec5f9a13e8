// SPDX-License-Identifier: Apache-2.0
/// The writer's side of a table. The order of the stores is the whole point of this file; each function says what a
/// writer that stops between two of them leaves behind.
#include "table_writing.hpp"

namespace understudy::shm {

void Table::make_empty(Word* at) const {
  if (words::load(at) != 0) { words::invalidate(at, 0); }
}

const Word* Table::take_over(const Table& from, const Word* at) const {
  const Head held = head(at);
  KeyWords key({});
  for (std::size_t i = 0; i < key_words_; ++i) { key.words[i] = words::load(from.key_of(at) + i); }
  const Place place = locate(key, 0);
  if (place.match != nullptr || place.vacant == nullptr) { return nullptr; }  // only foreign bytes bring this about
  for (std::size_t i = 0; i < key_words_; ++i) { words::store(place.vacant + 1 + i, key.words[i]); }
  const Word* value = from.value_of(at, held.newest());
  for (std::size_t i = 0; i < value_words_; ++i) {
    words::store(value_of(place.vacant, 0) + i, words::load(value + i));
  }
  words::publish(place.vacant, layout::head_of(held.sequence(), layout::kind_free, held.newest_kind(), 0));
  return place.vacant;
}

void Table::take_back(Word* at, std::uint64_t sequence, std::uint64_t older) const {
  const Head seen = head(at);
  if (seen.sequence() == sequence) { words::publish(at, seen.before(older).word); }
}

void Table::free_slot(Word* at) const { words::invalidate(at, layout::head_free); }

void Table::shorten_probing(Word* at, std::uint64_t reusable_up_to) const {
  if (dense_) { return; }
  constexpr int run_max = 64;  // bounds the work of one erase
  const std::uint64_t index = index_of(at);
  if (!head(slot(index + 1)).is_empty()) { return; }
  for (std::uint64_t back = 0; back < run_max; ++back) {
    Word* vacant = slot(index - back);
    const Head seen = head(vacant);
    if (seen.is_empty() || !is_vacant(seen, reusable_up_to)) { return; }
    words::invalidate(vacant, 0);
  }
}

}  // namespace understudy::shm
