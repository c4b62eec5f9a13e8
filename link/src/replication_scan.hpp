// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The records of a store as a snapshot, collected by a thread of its own while the store goes on changing.
///
///   [scan thread] Store::scan ──► pieces (bounded: it waits when they are not taken) ──► take() [io thread]
///
/// The mark is what lets the journal be shipped *between* the pieces, so that a long scan does not lose the ring: each
/// record not handed over yet will be read after the mark was the committed sequence. So a deletion up to the mark
/// cannot be followed by the older record that it deleted. It moves with every record, and every some thousand slots
/// where there is none to hand over.

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "replication_edge.hpp"
#include "understudy/link/replication_frame.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

class SnapshotScan final : public Scan {
 public:
  /// Records newer than `after`. `store` is used by the scan's thread alone.
  SnapshotScan(shm::Store store, Sequence after, std::size_t piece_bytes);
  /// Cancels; waits for the thread, at most for the walk over Store::scan_step slots.
  ~SnapshotScan() override;
  SnapshotScan(const SnapshotScan&) = delete;
  SnapshotScan& operator=(const SnapshotScan&) = delete;

  Taken take() override;

 private:
  void run();
  bool add(SnapshotRecordsBuilder& builder, const shm::Store::Record& record);
  bool pass();

  const shm::Store store_;
  const Sequence after_;
  const std::size_t piece_bytes_;

  std::mutex mutex_;
  std::condition_variable room_;
  std::vector<std::vector<std::byte>> pieces_;
  SnapshotRecordsBuilder* partial_ = nullptr;  ///< of the scan thread; touched under the mutex
  Sequence mark_;
  bool finished_ = false;
  bool cancelled_ = false;
  Status status_;

  std::thread thread_;
};

}  // namespace understudy::link::replication
