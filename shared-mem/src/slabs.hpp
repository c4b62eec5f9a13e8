// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where a blob table keeps its values: slabs of one size, one for each value (layout.hpp).
///
///   slot   head | key | ref 0 | ref 1            ref = slab index, length
///                         |
///   slab        sequence | value bytes           sequence = of the change that wrote the copy
///
/// Invariants
///   B1  A slab that a committed copy refers to is not written: it becomes free only after the commit that replaced
///       or erased its record.
///   B2  A slab's sequence is 0 while its bytes change, and never again one that it had. So a reader that found the
///       sequence of the slot's head before and after it copied the bytes has that change's value. The head does not
///       tell the sequence of an older copy: there the slab's own is taken, if it is not above the limit, and the limit
///       asked for again after the bytes (T5).
///   B3  Which slabs are free is known to the writer alone, in its own memory; it follows from the slots.
///   B4  An index or a length found in a slot is compared with the plan at each use (D6).

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "bulk.hpp"
#include "table.hpp"
#include "understudy/shm/layout.hpp"
#include "words.hpp"

namespace understudy::shm {

/// The slabs of one table; of a table without any, exist() is false.
class Slabs {
 public:
  Slabs() = default;
  Slabs(Word* first, std::uint64_t count, std::uint64_t slab_bytes, std::uint64_t value_bytes)
      : first_(first), count_(count), slab_words_(slab_bytes / 8), value_bytes_(value_bytes) {}

  [[nodiscard]] bool exist() const { return count_ != 0; }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t value_bytes() const { return value_bytes_; }
  [[nodiscard]] bool holds(Word ref) const { return index_of(ref) < count_ && length_of(ref) <= value_bytes_; }
  static std::uint64_t index_of(Word ref) { return ref >> 32; }
  static std::uint64_t length_of(Word ref) { return ref & 0xffffffffU; }

  /// Reader: the value of `sequence` in the slab of `ref`, copied to `value`, which has room for the largest. Changed:
  /// the slab holds another one by now, or never held this one.
  Seen read(Word ref, std::uint64_t sequence, std::span<std::byte> value) const {
    if (!holds(ref)) { return Seen::Changed; }
    const Word* at = slab(ref);
    if (sequence == 0 || words::load_acquire(at) != sequence) { return Seen::Changed; }
    words::load_bytes(value.first(length_of(ref)), at + 1);
    return words::unchanged(at, sequence) ? Seen::Present : Seen::Changed;
  }

  /// Which change wrote the value in the slab of `ref`, if it is one up to `limit`; else 0.
  [[nodiscard]] std::uint64_t sequence_of(Word ref, std::uint64_t limit) const {
    if (!holds(ref)) { return 0; }
    const std::uint64_t sequence = words::load_acquire(slab(ref));
    return sequence <= limit ? sequence : 0;
  }

  /// Asks for the lines where that value begins. Any ref.
  void prefetch(Word ref, std::size_t bytes_max) const {
    if (!holds(ref)) { return; }
    const auto* at = reinterpret_cast<const std::byte*>(slab(ref));
    const std::size_t bytes = std::min<std::size_t>(length_of(ref) + sizeof(Word), bytes_max);
    for (std::size_t i = 0; i < bytes; i += layout::cache_line_bytes) { __builtin_prefetch(at + i); }
  }

  /// Writer: a slab that is free. Stopped in here: a slab that nothing refers to.
  void write(std::uint64_t index, std::uint64_t sequence, std::span<const std::byte> value) const {
    Word* at = first_ + index * slab_words_;
    words::publish(at, 0);  // with release: who sees it also sees the commit that made the slab free
    words::fence_release();
    words::store_bulk(at + 1, value);
    words::publish(at, sequence);
  }

 private:
  [[nodiscard]] const Word* slab(Word ref) const { return first_ + index_of(ref) * slab_words_; }

  Word* first_ = nullptr;
  std::uint64_t count_ = 0;
  std::uint64_t slab_words_ = 0;
  std::uint64_t value_bytes_ = 0;
};

/// The writer's knowledge of which slabs of one table are free. Made from the slots when it is first needed, so that
/// taking over stays bounded.
class SlabPool {
 public:
  /// Looks which slabs are free, unless that is known. Before a change touches the table's slots (B1).
  void prepare(const Table& table, const Slabs& slabs);
  /// A free slab, the one that is free the longest, so that late readers find old values for long; nothing: none.
  std::optional<std::uint64_t> take();
  /// What a copy referred to that no longer counts. Before the pool was made, or a ref that cannot be: nothing.
  void release(Word ref);
  /// Forgets everything: made anew when it is needed.
  void forget() { known_ = false; }

 private:
  bool known_ = false;
  std::vector<bool> used_;
  std::deque<std::uint32_t> free_;
};

}  // namespace understudy::shm
