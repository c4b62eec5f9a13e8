// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A store's journal: a ring of entries (layout.hpp) in the order of their sequences, without gaps.
///
///   positions   ...|  e7  | e8 |   e9    | e10 |  free ...
///                   ^ oldest not overwritten    ^ end of `committed`      ^ reserved_end (an entry being written)
///
/// Invariants
///   J1  Bytes at position p are intact as long as reserved_end - p <= ring size; the writer raises reserved_end
///       before it touches the first byte (pairs with lapped(), asked after the bytes were copied).
///   J2  Entries up to `committed` are complete, and ends[] tells where they end.
///   J3  Starting the journal anew raises reserved_end by a whole ring and a word, so every position up to the present
///       end is lapped.

#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/schema.hpp"
#include "words.hpp"

namespace understudy::shm {

/// One entry in the caller's own memory.
struct EntryBuffer {
  static constexpr std::size_t words_max = layout::entry_bytes(layout::key_bytes_max, layout::blob_bytes_max) / 8;
  Word words[words_max];

  [[nodiscard]] layout::JournalEntryHeader header() const {
    layout::JournalEntryHeader header;
    std::memcpy(&header, words, sizeof header);
    return header;
  }
  [[nodiscard]] std::span<const std::byte> bytes(std::uint64_t size) const {
    return std::as_bytes(std::span(words)).first(size);
  }
};

/// Size of an entry whose header is sound by itself; nothing when it cannot be one.
inline std::optional<std::uint64_t> entry_size(const layout::JournalEntryHeader& header) {
  const bool is_put = header.op == layout::op_put;
  const bool sound = (is_put || header.op == layout::op_erase) && header.key_bytes >= 1 &&
                     header.key_bytes <= layout::key_bytes_max && header.value_bytes <= layout::blob_bytes_max &&
                     (header.value_bytes == 0 || is_put) && header.table < layout::tables_max && header.reserved == 0 &&
                     header.flags <= layout::flag_ends_transaction && header.sequence >= 1 &&
                     header.sequence <= layout::sequence_max;
  if (!sound) { return std::nullopt; }
  return layout::entry_bytes(header.key_bytes, header.value_bytes);
}

/// Has a change of these lengths a place in the table?
inline bool fits(const TableSchema& table, std::uint8_t op, std::uint64_t key_bytes, std::uint64_t value_bytes) {
  if (key_bytes != table.key_bytes) { return false; }
  if (op != layout::op_put) { return value_bytes == 0; }
  return table.kind == TableKind::Blob ? value_bytes <= table.value_bytes : value_bytes == table.value_bytes;
}

/// Where the next entry begins follows from what is in this one, so that a walk waits for each in turn. Mostly an entry
/// looks like the one before it: taken for such until a branch finds otherwise, the processor looks at many at once,
/// and what was found sound is not looked at again.
class EntrySizes {
 public:
  EntrySizes() = default;
  /// Entries that fit none of these tables are none. Whoever is handed an entry of them may take its sizes from the
  /// schema.
  explicit EntrySizes(const std::vector<TableSchema>& tables) : tables_(&tables) {}

  /// As entry_size(); 0 when it cannot be one. `header`: so many bytes are there.
  [[gnu::always_inline]] std::uint64_t of(const std::byte* header) {
    const Word lengths = words::at(header, 1) >> 32;
    const Word kind = words::at(header, 2);
    const bool numbered = words::at(header, 0) - 1 < layout::sequence_max;
    if (lengths != lengths_ || kind != kind_ || !numbered) [[unlikely]] { look(header, lengths, kind); }
    return size_;
  }
  [[nodiscard]] bool ends_transaction() const { return ends_transaction_; }

 private:
  [[gnu::noinline]] void look(const std::byte* at, Word lengths, Word kind) {
    layout::JournalEntryHeader header;
    std::memcpy(&header, at, sizeof header);
    size_ = entry_size(header).value_or(0);
    if (tables_ != nullptr && size_ != 0) {
      const bool ours = header.table < tables_->size() &&
                        fits((*tables_)[header.table], header.op, header.key_bytes, header.value_bytes);
      size_ = ours ? size_ : 0;
    }
    ends_transaction_ = (header.flags & layout::flag_ends_transaction) != 0;
    lengths_ = size_ == 0 ? ~Word{0} : lengths;  // what is not sound is looked at each time
    kind_ = kind;
  }

  const std::vector<TableSchema>* tables_ = nullptr;
  Word lengths_ = ~Word{0};
  Word kind_ = 0;
  std::uint64_t size_ = 0;
  bool ends_transaction_ = false;
};

/// An entry in bytes that came from somewhere; its size, checksum and shape hold.
struct EntryView {
  layout::JournalEntryHeader header;
  std::uint64_t size = 0;
  std::span<const std::byte> key;
  std::span<const std::byte> value;
};
/// Looks at the entry at the start of `bytes`. What is wrong with it, or nothing.
inline const char* view_entry(std::span<const std::byte> bytes, EntryView& entry) {
  if (bytes.size() < sizeof entry.header) { return "an entry has no end"; }
  std::memcpy(&entry.header, bytes.data(), sizeof entry.header);
  const auto size = entry_size(entry.header);
  if (!size || *size > bytes.size()) { return "an entry's lengths cannot be"; }
  if (crc32c_of_entry(bytes.first(*size)) != entry.header.crc32c) { return "a checksum does not fit"; }
  entry.size = *size;
  entry.key = bytes.subspan(sizeof entry.header, entry.header.key_bytes);
  entry.value =
      bytes.subspan(sizeof entry.header + 8 * layout::words_of(entry.header.key_bytes), entry.header.value_bytes);
  return nullptr;
}

/// Does the checksum of this complete entry fit? `entry` has the size that its header tells.
bool checksum_fits(std::span<const std::byte> entry);

inline constexpr std::size_t entry_header_words = sizeof(layout::JournalEntryHeader) / sizeof(Word);

/// What a writer says about an entry; the rest of the header follows from key and value.
struct EntryHead {
  std::uint64_t sequence = 0;
  std::uint8_t op = layout::op_put;
  std::uint8_t flags = 0;
  std::uint16_t table = 0;
};

class Journal {
 public:
  Journal() = default;
  Journal(layout::StoreControl* control, Word* ring, std::uint64_t ring_bytes)
      : control_(control),
        ring_(ring),
        ring_bytes_(ring_bytes),
        word_mask_(ring_bytes / 8 - 1),
        segment_shift_(static_cast<unsigned>(std::countr_zero(ring_bytes / layout::journal_anchors))) {}

  [[nodiscard]] std::uint64_t ring_bytes() const { return ring_bytes_; }

  // --- any reader ---
  /// Were the bytes from `position` on possibly overwritten? Ask after copying them.
  [[nodiscard]] bool lapped(std::uint64_t position) const {
    words::fence_acquire();
    return words::load_acquire(&control_->commit.reserved_end) - position > ring_bytes_;
  }
  void copy(std::uint64_t position, std::span<std::byte> to) const;  ///< `to`: whole words
  /// The same of so many bytes into memory that is not filled with zeros first.
  void copy(std::uint64_t position, std::size_t bytes, std::vector<std::byte>& to) const;
  /// The entry at `position`, complete and with a fitting checksum; its size.
  std::optional<std::uint64_t> read_entry(std::uint64_t position, EntryBuffer& entry) const;
  /// Where the entries up to `committed` end; nothing while another commit is under way.
  [[nodiscard]] std::optional<std::uint64_t> end_of(std::uint64_t committed) const;
  /// Where the entry with `sequence` begins, found through the anchors; nothing when it is gone.
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t sequence, std::uint64_t committed) const;

  // --- the writer ---
  /// Writes a whole entry, its checksum last; its size in bytes. The bytes are reserved.
  std::uint64_t append(std::uint64_t position, const EntryHead& head, std::span<const std::byte> key,
                       std::span<const std::byte> value) const;
  /// The same of a put that is a transaction by itself: a key of one word, a value of `Words`.
  template <std::size_t Words>
  std::uint64_t append_words(std::uint64_t position, std::uint64_t sequence, std::uint32_t table, Word key,
                             const std::byte* value) const;
#if defined(__x86_64__)
  /// The same where it does not wrap, on a processor that has the instruction (crc32c_has_instruction).
  template <std::size_t Words>
  void append_unwrapped(std::uint64_t position, std::uint64_t sequence, std::uint32_t table, Word key,
                        const std::byte* value) const;
#endif
  void note_anchor(std::uint64_t position, std::uint64_t sequence) const;
  /// The first position for which note_anchor() has something to do again.
  [[nodiscard]] std::uint64_t next_anchor(std::uint64_t position) const {
    return ((position >> segment_shift_) + 1) << segment_shift_;
  }
  /// Whole words, entries as they are. Nothing is promised of the order of these stores among themselves.
  void write_bytes(std::uint64_t position, std::span<const std::byte> bytes) const;
  /// Positions in the same segment, and the same lap, share an anchor: the first entry that begins there.
  [[nodiscard]] std::uint64_t segment_of(std::uint64_t position) const { return position >> segment_shift_; }

 private:
  layout::StoreControl* control_ = nullptr;
  Word* ring_ = nullptr;
  std::uint64_t ring_bytes_ = 0;
  std::uint64_t word_mask_ = 0;
  unsigned segment_shift_ = 0;  ///< of 1/64 of the ring, a power of two as the ring is
};

}  // namespace understudy::shm
