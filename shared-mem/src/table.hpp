// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A table: open addressing with linear probing over fixed slots (layout.hpp), one writer, any number of readers.
///
/// A slot holds a key and two copies of its value, each with a version (sequence, kind). The copy with the highest
/// sequence that is committed is the record. The other one is free to be written, so nobody ever waits and a writer
/// that stops for ever leaves every committed record readable.
///
/// Invariants
///   T1  Between the home slot of a present key and its slot no slot is Empty, so probing finds it.
///   T2  Of each key at most one slot has a copy with a sequence.
///   T3  A slot gets another key only when its newest copy is a committed deletion, or no copy has a sequence:
///       both versions are marked free first, then key, value, version (rule 18).
///   T4  A version never takes a value again that a reader may have seen committed.
///
/// A dense table needs no T1: a key is its slot's index, and the slot never belongs to another key.
///
/// Cases of a reader, numbered in read_visible():
///   (1) no copy is visible: absent, or the table changed meanwhile;
///   (2) the visible copy is a deletion: absent;
///   (3) the version changed while the value was copied: changed, look again;
///   (4) value copied, version the same: key and value belonged together at that instant.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "understudy/shm/layout.hpp"
#include "understudy/shm/schema.hpp"
#include "words.hpp"

namespace understudy::shm {

namespace version {
inline constexpr Word free_mark = layout::kind_free;
constexpr Word pack(std::uint64_t sequence, std::uint64_t kind) {
  return (sequence << layout::version_kind_bits) | kind;
}
constexpr std::uint64_t sequence(Word word) { return word >> layout::version_kind_bits; }
constexpr bool is_live(Word word) { return (word & 3) == layout::kind_live && sequence(word) != 0; }
}  // namespace version

/// A key as whole words, padded with zeros, in the caller's own memory.
struct KeyWords {
  Word words[layout::words_of(layout::key_bytes_max)];
  // NOLINTNEXTLINE(google-explicit-constructor,cppcoreguidelines-pro-type-member-init): the rest is never used
  KeyWords(std::span<const std::byte> key) {
    words::for_words(key, [this](std::size_t i, Word word) { words[i] = word; });
  }
};

enum class Seen { Present, Absent, Changed };

struct Versions {
  Word copy[2];
  [[nodiscard]] bool is_empty() const { return (copy[0] | copy[1]) == 0; }
  [[nodiscard]] bool has_sequence() const { return (version::sequence(copy[0]) | version::sequence(copy[1])) != 0; }
  [[nodiscard]] unsigned newest() const { return version::sequence(copy[1]) > version::sequence(copy[0]) ? 1 : 0; }
  [[nodiscard]] Word newest_version() const { return copy[newest()]; }
  /// The newest copy not above `limit`, or 2.
  [[nodiscard]] unsigned visible(std::uint64_t limit) const {
    // Which of the copies it is changes from record to record: no branch on it.
    const std::uint64_t first = version::sequence(copy[0]);
    const std::uint64_t second = version::sequence(copy[1]);
    const std::uint64_t first_held = first <= limit ? first : 0;
    const std::uint64_t second_held = second <= limit ? second : 0;
    return (first_held | second_held) == 0 ? 2 : static_cast<unsigned>(second_held > first_held);
  }
};

/// So many keys ahead their lines are asked for. Two lines each: what a core has no buffer for any more (16 to 24 of
/// them) it forgets, so that asking for more makes it slower.
inline constexpr std::size_t keys_ahead = 8;
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
  [[nodiscard]] const Word* key_of(const Word* slot) const { return slot + 2; }
  [[nodiscard]] Word* value_of(Word* slot, unsigned copy) const { return slot + 2 + key_words_ + copy * value_words_; }
  [[nodiscard]] const Word* value_of(const Word* slot, unsigned copy) const {
    return slot + 2 + key_words_ + copy * value_words_;
  }

  static Versions versions(const Word* slot) { return {{words::load_acquire(slot), words::load_acquire(slot + 1)}}; }

  /// Home slot of a key; part of the layout, as both sides must agree.
  [[nodiscard]] std::uint64_t home(const KeyWords& key) const {
    if (dense_) { return key.words[0] < slot_count_ ? key.words[0] : 0; }
    std::uint64_t hash = seed_;
    for (std::size_t i = 0; i < key_words_; ++i) { hash = mix(hash ^ key.words[i], 0x9e3779b97f4a7c15); }
    return mix(hash ^ key_bytes_, 0xd6e8feb86659fd93);
  }

  [[nodiscard]] bool key_equals(const Word* slot, const KeyWords& key) const {
    if (words::load(key_of(slot)) != key.words[0]) { return false; }
    for (std::size_t i = 1; i < key_words_; ++i) {
      if (words::load(key_of(slot) + i) != key.words[i]) { return false; }
    }
    return true;
  }

  /// Asks for the cache lines where `key` should be found; a slot begins in one and ends in the next.
  /// Always inline: GCC takes a function that only prefetches for one without effect and drops the call.
  [[gnu::always_inline]] void prefetch(const KeyWords& key) const { prefetch_home(home(key)); }
  [[gnu::always_inline]] void prefetch_home(std::uint64_t home) const {
    const Word* at = slot(home);
    __builtin_prefetch(at);
    __builtin_prefetch(at + words_per_line);
  }
  /// The line where a slot that begins here ends: which copy is read depends on the versions, so that otherwise the
  /// second miss would begin when the first one has ended.
  [[gnu::always_inline]] static void prefetch_second_line(const Word* at) { __builtin_prefetch(at + words_per_line); }

  /// Reader: the record of `key` as committed up to `limit`, copied to `value`.
  Seen get(const KeyWords& key, std::uint64_t limit, std::span<std::byte> value) const {
    return get_from(home(key), key, limit, value);
  }
  /// The same for who has the key's home already; it is the same before and after a rebuild.
  Seen get_from(std::uint64_t home, const KeyWords& key, std::uint64_t limit, std::span<std::byte> value) const {
    if (dense_) [[unlikely]] {
      if (key.words[0] >= slot_count_) { return Seen::Absent; }
      const Word* at = slot(key.words[0]);
      return read_visible(at, versions(at), limit, value);
    }
    std::uint64_t index = home & mask_;
    prefetch_second_line(slots_ + index * slot_words_);
    for (std::uint64_t probe = 0; probe < slot_count_; ++probe, index = (index + 1) & mask_) {
      const Word* at = slots_ + index * slot_words_;
      const Versions seen = versions(at);
      if (key_equals(at, key) && seen.has_sequence()) [[likely]] { return read_visible(at, seen, limit, value); }
      if (seen.is_empty()) { return Seen::Absent; }
    }
    return Seen::Absent;
  }

  /// Reader: as get(), and which change wrote it.
  Seen get(const KeyWords& key, std::uint64_t limit, std::span<std::byte> value, std::uint64_t& sequence) const {
    std::uint64_t index = home(key) & mask_;
    for (std::uint64_t probe = 0; probe < slot_count_; ++probe, index = (index + 1) & mask_) {
      const Word* at = slots_ + index * slot_words_;
      const Versions seen = versions(at);
      if (key_equals(at, key) && seen.has_sequence()) {
        const unsigned copy = seen.visible(limit);
        if (copy < 2) { sequence = version::sequence(seen.copy[copy]); }
        return read_visible(at, seen, limit, value);
      }
      if (seen.is_empty()) { return Seen::Absent; }
    }
    return Seen::Absent;
  }

  /// Reader: the record in a slot, whatever its key is.
  Seen read(const Word* at, std::uint64_t limit, std::span<std::byte> key, std::span<std::byte> value,
            std::uint64_t& sequence) const {
    const Versions seen = versions(at);
    if (!seen.has_sequence()) { return Seen::Absent; }
    const unsigned copy = seen.visible(limit);
    if (copy < 2) { sequence = version::sequence(seen.copy[copy]); }
    if (dense_) {
      const std::uint64_t index = index_of(at);
      std::memcpy(key.data(), &index, sizeof index);
    } else {
      words::load_bytes(key, key_of(at));
    }
    return read_visible(at, seen, limit, value);
  }

  // --- the writer's side: table.cpp ---

  struct Place {
    Word* match = nullptr;   ///< the slot that has the key
    Word* vacant = nullptr;  ///< where it would go: a free slot, a deletion up to `reusable_up_to`, or the first Empty
  };
  [[nodiscard]] Place locate(const KeyWords& key, std::uint64_t reusable_up_to) const;

  /// Writes the record's other copy and publishes it.
  void write_copy(Word* at, std::uint64_t sequence, std::uint64_t kind, std::span<const std::byte> value) const;
  /// Gives a vacant slot to `key` and publishes its first copy.
  void occupy(Word* at, const KeyWords& key, std::uint64_t sequence, std::span<const std::byte> value) const;
  /// Makes the slot Empty. Only of a table that nobody reads.
  void make_empty(Word* at) const;
  /// The newest copy of a slot of another table of the same sizes, whose key is not here; its new slot, or nothing.
  const Word* take_over(const Table& from, const Word* at) const;
  /// Takes back the copy of exactly `sequence`, if there is one. Idempotent.
  void take_back(Word* at, std::uint64_t sequence) const;
  /// Marks the slot free, whatever it held: the older copy first, so that no older value comes to light.
  void free_slot(Word* at) const;
  /// Makes a run of vacant slots that ends before an Empty one Empty again, so that probing stays short for ever.
  void shorten_probing(Word* at, std::uint64_t reusable_up_to) const;

 private:
  static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  Seen read_visible(const Word* at, const Versions& seen, std::uint64_t limit, std::span<std::byte> value) const {
    const unsigned copy = seen.visible(limit);
    if (copy == 2) {  // (1) the caller tells the two apart by looking whether the commit point moved
      return words::unchanged(at, seen.copy[0]) && words::unchanged(at + 1, seen.copy[1]) ? Seen::Absent
                                                                                          : Seen::Changed;
    }
    if (!version::is_live(seen.copy[copy])) {  // (2)
      return words::unchanged(at + copy, seen.copy[copy]) ? Seen::Absent : Seen::Changed;
    }
    words::load_bytes(value, value_of(at, copy));
    return words::unchanged(at + copy, seen.copy[copy]) ? Seen::Present : Seen::Changed;  // (4), (3)
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
