// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The region: shared memory that holds one role's state, at any instant in a good state.
///
/// Roles of the classes:
///   Region        a mapping with a verified header; creates, opens, names its stores
///   Store         reader's view of one store: get, scan, committed(), mirrored(); any number, any process
///   StoreWriter   the one writer of a store: put, erase, transactions, apply (at a mirror)
///   JournalReader follows a store's journal; knows when it was lapped
///
/// Threads: a Store or JournalReader object is used by one thread at a time; many objects may read while
/// one StoreWriter writes, in this process, in another, or on the other side of an ivshmem BAR.
/// Nothing in here waits for another party, but for one bounded courtesy: a writer that laps its sender again and again
/// is asked to wait for it (JournalReader::throttle_writer). Nothing in here may be called from a signal handler.
/// fork(): the child may read, by the objects that it has or by new ones. A writer stays the parent's: each of the
/// child's calls that would write is Refused, and its destructor changes nothing. The child may become the writer
/// itself once its parent is not any more. (A child of a bare clone() or _Fork() is not noticed: it must write nothing,
/// and keeps the store's lock until it ends or becomes another program.) What says "agent only" is for those who copy
/// regions between places; an application has no use for it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::shm {

using Bytes = std::span<const std::byte>;
using TableIndex = std::uint32_t;

enum class Access { ReadOnly, ReadWrite };

/// The file of an nvdimm is longer than its region by this: info block first (at 4 KiB), region behind.
inline constexpr std::uint64_t nvdimm_info_bytes = std::uint64_t{2} << 20;

/// Where a region of `region_bytes` begins in the host's file: behind the info block when the file is as much longer,
/// else at 0. The length is the host's word, which a guest cannot change.
[[nodiscard]] std::uint64_t region_offset(const std::string& path, std::uint64_t region_bytes);

/// What opening found (Region::inspect, Region::open). Only Good opens.
enum class RegionState {
  Absent,              ///< there is no such file: whoever wants one may make it (create_new)
  Foreign,             ///< something else, or memory that may hold no region
  OtherLayoutVersion,  ///< of a version of this library with another layout
  OtherSchema,         ///< not the stores and tables that are wanted
  Damaged,             ///< a region once, by its first bytes; the rest does not fit
  StaleTerm,           ///< last written under a term below the wanted one
  Good,
  Unreadable,  ///< it could not be looked at (no permission, no descriptor left, no such offset): may be any of these
};
[[nodiscard]] const char* to_string(RegionState state);  ///< "of another schema"

/// What the caller knows of the region that it wants.
struct Wanted {
  Term lowest_term{};                  ///< a store last written under a lower one is of an owner before: StaleTerm
  std::optional<RegionSchema> schema;  ///< another one than this: OtherSchema
};

struct Region_impl;
class Store;
class StoreWriter;
class Arena;

class Region {
 public:
  /// Creates a file of `offset` + `size_bytes` (a power of two, at least 1 MiB; allocated, not sparse; mode 0600)
  /// and writes an empty region at `offset`. An existing file is replaced (new inode). BadInput: size or schema do not
  /// fit. Full: the file system has no room.
  static Result<Region> create(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                               std::uint64_t offset = 0);
  /// The same, but what has the name stays as it is: Refused. For whoever makes a region because it is absent: of
  /// several that do so at once one succeeds, and the others open what it made.
  static Result<Region> create_new(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                                   std::uint64_t offset = 0);

  /// Opens the region at `offset` of a file in /dev/shm, of an ivshmem BAR (/sys/bus/pci/devices/*/resource2; pass its
  /// size, as the size of a sysfs file is not told by stat on every kernel), of a device-dax (/dev/daxN.M) or of a file
  /// on fs-dax: the same code for all. The error says in words which of RegionState it was, `found` is set to it.
  /// NotFound: absent. Refused: stale term; memory that is not shared, or not in order (rule 24): a block device, a
  /// file on an nvdimm without DAX, a write-combining BAR (resource2_wc). Damaged: another of the states. Failed,
  /// BadInput: unreadable.
  static Result<Region> open(const std::string& path, Access access, std::optional<std::uint64_t> size_bytes = {},
                             std::uint64_t offset = 0, const Wanted& wanted = {}, RegionState* found = nullptr);
  /// What `fd` refers to, a memfd for instance. The descriptor stays the caller's, who may close it at once. BadInput:
  /// it is not open, or for reading only where `access` is ReadWrite.
  static Result<Region> open(int fd, Access access, std::optional<std::uint64_t> size_bytes = {},
                             std::uint64_t offset = 0, const Wanted& wanted = {}, RegionState* found = nullptr);

  /// Writes an empty region into memory that exists already, such as a BAR (guest) or QEMU's file, whatever it held.
  /// Nobody else may use it meanwhile. BadInput: as create(), or a descriptor that is not open for writing.
  static Result<Region> format(const std::string& path, std::uint64_t size_bytes, const RegionSchema& schema,
                               std::uint64_t offset = 0);
  static Result<Region> format(int fd, std::uint64_t size_bytes, const RegionSchema& schema, std::uint64_t offset = 0);

  /// What open() would find, by a mapping for reading. Changes nothing.
  static RegionState inspect(const std::string& path, std::optional<std::uint64_t> size_bytes = {},
                             std::uint64_t offset = 0, const Wanted& wanted = {});
  static RegionState inspect(int fd, std::optional<std::uint64_t> size_bytes = {}, std::uint64_t offset = 0,
                             const Wanted& wanted = {});

  /// Smallest power of two that holds `schema`.
  static Result<std::uint64_t> size_needed(const RegionSchema& schema);

  [[nodiscard]] RegionSchema schema() const;           ///< as stored in the region, checked
  Result<Store> store(const std::string& name) const;  ///< NotFound: no such store. It outlives the Region
  [[nodiscard]] const std::string& path() const;       ///< as it was opened; "descriptor 7" when by one

  /// Maps every page now, which the first access to each would do otherwise (some microseconds a page: inserts into a
  /// new table are two to four times as fast after it). Takes tens of milliseconds a GiB, so not where somebody waits:
  /// open() does not do it, create() does. Changes no byte. A kernel before Linux 5.14 does nothing.
  void prefault() const;

 private:
  std::shared_ptr<Region_impl> impl_;  ///< shared with the Stores made from it, so that the mapping outlives them
  explicit Region(std::shared_ptr<Region_impl> impl) : impl_(std::move(impl)) {}
  static Result<Region> handed_out(std::shared_ptr<Region_impl> impl, const Error& error);
  friend class Store;
};

/// One entry of a term history: `term` wrote from `first` on (rule 21).
struct TermStart {
  Term term;
  Sequence first;
};

class Store {
 public:
  [[nodiscard]] const StoreSchema& schema() const;          ///< as stored in the region, checked
  Result<TableIndex> table(const std::string& name) const;  ///< NotFound: no such table

  /// Copies the committed value of `key` to `value` (exact sizes). NotFound: none; `value` may be written all the same.
  Status get(TableIndex table, Bytes key, std::span<std::byte> value) const;
  /// Many keys at once: `keys` and `values` hold them back to back, found[i] is 1 or 0. Several times faster than get()
  /// one by one when the table is larger than the processor's caches. Returns how many were found. Each record by
  /// itself is one that was committed; of two that one transaction has changed meanwhile one may be the old and the
  /// other the new: read_together().
  Result<std::size_t> get_many(TableIndex table, Bytes keys, std::span<std::byte> values,
                               std::span<std::uint8_t> found) const;
  /// The same of a blob table: copies the value and returns how long it is. `value` has room for the largest, the
  /// table's value_bytes. Damaged: the record refers to bytes that are not its own, which only foreign bytes bring
  /// about.
  Result<std::size_t> get_blob(TableIndex table, Bytes key, std::span<std::byte> value) const;
  /// get_many() of a blob table, each record by itself: `values` has room for the largest for each key, lengths[i]
  /// tells how long value i is, or that there is none.
  static constexpr std::uint32_t absent = ~std::uint32_t{0};
  Result<std::size_t> get_blobs(TableIndex table, Bytes keys, std::span<std::byte> values,
                                std::span<std::uint32_t> lengths) const;
  /// What belongs together, from several records and tables, while the writer goes on: calls `read` until nothing was
  /// committed meanwhile, and returns the sequence that all of it was read at. `read` gets what it wants anew each
  /// time; what it returns counts once the store has stood still. Expired: something was committed during each of
  /// `tries` calls; whoever must have an answer reads less at once, or takes scan_ordered(). Refused: a mirror's copy
  /// that is syncing is at no sequence.
  static constexpr int together_tries = 100;
  Result<Sequence> read_together(const std::function<Status()>& read, int tries = together_tries) const;
  /// Records at one committed sequence; 0 also for no such table, and when none of 100,000 looks found the count at
  /// rest (foreign bytes: a writer is not that fast).
  [[nodiscard]] std::uint64_t count(TableIndex table) const;
  [[nodiscard]] std::uint64_t capacity(TableIndex table) const;      ///< as it is now; 0: no such table
  [[nodiscard]] std::uint64_t refused_full(TableIndex table) const;  ///< as full, so far: shm::FullTables

  struct Record {
    Bytes key;
    Bytes value;
    Sequence sequence;  ///< the change that wrote it, or a committed one since then
  };
  /// Every committed record with sequence > `after`, in no order; the visitor's spans are copies valid for
  /// the call. Records that change during the scan show their old or their new value, also two of one transaction:
  /// scan_ordered(). False stops.
  /// `between`: called every scan_step slots, also where nothing is visited, between two looks; false stops.
  Status scan(TableIndex table, Sequence after, const std::function<bool(const Record&)>& visit,
              const std::function<bool()>& between = {}) const;
  static constexpr std::uint64_t scan_step = 4096;
  /// The table as it was at one committed sequence, which is returned: whole transactions, in the order of the keys'
  /// bytes (numbers stored big-endian come in their own order), while the writer goes on. Takes memory for a copy of
  /// the table. False stops. Expired: lapped by the journal five times. Refused: a mirror's copy that is syncing.
  Result<Sequence> scan_ordered(TableIndex table, const std::function<bool(const Record&)>& visit) const;

  [[nodiscard]] Sequence committed() const;     ///< last committed change
  [[nodiscard]] Sequence purged_up_to() const;  ///< deletions up to here are no longer known (rule 22)
  [[nodiscard]] std::vector<TermStart> history() const;
  [[nodiscard]] Term term() const;            ///< of the present writer
  [[nodiscard]] std::uint64_t epoch() const;  ///< grows with every writer

  /// What the mirror acknowledged, and whether there is a mirror at all. Written by the agent's sender
  /// (set_mirrored), read by the application that waits with its answer until a change is mirrored.
  struct Mirrored {
    bool protected_by_mirror = false;  ///< false: nobody to wait for, the role is exposed
    Sequence acknowledged;
  };
  [[nodiscard]] Mirrored mirrored() const;
  Status set_mirrored(Mirrored state);  ///< agent only; needs ReadWrite; one writer, its own cache line

  /// Does a sender ask the writer to wait for it (JournalReader::throttle_writer)?
  [[nodiscard]] bool throttled() const;
  Status throttle_writer();                      ///< agent only: as a reader that has read all that is committed
  Status release_writer();                       ///< agent only; needs ReadWrite: nothing is asked any more
  [[nodiscard]] Duration writer_waited() const;  ///< how long the store's writers have waited so far, in all

  /// SYNCING/SYNCED mark of a mirror's copy, durable in the region (rule 23).
  [[nodiscard]] bool syncing() const;

  /// Becomes the writer under (term, epoch+1): undoes the unfinished journal tail, then writes go on. Refused:
  /// `term` below the store's, or another writer in this kernel holds the store's lock (OFD lock on the region file;
  /// skipped only where the memory has no locks at all), or it could not be asked for (no descriptor left, no /proc:
  /// the message says). The former writer's next commit fails with Refused. Damaged: what the store holds cannot be
  /// gone on with. Whatever is refused, the former writer may go on.
  Result<StoreWriter> become_writer(Term term) const;
  /// Would become_writer() be refused now, and why? Changes nothing: for who wants several stores or none.
  [[nodiscard]] Status can_become_writer(Term term) const;
  /// Would what the store holds let anybody become its writer under `term`? Asked of the bytes alone, also by a reader:
  /// not who has the lock now. Refused: it is syncing, or `term` is below the store's. Damaged: as become_writer().
  [[nodiscard]] Status can_be_served_under(Term term) const;

 private:
  friend class Region;
  friend class StoreWriter;
  friend class JournalReader;
  friend class Arena;
  struct Impl;
  explicit Store(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

struct JournalEntry;

/// The one writer. Every call is a complete transaction unless begin() was called. Refused: no longer the
/// writer (its epoch or term was overtaken). Full: table at capacity; nothing changed, and Store::refused_full() grew.
///
/// A put, erase, commit or checkpoint may wait for the store's sender when the agent asks for it, since this writer has
/// lapped it again and again (rule 23): at most 200 ms each, for at most 5 minutes in all, and not for a sender that
/// has died. put_many() may wait as often as that many puts.
///
/// What a transaction refuses (Full, BadInput, NotFound) is left out of it and leaves the rest as it was: the
/// transaction is still open, and whoever does not want it without that change calls rollback(). A commit that is
/// refused ends it; nothing of it is ever seen.
class StoreWriter {
 public:
  StoreWriter(StoreWriter&&) noexcept;
  StoreWriter& operator=(StoreWriter&&) noexcept;
  ~StoreWriter();

  /// For a writer on the very thread that the sender runs on: it would wait for itself.
  void never_wait();

  /// `value` has the table's size; of a blob table 0 bytes to that size.
  Result<Sequence> put(TableIndex table, Bytes key, Bytes value);
  /// Many records of one size, `keys` and `values` back to back: as put() one after the other, each a transaction by
  /// itself, several times as fast in a table larger than the processor's caches. Returns the last one's sequence. Ends
  /// at the first that is refused, of which it tells; those before it are committed, committed() tells how many. Not
  /// while a transaction is open.
  Result<Sequence> put_many(TableIndex table, Bytes keys, Bytes values);
  Result<Sequence> erase(TableIndex table, Bytes key);  ///< NotFound when absent; commits nothing then

  /// Several changes that become visible together. Bounded: at most max_transaction changes, each key once, and 1 MiB
  /// or half of the journal (Full). An arena's checkpoint is bounded by half of the journal alone.
  static constexpr std::size_t max_transaction = 64;
  Status begin();             ///< BadInput: one is open already
  Result<Sequence> commit();  ///< the sequence of its last change; of an empty one the last committed
  /// Gives a table the capacity_max of its schema, once; readers go on meanwhile. Takes as long as writing every record
  /// anew (10 million of them: seconds), and this writer does nothing else until it is done. Good also when it was done
  /// before. BadInput: nothing was reserved. Refused: not synced. A mirror does it by itself when it needs the room.
  Status rebuild(TableIndex table);
  Status rollback();  ///< forgets the open transaction; nothing of it was ever in the region
  [[nodiscard]] bool in_transaction() const;

  /// --- mirror side: the records of a sender, with the sender's sequence numbers ---
  /// Applies whole journal entries as they came from JournalReader (checks every length, index and CRC-32C).
  /// Entries not newer than what is held are skipped. Transactions are applied whole, several of them in one commit
  /// where they allow it. Returns the last applied.
  /// `applied`: gets the changes that were not skipped, if it is given; their bytes are those of `entries`.
  /// `unfinished`: becomes the last of `entries` where they are checked entries of a transaction whose end is not among
  /// them, of which nothing was applied; not given: such entries are Damaged.
  Result<Sequence> apply(Bytes entries, std::vector<JournalEntry>* applied = nullptr, Bytes* unfinished = nullptr);
  /// Snapshot: begin_sync (SYNCING durable first), apply_snapshot_record for each, end_sync(at, full).
  /// full: records not seen since begin_sync are swept away (mark and sweep), history replaced.
  Status begin_sync(bool full);
  Status apply_snapshot_record(TableIndex table, Bytes key, Bytes value, Sequence sequence);
  /// A snapshot of a store that went on changing holds records newer than `at`, and lacks what was erased since: the
  /// store stays SYNCING then, until apply() has brought every change up to the newest of them. `purged_up_to`: the
  /// sender's, asked after the scan.
  Status end_sync(Sequence at, const std::vector<TermStart>& history, Sequence purged_up_to);
  /// The sender's history as it is now, for a receiver that went on without a snapshot. Refused: not a continuation
  /// of the history held.
  Status extend_history(const std::vector<TermStart>& history);
  /// An operator forces a SYNCING copy to serve: what is there counts as committed, the journal starts anew.
  Status accept_unsynced();

  [[nodiscard]] Sequence committed() const;  ///< by this writer; a store's committed() is what readers see
  [[nodiscard]] const Store& store() const;

 private:
  friend class Store;
  friend class Arena;
  struct Impl;
  struct Small;
  explicit StoreWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Reads committed journal entries as they lie in memory. Who was Lapped: the recipe is at the end of this header.
class JournalReader {
 public:
  /// Starts after `after`. Lapped from the start is told by the first read.
  JournalReader(const Store& store, Sequence after);

  enum class State { Nothing, Entries, Lapped };
  struct Chunk {
    State state = State::Nothing;
    std::vector<std::byte> bytes;  ///< whole entries of whole transactions, checked not to have been lapped
    Sequence first;
    Sequence last;
  };
  /// Up to `max_bytes` (at least one entry/transaction). Every entry is of one of the store's tables and has its sizes.
  /// Damaged: bytes that cannot be (hostile region).
  /// `memory`: of an earlier chunk, used again for this one.
  Result<Chunk> read(std::size_t max_bytes, std::vector<std::byte> memory = {});
  [[nodiscard]] Sequence position() const;  ///< the last one handed out; where to go on after a restart

  /// Agent only; needs ReadWrite. Asks the store's writer to wait where it would lap this reader, which must go on
  /// reading: a request is good for 400 ms, so it is made again and again, until Store::release_writer(). Several
  /// readers of a store: the last one counts. Nothing is asked when this one is lapped already.
  Status throttle_writer();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// One change decoded from a chunk.
struct JournalEntry {
  enum class Op : std::uint8_t { Put, Erase };
  Sequence sequence;
  TableIndex table = 0;
  Op op = Op::Put;
  Bytes key;
  Bytes value;  ///< empty for Erase
  bool ends_transaction = true;
};
/// Calls `visit` for each entry of `chunk`. Damaged: some byte does not fit; then none of them is visited.
Status for_each_entry(Bytes chunk, const std::function<void(const JournalEntry&)>& visit);

/// What the first `max_bytes` of journal bytes hold; by the lengths and flags alone, nothing is checked.
struct WholeEntries {
  std::size_t bytes = 0;              ///< of whole entries
  std::size_t count = 0;              ///< so many
  std::size_t transaction_bytes = 0;  ///< of whole transactions
};
[[nodiscard]] WholeEntries whole_entries(Bytes entries, std::size_t max_bytes);

/// Are two objects equal exactly when their bytes are? Then an object may be a record. A struct with floating members
/// is not (0.0 equals -0.0, a NaN not itself); who wants it as a record all the same says so, outside of any namespace:
///   template <> inline constexpr bool understudy::shm::compared_bytewise<Reading> = true;
/// and sees to it that it has no padding, whose bytes would be anything. As keys 0.0 and -0.0 are two records then.
template <class T>
inline constexpr bool compared_bytewise = std::has_unique_object_representations_v<T>;

template <class T>
constexpr void check_is_record() {
  static_assert(std::is_trivially_copyable_v<T>,
                "a record is a plain struct: no pointers that own, no virtual functions");
  static_assert(compared_bytewise<T>,
                "a record's bytes are its value: it has padding, or floating members (see compared_bytewise)");
}

/// Typed convenience over a store's table: structs in, structs out.
template <class T>
Bytes as_bytes_of(const T& object) {
  check_is_record<T>();
  return std::as_bytes(std::span<const T, 1>(&object, 1));
}

}  // namespace understudy::shm

/// Following a store into a copy of one's own, from nothing and whenever the reader was Lapped:
///
///   const Sequence from = store.committed();        1  first the position,
///   store.scan(table, {}, ...);                     2  then every table: keep what is shown,
///                                                   3  drop from the copy what no scan has shown,
///   JournalReader reader(store, from);              4  and follow from where 1 was: put is put, erase is erase.
///
/// The scan shows some changes behind `from` already, and 4 brings them again: the same record in the end. Not the
/// other way round: of what changes between a scan and a later committed() nothing tells; and what was erased is shown
/// by no scan, so without 3 it stays in the copy for ever. When 4 has come to the committed() of after the scan, the
/// copy is the store at that sequence. Until then it may be ahead in some records, so nobody is served from it.
