// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The receiving end of replication: in a mirror, inside the guest-agent.
///
///   configure() ──► Connecting ──► Syncing ──every store caught up──► Synced
///                       ▲ backoff     │                                 │
///                       └────────── Lost ◄──────────────────────────────┘
///                                     drain() from any of them ──► Drained ──► configure() begins anew
///
/// Invariants
///  - While configured it is the writer of every store of the region, under the term it was configured with.
///  - A sender of any other term is refused: an older one is stale, a newer one is believed only from configure().
///  - Acknowledged means applied: in the mirror's region, not merely received.
///  - After drain() nothing is applied any more; after release_writers() the stores are free for their new writers.
///
/// Everything runs on the io_context's one thread.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/link/tls_credentials.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

enum class ReceiverPhase : std::uint8_t { Connecting, Syncing, Synced, Lost, Drained };
[[nodiscard]] const char* to_string(ReceiverPhase phase);

struct ReceiverOptions {
  RoleId role;
  Duration heartbeat = std::chrono::milliseconds(100);
  Duration silence = std::chrono::milliseconds(1000);  ///< nothing received: Lost
  Duration backoff_min = std::chrono::milliseconds(20);
  Duration backoff_max = std::chrono::milliseconds(1000);
};

/// Whose state is mirrored.
struct ReceiverTarget {
  IpAddress active;
  std::uint16_t port = 7410;
  Term term;
  BladeId blade{};  ///< the active's name, which its certificate must have
  /// Own certificate and key. Not set: plain text.
  std::optional<tls::Credentials> credentials{};
  /// A former receiver had synced this very copy under this term: it is ready as it is, unless the region says SYNCING.
  bool copy_was_synced = false;
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

class ReplicationReceiver {
 public:
  /// `region`: open for writing.
  ReplicationReceiver(boost::asio::io_context& io, ReceiverOptions options, shm::Region region,
                      ReceiverCallbacks callbacks);
  ~ReplicationReceiver();  ///< closes and gives the stores up
  ReplicationReceiver(const ReplicationReceiver&) = delete;
  ReplicationReceiver& operator=(const ReplicationReceiver&) = delete;

  /// Becomes the writer of all stores under the term and connects. Refused: a lower term than before or than the
  /// region's, or another writer. The same target again changes nothing; other credentials serve the next connection.
  Status configure(const ReceiverTarget& target);

  /// Reads what the active still sent: to the end of the stream, or until nothing came for `quiet`, at most for
  /// `limit`. Then drops a partial frame, closes, and calls `done` (never from inside this call).
  void drain(Duration quiet, Duration limit, std::function<void(const DrainReport&)> done);
  /// Gives up the stores for their writers at this place. Closes the connection if drain() did not.
  void release_writers();

  /// Over the connection that there is, under the term that is followed; else nothing is sent. Of several that could
  /// not be sent yet the last one goes.
  void grant(Term term, std::uint64_t nonce);

  [[nodiscard]] ReceiverStatus status() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy::link::replication
