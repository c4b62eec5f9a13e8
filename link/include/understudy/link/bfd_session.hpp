// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One BFD session (RFC 5880, asynchronous mode) as a pure state machine: packets and time in, packets and
/// state changes out. No socket, no clock, no randomness of its own.
///
///              received Down / Init                           received Init / Up
///      Down ──────────────────────► Init ─────────────────────────────────► Up
///       │  ▲ └── received Init ─────────────────────────────────────────►  │
///       │  └──── detection time without a packet, or received AdminDown ──  │   (from Up also: received Down)
///       ▼
///   AdminDown     only by order of its owner; a Down received in Init stays Init, an Up received in Down stays Down
///
/// Invariants
///  - Not Up: transmits at most once per parameters.not_up_min_tx (1 s by default and by the RFC); a change of
///    content and the answer to a Poll go out at once, at most one packet for each packet received.
///  - A changed interval is in use only when no packet that is under way can break it (Poll/Final, 6.8.3).
///  - The observer's own late wake-up restarts the detection interval: whoever was frozen cannot tell whether the
///    peer spoke meanwhile. Bounded, so that an observer that is late at every turn still notices a death.
///
/// The caller hands over everything that waits in its socket (on_packet) before it says that time passed (on_tick).

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "understudy/common/types.hpp"
#include "understudy/link/bfd_authentication.hpp"
#include "understudy/link/bfd_packet.hpp"

namespace understudy::link::bfd {

struct SessionParameters {
  std::uint32_t local_discriminator = 0;  ///< unique on this system, not 0
  Duration desired_min_tx = std::chrono::milliseconds(50);
  Duration required_min_rx = std::chrono::milliseconds(50);
  std::uint8_t detect_multiplier = 3;
  Duration not_up_min_tx = std::chrono::seconds(1);  ///< RFC 5880 6.8.3 demands at least 1 s; less only in tests
  /// A tick that comes later than this counts as the observer's own freeze. 0: half of one of the peer's intervals,
  /// at least 5 ms: what a shorter sleep can hide, the multiplier forgives.
  Duration late_bound{0};
  /// So many freezes in a row, without a packet in between, restart the detection interval; the next does not.
  std::uint32_t late_restarts_max = 10;
  Authentication authentication = {};
  /// bfd.XmitAuthSeq of the first packet: above all that a former session of this system with this peer has used.
  std::uint32_t first_sequence = 0;
};

/// A change of bfd.SessionState and what is known of its cause.
struct StateChange {
  SessionState from = SessionState::Down;
  SessionState to = SessionState::Down;
  Diagnostic diagnostic = Diagnostic::None;        ///< ours: DetectionTimeExpired means silence
  SessionState remote_state = SessionState::Down;  ///< AdminDown: the peer's operator or daemon left in order
  std::uint8_t remote_diagnostic = 0;              ///< as the peer sent it
  bool operator==(const StateChange&) const = default;
};

class Session {
 public:
  /// Yields numbers in [0, 1): jitter.
  using Random = std::function<double()>;

  struct Output {
    std::optional<EncodedPacket> packet;
    std::optional<StateChange> change;
    Discard discard = Discard::Kept;
  };

  /// The first packet is due at once.
  Session(const SessionParameters& parameters, Random random, Instant now);

  /// A UDP payload from the peer's address, already checked for TTL 255.
  Output on_packet(Instant now, std::span<const std::byte> payload);
  /// Time has come to `now`; may be called at any time.
  Output on_tick(Instant now);
  /// When on_tick wants to be called next.
  [[nodiscard]] Instant next_deadline() const;

  /// New intervals, by a Poll Sequence when the session is up.
  Output set_intervals(Instant now, Duration desired_min_tx, Duration required_min_rx);
  /// Above 0. The peer hears of it with the next packet, and counts with it from there.
  void set_detect_multiplier(std::uint8_t multiplier) { parameters_.detect_multiplier = multiplier; }
  /// To and from AdminDown. The packet that tells the peer is in the output.
  Output set_admin_down(Instant now, bool down);

  [[nodiscard]] SessionState state() const { return state_; }
  [[nodiscard]] Diagnostic diagnostic() const { return diagnostic_; }
  [[nodiscard]] SessionState remote_state() const { return remote_.state; }
  [[nodiscard]] std::uint32_t local_discriminator() const { return parameters_.local_discriminator; }
  [[nodiscard]] std::uint32_t remote_discriminator() const { return remote_.discriminator; }
  [[nodiscard]] bool polling() const { return poll_ != Poll::None; }
  [[nodiscard]] Duration transmit_interval() const;  ///< before jitter; 0: the peer wants no periodic packets
  [[nodiscard]] Duration detection_time() const;     ///< 0: nothing heard yet
  [[nodiscard]] std::uint64_t late_wakeups() const { return late_wakeups_; }
  [[nodiscard]] const Authentication& authentication() const { return authenticator_.authentication(); }
  /// bfd.XmitAuthSeq as it is in the last packet, or the number before the first one's.
  [[nodiscard]] std::uint32_t transmit_sequence() const { return transmit_sequence_; }

 private:
  /// What the last valid packet said; as initialised when a detection time passed without one.
  struct Remote {
    SessionState state = SessionState::Down;
    std::uint8_t diagnostic = 0;
    std::uint32_t discriminator = 0;
    bool demand = false;
    std::uint8_t detect_multiplier = 0;
    Duration desired_min_tx{0};
    Duration required_min_rx = std::chrono::microseconds(1);
  };
  enum class Poll : std::uint8_t { None, Active, ActiveThenAgain };

  [[nodiscard]] Discard session_discard(Instant now, std::span<const std::byte> payload, const ControlPacket& packet);
  void on_remote_values(const ControlPacket& packet);
  std::optional<SessionState> next_state(SessionState received) const;
  StateChange become(SessionState next, Diagnostic diagnostic);
  void advertise(Duration desired_min_tx, Duration required_min_rx);
  void on_final();
  [[nodiscard]] bool periodic() const;
  [[nodiscard]] bool is_late(Instant now) const;
  [[nodiscard]] bool notice_late_wakeup(Instant now);
  [[nodiscard]] ControlPacket content() const;
  EncodedPacket transmit(Instant now, bool final_bit);
  [[nodiscard]] bool may_answer_at_once(Instant now);
  std::optional<EncodedPacket> answer_at_once(Instant now, bool final_bit);
  void advance_sequence(const ControlPacket& packet);
  void schedule_transmit();
  void reschedule_transmit(Instant now);
  [[nodiscard]] Duration late_bound() const;

  /// Packets out of turn since then.
  Instant out_of_turn_since_;
  unsigned out_of_turn_ = 0;
  SessionParameters parameters_;
  Authenticator authenticator_;
  std::uint32_t transmit_sequence_;
  Random random_;
  SessionState state_ = SessionState::Down;
  Diagnostic diagnostic_ = Diagnostic::None;
  Remote remote_;
  Poll poll_ = Poll::None;
  Duration advertised_min_tx_;  ///< in our packets
  Duration advertised_min_rx_;
  Duration min_tx_in_use_;  ///< lags behind an increase until the peer confirmed it
  Duration min_rx_in_use_;  ///< lags behind a reduction until the peer confirmed it
  Instant last_transmit_;
  double jitter_ = 1.0;  ///< drawn once for each interval
  Duration scheduled_interval_{0};
  Instant next_transmit_;
  std::optional<Instant> detection_deadline_;
  std::optional<ControlPacket> last_sent_;
  std::uint32_t late_restarts_ = 0;
  std::uint64_t late_wakeups_ = 0;
};

}  // namespace understudy::link::bfd
