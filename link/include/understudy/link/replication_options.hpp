// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the state machines of replication are told, and what they tell: no sockets, no certificates.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "understudy/common/types.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

// --- the sending end ---

enum class SenderPhase : std::uint8_t { NoMirror, Syncing, Synced, Stalled };
[[nodiscard]] const char* to_string(SenderPhase phase);

/// What the sending state machine needs to know. The rest of SenderOptions is for who listens.
struct SendingOptions {
  RoleId role;
  Term term;
  /// The mirror has granted what ask_grant() asked for under this nonce: late, twice or never, as a wire brings it.
  std::function<void(std::uint64_t nonce)> on_grant;

  Duration heartbeat = std::chrono::milliseconds(100);
  Duration silence = std::chrono::milliseconds(800);  ///< nothing received: the connection is lost
  Duration stall = std::chrono::milliseconds(800);    ///< something sent and nothing acknowledged: Stalled
  /// A mirror may say that it is at work (a table of tens of millions of records grows, or is swept). It is Stalled all
  /// the same, but a writer that is made to wait for it goes on waiting for so long.
  Duration long_work = std::chrono::minutes(1);
  Duration poll_busy = std::chrono::milliseconds(1);
  Duration poll_idle = std::chrono::milliseconds(4);  ///< when nothing was committed for a quarter of a second
  std::size_t chunk_bytes = 64 << 10;                 ///< of journal in one frame: still in the processor's caches
  std::size_t batch_bytes = 256 << 10;                ///< of a backlog in one write, in several frames
  /// Resyncs in a row because the ring was lapped; then the store's writer is made to wait (rule 23) until the mirror
  /// is synced and keeps up for `throttle_calm`, for `throttle_limit` at the most. Lapped as often all the same, or not
  /// synced at the limit: the mirror is let go. So it is, too, after as many resyncs for another reason.
  std::uint32_t lap_tries_max = 5;
  Duration throttle_limit = std::chrono::minutes(5);
  Duration throttle_calm = std::chrono::seconds(5);
  /// A writer is made to wait, or is not any more; with numbers and what to do.
  std::function<void(bool is_alarm, const std::string& what)> on_throttle;
};

// --- the receiving end ---

enum class ReceiverPhase : std::uint8_t { Connecting, Syncing, Synced, Lost, Drained };
[[nodiscard]] const char* to_string(ReceiverPhase phase);

struct ReceiverOptions {
  RoleId role;
  Duration heartbeat = std::chrono::milliseconds(100);
  Duration silence = std::chrono::milliseconds(1000);  ///< nothing received: Lost
  Duration backoff_min = std::chrono::milliseconds(20);
  Duration backoff_max = std::chrono::milliseconds(1000);
};

struct ReceiverStoreStatus {
  std::string store;
  Sequence applied;
  Sequence active_committed;  ///< as the active last told: the difference is the lag
  bool syncing = false;       ///< durable mark: must not take over (rule 23)
};
struct ReceiverStatus {
  ReceiverPhase phase = ReceiverPhase::Connecting;
  std::string detail;
  /// Every store was synced, since configure() or by a former receiver, and none is inside a resync now. Stays so when
  /// the active falls silent: this is what a takeover needs.
  bool ready = false;
  std::vector<ReceiverStoreStatus> stores;
};

struct DrainReport {
  bool end_of_stream = false;     ///< the active closed in order; else it was cut, or quiet, or the time was up
  bool by_deadline = false;       ///< still talking at the end
  std::size_t dropped_bytes = 0;  ///< of a frame that never became whole
  bool ready = false;             ///< as in ReceiverStatus
  std::vector<ReceiverStoreStatus> stores;
};

struct ReceiverCallbacks {
  std::function<void(ReceiverPhase, const std::string& detail)> on_phase = [](ReceiverPhase, const std::string&) {};
  /// Changes just applied to `store`, in order: for hot installation (D9). The spans are valid for the call. During a
  /// resync a change may be older than one told before; the newest follows. Not set: nobody asks.
  std::function<void(const std::string& store, std::span<const shm::JournalEntry>)> on_applied = {};
  /// on_applied is told of this store alone; not set: of every store. What is told of costs time for each change.
  std::optional<std::string> applied_of = {};
  /// A snapshot is complete. After a full one, what was installed and is in the store no more must go.
  std::function<void(const std::string& store, bool full)> on_snapshot_end = [](const std::string&, bool) {};
  /// The active asks for a lease's grant. Everything that it sent before is applied; grant() answers, or nobody.
  std::function<void(Term, std::uint64_t nonce)> on_grant_asked = [](Term, std::uint64_t) {};
};

}  // namespace understudy::link::replication
