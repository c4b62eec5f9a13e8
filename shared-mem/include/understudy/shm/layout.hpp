// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The bytes of a region, and nothing but the bytes: what two programs, on two sides of a guest's border, agree on.
///
///   0                 RegionHeader       what the region holds; written once
///   header_area_bytes for each store:
///                       StoreControl     commit point, writer, marks (4 KiB)
///                       journal ring     journal_bytes
///                       for each table, page aligned:
///                         slots          slot_count
///                         grown slots    grown_slot_count, when the table may be rebuilt larger
///                         slabs          slab_count, of a blob table
///                       arena            arena_bytes, page aligned, when there is one
///
/// Every field is little-endian, 8-byte words are aligned and read and written whole. There are no pointers in here:
/// offsets follow from the description alone, so that a reader that has checked the description can never be led
/// outside the mapping. A change of any size, offset or meaning in this file is a new layout_version.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace understudy::shm::layout {

static_assert(std::endian::native == std::endian::little, "a region is shared as it lies in memory");

inline constexpr std::uint64_t region_magic = 0x5944545352444e55;  // "UNDRSTDY"
inline constexpr std::uint32_t layout_version = 3;
inline constexpr std::size_t cache_line_bytes = 64;
inline constexpr std::uint64_t page_bytes = 4096;
inline constexpr std::uint64_t region_bytes_min = 1 << 20;
inline constexpr std::uint64_t journal_bytes_min = 64 << 10;

inline constexpr std::size_t stores_max = 8;
inline constexpr std::size_t tables_max = 16;
inline constexpr std::size_t name_bytes = 32;  ///< with its closing zero
inline constexpr std::uint32_t key_bytes_max = 256;
inline constexpr std::uint32_t value_bytes_max = 4096;           ///< in a slot
inline constexpr std::uint32_t blob_bytes_max = 64 << 10;        ///< in a slab
inline constexpr std::uint64_t transaction_bytes_max = 1 << 20;  ///< entries of one transaction; one frame of the link
inline constexpr std::size_t history_entries = 64;
/// The entry that is being written is none of these, also when it takes the place of the oldest one.
inline constexpr std::size_t history_kept = history_entries - 1;
inline constexpr std::size_t journal_anchors = 64;

/// How a table finds a record (TableDescription::kind).
inline constexpr std::uint32_t table_hashed = 0;  ///< keys hashed to slots, values of one size in the slots
inline constexpr std::uint32_t table_blob = 1;    ///< keys hashed to slots, values of 0 to value_bytes bytes in slabs
inline constexpr std::uint32_t table_dense = 2;  ///< the key is a u64 below capacity and the slot's index; no key in it

/// One table as described. Written by: create, once. If the writer dies: no magic, so no region.
/// Counts and offsets are told for other tools; a reader computes its own and compares.
struct TableDescription {
  char name[name_bytes];
  std::uint32_t key_bytes;
  std::uint32_t value_bytes;  ///< of a blob table: the largest
  std::uint32_t kind;
  std::uint32_t reserved;
  std::uint64_t capacity;      ///< records that fit for certain
  std::uint64_t capacity_max;  ///< the same once it was rebuilt; equal to capacity: cannot be rebuilt
  std::uint64_t slot_count;    ///< a power of two, of a dense table the capacity
  std::uint64_t slots_offset;
  std::uint64_t grown_slot_count;  ///< 0 when it cannot be rebuilt
  std::uint64_t grown_slots_offset;
  std::uint64_t slab_bytes;  ///< from one slab to the next; 0 when it has none
  std::uint64_t slab_count;
  std::uint64_t slabs_offset;
  std::uint64_t reserved_too;
};
static_assert(sizeof(TableDescription) == 128);
static_assert(offsetof(TableDescription, capacity) == 48);

/// One store as described. Written by: create, once.
struct StoreDescription {
  char name[name_bytes];
  std::uint64_t journal_bytes;
  std::uint64_t control_offset;
  std::uint64_t journal_offset;
  std::uint64_t arena_bytes;   ///< 0: none; whole pages. The application's own heap, replicated at its checkpoints
  std::uint64_t arena_offset;  ///< 0: none
  std::uint32_t table_count;
  std::uint32_t reserved;
  std::uint64_t reserved_too[6];
  TableDescription tables[tables_max];
};
static_assert(sizeof(StoreDescription) == 2176);
static_assert(offsetof(StoreDescription, tables) == 128);

/// Start of the region. Written by: create or format, once. Published by: `magic`, the last store of the
/// formatting. If the writer dies: magic is not there, opening says Absent or Foreign.
struct RegionHeader {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t header_bytes;  ///< sizeof(RegionHeader)
  std::uint64_t region_bytes;
  std::uint64_t hash_seed;  ///< so that nobody outside can choose keys that collide
  std::uint32_t store_count;
  std::uint32_t description_crc32c;  ///< of the whole header with magic and this field taken as 0
  std::uint64_t reserved[3];
  StoreDescription stores[stores_max];
};
static_assert(sizeof(RegionHeader) == 64 + stores_max * sizeof(StoreDescription));
static_assert(offsetof(RegionHeader, stores) == 64);
inline constexpr std::uint64_t header_area_bytes = 5 * page_bytes;

/// Last line of the header area, no part of the description: shows that two sides have the same bytes before them
/// (echo.hpp, rule 24). It stays where it is in every later layout version, so that the question can be asked before
/// the answer is a region. Written by: each side its own word. If it dies: nothing, the next conversation asks anew.
struct EchoLine {
  std::uint64_t host;
  std::uint64_t guest;
  std::uint64_t reserved[6];
};
static_assert(sizeof(EchoLine) == cache_line_bytes);
inline constexpr std::uint64_t echo_offset = header_area_bytes - sizeof(EchoLine);
static_assert(echo_offset == 20416);
static_assert(sizeof(RegionHeader) <= echo_offset);

/// Who writes the store (rule 20). Written by: the one who becomes the writer, term first, then epoch.
/// If it dies between the two: the former writer already sees a foreign term and stops; the next one goes on.
struct WriterLine {
  std::uint64_t term;
  std::uint64_t epoch;      ///< grows with every writer
  std::uint64_t waited_us;  ///< by the writers: how long they have waited for a sender (MirrorLine::throttle) in all
  std::uint64_t reserved[5];
};
static_assert(sizeof(WriterLine) == cache_line_bytes);
static_assert(offsetof(WriterLine, waited_us) == 16);

/// Where the journal ends for one committed sequence. `sequence` == invalid_sequence while `position` changes.
struct JournalEnd {
  std::uint64_t sequence;
  std::uint64_t position;
};
inline constexpr std::uint64_t invalid_sequence = ~std::uint64_t{0};

/// The commit point. Written by: the writer. Published by: `committed` with release, after everything that it
/// commits. If the writer dies: whatever carries a sequence above `committed` never happened.
struct CommitLine {
  std::uint64_t committed;     ///< sequence of the last committed change
  std::uint64_t sync;          ///< 0 synced; sync_snapshot; else catching up until this sequence (rule 23)
  std::uint64_t reserved_end;  ///< journal position up to which bytes may be overwritten; only grows
  std::uint64_t purged_up_to;  ///< deletions up to here are not found by a scan (rule 22)
  JournalEnd ends[2];          ///< the one whose sequence is `committed` holds
};
static_assert(sizeof(CommitLine) == cache_line_bytes);
static_assert(offsetof(CommitLine, ends) == 32);
inline constexpr std::uint64_t sync_snapshot = ~std::uint64_t{0};

/// What the mirror acknowledged, and what the sender asks of the writer. Written by: the agent's sender, each a word of
/// its own, so nothing can be half; who becomes the writer clears a `mirrored` above its commit point.
///   `throttle`: journal position up to which the sender has read | a beat, 1 to 7; 0: nothing is asked (rule 23). A
///   writer waits where it would lap that position, for as long as its own patience says (throttle.cpp): a request, no
///   part of the state, and no promise. Whoever does not know the word neither writes nor reads it, so that both kinds
///   of programs get along in one layout version.
///   If the sender dies: the word stands still, and is not believed for long.
struct MirrorLine {
  std::uint64_t mirrored;  ///< acknowledged sequence << 1 | protected
  std::uint64_t throttle;
  std::uint64_t reserved[6];
};
static_assert(sizeof(MirrorLine) == cache_line_bytes);
static_assert(offsetof(MirrorLine, throttle) == 8);
inline constexpr std::uint64_t throttle_beat_mask = 7;  ///< positions are multiples of 8

/// `term` wrote from sequence `first` on (rule 21).
struct HistoryEntry {
  std::uint64_t term;
  std::uint64_t first;
};

/// Which terms wrote this store. Written by: the writer at its first own change. Published by: `count`.
/// If the writer dies: an entry above `count` is nothing; a published one whose first change was not committed is
/// renamed by the next writer.
struct History {
  std::uint64_t count;  ///< ever appended; the last history_kept of them count
  std::uint64_t reserved[7];
  HistoryEntry entries[history_entries];
};
static_assert(sizeof(History) == 64 + history_entries * 16);

/// Live records of a table, in two copies like a record. Written by: the writer before a commit that changes it.
/// Published by: its sequence. If the writer dies: a copy above `committed` is ignored, then taken back.
struct CountCopy {
  std::uint64_t sequence;
  std::uint64_t records;
};
struct TableCount {
  CountCopy copies[2];
};
static_assert(sizeof(TableCount) == 32);

/// Where to enter the journal: the first entry that starts in each 1/64 of the ring. A hint, checked against the
/// entry itself on use, so it may be torn or stale.
struct JournalAnchor {
  std::uint64_t sequence;
  std::uint64_t position;
};

/// What a table has become. Written by: the writer. Each a word of its own, so nothing can be half.
struct TableState {
  std::uint64_t grown;         ///< 0: `slots` hold the records; else the grown slots do, for ever (one store switches)
  std::uint64_t refused_full;  ///< puts that were refused because the table was full: somebody should be told
};
static_assert(sizeof(TableState) == 16);

/// How far the live area of a store's arena is known to be the last checkpoint (the dense table "arena").
///   Written by: whoever the live area belongs to, the writer in any case. One word, so nothing can be half.
///   `live_up_to`: every page whose newest committed copy has a sequence up to this is that copy in the live area, and
///   zeros where there is none. arena_unknown: an application may write in it; nothing is known of any page.
///   If the writer dies: what is not known is compared and copied by the next one (Arena::attach).
///   `mixed`: not 0: an unfinished copy was accepted, its pages are of several checkpoints. Set before the sync mark
///   goes; 0 again by a full snapshot, or by a checkpoint of an application that was told. Whoever does not know the
///   word neither writes nor reads it, so that both kinds of programs get along in one layout version.
struct ArenaLine {
  std::uint64_t live_up_to;
  std::uint64_t mixed;
  std::uint64_t reserved[30];
};
static_assert(sizeof(ArenaLine) == 256);
static_assert(offsetof(ArenaLine, mixed) == 8);
inline constexpr std::uint64_t arena_unknown = ~std::uint64_t{0};

struct StoreControl {
  WriterLine writer;
  CommitLine commit;
  MirrorLine mirror;
  History history;
  TableCount counts[tables_max];
  JournalAnchor anchors[journal_anchors];
  TableState tables[tables_max];
  ArenaLine arena;
  std::uint8_t reserved[768];
};
static_assert(sizeof(StoreControl) == page_bytes);
static_assert(offsetof(StoreControl, commit) == 64);
static_assert(offsetof(StoreControl, mirror) == 128);
static_assert(offsetof(StoreControl, history) == 192);
static_assert(offsetof(StoreControl, counts) == 1280);
static_assert(offsetof(StoreControl, anchors) == 1792);
static_assert(offsetof(StoreControl, tables) == 2816);
static_assert(offsetof(StoreControl, arena) == 3072);

/// Start of a journal entry; key and value follow, each padded with zeros to 8 bytes. Entries lie back to back at
/// positions that only grow; position modulo the ring's size is where the bytes are, and an entry may wrap.
/// Written by: the writer, before the tables. If it dies inside: the sequence is above `committed`.
struct JournalEntryHeader {
  std::uint64_t sequence;
  std::uint32_t crc32c;  ///< of the whole entry with this field taken as 0
  std::uint16_t key_bytes;
  std::uint16_t table;
  std::uint32_t value_bytes;  ///< 0 for an erase
  std::uint8_t op;
  std::uint8_t flags;
  std::uint16_t reserved;  ///< 0
};
static_assert(sizeof(JournalEntryHeader) == 24);
static_assert(std::has_unique_object_representations_v<JournalEntryHeader>);
inline constexpr std::uint8_t op_put = 0;
inline constexpr std::uint8_t op_erase = 1;
inline constexpr std::uint8_t flag_ends_transaction = 1;

/// A slot of a table, in words: head, key, value 0, value 1. In a blob table a value is one word, blob_ref(); a dense
/// table's slots have no key. A slot of up to a cache line never lies across two.
///   Written by: the writer, the value of the copy that is not the newest first. Published by: the head, with release.
///   head = sequence << 5 | kind of the other copy << 3 | kind of the newest copy << 1 | which copy is the newest
///   The sequence is of the change that wrote the newest copy. The other copy holds what was committed before it, and
///   only as long as that change is not committed: afterwards it may be overwritten at any time. 0: never used, probing
///   stops here. head_free: no key's, probing goes on.
///   If the writer dies: a head above `committed` is taken back to the other copy, else nothing.
inline constexpr std::uint64_t kind_live = 1;
inline constexpr std::uint64_t kind_erased = 2;
inline constexpr std::uint64_t kind_free = 3;
inline constexpr unsigned head_newest_kind_shift = 1;
inline constexpr unsigned head_older_kind_shift = 3;
inline constexpr unsigned head_sequence_shift = 5;
inline constexpr std::uint64_t sequence_max = (~std::uint64_t{0} >> head_sequence_shift) - 1024;  ///< room to count on
[[nodiscard]] constexpr std::uint64_t head_of(std::uint64_t sequence, std::uint64_t older_kind,
                                              std::uint64_t newest_kind, std::uint64_t newest) {
  return sequence << head_sequence_shift | older_kind << head_older_kind_shift | newest_kind << head_newest_kind_shift |
         newest;
}
inline constexpr std::uint64_t head_free = head_of(0, kind_free, kind_free, 0);

[[nodiscard]] constexpr std::uint64_t words_of(std::uint64_t bytes) { return (bytes + 7) / 8; }

/// Where a blob's bytes are: the slab's index and the value's length.
[[nodiscard]] constexpr std::uint64_t blob_ref(std::uint64_t slab, std::uint64_t length) { return slab << 32 | length; }
/// A slab: one word, then the value's bytes, padded to whole cache lines.
///   Written by: the writer. Published by: its first word, the sequence of the change whose value it holds; 0 while
///   it is being written. A slab is written only when no committed copy refers to it.
///   If the writer dies: nothing refers to the slab; which ones are free follows from the slots.
[[nodiscard]] constexpr std::uint64_t slab_bytes(std::uint64_t value_bytes) {
  return (8 + value_bytes + cache_line_bytes - 1) / cache_line_bytes * cache_line_bytes;
}
/// One for each record, what a transaction writes before it frees anything, and what a mirror's snapshot may hold too
/// much because a deletion arrives after the record that took its place.
[[nodiscard]] constexpr std::uint64_t slabs_for(std::uint64_t capacity) { return capacity + capacity / 4 + 64; }

/// Up to a cache line a power of two, as tables begin with one; larger slots lie back to back.
[[nodiscard]] constexpr std::uint64_t slot_words(std::uint64_t key_bytes, std::uint64_t value_bytes) {
  const std::uint64_t words = 1 + words_of(key_bytes) + 2 * words_of(value_bytes);
  return words <= cache_line_bytes / 8 ? std::bit_ceil(words) : words;
}
[[nodiscard]] constexpr std::uint64_t entry_bytes(std::uint64_t key_bytes, std::uint64_t value_bytes) {
  return sizeof(JournalEntryHeader) + 8 * (words_of(key_bytes) + words_of(value_bytes));
}
/// Half of the slots or more stay empty of live records, plus what one transaction may hold back.
[[nodiscard]] constexpr std::uint64_t slots_for(std::uint64_t capacity) {
  return std::bit_ceil(capacity + capacity / 2 + 128);
}

static_assert(std::is_trivially_copyable_v<RegionHeader> && std::has_unique_object_representations_v<RegionHeader>);
static_assert(std::is_trivially_copyable_v<StoreControl> && std::has_unique_object_representations_v<StoreControl>);

}  // namespace understudy::shm::layout
