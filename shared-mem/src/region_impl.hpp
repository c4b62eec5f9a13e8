// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A mapping whose header has been checked, and the views into it. Everything here was read from the region once, at
/// opening; afterwards only counters, heads and payload are read from shared memory.

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "description.hpp"
#include "journal.hpp"
#include "live_area.hpp"
#include "mapping.hpp"
#include "slabs.hpp"
#include "table.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {

/// A reader gives up a record after as many changes under its eyes; an honest writer is never that fast.
inline constexpr int read_tries_max = 100000;

/// What a call may spend in all, whoever writes against it: looks again at what does not hold still, and probes, that
/// is slots in which a key is looked for, or lines of a value that is copied once more. Bounded of the call as a whole:
/// of each of its keys a hostile table could otherwise have all slots probed, and again for each of read_tries_max
/// looks.
class LookBudget {
 public:
  /// Of a call that reads so many keys. An honest writer costs a look or two of a record, by commits that come as fast
  /// as it can make them; and the search for a key of an honest table, as full as it can be and all of whose keys were
  /// replaced many times over, passes 4 slots on average, of an absent one some 25.
  LookBudget(std::uint64_t keys, std::uint64_t slots)
      : looks_(8 * keys + read_tries_max), probes_(slots + probes_beyond + probes_each * keys) {}
  /// May look number `tries` of a record be made? The first one always.
  [[nodiscard]] bool allows(int tries) {
    if (tries == 0) { return true; }
    if (tries >= read_tries_max || looks_ == 0 || probes_ == 0) { return false; }
    --looks_;
    return true;
  }
  [[nodiscard]] std::uint64_t& probes() { return probes_; }
  /// A value of so many bytes was copied by look number `tries`.
  void note_copied(int tries, std::uint64_t bytes) {
    if (tries > 0) { probes_ -= std::min(probes_, bytes / layout::cache_line_bytes); }
  }

 private:
  static constexpr std::uint64_t probes_beyond = 1'000'000;
  static constexpr std::uint64_t probes_each = 256;
  std::uint64_t looks_;
  std::uint64_t probes_;
};

struct Region_impl {
  std::string path;
  Access access = Access::ReadOnly;
  RegionSchema schema;
  RegionPlan plan;
  std::uint64_t hash_seed = 0;
  std::unique_ptr<Mapping> mapping;
};

/// What the parts of one store share. Copied views, no state of its own.
struct Store::Impl {
  std::shared_ptr<Region_impl> region;
  std::size_t index = 0;
  layout::StoreControl* control = nullptr;
  Journal journal;
  std::vector<Table> tables;   ///< where each table's records are as long as it was not rebuilt
  std::vector<Table> larger;   ///< and after that; without slots where nothing is reserved
  std::vector<Slabs> slabs;    ///< one for each table
  std::uint32_t growable = 0;  ///< bit for each table that may be rebuilt
  /// Of each table, if it is_small(), the bytes of a value; else 0.
  std::array<std::uint32_t, layout::tables_max> small_bytes{};
  std::optional<LiveArea> live;  ///< of a store with an arena
  /// False: another way is needed.
  using Get = bool (*)(const Impl&, TableIndex, const std::byte* key, std::byte* value);
  std::array<Get, layout::tables_max> get_of{};  ///< what reads of each table of small records, or null

  /// Words of the value of a small record in that table, which may not be there, with these sizes; 0: not such a
  /// record.
  [[nodiscard]] std::size_t small_words(TableIndex table, std::size_t key_bytes, std::size_t value_bytes) const {
    const bool is = table < layout::tables_max && key_bytes == sizeof(Word) && value_bytes == small_bytes[table];
    return is ? value_bytes / sizeof(Word) : 0;
  }

  [[nodiscard]] const StoreSchema& schema() const { return region->schema.stores[index]; }
  [[nodiscard]] std::uint64_t committed() const { return words::load_acquire(&control->commit.committed); }

  /// Is the content between two states of the sender (rule 23)? A catch-up that reached its end counts as synced,
  /// also when its writer died before it could say so.
  [[nodiscard]] bool syncing() const {
    const std::uint64_t sync = words::load_acquire(&control->commit.sync);
    return sync != 0 && (sync == layout::sync_snapshot || sync > committed());
  }

  /// Was it rebuilt? The first slots are never written again then, so a reader that is late finds what was there.
  [[nodiscard]] bool is_grown(TableIndex at) const {
    return (growable >> at & 1) != 0 && words::load_acquire(&control->tables[at].grown) != 0;
  }
  /// Where the records are. Ask after the limit: who saw a commit in the larger table is led there.
  [[nodiscard]] const Table& table(TableIndex at) const { return is_grown(at) ? larger[at] : tables[at]; }
  [[nodiscard]] LookBudget budget_of(TableIndex at, std::uint64_t keys) const {
    return {keys, std::max(tables[at].slot_count(), larger[at].slot_count())};
  }

  /// A value of a blob table. Damaged: the slot refers to what is not its value, and no change is under way.
  struct Blob {
    Seen seen = Seen::Changed;
    bool damaged = false;
    std::uint64_t sequence = 0;
    std::size_t bytes = 0;  ///< written to `value`, which has room for the largest
  };

  /// The committed value of a key; Changed only when it never held still (read_tries_max).
  Seen get(TableIndex table, std::uint64_t home, const KeyWords& key, std::span<std::byte> value) const;
  [[gnu::noinline]] static Status get_any(const Impl& impl, TableIndex table, Bytes key, std::span<std::byte> value);
  [[gnu::noinline]] static Status get_small(const Impl& impl, TableIndex table, const std::byte* key, std::byte* value);
  template <std::size_t Words>
  static bool get_words(const Impl& impl, TableIndex table, const std::byte* key, std::byte* value);
  void choose_gets();
  template <std::size_t Words>
  Seen get_together(TableIndex table, Bytes keys, std::span<std::byte> values, std::span<std::uint8_t> found,
                    LookBudget& budget) const;
  Blob get_blobs_together(TableIndex table, Bytes keys, std::span<std::byte> values, std::span<std::uint32_t> lengths,
                          LookBudget& budget) const;
  [[gnu::cold]] Seen get_again(TableIndex table, std::uint64_t home, const KeyWords& key, std::span<std::byte> value,
                               LookBudget& budget) const;
  [[gnu::cold]] Seen get_again(TableIndex table, std::uint64_t home, const KeyWords& key,
                               std::span<std::byte> value) const;

  /// The same of a blob table.
  Blob get_blob(TableIndex table, const KeyWords& key, std::span<std::byte> value, LookBudget& budget) const;
  /// The record whose key is in the slot `at` of `walked`; of any kind of table.
  Blob read_slot(TableIndex table, const Table& walked, const Word* at, std::span<std::byte> key,
                 std::span<std::byte> value, LookBudget& budget) const;
  Seen look_into_slot(TableIndex table, const Table& walked, const Word* at, std::uint64_t limit,
                      std::span<std::byte> key, std::span<std::byte> value, std::uint64_t& sequence,
                      LookBudget& budget) const;
  /// Tries `find(limit, ref, sequence)` until what it finds holds still.
  template <class Find>
  Blob read_blob(TableIndex table, std::span<std::byte> value, LookBudget& budget, const Find& find) const;

  // --- recovery.cpp ---
  [[nodiscard]] Status check_writable(std::uint64_t term) const;
  [[nodiscard]] bool journal_holds(std::uint64_t end, std::uint64_t reserved_end) const;
  [[gnu::cold, nodiscard]] Error damaged(const std::string& what) const;

  /// Readers ignore sequences above this. While syncing every record stands for itself.
  [[nodiscard]] std::uint64_t visible_limit() const {
    if (words::load_acquire(&control->commit.sync) != 0 && syncing()) { return ~std::uint64_t{0}; }
    return committed();
  }
  /// Is what was found with that limit true? Asked after the look.
  [[nodiscard]] bool is_settled(Seen seen, std::uint64_t limit) const {
    return seen == Seen::Present || (seen != Seen::Changed && visible_limit() == limit);
  }
  /// Once that is settled, it does not matter which copy a record was in.
  static Seen as_told(Seen settled) { return settled == Seen::Older ? Seen::Present : settled; }
};

[[gnu::cold]] Error open_for_reading_only(const Region_impl& region);
[[gnu::cold]] Error changed_too_often();
[[gnu::cold]] Error no_record();
[[gnu::cold]] Error no_table(TableIndex table);
[[gnu::cold]] Error wrong_size(const TableSchema& table);
[[gnu::cold]] Error not_of_blobs(const TableSchema& table);
[[gnu::cold]] Error blob_is_damaged(const TableSchema& table);

/// A slab gets another value only after the commit that made it free. So a slab that does not fit while the same copy
/// is still the visible one was never written by this program.
template <class Find>
Store::Impl::Blob Store::Impl::read_blob(TableIndex table, std::span<std::byte> value, LookBudget& budget,
                                         const Find& find) const {
  std::uint64_t mismatched = 0;  // sequence and limit of the last look at a slab that did not fit
  std::uint64_t mismatched_limit = 0;
  Blob blob;
  for (int tries = 0; budget.allows(tries); ++tries) {
    Word ref = 0;
    const std::uint64_t limit = visible_limit();
    blob.seen = find(limit, ref, blob.sequence);
    if (!is_settled(blob.seen, limit)) { continue; }
    if (blob.seen == Seen::Absent) { return blob; }
    const bool older = blob.seen == Seen::Older;
    if (older) { blob.sequence = slabs[table].sequence_of(ref, limit); }
    blob.seen = slabs[table].read(ref, blob.sequence, value);
    blob.bytes = Slabs::length_of(ref);
    budget.note_copied(tries, slabs[table].holds(ref) ? blob.bytes : 0);
    if (older && visible_limit() != limit) { continue; }
    if (blob.seen == Seen::Present) { return blob; }
    blob.damaged = tries > 0 && blob.sequence == mismatched && limit == mismatched_limit;
    if (blob.damaged) { return blob; }
    mismatched = blob.sequence;
    mismatched_limit = limit;
  }
  blob.seen = Seen::Changed;
  return blob;
}

}  // namespace understudy::shm
