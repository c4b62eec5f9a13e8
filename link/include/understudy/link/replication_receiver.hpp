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
#include "understudy/link/replication_options.hpp"
#include "understudy/link/tls_credentials.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

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
