// SPDX-License-Identifier: Apache-2.0
#include "tamper.hpp"

#include <cstring>

#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::sim {

namespace repl = link::replication;
using repl::FrameType;

bool Tamper::plants(Bug bug) {
  return bug == Bug::AcknowledgeReceived || bug == Bug::SyncedTooEarly || bug == Bug::ForgetDeletions ||
         bug == Bug::HalfATransaction;
}

std::vector<Tamper::Whole> Tamper::incoming(const repl::Frame& frame) {
  Whole whole{frame.header, {frame.payload.begin(), frame.payload.end()}};
  if (whole.header.store >= kStores) { return {std::move(whole)}; }
  switch (world_.settings.bug) {
    case Bug::AcknowledgeReceived:
      return acknowledge_received(std::move(whole));
    case Bug::SyncedTooEarly:
      return synced_too_early(std::move(whole));
    case Bug::ForgetDeletions:
      return forget_deletions(std::move(whole));
    case Bug::HalfATransaction:
      return half_a_transaction(std::move(whole));
    default:
      return {std::move(whole)};
  }
}

/// Entries wait for a while before they are applied, and whatever comes behind them too.
std::vector<Tamper::Whole> Tamper::acknowledge_received(Whole frame) {
  ++frames_;
  auto& store = stores_[frame.header.store];
  if (frame.header.type == FrameType::Journal) {
    holding_ = true;
    const auto entries = shm::whole_entries(frame.payload, frame.payload.size()).count;
    store.seen = Sequence{frame.header.first.value + entries - 1};
  }
  if (!holding_) { return {std::move(frame)}; }
  later_(300ms, std::move(frame));
  return {};
}

void Tamper::outgoing(std::vector<repl::EncodedFrame>& batch) {
  if (world_.settings.bug != Bug::AcknowledgeReceived || frames_ == 0) { return; }
  for (auto& frame : batch) {
    repl::FrameDecoder decoder;
    const auto room = decoder.prepare();
    std::memcpy(room.data(), frame.header.data(), frame.header.size());
    std::memcpy(room.data() + frame.header.size(), frame.payload.data(), frame.payload.size());
    decoder.commit(frame.header.size() + frame.payload.size());
    const auto decoded = decoder.next();
    if (!decoded || !decoded.value() || decoded.value()->header.type != FrameType::Ack) { continue; }
    auto progress = repl::decode_progress(frame.payload);
    if (!progress) { continue; }
    progress->frames = frames_;
    for (std::size_t s = 0; s < progress->stores.size() && s < kStores; ++s) {
      auto& told = progress->stores[s];
      if (!told.syncing) { told.applied = std::max(told.applied, stores_[s].seen); }
    }
    frame = repl::encode(decoded.value()->header, repl::encode_payload(*progress));
  }
}

/// A snapshot that has just begun is complete, and its records are none.
std::vector<Tamper::Whole> Tamper::synced_too_early(Whole frame) {
  auto& store = stores_[frame.header.store];
  if (frame.header.type == FrameType::SnapshotBegin) {
    const auto begin = repl::decode_snapshot_begin(frame.payload);
    if (!begin) { return {std::move(frame)}; }
    store.dropping = true;
    auto header = frame.header;
    header.type = FrameType::SnapshotEnd;
    header.first = begin->target;
    const repl::SnapshotEnd end{begin->target, {{header.term, Sequence{1}}}};
    return {std::move(frame), {header, repl::encode_payload(end)}};
  }
  const bool of_it = frame.header.type == FrameType::SnapshotRecords || frame.header.type == FrameType::SnapshotEnd;
  if (!store.dropping || !of_it) { return {std::move(frame)}; }
  if (frame.header.type == FrameType::SnapshotEnd) { store.dropping = false; }
  return {};
}

/// A full snapshot is taken for a delta: what the sender has not any more stays.
std::vector<Tamper::Whole> Tamper::forget_deletions(Whole frame) {
  auto& store = stores_[frame.header.store];
  if (frame.header.type == FrameType::Resume) { store.resumed = true; }
  const auto& region = world_.blades[world_.standby()]->regions[role_];
  if (frame.header.type != FrameType::SnapshotBegin || !store.resumed || !region) { return {std::move(frame)}; }
  auto begin = repl::decode_snapshot_begin(frame.payload);
  if (!begin || region->store(frame.header.store).syncing()) { return {std::move(frame)}; }
  begin->full = false;
  frame.header.first = region->store(frame.header.store).committed();
  frame.payload = repl::encode_payload(*begin);
  return {std::move(frame)};
}

/// Of a transaction of several changes the first is applied, as if it were all.
std::vector<Tamper::Whole> Tamper::half_a_transaction(Whole frame) {
  if (frame.header.type != FrameType::Journal) { return {std::move(frame)}; }
  for (std::size_t at = 0; at + sizeof(shm::layout::JournalEntryHeader) <= frame.payload.size();) {
    shm::layout::JournalEntryHeader header;
    std::memcpy(&header, frame.payload.data() + at, sizeof header);
    const auto size = shm::layout::entry_bytes(header.key_bytes, header.value_bytes);
    if (at + size > frame.payload.size()) { break; }
    if ((header.flags & shm::layout::flag_ends_transaction) == 0) {
      header.flags |= shm::layout::flag_ends_transaction;
      std::memcpy(frame.payload.data() + at, &header, sizeof header);
      frame.payload.resize(at + size);
      header.crc32c = shm::crc32c_of_entry(std::span(frame.payload).subspan(at, size));
      std::memcpy(frame.payload.data() + at, &header, sizeof header);
      break;
    }
    at += size;
  }
  return {std::move(frame)};
}

}  // namespace understudy::sim
