// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The BFD control packet (RFC 5880, section 4.1): bytes to values and back.
///
///    0               1               2               3
///   |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |   then 5 big-endian words:
///   My Discriminator, Your Discriminator, Desired Min TX, Required Min RX, Required Min Echo RX (microseconds)
///
/// decode() holds the discard rules of section 6.8.6 that need no session; Session::on_packet the others.
/// Bytes come from a socket: nothing is read past their end and nothing is trusted.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

namespace understudy::link::bfd {

/// bfd.SessionState, as numbered on the wire.
enum class SessionState : std::uint8_t { AdminDown = 0, Down = 1, Init = 2, Up = 3 };

/// bfd.LocalDiag: why a session last left Up. Only DetectionTimeExpired says that the peer fell silent;
/// NeighborSignaledDown comes from a peer that speaks.
enum class Diagnostic : std::uint8_t {
  None = 0,
  DetectionTimeExpired = 1,
  EchoFunctionFailed = 2,
  NeighborSignaledDown = 3,
  ForwardingPlaneReset = 4,
  PathDown = 5,
  ConcatenatedPathDown = 6,
  AdministrativelyDown = 7,
  ReverseConcatenatedPathDown = 8,
  MisconnectivityDefect = 9,  ///< RFC 6428; received only
};

[[nodiscard]] const char* to_string(SessionState state);
[[nodiscard]] const char* to_string(Diagnostic diagnostic);
/// Of the 5 bits as received: "reserved" for those that nobody has given a meaning.
[[nodiscard]] inline const char* diagnostic_name(std::uint8_t received) {
  return to_string(static_cast<Diagnostic>(received));
}

struct ControlPacket {
  std::uint8_t diagnostic = 0;  ///< 5 bits as received; values that this program does not know are harmless
  SessionState state = SessionState::Down;
  bool poll = false;
  bool final_bit = false;
  bool control_plane_independent = false;
  bool authentication_present = false;
  bool demand = false;
  std::uint8_t detect_multiplier = 0;
  std::uint8_t length = 24;
  std::uint32_t my_discriminator = 0;
  std::uint32_t your_discriminator = 0;
  std::uint32_t desired_min_tx_us = 0;
  std::uint32_t required_min_rx_us = 0;
  std::uint32_t required_min_echo_rx_us = 0;
  bool operator==(const ControlPacket&) const = default;
};

/// Why a packet was discarded, one for each rule of section 6.8.6 in its order. Also the index of a counter.
enum class Discard : std::uint8_t {
  Kept,
  TooShort,
  WrongVersion,
  LengthTooSmall,
  LengthBeyondPayload,
  ZeroDetectMultiplier,
  Multipoint,
  ZeroMyDiscriminator,
  OtherSession,               ///< Your Discriminator is somebody else's
  StateWithoutDiscriminator,  ///< Your Discriminator is 0 and the state is neither Down nor AdminDown
  AuthenticationUnexpected,
  AuthenticationMissing,
  AuthenticationOtherType,
  AuthenticationMalformed,
  AuthenticationOtherKey,
  AuthenticationReplayed,  ///< sequence number outside of the window
  AuthenticationFailed,    ///< digest or password differs
  SessionAdminDown,        ///< remembered, but changes no state
};
inline constexpr std::size_t discard_count = 18;
[[nodiscard]] const char* to_string(Discard discard);

inline constexpr std::size_t packet_bytes = 24;      ///< without authentication section
inline constexpr std::size_t packet_bytes_max = 64;  ///< with the longest standard authentication section (28)

/// A packet ready to be sent.
struct EncodedPacket {
  std::array<std::byte, packet_bytes_max> storage{};
  std::size_t size = 0;
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::span(storage).first(size); }
};

/// `packet.length` must be 24 + the length of an authentication section that the caller appends.
[[nodiscard]] EncodedPacket encode(const ControlPacket& packet);

/// The packet, or the rule that it breaks.
[[nodiscard]] std::variant<ControlPacket, Discard> decode(std::span<const std::byte> payload);

}  // namespace understudy::link::bfd
