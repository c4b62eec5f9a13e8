// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the mirror does with each frame: no sockets, no time.
///
///   of each store:  Idle ──Resume──► Following ──SnapshotBegin──► Snapshot ──SnapshotEnd──► Following
///                     └───────────────SnapshotBegin─────────────────▲
///
/// A frame that does not fit the store's state is a broken sender: the connection ends. `distrust` remembers for the
/// next Hello that only a full snapshot helps.

#include <optional>
#include <string>
#include <vector>

#include "understudy/link/replication_frame.hpp"
#include "understudy/link/replication_options.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

class Applier {
 public:
  explicit Applier(const ReceiverCallbacks& callbacks) : callbacks_(callbacks) {}

  /// Becomes the writer of every store. All or none.
  /// `was_synced`: each had been, by a former applier; one that is SYNCING has been overwritten since.
  Status acquire(const shm::Region& region, Term term, bool was_synced = false);
  void release() { stores_.clear(); }
  [[nodiscard]] bool acquired() const { return !stores_.empty(); }

  /// A new connection begins: nothing is resumed yet.
  void begin_connection();
  [[nodiscard]] std::vector<ResumePoint> resume_points() const;
  /// Any frame of a store; its term and role were checked.
  Status on_frame(const Frame& frame);
  /// What the sender has committed, from its heartbeat.
  void note_committed(const Progress& progress);

  [[nodiscard]] Progress progress() const;
  /// Every store has caught up on this connection.
  [[nodiscard]] bool synced() const;
  [[nodiscard]] bool ready() const;
  [[nodiscard]] std::vector<ReceiverStoreStatus> status() const;

 private:
  enum class Mode { Idle, Following, Snapshot };
  struct StoreState {
    std::string name;
    shm::StoreWriter writer;
    Mode mode = Mode::Idle;
    bool full = false;
    Sequence target{};
    Sequence received{};
    Sequence active_committed{};
    std::uint32_t round = 0;
    bool was_synced = false;  ///< since acquire(), and no resync begun after that
    bool distrust = false;
    std::vector<std::byte> unfinished{};  ///< of a transaction that comes in several frames: its first entries
    [[nodiscard]] bool caught_up() const;
  };

  Status on_resume(StoreState& store, const Frame& frame);
  Status on_snapshot_begin(StoreState& store, const Frame& frame);
  Status on_snapshot_records(StoreState& store, const Frame& frame);
  Status on_snapshot_end(StoreState& store, const Frame& frame);
  Status on_history(StoreState& store, const Frame& frame);
  Status on_journal(StoreState& store, const Frame& frame);
  Status apply_journal(StoreState& store, shm::Bytes entries);

  const ReceiverCallbacks& callbacks_;
  std::vector<StoreState> stores_;
  std::vector<shm::JournalEntry> entries_;  ///< scratch
  std::uint64_t frames_ = 0;
};

}  // namespace understudy::link::replication
