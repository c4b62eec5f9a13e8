// SPDX-License-Identifier: Apache-2.0
#pragma once
/// BFD on the wire (RFC 5881, single hop): one dedicated thread, many peers.
///
///   UDP 3784, TTL 255 ──► [thread: drain sockets → Session::on_packet → Session::on_tick] ──► UDP, source port
///      (GTSM: else dropped)          │ state changes                                          49152-65535, TTL 255
///                                    ▼
///                           callback, called from that thread
///
/// Threads: every method may be called from any thread, the callback included (but stop() and the destructor not
/// from the callback). The thread runs SCHED_FIFO and with its memory locked where it may, else as it is, with one
/// warning for each.
/// Only configured peers are listened to. Anything else is counted and dropped. A peer's source port may be any: BIRD's
/// are outside of 49152-65535.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/link/bfd_session.hpp"

namespace understudy::link::bfd {

struct PeerOptions {
  Duration interval = std::chrono::milliseconds(50);  ///< Desired Min TX and Required Min RX
  std::uint8_t multiplier = 3;
  Authentication authentication = {};
};

struct PeerEvent {
  IpAddress peer;
  StateChange change;
  Instant at;  ///< CLOCK_BOOTTIME
};

struct PeerCounters {
  std::uint64_t received = 0;  ///< from this peer with TTL 255, kept or not
  std::uint64_t sent = 0;
  std::uint64_t send_failed = 0;
  std::array<std::uint64_t, discard_count> discarded{};  ///< by Discard
  std::uint64_t late_wakeups = 0;                        ///< of this observer
};

struct PeerStatus {
  SessionState state = SessionState::Down;
  Diagnostic diagnostic = Diagnostic::None;
  SessionState remote_state = SessionState::Down;
  Duration transmit_interval{0};
  Duration detection_time{0};
  std::string authentication;  ///< "none" or "meticulous-sha1 key 1"
  PeerCounters counters;
};

struct ServiceCounters {
  std::uint64_t wrong_ttl = 0;
  std::uint64_t unknown_peer = 0;
};

class BfdService {
 public:
  struct Options {
    /// Bound to these, at most one for each family; a peer is reached from the one of its family.
    std::vector<IpAddress> local_addresses;
    /// Scope of link-local addresses; not needed otherwise.
    std::string interface;
    std::uint16_t port = 3784;
    /// 0: no SCHED_FIFO wanted.
    int real_time_priority = 50;
    bool lock_memory = true;
    /// Where transmitted authentication sequence numbers outlive this program, on a tmpfs (bfd_sequence_file.hpp).
    /// Empty, or with a warning when it cannot be used: they begin at the clock.
    std::string sequence_file;
  };
  using Callback = std::function<void(const PeerEvent&)>;
  /// Packets of a configured peer are refused by authentication: told at most once a minute for each peer.
  using Refused = std::function<void(const IpAddress& peer, Discard why)>;

  /// Both are called from the service's thread.
  static Result<std::unique_ptr<BfdService>> start(const Options& options, Callback callback, Refused refused = {});
  /// stop(), then everything is freed.
  ~BfdService();
  BfdService(const BfdService&) = delete;
  BfdService& operator=(const BfdService&) = delete;

  /// BadInput: no local address of the peer's family, an interval under 1 ms, a multiplier of 0 or a key that is none.
  /// Refused: known.
  Status add_peer(const IpAddress& peer, const PeerOptions& options);
  /// Tells the peer AdminDown and forgets it; no callback for it begins after the return, except when the caller is the
  /// callback itself. NotFound: not configured.
  Status remove_peer(const IpAddress& peer);
  /// Another interval, by a Poll Sequence, and multiplier, by the next packet; the session stays up. NotFound: not
  /// configured. BadInput: an interval below 1 ms, a multiplier of 0.
  Status set_times(const IpAddress& peer, Duration interval, std::uint8_t multiplier);

  [[nodiscard]] std::optional<PeerStatus> status(const IpAddress& peer) const;
  [[nodiscard]] ServiceCounters counters() const;
  /// For a person at night: which packets, why, and what to compare.
  [[nodiscard]] std::string describe_refusal(const IpAddress& peer, Discard why) const;

  /// AdminDown to all peers, then the thread ends. No callback after the return. Idempotent.
  void stop();

 private:
  struct Impl;
  explicit BfdService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::link::bfd
