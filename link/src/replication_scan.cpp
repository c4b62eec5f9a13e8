// SPDX-License-Identifier: Apache-2.0
#include "replication_scan.hpp"

namespace understudy::link::replication {

namespace {
constexpr std::size_t pieces_max = 4;
}  // namespace

SnapshotScan::SnapshotScan(shm::Store store, Sequence after, std::size_t piece_bytes)
    : store_(std::move(store)), after_(after), piece_bytes_(piece_bytes), mark_(store_.committed()) {
  thread_ = std::thread([this] { run(); });
}

SnapshotScan::~SnapshotScan() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  room_.notify_all();
  thread_.join();
}

void SnapshotScan::run() {
  Status status;
  const auto& tables = store_.schema().tables;
  for (shm::TableIndex table = 0; table < tables.size() && status; ++table) {
    SnapshotRecordsBuilder builder(table, tables[table].key_bytes);
    {
      const std::lock_guard lock(mutex_);
      if (cancelled_) { break; }
      partial_ = &builder;
    }
    status = store_.scan(
        table, after_, [&](const shm::Store::Record& record) { return add(builder, record); }, [&] { return pass(); });
    const std::lock_guard lock(mutex_);
    if (!builder.empty()) { pieces_.push_back(builder.take()); }
    partial_ = nullptr;
    mark_ = store_.committed();
  }
  const std::lock_guard lock(mutex_);
  status_ = status;
  finished_ = true;
}

bool SnapshotScan::add(SnapshotRecordsBuilder& builder, const shm::Store::Record& record) {
  std::unique_lock lock(mutex_);
  builder.add(record.sequence, record.key, record.value);
  if (builder.size() >= piece_bytes_) { pieces_.push_back(builder.take()); }
  room_.wait(lock, [&] { return cancelled_ || pieces_.size() < pieces_max; });
  mark_ = store_.committed();  // everything read so far is collected; the next record is read after this
  return !cancelled_;
}

/// Where nothing is newer than asked, the journal is not held back for as long as the walk takes.
bool SnapshotScan::pass() {
  const std::lock_guard lock(mutex_);
  mark_ = store_.committed();  // as above
  return !cancelled_;
}

SnapshotScan::Taken SnapshotScan::take() {
  const std::lock_guard lock(mutex_);
  Taken taken;
  taken.pieces.swap(pieces_);
  if (partial_ != nullptr && !partial_->empty()) { taken.pieces.push_back(partial_->take()); }
  taken.mark = mark_;
  taken.finished = finished_;
  taken.status = status_;
  room_.notify_all();
  return taken;
}

}  // namespace understudy::link::replication
