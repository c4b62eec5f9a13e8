// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A table: open addressing with linear probing over fixed slots (layout.hpp), one writer, any number of readers.
///
/// A slot holds a key and two copies of its value, and a head that tells which is the newest, of which sequence, and
/// what each is. The newest copy, if its sequence is committed, else the other one, is the record. The other one is
/// free to be written once the newest is committed, so nobody ever waits and a writer that stops for ever leaves every
/// committed record readable.
///
/// Invariants
///   T1  Between the home slot of a present key and its slot no slot is Empty, so probing finds it.
///   T2  Of each key at most one slot has a head with a sequence.
///   T3  A slot gets another key only when its newest copy is a committed deletion, or its head has no sequence:
///       the head is free first, then key, value, head (rule 18).
///   T4  A head with a sequence never comes back after it was another one, unless nothing was written in between.
///   T5  A value is written only into the copy that is not the newest, of a slot whose head is committed. So for as
///   long
///       as the commit point does not move, whatever copy it makes visible stays as it is. (A copy that is syncing
///       shows its newest copies whatever their sequence, and a reader that asks for the limit again is told so.)
///
/// A dense table needs no T1: a key is its slot's index, and the slot never belongs to another key.
///
/// Cases of a reader, numbered in read_visible():
///   (1) the newest copy is above the limit: the other one counts, until the limit moves (T5): the caller asks;
///   (2) the copy is no record: absent;
///   (3) the head changed while the value was copied: changed, look again;
///   (4) value copied, head the same: key and value belonged together at that instant.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "slot_head.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/schema.hpp"
#include "words.hpp"

namespace understudy::shm {

/// So many keys are worked on together: first the lines of all their home slots are asked for, then, where that is not
/// the key's, those of the next slot, then each is done. Straight code in between: a wrongly predicted branch that
/// waits for memory would hold back what is asked for behind it. Measured: twice as fast as asking some keys ahead one
/// by one.
inline constexpr std::size_t keys_together = 32;
/// A key that is farther from its home slot than this is rare.
inline constexpr std::uint64_t near_probes = 64;
/// No search passes so many slots in a table whose vacant slots were made Empty by each erase.
inline constexpr std::uint64_t far_probes = 4096;
inline constexpr std::size_t words_per_line = layout::cache_line_bytes / sizeof(Word);

class Table {
 public:
  Table() = default;
  /// `kind`: of a blob table the slots hold refs (slabs.hpp), and value_bytes() is a size that no value has.
  Table(Word* slots, std::uint64_t slot_count, std::uint32_t key_bytes, std::uint32_t value_bytes, std::uint64_t seed,
        TableKind kind = TableKind::Hashed)
      : slots_(slots),
        slot_count_(slot_count),
        dense_(kind == TableKind::Dense),
        mask_(dense_ ? ~std::uint64_t{0} : slot_count - 1),
        seed_(seed),
        key_bytes_(key_bytes),
        value_bytes_(kind == TableKind::Blob ? ~std::uint64_t{0} : value_bytes),
        key_words_(dense_ ? 0 : layout::words_of(key_bytes)),
        value_words_(kind == TableKind::Blob ? 1 : layout::words_of(value_bytes)),
        slot_words_(layout::slot_words(8 * key_words_, 8 * value_words_)) {}

  [[nodiscard]] std::uint64_t slot_count() const { return slot_count_; }
  [[nodiscard]] std::uint32_t key_bytes() const { return key_bytes_; }
  [[nodiscard]] std::uint64_t value_bytes() const { return value_bytes_; }
  /// Is it a key that this table can ever have? Any but of a dense table.
  [[nodiscard]] bool can_hold(std::span<const std::byte> key) const {
    return !dense_ || KeyWords(key).words[0] < slot_count_;
  }
  [[nodiscard]] Word* slot(std::uint64_t index) const { return slots_ + (index & mask_) * slot_words_; }
  [[nodiscard]] std::uint64_t index_of(const Word* slot) const {
    return static_cast<std::uint64_t>(slot - slots_) / slot_words_;
  }
  [[nodiscard]] const Word* key_of(const Word* slot) const { return slot + 1; }
  [[nodiscard]] Word* value_of(Word* slot, unsigned copy) const { return slot + 1 + key_words_ + copy * value_words_; }
  [[nodiscard]] const Word* value_of(const Word* slot, unsigned copy) const {
    return slot + 1 + key_words_ + copy * value_words_;
  }

  static Head head(const Word* slot) { return {words::load_acquire(slot)}; }

  /// Home slot of a key; part of the layout, as both sides must agree.
  [[nodiscard]] std::uint64_t home(const KeyWords& key) const {
    if (dense_) { return key.words[0] < slot_count_ ? key.words[0] : 0; }
    if (key_words_ == 1) [[likely]] { return home_of<true>(key); }
    return home_of<false>(key);
  }
  /// `OneWord`: the key is one, and the table hashed.
  template <bool OneWord>
  [[nodiscard]] std::uint64_t home_of(const KeyWords& key) const {
    if constexpr (OneWord) {
      return mix(mix(seed_ ^ key.words[0], 0x9e3779b97f4a7c15) ^ key_bytes_, 0xd6e8feb86659fd93);
    } else {
      if (dense_) { return home(key); }
      std::uint64_t hash = seed_;
      for (std::size_t i = 0; i < key_words_; ++i) { hash = mix(hash ^ key.words[i], 0x9e3779b97f4a7c15); }
      return mix(hash ^ key_bytes_, 0xd6e8feb86659fd93);
    }
  }

  /// Of a small table.
  [[nodiscard]] std::uint64_t home_of_small(Word key) const {
    return mix(mix(seed_ ^ key, 0x9e3779b97f4a7c15) ^ sizeof(Word), 0xd6e8feb86659fd93);
  }

  [[nodiscard]] bool key_equals(const Word* slot, const KeyWords& key) const {
    if (words::load(key_of(slot)) != key.words[0]) { return false; }
    for (std::size_t i = 1; i < key_words_; ++i) {
      if (words::load(key_of(slot) + i) != key.words[i]) { return false; }
    }
    return true;
  }

  /// Asks for the cache lines where `key` should be found; a larger slot begins in one and ends in another.
  /// Always inline: GCC takes a function that only prefetches for one without effect and drops the call.
  [[gnu::always_inline]] void prefetch(const KeyWords& key) const { prefetch_home(home(key)); }
  [[gnu::always_inline]] void prefetch_home(std::uint64_t home) const { prefetch_slot(slot(home)); }
  /// A second look for who works on many keys: where the home slot, which has come, is not the key's, the record is
  /// most likely in the next one.
  [[gnu::always_inline]] void prefetch_further(std::uint64_t home, const KeyWords& key) const {
    if (dense_) { return; }
    const Word* at = slot(home);
    const bool is_it = words::load(key_of(at)) == key.words[0];
    const Word* next = slot(home + 1);
    prefetch_slot(is_it ? at : next);  // no branch: which it is changes from key to key
  }
  /// The lines that a slot which begins here takes: which copy is read depends on the head, so that otherwise the
  /// second miss would begin when the first one has ended.
  [[gnu::always_inline]] void prefetch_slot(const Word* at) const {
    __builtin_prefetch(at);
    if (slot_words_ > words_per_line) { __builtin_prefetch(at + words_per_line); }
  }

  /// Keys of one word and values of whole words in hashed slots?
  [[nodiscard]] bool is_small() const {
    return !dense_ && key_bytes_ == sizeof(Word) && value_bytes_ % sizeof(Word) == 0;
  }

  /// Reader: the record of `key` as committed up to `limit`, copied to `value`.
  Seen get(const KeyWords& key, std::uint64_t limit, std::span<std::byte> value) const {
    return get_from(home(key), key, limit, value);
  }
  /// The same for who has the key's home already; it is the same before and after a rebuild.
  Seen get_from(std::uint64_t home, const KeyWords& key, std::uint64_t limit, std::span<std::byte> value) const {
    if (dense_) [[unlikely]] {
      if (key.words[0] >= slot_count_) { return Seen::Absent; }
      const Word* at = slot(key.words[0]);
      return read_visible(at, head(at), limit, value);
    }
    if (slot_words_ > words_per_line) { __builtin_prefetch(slot(home) + words_per_line); }
    Head seen;
    const Word* at = find(home, key, seen);
    return at == nullptr ? Seen::Absent : read_visible(at, seen, limit, value);
  }
  /// The same of at most so many slots, by which `probes` is lessened. None left before it was found: Changed.
  Seen get_within(std::uint64_t home, const KeyWords& key, std::uint64_t limit, std::span<std::byte> value,
                  std::uint64_t& probes) const {
    if (dense_) [[unlikely]] { return get_from(home, key, limit, value); }
    Head seen;
    const Word* at = find(home, key, seen, probes);
    if (at != nullptr) [[likely]] { return read_visible(at, seen, limit, value); }
    return probes == 0 ? Seen::Changed : Seen::Absent;
  }

  // --- small records: small_records.hpp ---

  /// The same of a small table whose values are of so many words. Only for what nearly every record is: there, its
  /// newest copy live and not above `limit`. Changed: look again with get().
  template <std::size_t Words>
  Seen get_words(Word key, std::uint64_t limit, std::byte* value) const;
  /// For who has asked for the lines of the slot that has it.
  template <std::size_t Words>
  Seen get_words_from(std::uint64_t home, Word key, std::uint64_t limit, std::byte* value) const;
  /// Of a key's first two slots the first that has the key, or any of them.
  template <std::size_t Words>
  [[nodiscard]] const Word* near_slot(std::uint64_t home, Word key) const;
  /// Of a key's first two slots the first that has no live record; none: null.
  template <std::size_t Words>
  [[nodiscard]] const Word* near_vacant(std::uint64_t home) const;

  /// Reader: as get_within(), and which change wrote it: of an Older copy the limit is told, which is not below it.
  Seen get(const KeyWords& key, std::uint64_t limit, std::span<std::byte> value, std::uint64_t& sequence,
           std::uint64_t& probes) const {
    Head seen;
    const Word* at = find(home(key), key, seen, probes);
    if (at == nullptr) { return probes == 0 ? Seen::Changed : Seen::Absent; }
    sequence = std::min(seen.sequence(), limit);
    return read_visible(at, seen, limit, value);
  }

  /// Reader: the record in a slot, whatever its key is. `sequence` as above.
  Seen read(const Word* at, std::uint64_t limit, std::span<std::byte> key, std::span<std::byte> value,
            std::uint64_t& sequence) const {
    const Head seen = head(at);
    if (!seen.has_sequence()) { return Seen::Absent; }
    sequence = std::min(seen.sequence(), limit);
    if (dense_) {
      const std::uint64_t index = index_of(at);
      std::memcpy(key.data(), &index, sizeof index);
    } else {
      words::load_bytes(key, key_of(at));
    }
    return read_visible(at, seen, limit, value);
  }

  // --- the writer's side: table_writing.hpp, table.cpp ---

  struct Place {
    Word* match = nullptr;   ///< the slot that has the key
    Word* vacant = nullptr;  ///< where it would go: a free slot, a deletion up to `reusable_up_to`, or the first Empty
    Head held;               ///< of `match`
    bool far = false;        ///< far_probes or more were passed (StoreWriter::Impl::shorten_searches)
    [[nodiscard]] bool is_present() const { return match != nullptr && held.is_live(); }
  };
  [[nodiscard]] Place locate(const KeyWords& key, std::uint64_t reusable_up_to) const {
    return locate_from(home(key), key, reusable_up_to);
  }
  template <bool OneWord = false>
  [[nodiscard]] Place locate_from(std::uint64_t home, const KeyWords& key, std::uint64_t reusable_up_to) const;

  /// Writes the other copy of what `place` matches and publishes it.
  void write_copy(const Place& place, std::uint64_t sequence, std::uint64_t kind,
                  std::span<const std::byte> value) const;
  /// Writes the newest copy, which is above `committed`, once more for a later change.
  void write_newest_copy(const Place& place, std::uint64_t committed, std::uint64_t sequence,
                         std::span<const std::byte> value) const;
  /// Gives a vacant slot to `key` and publishes its first copy.
  void occupy(Word* at, const KeyWords& key, std::uint64_t sequence, std::span<const std::byte> value) const;
  /// Makes the slot Empty. Only of a table that nobody reads.
  void make_empty(Word* at) const;
  /// The newest copy of a slot of another table of the same sizes, whose key is not here; its new slot, or nothing.
  const Word* take_over(const Table& from, const Word* at) const;
  /// Takes back the change of exactly `sequence`, if it wrote the newest copy. `older`: the sequence of the other copy,
  /// or a committed one above it, 0: nothing was committed. Idempotent.
  void take_back(Word* at, std::uint64_t sequence, std::uint64_t older) const;
  /// Marks the slot free, whatever it held.
  void free_slot(Word* at) const;
  /// After the deletion in that slot was committed: makes what no key's search passes Empty again, so that probing
  /// stays short for ever, and the slot no key's. False: there is no Empty slot for far_probes behind it.
  bool shorten_probing(Word* at, std::uint64_t reusable_up_to) const;
  /// The same of all of the table, of which another writer's program has left nearly no Empty slot. Takes as long as
  /// two scans. How many slots it made Empty.
  std::uint64_t empty_what_is_vacant(std::uint64_t reusable_up_to) const;

 private:
  /// The slot that has the key and a sequence, with the head seen there; nothing. `probes`: so many are looked at.
  [[gnu::always_inline]] const Word* find(std::uint64_t home, const KeyWords& key, Head& seen,
                                          std::uint64_t& probes) const {
    return key_words_ == 1 ? find_of<true>(home, key, seen, probes) : find_of<false>(home, key, seen, probes);
  }
  [[gnu::always_inline]] const Word* find(std::uint64_t home, const KeyWords& key, Head& seen) const {
    std::uint64_t all = slot_count_;
    return find(home, key, seen, all);
  }
  /// Keys of one word (addresses, numbers, hashes) have a loop of their own.
  template <bool OneWord>
  [[gnu::always_inline]] const Word* find_of(std::uint64_t home, const KeyWords& key, Head& seen,
                                             std::uint64_t& probes) const {
    // Copies: after each acquiring load the members would be loaded again.
    const Word first = key.words[0];
    const std::uint64_t stride = slot_words_;
    const std::uint64_t last = mask_;
    const Word* const slots = slots_;
    std::uint64_t index = home & last;
    std::uint64_t left = std::min(probes, last + 1);
    const std::uint64_t beyond = probes - left;
    const Word* found = nullptr;
    for (; left != 0; index = (index + 1) & last) {
      const Word* at = slots + index * stride;
      seen = head(at);
      --left;
      const bool same = OneWord ? words::load(at + 1) == first : key_equals(at, key);
      if (same && seen.has_sequence()) [[likely]] {
        found = at;
        break;
      }
      if (seen.is_empty()) { break; }
    }
    probes = beyond + left;
    return found;
  }

  [[nodiscard]] std::int64_t behind_home(std::uint64_t index) const;
  [[nodiscard]] bool has_empty_behind(std::uint64_t index) const;

  static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  template <std::size_t Words>
  static Seen copy_words(const Word* at, Head seen, std::uint64_t limit, std::byte* value);

  Seen read_visible(const Word* at, const Head& seen, std::uint64_t limit, std::span<std::byte> value) const {
    const bool older = seen.sequence() > limit;  // (1)
    const std::uint64_t kind = older ? seen.older_kind() : seen.newest_kind();
    if (kind != layout::kind_live) [[unlikely]] {  // (2)
      return words::unchanged(at, seen.word) ? Seen::Absent : Seen::Changed;
    }
    words::load_bytes(value, value_of(at, seen.newest() ^ static_cast<unsigned>(older)));
    if (!words::unchanged(at, seen.word)) { return Seen::Changed; }  // (3)
    return older ? Seen::Older : Seen::Present;                      // (4)
  }

  Word* slots_ = nullptr;
  std::uint64_t slot_count_ = 0;
  bool dense_ = false;
  std::uint64_t mask_ = 0;
  std::uint64_t seed_ = 0;
  std::uint32_t key_bytes_ = 0;
  std::uint64_t value_bytes_ = 0;
  std::uint64_t key_words_ = 0;
  std::uint64_t value_words_ = 0;
  std::uint64_t slot_words_ = 0;
};

}  // namespace understudy::shm
