// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A mirror that is sent a snapshot, of everything or of what it misses, frozen after every single store. A fresh
/// process finds the state before it, the state after it, or the mark and records each for itself; and of three copies
///
///   the next writer  does the whole snapshot again, where the mark is, and writes on
///   an operator      makes an unfinished copy serve as it is (accept_unsynced), and its writer writes on
///   deep             that is frozen after each store, too, and followed by its next writer
///
/// Used by sync_prefix_test.cpp; violations are told as text.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "every_prefix.hpp"
#include "image_check.hpp"

namespace understudy::shm::crash {

struct SyncOf {
  TableKind kind = TableKind::Hashed;
  bool full = false;  ///< else what was changed since the state that the mirror holds, nothing of it erased
};
std::string name_of(const SyncOf& sync);

/// A record of the sender's.
struct SentRecord {
  std::uint64_t id;
  std::uint64_t seed;
  std::uint64_t sequence;
};

class SyncPrefixes {
 public:
  explicit SyncPrefixes(const SyncOf& sync);

  /// The snapshot, with every store looked at. `deep_each`: of every so manieth image accept_unsynced is frozen, too.
  void run(std::uint64_t deep_each);

  [[nodiscard]] const std::string& path() const { return mirror_file_.path(); }
  /// Breaks what an operator's accept_unsynced does in the deep looks: called with where its file is mapped.
  std::function<void(const std::uint64_t*)> break_accepting;

  std::vector<std::string> violations;
  std::uint64_t images = 0;
  std::uint64_t syncing = 0;  ///< of them with the mark

 private:
  void freeze(bool deep);
  void look(Told& tell);
  void check_next_writer(bool was_syncing, Told& tell);
  void check_accepted(Told& tell);
  void freeze_accepting(Told& tell);
  Content check_records(const Store& store, Told& tell) const;
  Status sync(StoreWriter& writer) const;

  SyncOf sync_;
  ImageFile sender_file_{"sync-sender"};
  ImageFile mirror_file_{"sync-mirror"};
  ImageFile copy_{"sync-copy"};
  ImageFile second_copy_{"sync-second"};
  Region sender_region_;
  Region mirror_region_;
  std::optional<StoreWriter> receiver_;
  Expected held_;  ///< by the mirror before
  Expected sent_;  ///< by the sender
  std::vector<SentRecord> records_;
  std::vector<TermStart> history_;
};

}  // namespace understudy::shm::crash
