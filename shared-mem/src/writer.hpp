// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The one writer of a store. What it needs to know it keeps in its own memory; the region is only written.
///
/// One commit, whether of one change or of a whole transaction, in this order:
///   0  is somebody behind who asks to be waited for? (throttle.cpp; nothing of the commit is written yet)
///   1  reserved_end grows                     (readers of the oldest entries notice that they are lapped)
///   2  journal entries
///   3  purged_up_to, slabs of blobs, table copies with sequences above `committed`
///   4  counts, journal end, each in its unused copy
///   5  is the store still ours? (rule 20)
///   6  committed = last sequence              <- the commit point
///   7  slabs of replaced blobs free, probing runs of deleted slots shortened
/// Stopped before 6: the next writer takes 3 and 4 back by what 2 tells (recovery.cpp). Stopped after 6: all done.

#include <array>
#include <memory>
#include <vector>

#include "patience.hpp"
#include "put_run.hpp"
#include "received.hpp"
#include "region_impl.hpp"
#include "writer_lock.hpp"

namespace understudy::shm {

/// One change on its way into journal and table. The bytes belong to the caller.
struct Change {
  std::uint64_t sequence = 0;
  std::uint8_t op = layout::op_put;
  bool ends_transaction = true;
  TableIndex table = 0;
  Bytes key;
  Bytes value;
  bool may_insert = false;  ///< as a buffered change: counted as a new record
  std::uint64_t hash = 0;   ///< of the key (Table::home)
  bool superseded = false;  ///< a later change of the same commit has its key: it is in the journal only
};

/// Slots that a full snapshot has seen; the others are swept (rule 22). One bit each, in the writer's own memory.
class SeenSlots {
 public:
  void start(const std::vector<Table>& tables);
  void stop() { bits_.clear(); }
  [[nodiscard]] bool marking() const { return !bits_.empty(); }
  [[nodiscard]] bool has(TableIndex table, std::uint64_t slot) const { return bits_[table][slot]; }
  void add(TableIndex table, std::uint64_t slot) { bits_[table][slot] = true; }
  /// The table was rebuilt; `bits` are those of its new slots.
  void replace(TableIndex table, std::vector<bool> bits) { bits_[table] = std::move(bits); }

 private:
  std::vector<std::vector<bool>> bits_;
};

struct StoreWriter::Impl {
  Store store;
  layout::StoreControl& control;
  const Journal journal;
  std::vector<Table> tables;  ///< where the records are now
  const std::vector<Slabs>& slabs;
  WriterLock lock;
  std::uint32_t small = 0;  ///< bit for each table: is_small()
  /// The sequence, or 0: another way is needed.
  using Put = std::uint64_t (*)(Impl&, TableIndex, const std::byte* key, const std::byte* value);
  std::array<Put, layout::tables_max> put_of{};  ///< what puts into each table of small records, or null
  std::uint64_t term = 0;
  std::uint64_t epoch = 0;
  const std::uint64_t generation = process_generation;  ///< of the process that became the writer

  // What the region holds; this writer is the only one to change it.
  std::uint64_t committed = 0;
  std::uint64_t end_position = 0;
  std::uint64_t reserved_end = 0;
  unsigned end_copy = 0;
  std::uint64_t next_anchor = 0;  ///< the first position that may need one
  /// Up to here small records may be put without a look at what seldom changes: the store is synced, the history has
  /// the term, sequences are left, no anchor is due. Whoever changes one of these sets it to 0.
  std::uint64_t fast_until = 0;
  /// Up to here nobody need be asked whether he is left behind. A mirror's applier asks nobody: only what its own
  /// callers change waits.
  std::uint64_t ask_from = 0;
  bool waits = true;
  Patience patience;
  std::uint64_t purged_up_to = 0;
  std::uint64_t sync = 0;
  bool snapshot_begun = false;     ///< by this writer; a mark found at the start is an interrupted one
  std::uint64_t sync_highest = 0;  ///< highest sequence seen since begin_sync
  std::array<std::uint64_t, layout::tables_max> records{};
  std::array<std::uint64_t, layout::tables_max> capacities{};
  std::array<std::uint64_t, layout::tables_max> far_searches{};  ///< since its slots were last emptied with success
  std::uint32_t counts_changed = 0;                              ///< bit for each table whose count is not written yet
  bool history_has_term = false;
  SeenSlots snapshot_slots;
  std::weak_ptr<int> attached;  ///< held by the arena that writes in the live area
  bool live_follows = false;    ///< as the applier: the live area is the last applied checkpoint
  std::vector<SlabPool> pools;  ///< one for each table
  struct Replaced {
    TableIndex table;
    Word ref;
  };
  std::vector<Replaced> replaced;  ///< of the change under way; free once it is committed

  // An open transaction: changes whose bytes lie in `arena`. Nothing of it is in the region yet.
  bool in_transaction = false;
  std::vector<Change> changes;
  std::array<std::uint64_t, 32> hashes_seen{};  ///< a bit for each of `changes`, shared by few
  std::vector<std::byte> arena;
  std::size_t arena_used = 0;
  std::uint64_t transaction_bytes = 0;
  std::array<std::uint64_t, layout::tables_max> records_after{};  ///< at most so many once it is committed

  EntryBuffer entry;       ///< scratch of the recovery
  ReceivedGroup received;  ///< of apply(): what is being applied
  PutRun run;              ///< the same

  Impl(Store of, WriterLock held);

  // --- throttle.cpp ---
  /// May a commit of so many bytes go on? It may have waited. False: the store has another writer by now.
  [[gnu::always_inline, nodiscard]] bool may_go_on(std::uint64_t bytes) {
    return end_position + bytes <= ask_from || ask_sender(bytes);
  }
  [[gnu::cold, gnu::noinline]] bool ask_sender(std::uint64_t bytes);
  [[nodiscard]] bool leaves_behind(Word request, std::uint64_t end) const;
  void note_waited(Patience::Clock::time_point from, Patience::Clock::time_point to);

  // --- recovery.cpp ---
  Status adopt(std::uint64_t new_term);
  Status take_back_unfinished();
  void take_back(TableIndex table, Word* at, std::uint64_t sequence);
  void read_counts();

  // --- writer.cpp, put.cpp, commit.cpp ---
  [[nodiscard]] Status check_ours() const { return still_ours() ? Status() : Status(not_ours()); }
  [[gnu::cold, nodiscard]] Error not_ours() const;
  [[gnu::always_inline, nodiscard]] bool still_ours() const {
    return words::load_acquire(&control.writer.epoch) == epoch && words::load(&control.writer.term) == term &&
           generation == process_generation;
  }
  [[nodiscard]] bool can_change(TableIndex table, Bytes key, Bytes value, std::uint8_t op) const;
  // Messages are made out of line.
  [[gnu::cold, nodiscard]] Error cannot_change(TableIndex table) const;
  [[gnu::cold, nodiscard]] Error wrong_size(TableIndex table) const;
  [[gnu::cold, nodiscard]] Error no_room(TableIndex table, bool at_capacity) const;
  [[gnu::cold, nodiscard]] Error is_full(TableIndex table) const;
  /// Is it ours to write now, whatever it is?
  [[nodiscard]] bool can_write() const {
    return still_ours() && sync == 0 && committed <= layout::sequence_max - max_transaction;
  }
  Result<Sequence> write_one(const Change& change);
  [[nodiscard]] Status check_room(TableIndex table, const Table::Place& place) const;
  Result<Sequence> buffer(Change change);
  [[nodiscard]] bool is_buffered(const Change& change);
  void count_transaction(TableIndex table);
  void keep_bytes(Change& change);
  [[gnu::cold]] Status undo(TableIndex table);
  Status commit_all(std::span<Change> all);
  Status change_tables(std::span<const Change> all);
  void look_further(std::span<const Change> all) const;
  void note_own_term() {
    if (!history_has_term) [[unlikely]] { write_own_term(); }
  }
  [[gnu::cold]] void write_own_term();
  void reserve(std::uint64_t bytes);
  void write_entry(const Change& change);
  void note_entry(std::uint64_t sequence, std::uint64_t bytes);
  void write_entries(std::span<const Change> all);
  bool change_table(const Change& change, const KeyWords& key, const Table::Place& place);
  [[gnu::cold, gnu::noinline]] void shorten_searches(TableIndex table);
  void empty_what_is_vacant(TableIndex table, std::uint64_t reusable_up_to);
  [[gnu::cold]] Error is_absent(TableIndex table, const Table::Place& place);
  bool store_value(const Change& change, const Word* replaces, Word& ref);
  void free_replaced();
  void note_purged(std::uint64_t sequence);
  void publish_counts(std::uint64_t sequence);
  void publish_count(TableIndex table, std::uint64_t sequence);
  void publish_end(std::uint64_t sequence);
  bool commit_point(std::uint64_t sequence);
  void publish_commit(std::uint64_t sequence);
  void choose_puts();
  void allow_fast_puts();

  // --- rebuild.cpp ---
  [[nodiscard]] bool can_grow(TableIndex table) const;
  bool grow(TableIndex table);
  bool grow_for(std::span<const Change> all);

  // --- apply_run.cpp ---
  Result<std::uint64_t> apply_run(Bytes entries);
  void write_run();
  void look_for_slots(const Table& in, std::size_t first, std::span<const Word*> slots) const;
  template <std::size_t Words>
  bool change_table_by_run(bool& far);

  // --- apply.cpp ---
  Status read_group(Bytes entries, bool one_by_one);
  Status commit_group();
  Status commit_received();
  void write_received();
  [[nodiscard]] bool must_grow_for(std::span<const Change> all) const;

  // --- sync.cpp ---
  void restart_journal(std::uint64_t at);
  void write_history(const std::vector<TermStart>& history);
  void follow_arena(std::span<const Change> applied);
  Status change_unordered(const Change& change);
  Status put_with_room(const Change& change, const Table::Place& place);
  Status put_unordered(const Change& change, const Table::Place& place);
  void release_slot(TableIndex table, Word* at);
  void sweep_unseen(TableIndex table);
  [[nodiscard]] std::uint64_t live_records(TableIndex table) const;
  void count_what_may_grow();
  void recount(std::uint64_t at);
};

}  // namespace understudy::shm
