// SPDX-License-Identifier: Apache-2.0
/// The writer's side of a table. The order of the stores is the whole point of this file; each function says what a
/// writer that stops between two of them leaves behind.
#include <algorithm>

#include "table_writing.hpp"
#include "understudy/shm/while_busy.hpp"

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

/// How many slots behind its home that of the key in slot number `index` is.
std::int64_t Table::behind_home(std::uint64_t index) const {
  const Word* at = slot(index);
  KeyWords key({});
  for (std::size_t i = 0; i < key_words_; ++i) { key.words[i] = words::load(key_of(at) + i); }
  return static_cast<std::int64_t>((index - home(key)) & mask_);
}

bool Table::has_empty_behind(std::uint64_t index) const {
  for (std::uint64_t ahead = 0; ahead < far_probes; ++ahead) {
    if (head(slot(index + ahead)).is_empty()) { return true; }
  }
  return false;
}

/// Twice around, against the direction of a search: first it is found out which slots are on the way to a key, as of
/// the first of them that is not known, and no vacant slot is any key's after that. Stopped anywhere: some are Empty
/// already.
std::uint64_t Table::empty_what_is_vacant(std::uint64_t reusable_up_to) const {
  if (dense_) { return 0; }
  WhileBusy::Steps walk;
  std::uint64_t emptied = 0;
  std::int64_t passed = 0;  // so many slots from here on are on the way to a key behind them
  for (std::uint64_t step = 0; step < 2 * slot_count_; ++step) {
    walk.step();
    const std::uint64_t here = (2 * slot_count_ - 1 - step) & mask_;
    const Head seen = head(slot(here));
    const bool vacant = is_vacant(seen, reusable_up_to);
    if (vacant && seen.has_sequence()) { free_slot(slot(here)); }
    if (vacant && passed == 0 && step >= slot_count_) {
      emptied += seen.is_empty() ? 0U : 1U;
      make_empty(slot(here));
    }
    passed = std::max(std::max(passed, std::int64_t{1}) - 1, vacant ? 0 : behind_home(here));
  }
  return emptied;
}

/// The slot is nobody's from here on, and each vacant slot between its key's home and it becomes Empty again unless the
/// search for a key behind it passes there (T1). From the end of the run to its front, since the search for what is
/// freed or emptied passes nowhere any more. Stopped anywhere: some are Empty already.
bool Table::shorten_probing(Word* at, std::uint64_t reusable_up_to) const {
  if (dense_ || !is_vacant(head(at), reusable_up_to)) { return true; }
  constexpr std::int64_t run_max = 256;  // bounds the work of one erase
  const std::uint64_t index = index_of(at);
  const std::int64_t back_max = std::min(behind_home(index), run_max);
  std::int64_t passed = -1;  // the slots up to so many before `at` are on the way to a key behind them
  for (std::uint64_t ahead = 1;; ++ahead) {
    const Head seen = head(slot(index + ahead));
    if (seen.is_empty()) { break; }
    if (ahead == run_max) {
      free_slot(at);
      return has_empty_behind(index + ahead);
    }
    if (seen.has_sequence()) {
      passed = std::max(passed, behind_home(index + ahead) - static_cast<std::int64_t>(ahead));
    }
  }
  for (std::int64_t back = 0; back <= back_max; ++back) {
    const std::uint64_t here = index - static_cast<std::uint64_t>(back);
    const Head seen = head(slot(here));
    if (seen.is_empty()) { return true; }
    if (!is_vacant(seen, reusable_up_to)) {
      passed = std::max(passed, behind_home(here) + back);
    } else if (passed < back) {
      words::invalidate(slot(here), 0);
    } else if (seen.has_sequence()) {
      free_slot(slot(here));
    }
  }
  return true;
}

}  // namespace understudy::shm
