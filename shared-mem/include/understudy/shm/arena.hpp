// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The arena: a part of a store for applications that keep containers of their own, with Boost.Interprocess's
/// managed_external_buffer or any allocator that works with offsets. It is replicated at checkpoints that the
/// application names, and is after a takeover, a crash or a movement exactly what it was at the last one, never between
/// two.
///
///   attach ──► memory(): write as you like ──► checkpoint() ──► write on ──► ... ──► detach()
///                   ▲                                                                  │ movement, planned end
///                   └── restored to the last checkpoint: takeover, crash, kill -9 ─────┘ nothing to restore
///
///   Arena arena = Arena::attach(writer).value();
///   const auto area = arena.memory();
///   auto heap = arena.empty() ? bip::managed_external_buffer(bip::create_only, area.data(), area.size())
///                             : bip::managed_external_buffer(bip::open_only, area.data(), area.size());
///
/// Demands on the application:
///   - Whatever lies in the area is position independent (offset_ptr, indexes): every place maps it elsewhere. Nothing
///     in it points out of it.
///   - The types in it are the same binary at all places: the same program version, compiler and library versions on
///     blade, mirror and host. A role's bundle is versioned as a whole for this.
///   - No lock that lives in it is held at a checkpoint (managed_external_buffer has none).
///   - No thread writes in the area during attach(), checkpoint() or detach().
///   - Only this process writes in the area, and only through memory(). What another process writes, or this one by
///     another mapping of the region, write protection does not see: the pages that the kernel names are those that
///     were written through this very mapping. Such a page is in no checkpoint, and at the next place it is an older
///     one. Whoever must write so attaches with FindChanges::ByComparison, and lets nobody write during these calls.
///   - A forked child writes nothing in it: it has the very same memory. Its checkpoint() and detach() are Refused.
///   - What lies in the area is as trusted as who wrote it: after a movement a guest, and whoever has taken that guest
///     over can have written any bytes there. An offset_ptr that leads out of the area, a size that is none, a tree
///     with a circle: tables are checked at every access, an arena's containers by nobody. They are the application's
///     own, and Boost.Interprocess follows what it finds. An application to whom that matters keeps tables, or checks
///     each offset against memory() before it follows it, or runs where it can harm nobody else.
///   - It tells the agent that it needs quiescing (Lifecycle::needs_quiescing) and answers with detach().
///
/// Costs: memory for the area, two copies of its pages and a journal that holds all of them twice. A checkpoint copies
/// the changed pages (4 KiB each) to journal and table.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::shm {

/// `store` with an arena of at least `bytes` (rounded up to whole pages of 4096 bytes): its table of pages is added,
/// and its journal made large enough for any checkpoint. 0: as it is.
[[nodiscard]] StoreSchema with_arena(StoreSchema store, std::uint64_t bytes);
/// The smallest journal that holds a checkpoint in which every page of such an arena has changed.
[[nodiscard]] std::uint64_t arena_journal_bytes(std::uint64_t arena_bytes);

/// How an arena finds the pages that have changed.
enum class FindChanges {
  Automatic,     ///< by userfaultfd's write protection where kernel and mapping allow it, else by comparison: what this
                 ///< process has written through memory(), and nothing else
  ByComparison,  ///< of each page with its last checkpoint, whoever wrote it: also what a device's memory and kernels
                 ///< before 6.7 leave
};

/// What attach() does with an arena whose pages are of several checkpoints, since somebody has forced an unfinished
/// copy to serve (StoreWriter::accept_unsynced).
enum class MixedPages {
  Refused,   ///< Damaged
  Accepted,  ///< the application knows that no container in it can be relied on: it begins an empty one, or looks with
             ///< care what can be saved. Its next checkpoint makes the arena one whole again
};

/// Uses the writer, which must outlive it. Threads: as the writer.
class Arena {
 public:
  /// The area as it was at the last checkpoint. NotFound: the store has none. Refused: no longer the writer, the store
  /// is not synced, or this writer has it attached already. Damaged: see MixedPages. Costs a look at each page of the
  /// area unless it is known to be exactly at the checkpoint.
  static Result<Arena> attach(StoreWriter& writer, FindChanges find = FindChanges::Automatic,
                              MixedPages mixed = MixedPages::Refused);
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;
  /// Without detach(): what was written after the last checkpoint is as if it had never been.
  ~Arena();

  [[nodiscard]] std::span<std::byte> memory() const;  ///< page aligned; empty after detach()
  [[nodiscard]] bool empty() const;                   ///< no checkpoint was ever made: all zeros

  /// What lies in the area now becomes the last checkpoint: at once, or not at all. Returns the sequence to wait for
  /// with CommitMirrored; when nothing has changed, the last committed one. Full: more pages have changed than the
  /// journal can take at once; nothing was committed, the message names the size that is needed. Refused: no longer the
  /// writer. BadInput: a transaction is open.
  Result<Sequence> checkpoint();

  /// checkpoint(), and the area is not written any more until the next attach(), which finds it as it is and restores
  /// nothing. For the quiesce of a movement. A failure leaves it attached.
  Result<Sequence> detach();

  /// How changed pages are found, for the log: "write protection" or "comparison" and why.
  [[nodiscard]] std::string method() const;

 private:
  struct Impl;
  explicit Arena(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::shm
