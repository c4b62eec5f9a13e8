// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the replication stream looks like on the wire. Pure: bytes to values and back.
///
///   sender (active, listens)                                  receiver (mirror, connects)
///        ◄──────────────── Hello: role, resume point of every store ─────────
///     Refused and close, or for each store:
///        ── Resume (journal goes on) ──────────────────────────────────────►
///        ── SnapshotBegin, SnapshotRecords..., SnapshotEnd ────────────────►
///        ── History (before the first entry of a new term), Journal... ────►
///        ◄──────────────── Ack: received and applied of every store ─────────
///        ─────────────── Heartbeat, every 100 ms that were silent ─────────►
///        ◄─────── Heartbeat, while one frame takes long: a table grows ──────
///        ── GrantRequest (while a lease is armed) ─────────────────────────►
///        ◄──────────────── Grant, with the nonce of its request ─────────────
///
/// Every frame: a header of 40 bytes (little-endian) and a payload of at most 1 MiB, in which a whole transaction of
/// the journal fits (shm::layout::transaction_bytes_max), and so does a record with the largest value.
///
///    0 magic u32 │ 4 version u8 │ 5 type u8 │ 6 store u16 │ 8 payload bytes u32 │ 12 CRC-32C u32 │
///   16 term u64  │ 24 role digest u64 │ 32 first sequence u64 │ 40 payload
///
/// The CRC covers header (with its own field taken as 0) and payload, but of a Journal frame the header alone: each of
/// its entries has a CRC of its own over all its bytes, which whoever takes it checks (Applier). Lengths are checked
/// before anything is allocated or read; a frame that breaks a rule ends the connection, for nothing after it can be
/// trusted.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/shm/schema.hpp"

namespace understudy::link::replication {

/// What is sent. A mirror of the older one is followed by an active of the newer one, not the other way round: its
/// Hello lacks the sizes of its journals, and all that it gets it understands.
inline constexpr std::uint8_t version_now = 5;
inline constexpr std::uint8_t version_oldest = 4;

inline constexpr std::size_t header_bytes = 40;
inline constexpr std::size_t payload_bytes_max = 1 << 20;
inline constexpr std::size_t stores_max = 8;
inline constexpr std::size_t history_max = 64;

enum class FrameType : std::uint8_t {
  Hello = 1,
  Refused,
  Resume,
  SnapshotBegin,
  SnapshotRecords,
  SnapshotEnd,
  History,
  Journal,
  Ack,
  Heartbeat,
  GrantRequest,
  Grant,
};

struct FrameHeader {
  FrameType type = FrameType::Heartbeat;
  std::uint16_t store = 0;  ///< index in the order of the Hello; 0 where the frame is of no store
  Term term;
  std::uint64_t role_digest = 0;
  Sequence first;  ///< Journal: of its first entry; Resume: where the journal goes on; SnapshotBegin/End: `at`
  std::uint8_t version = version_now;
};

struct Frame {
  FrameHeader header;
  std::span<const std::byte> payload;  ///< of the decoder's memory, until its next prepare()
};

/// Both ends compute it from the role's name: a stream of another role is never applied.
[[nodiscard]] std::uint64_t digest_of(const RoleId& role);
/// Tables and sizes; ring sizes may differ, as far as what the one commits fits into the other.
[[nodiscard]] std::uint64_t digest_of(const shm::StoreSchema& schema);
/// The largest transaction that a store with such a ring commits, or takes.
[[nodiscard]] std::uint64_t transaction_bytes_of(const shm::StoreSchema& schema, std::uint64_t journal_bytes);

/// A frame ready to be written, in two parts, so that a journal chunk is not copied.
struct EncodedFrame {
  std::vector<std::byte> header;
  std::vector<std::byte> payload;
};
[[nodiscard]] EncodedFrame encode(const FrameHeader& header, std::vector<std::byte> payload);

/// Cuts a byte stream into checked frames. Memory: at most one frame and what a read brought after it.
class FrameDecoder {
 public:
  /// Room for the next read; never empty.
  std::span<std::byte> prepare();
  /// So many bytes of the room were filled.
  void commit(std::size_t bytes);
  /// The next whole frame, nothing yet, or Damaged: give the connection up.
  Result<std::optional<Frame>> next();
  /// next() has failed since a frame is of this version, which is none of those above.
  [[nodiscard]] std::optional<std::uint8_t> other_version() const { return other_version_; }
  /// Bytes of a frame that is not whole yet.
  [[nodiscard]] std::size_t partial_bytes() const { return end_ - begin_; }
  /// Forgets everything: a new connection begins.
  void reset() { begin_ = end_ = 0; }

 private:
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::optional<std::uint8_t> other_version_;
};

// --- payloads ---

/// From where a mirror's copy of one store can go on (rule 21).
struct ResumePoint {
  std::string store;
  std::uint64_t schema_digest = 0;
  Sequence committed;
  bool syncing = false;  ///< an unfinished snapshot, or a copy that its holder does not trust: full replacement
  std::vector<shm::TermStart> history;
  std::uint64_t journal_bytes = 0;  ///< of the copy's ring: a transaction must fit into half of it; 0: not told
};
struct Hello {
  RoleId role;
  std::vector<ResumePoint> stores;
  std::uint8_t version = version_now;  ///< of its frame
};
enum class RefusalReason : std::uint8_t {
  WrongRole = 1,
  StaleMirror,
  StaleActive,
  OtherStores,
  Lapped,
  Replaced,
  Damaged,
  SmallerJournal,
};
struct Refusal {
  RefusalReason reason = RefusalReason::WrongRole;
  std::string text;
};
struct Resume {
  Sequence target;  ///< the sender's committed sequence now: the mirror is synced when it has applied it
};
struct SnapshotBegin {
  bool full = false;
  Sequence target;
};
/// Records of one table: table u32, key bytes u32, count u32, then count times (sequence u64, value bytes u32, key,
/// value).
struct SnapshotRecords {
  shm::TableIndex table = 0;
  struct Record {
    Sequence sequence;
    shm::Bytes key;
    shm::Bytes value;
  };
  std::vector<Record> records;  ///< their spans are the payload's
};
struct SnapshotEnd {
  Sequence purged_up_to;
  std::vector<shm::TermStart> history;
};
/// How far the receiver is with one store. In a sender's frames both sequences are its committed one.
struct StoreProgress {
  Sequence received;
  Sequence applied;
  bool syncing = false;
  std::uint32_t round = 0;  ///< Resume and SnapshotBegin frames of this store so far: older answers are recognised
};
/// Payload of Ack and Heartbeat.
struct Progress {
  std::uint64_t frames = 0;  ///< frames handled since the connection began: no growth is a stall
  std::vector<StoreProgress> stores;
};

/// Payload of GrantRequest and Grant (rule 5); their term is the header's.
struct GrantNonce {
  std::uint64_t value = 0;
};

std::vector<std::byte> encode_payload(const Hello& hello);
std::vector<std::byte> encode_payload(const Refusal& refusal);
std::vector<std::byte> encode_payload(const Resume& resume);
std::vector<std::byte> encode_payload(const SnapshotBegin& begin);
std::vector<std::byte> encode_payload(const SnapshotEnd& end);
std::vector<std::byte> encode_payload(const std::vector<shm::TermStart>& history);
std::vector<std::byte> encode_payload(const Progress& progress);
std::vector<std::byte> encode_payload(const GrantNonce& nonce);

Result<Hello> decode_hello(std::span<const std::byte> payload, std::uint8_t version = version_now);
Result<Refusal> decode_refusal(std::span<const std::byte> payload);
Result<Resume> decode_resume(std::span<const std::byte> payload);
Result<SnapshotBegin> decode_snapshot_begin(std::span<const std::byte> payload);
Result<SnapshotRecords> decode_snapshot_records(std::span<const std::byte> payload);
Result<SnapshotEnd> decode_snapshot_end(std::span<const std::byte> payload);
Result<std::vector<shm::TermStart>> decode_history(std::span<const std::byte> payload);
Result<Progress> decode_progress(std::span<const std::byte> payload);
Result<GrantNonce> decode_grant_nonce(std::span<const std::byte> payload);

/// Collects the records of one table into the payload of a SnapshotRecords frame.
class SnapshotRecordsBuilder {
 public:
  SnapshotRecordsBuilder(shm::TableIndex table, std::uint32_t key_bytes);
  /// The key has the table's size, the value at most 64 KiB.
  void add(Sequence sequence, shm::Bytes key, shm::Bytes value);
  [[nodiscard]] std::size_t size() const { return payload_.size(); }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  /// The payload; the builder is empty again.
  std::vector<std::byte> take();

 private:
  void start();
  shm::TableIndex table_;
  std::uint32_t key_bytes_;
  std::uint32_t count_ = 0;
  std::vector<std::byte> payload_;
};

}  // namespace understudy::link::replication
