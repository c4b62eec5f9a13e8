// SPDX-License-Identifier: Apache-2.0
#include "replication_applier.hpp"

#include <algorithm>

namespace understudy::link::replication {

namespace {
Error out_of_order(const char* frame) {
  return failure(std::string("replication stream: ") + frame + " at a moment when it cannot be", Errc::Damaged);
}
}  // namespace

bool Applier::StoreState::caught_up() const {
  return mode == Mode::Following && !writer.store().syncing() && writer.committed() >= target;
}

Status Applier::acquire(const shm::Region& region, Term term, bool was_synced) {
  release();  // a writer of our own would refuse us
  // All or none: the writers of those that could be had would have been stopped for nothing.
  for (const auto& schema : region.schema().stores) {
    const auto store = region.store(schema.name);
    if (!store) { return store.error(); }
    if (auto can = store.value().can_become_writer(term); !can) { return can; }
  }
  std::vector<StoreState> acquired;
  for (const auto& schema : region.schema().stores) {
    const auto store = region.store(schema.name);
    if (!store) { return store.error(); }
    auto writer = store.value().become_writer(term);
    if (!writer) { return writer.error(); }
    acquired.push_back(StoreState{schema.name, std::move(writer).value()});
    acquired.back().was_synced = was_synced && !store.value().syncing();
    acquired.back().told = callbacks_.on_applied && callbacks_.applied_of.value_or(schema.name) == schema.name;
  }
  stores_ = std::move(acquired);
  return {};
}

void Applier::begin_connection() {
  frames_ = 0;
  for (auto& store : stores_) {
    store.mode = Mode::Idle;
    store.round = 0;
    store.received = store.writer.committed();
    store.unfinished.clear();
  }
}

std::vector<ResumePoint> Applier::resume_points() const {
  std::vector<ResumePoint> points;
  for (const auto& store : stores_) {
    const auto& held = store.writer.store();
    points.push_back({store.name, digest_of(held.schema()), store.writer.committed(), held.syncing() || store.distrust,
                      held.history(), held.schema().journal_bytes});
  }
  return points;
}

Status Applier::on_frame(const Frame& frame) {
  ++frames_;
  if (frame.header.type == FrameType::GrantRequest) {
    const auto nonce = decode_grant_nonce(frame.payload);
    if (!nonce) { return nonce.error(); }
    callbacks_.on_grant_asked(frame.header.term, nonce.value().value);
    return {};
  }
  if (frame.header.store >= stores_.size()) { return out_of_order("a frame of no store"); }
  auto& store = stores_[frame.header.store];
  const bool goes_on = frame.header.type == FrameType::Journal || frame.header.type == FrameType::Heartbeat;
  if (!store.unfinished.empty() && !goes_on) { return out_of_order("a frame within a transaction"); }
  Status done;
  switch (frame.header.type) {
    case FrameType::Resume:
      done = on_resume(store, frame);
      break;
    case FrameType::SnapshotBegin:
      done = on_snapshot_begin(store, frame);
      break;
    case FrameType::SnapshotRecords:
      done = on_snapshot_records(store, frame);
      break;
    case FrameType::SnapshotEnd:
      done = on_snapshot_end(store, frame);
      break;
    case FrameType::History:
      done = on_history(store, frame);
      break;
    case FrameType::Journal:
      done = on_journal(store, frame);
      break;
    case FrameType::Heartbeat: {
      const auto progress = decode_progress(frame.payload);
      if (!progress) { return progress.error(); }
      note_committed(progress.value());
      break;
    }
    case FrameType::Hello:
    case FrameType::Refused:
    case FrameType::Ack:
    case FrameType::Grant:
    case FrameType::GrantRequest:  // above
      return out_of_order("a frame that only the other end sends");
  }
  if (store.caught_up()) { store.was_synced = true; }
  return done;
}

void Applier::note_committed(const Progress& progress) {
  for (std::size_t i = 0; i < std::min(progress.stores.size(), stores_.size()); ++i) {
    stores_[i].active_committed = progress.stores[i].applied;
  }
}

Status Applier::on_resume(StoreState& store, const Frame& frame) {
  const auto resume = decode_resume(frame.payload);
  if (!resume) { return resume.error(); }
  if (store.mode != Mode::Idle || frame.header.first.value != store.writer.committed().value + 1) {
    return out_of_order("Resume");
  }
  store.mode = Mode::Following;
  store.target = resume.value().target;
  store.active_committed = std::max(store.active_committed, store.target);
  ++store.round;
  return {};
}

Status Applier::on_snapshot_begin(StoreState& store, const Frame& frame) {
  const auto begin = decode_snapshot_begin(frame.payload);
  if (!begin) { return begin.error(); }
  // A delta stands on what is held, up to exactly where it begins.
  if (!begin.value().full && (store.mode == Mode::Idle || frame.header.first != store.writer.committed())) {
    return out_of_order("SnapshotBegin");
  }
  store.mode = Mode::Snapshot;
  store.full = begin.value().full;
  store.target = begin.value().target;
  store.active_committed = std::max(store.active_committed, store.target);
  store.was_synced = false;
  ++store.round;
  return store.writer.begin_sync(store.full);
}

Status Applier::on_snapshot_records(StoreState& store, const Frame& frame) {
  const auto records = decode_snapshot_records(frame.payload);
  if (!records) { return records.error(); }
  if (store.mode != Mode::Snapshot) { return out_of_order("SnapshotRecords"); }
  entries_.clear();
  for (const auto& record : records.value().records) {
    auto applied = store.writer.apply_snapshot_record(records.value().table, record.key, record.value, record.sequence);
    if (!applied) { return applied; }
    if (!store.told) { continue; }
    entries_.push_back({record.sequence, records.value().table, shm::JournalEntry::Op::Put, record.key, record.value});
  }
  tell(store);
  return {};
}

Status Applier::on_snapshot_end(StoreState& store, const Frame& frame) {
  const auto end = decode_snapshot_end(frame.payload);
  if (!end) { return end.error(); }
  if (store.mode != Mode::Snapshot) { return out_of_order("SnapshotEnd"); }
  auto done = store.writer.end_sync(frame.header.first, end.value().history, end.value().purged_up_to);
  if (!done) { return done; }
  store.mode = Mode::Following;
  store.received = frame.header.first;
  store.distrust = false;
  callbacks_.on_snapshot_end(store.name, store.full);
  return {};
}

Status Applier::on_history(StoreState& store, const Frame& frame) {
  const auto history = decode_history(frame.payload);
  if (!history) { return history.error(); }
  if (store.mode != Mode::Following) { return out_of_order("History"); }
  auto extended = store.writer.extend_history(history.value());
  if (!extended && extended.error().code == Errc::Refused) { store.distrust = true; }
  return extended;
}

/// A transaction that is larger than a frame is kept until its last entry is there: applied whole or not at all.
Status Applier::on_journal(StoreState& store, const Frame& frame) {
  if (store.mode == Mode::Idle) { return out_of_order("Journal"); }
  auto& kept = store.unfinished;
  shm::Bytes rest;
  if (kept.empty()) {
    auto applied = apply_journal(store, frame.payload, rest);
    kept.assign(rest.begin(), rest.end());
    return applied;
  }
  // What is kept is applied later, or never: that it did not come as it was sent is told at once.
  if (auto sound = shm::for_each_entry(frame.payload, [](const shm::JournalEntry&) {}); !sound) { return sound; }
  kept.insert(kept.end(), frame.payload.begin(), frame.payload.end());
  if (kept.size() > store.writer.store().schema().journal_bytes) {
    return failure("replication stream: a transaction that is larger than the journal", Errc::Damaged);
  }
  const auto whole = shm::whole_entries(kept, kept.size()).transaction_bytes;
  auto applied = apply_journal(store, shm::Bytes(kept).first(whole), rest);
  kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(whole));
  if (kept.empty()) { kept.shrink_to_fit(); }
  return applied;
}

/// `rest`: the entries at the end whose transaction goes on in the next frame.
Status Applier::apply_journal(StoreState& store, shm::Bytes entries, shm::Bytes& rest) {
  if (entries.empty()) { return {}; }
  entries_.clear();
  const auto applied = store.writer.apply(entries, store.told ? &entries_ : nullptr, &rest);
  tell(store);  // also when it failed: what came before that holds
  if (!applied) { return applied.error(); }
  store.received = std::max(store.received, applied.value());
  store.active_committed = std::max(store.active_committed, applied.value());
  return {};
}

void Applier::tell(const StoreState& store) const {
  if (!entries_.empty()) { callbacks_.on_applied(store.name, entries_); }
}

Progress Applier::progress() const {
  Progress progress{frames_, {}};
  for (const auto& store : stores_) {
    const bool syncing = store.mode == Mode::Snapshot || store.writer.store().syncing();
    progress.stores.push_back({store.received, store.writer.committed(), syncing, store.round});
  }
  return progress;
}

bool Applier::synced() const {
  return acquired() && std::all_of(stores_.begin(), stores_.end(), [](const auto& store) { return store.caught_up(); });
}

bool Applier::ready() const {
  return acquired() && std::all_of(stores_.begin(), stores_.end(), [](const StoreState& store) {
           return store.was_synced && !store.writer.store().syncing();
         });
}

std::vector<ReceiverStoreStatus> Applier::status() const {
  std::vector<ReceiverStoreStatus> status;
  for (const auto& store : stores_) {
    status.push_back({store.name, store.writer.committed(), store.active_committed, store.writer.store().syncing()});
  }
  return status;
}

}  // namespace understudy::link::replication
