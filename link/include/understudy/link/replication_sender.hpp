// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The sending end of replication: on the active, inside the host-agent.
///
///   NoMirror ──Hello accepted──► Syncing ──every store caught up──► Synced
///      ▲                           ▲  │                            │   │
///      │                           └──┼── resync (ring lapped) ────┘   │
///      │                              ▼                                ▼
///      └── connection lost ──────── Stalled ◄── nothing acknowledged for a while (and back, when it goes on)
///
/// Invariants
///  - The stores say "protected by a mirror" only in Synced; it is taken back before the callback tells.
///  - One mirror at a time; a new accepted one replaces the old one, which may be a half-dead connection.
///  - A mirror fetches its own role only: its certificate says which that is, whatever its Hello says.
///  - A mirror of another role or term is refused with the reason. A newer term is never adopted from a peer.
///  - A writer is asked to wait only while a mirror is connected and says that it goes on.
///
/// Everything runs on the io_context's one thread, except the scan of a snapshot. The region's tables are only read;
/// written is the stores' mirror line (Store::set_mirrored, JournalReader::throttle_writer), so the region must be open
/// for writing.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/link/replication_options.hpp"
#include "understudy/link/tls_credentials.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

inline constexpr std::uint16_t default_port = 7410;

struct SenderOptions : SendingOptions {
  IpAddress address;                  ///< the active's maintenance address
  std::uint16_t port = default_port;  ///< 0: any free one (port() tells)
  std::optional<IpAddress> mirror;    ///< only from this address; none: from any
  BladeId mirror_blade = {};          ///< who runs the mirror; empty: any blade of the chassis
  /// Own certificate and key, asked for with every connection; the mirror must then show the certificate of a mirror of
  /// `role` on `mirror_blade`. Not set: plain text.
  std::function<Result<tls::Credentials>()> credentials;
  /// Somebody was refused who is not the mirror, or whose certificate is not good: for an event log. The same is told
  /// once a minute at most, and nothing more than once a second. Or the mirror's region has other tables, or a journal
  /// too small for what was committed here, or it speaks another version: told once, until a mirror is accepted.
  std::function<void(const std::string& what)> on_refused;
  /// The mirror is followed, and its journal would not hold all that may be committed here; empty: that is over.
  std::function<void(const std::string& what)> on_smaller_journal;
};

struct SenderStoreStatus {
  std::string store;
  Sequence committed;
  Sequence sent;
  Sequence acknowledged;
  std::uint64_t journal_resumes = 0;  ///< of all mirrors since start()
  std::uint64_t delta_snapshots = 0;
  std::uint64_t full_snapshots = 0;
  std::uint64_t laps = 0;
  bool throttled = false;       ///< its writer is asked to wait
  std::uint64_t throttles = 0;  ///< how often that began
  Duration writer_waited{};     ///< how long its writers have waited so far, whoever asked
};
struct SenderStatus {
  SenderPhase phase = SenderPhase::NoMirror;
  std::string detail;
  std::uint64_t bytes_sent = 0;  ///< payloads
  std::vector<SenderStoreStatus> stores;
};

class ReplicationSender {
 public:
  /// (phase, detail). A sync that stops is told within a second.
  using PhaseCallback = std::function<void(SenderPhase, const std::string& detail)>;

  ReplicationSender(boost::asio::io_context& io, SenderOptions options, shm::Region region, PhaseCallback on_phase);
  ~ReplicationSender();  ///< stop()
  ReplicationSender(const ReplicationSender&) = delete;
  ReplicationSender& operator=(const ReplicationSender&) = delete;

  /// Listens. Fails when the address is not there or taken, or the region's stores cannot be opened.
  Status start();
  /// Closes everything at once; the stores are exposed. No callback afterwards.
  void stop();
  /// Ships what is committed, waits until the mirror has applied it, ends the stream and stops. `done(true)`: all of
  /// it; false: no synced mirror, or the time was up.
  void finish(Duration limit, std::function<void(bool)> done);
  /// Something was committed: look now instead of at the next poll.
  void poke();
  /// A lease's request (rule 5), behind what is on its way already. Without a connection nothing is sent; of several
  /// that could not be sent yet the last one goes.
  void ask_grant(std::uint64_t nonce);

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] SenderStatus status() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy::link::replication
