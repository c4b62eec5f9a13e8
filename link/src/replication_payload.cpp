// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "replication_bytes.hpp"
#include "understudy/link/replication_frame.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::link::replication {

namespace {

constexpr std::size_t name_bytes_max = 64;
constexpr std::size_t text_bytes_max = 512;
constexpr std::size_t records_header_bytes = 12;
constexpr std::size_t record_header_bytes = 12;

Error damaged(const char* what) { return failure(std::string("replication stream: damaged ") + what, Errc::Damaged); }

void write_history(ByteWriter& writer, const std::vector<shm::TermStart>& history) {
  const std::size_t kept = std::min(history.size(), history_max);
  writer.number(static_cast<std::uint16_t>(kept));
  for (std::size_t i = history.size() - kept; i < history.size(); ++i) {
    writer.number(history[i].term.value);
    writer.number(history[i].first.value);
  }
}

/// Terms and sequences grow, or the reader is told that nothing fits.
std::optional<std::vector<shm::TermStart>> read_history(ByteReader& reader) {
  const auto count = reader.number<std::uint16_t>();
  if (count > history_max) { return std::nullopt; }
  std::vector<shm::TermStart> history;
  for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
    const Term term{reader.number<std::uint64_t>()};
    const Sequence first{reader.number<std::uint64_t>()};
    if (!history.empty() && (term <= history.back().term || first <= history.back().first)) { return std::nullopt; }
    history.push_back({term, first});
  }
  return reader.ok() ? std::optional(std::move(history)) : std::nullopt;
}

}  // namespace

std::vector<std::byte> encode_payload(const Hello& hello) {
  ByteWriter writer;
  writer.text(hello.role.value);
  writer.number(static_cast<std::uint16_t>(hello.stores.size()));
  for (const auto& store : hello.stores) {
    writer.text(store.store);
    writer.number(store.schema_digest);
    writer.number(store.committed.value);
    writer.number(static_cast<std::uint8_t>(store.syncing ? 1 : 0));
    writer.number(store.journal_bytes);
    write_history(writer, store.history);
  }
  return writer.take();
}

Result<Hello> decode_hello(std::span<const std::byte> payload, std::uint8_t version) {
  ByteReader reader(payload);
  Hello hello;
  hello.version = version;
  hello.role.value = reader.text(name_bytes_max);
  const auto count = reader.number<std::uint16_t>();
  if (count > stores_max) { return damaged("Hello"); }
  for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
    ResumePoint point;
    point.store = reader.text(name_bytes_max);
    point.schema_digest = reader.number<std::uint64_t>();
    point.committed.value = reader.number<std::uint64_t>();
    const auto syncing = reader.number<std::uint8_t>();
    if (version > 4) { point.journal_bytes = reader.number<std::uint64_t>(); }
    auto history = read_history(reader);
    if (!history || syncing > 1) { return damaged("Hello"); }
    point.syncing = syncing == 1;
    point.history = std::move(*history);
    hello.stores.push_back(std::move(point));
  }
  if (!reader.at_end()) { return damaged("Hello"); }
  return hello;
}

std::vector<std::byte> encode_payload(const Refusal& refusal) {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(refusal.reason));
  writer.text(refusal.text.substr(0, text_bytes_max));
  return writer.take();
}

Result<Refusal> decode_refusal(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  Refusal refusal;
  const auto reason = reader.number<std::uint8_t>();
  refusal.text = reader.text(text_bytes_max);
  if (!reader.at_end() || reason < 1 || reason > static_cast<std::uint8_t>(RefusalReason::SmallerJournal)) {
    return damaged("Refused");
  }
  for (char& c : refusal.text) {
    if (c < ' ' || c > '~') { c = '?'; }  // it will be logged
  }
  refusal.reason = static_cast<RefusalReason>(reason);
  return refusal;
}

std::vector<std::byte> encode_payload(const Resume& resume) {
  ByteWriter writer;
  writer.number(resume.target.value);
  return writer.take();
}

Result<Resume> decode_resume(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  const Resume resume{Sequence{reader.number<std::uint64_t>()}};
  if (!reader.at_end()) { return damaged("Resume"); }
  return resume;
}

std::vector<std::byte> encode_payload(const GrantNonce& nonce) {
  ByteWriter writer;
  writer.number(nonce.value);
  return writer.take();
}

Result<GrantNonce> decode_grant_nonce(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  const GrantNonce nonce{reader.number<std::uint64_t>()};
  if (!reader.at_end()) { return damaged("GrantRequest or Grant"); }
  return nonce;
}

std::vector<std::byte> encode_payload(const SnapshotBegin& begin) {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(begin.full ? 1 : 0));
  writer.number(begin.target.value);
  return writer.take();
}

Result<SnapshotBegin> decode_snapshot_begin(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  const auto full = reader.number<std::uint8_t>();
  const SnapshotBegin begin{full == 1, Sequence{reader.number<std::uint64_t>()}};
  if (!reader.at_end() || full > 1) { return damaged("SnapshotBegin"); }
  return begin;
}

std::vector<std::byte> encode_payload(const SnapshotEnd& end) {
  ByteWriter writer;
  writer.number(end.purged_up_to.value);
  write_history(writer, end.history);
  return writer.take();
}

Result<SnapshotEnd> decode_snapshot_end(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  SnapshotEnd end{Sequence{reader.number<std::uint64_t>()}, {}};
  auto history = read_history(reader);
  if (!history || !reader.at_end()) { return damaged("SnapshotEnd"); }
  end.history = std::move(*history);
  return end;
}

std::vector<std::byte> encode_payload(const std::vector<shm::TermStart>& history) {
  ByteWriter writer;
  write_history(writer, history);
  return writer.take();
}

Result<std::vector<shm::TermStart>> decode_history(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  auto history = read_history(reader);
  if (!history || !reader.at_end()) { return damaged("History"); }
  return std::move(*history);
}

std::vector<std::byte> encode_payload(const Progress& progress) {
  ByteWriter writer;
  writer.number(progress.frames);
  writer.number(static_cast<std::uint16_t>(progress.stores.size()));
  for (const auto& store : progress.stores) {
    writer.number(store.received.value);
    writer.number(store.applied.value);
    writer.number(static_cast<std::uint8_t>(store.syncing ? 1 : 0));
    writer.number(store.round);
  }
  return writer.take();
}

Result<Progress> decode_progress(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  Progress progress;
  progress.frames = reader.number<std::uint64_t>();
  const auto count = reader.number<std::uint16_t>();
  if (count > stores_max) { return damaged("Ack"); }
  for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
    StoreProgress store;
    store.received.value = reader.number<std::uint64_t>();
    store.applied.value = reader.number<std::uint64_t>();
    store.syncing = reader.number<std::uint8_t>() != 0;
    store.round = reader.number<std::uint32_t>();
    progress.stores.push_back(store);
  }
  if (!reader.at_end()) { return damaged("Ack"); }
  return progress;
}

// --- snapshot records ---

Result<SnapshotRecords> decode_snapshot_records(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  SnapshotRecords told;
  told.table = reader.number<std::uint32_t>();
  const auto key_bytes = reader.number<std::uint32_t>();
  const auto count = reader.number<std::uint32_t>();
  const std::uint64_t record_bytes_min = record_header_bytes + std::uint64_t{key_bytes};
  if (count > reader.rest().size() / record_bytes_min) { return damaged("SnapshotRecords"); }
  told.records.reserve(count);
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    const Sequence sequence{reader.number<std::uint64_t>()};
    const auto value_bytes = reader.number<std::uint32_t>();
    const auto key = reader.take(key_bytes);
    told.records.push_back({sequence, key, reader.take(value_bytes)});
  }
  if (!reader.at_end()) { return damaged("SnapshotRecords"); }
  return told;
}

SnapshotRecordsBuilder::SnapshotRecordsBuilder(shm::TableIndex table, std::uint32_t key_bytes)
    : table_(table), key_bytes_(key_bytes) {
  start();
}

void SnapshotRecordsBuilder::start() {
  ByteWriter writer;
  writer.number(table_);
  writer.number(key_bytes_);
  writer.number(std::uint32_t{0});
  payload_ = writer.take();
  count_ = 0;
}

void SnapshotRecordsBuilder::add(Sequence sequence, shm::Bytes key, shm::Bytes value) {
  UNDERSTUDY_ASSERT(key.size() == key_bytes_ && value.size() <= shm::layout::blob_bytes_max);
  const auto number = [this](std::uint64_t from, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) { payload_.push_back(static_cast<std::byte>(from >> (8 * i) & 0xff)); }
  };
  number(sequence.value, 8);
  number(value.size(), 4);
  payload_.insert(payload_.end(), key.begin(), key.end());
  payload_.insert(payload_.end(), value.begin(), value.end());
  ++count_;
}

std::vector<std::byte> SnapshotRecordsBuilder::take() {
  for (std::size_t i = 0; i < 4; ++i) {
    payload_[records_header_bytes - 4 + i] = static_cast<std::byte>(count_ >> (8 * i) & 0xff);
  }
  auto taken = std::move(payload_);
  start();
  return taken;
}

}  // namespace understudy::link::replication
