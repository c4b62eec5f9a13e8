// SPDX-License-Identifier: Apache-2.0
#pragma once
/// BFD's authentication section (RFC 5880, sections 4.2-4.4 and 6.7): appended to what is sent, checked on what comes.
///
///   simple             | 1 |  3 + n | key id | password, n = 1..16 bytes |
///   sha1, meticulous   | 4 or 5 | 28 | key id | 0 | sequence (4) | SHA-1 of the packet with the key in this place (20)
///   |
///
/// Invariants
///  - Only a packet whose digest is right changes anything here: a forged sequence number moves no window.
///  - What is accepted is newer than what was accepted before, by at most 3 * Detect Mult packets (6.7.4), until
///  nothing
///    came for twice the detection time (bfd.AuthSeqKnown, 6.8.1).
///  - After a freeze of our own the upper end of that window is open for one detection time: a socket keeps the oldest
///    packets of a long freeze, and the gap behind them is not the peer's failure. Older ones are refused as ever, and
///    nothing is forgotten for it.
///  - There is no falling back: a session with a key takes and sends nothing without it.
///
/// The last received number is not kept over a restart: a new session has a new random discriminator, which no
/// recorded packet carries, but for one that says Down.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/link/bfd_packet.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link::bfd {

/// What both ends of a session have agreed on. The key is in no message, log or status.
struct Authentication {
  BfdAuthentication type = BfdAuthentication::None;
  std::uint8_t key_id = 0;
  std::string key;
  bool operator==(const Authentication&) const = default;
};

/// Of a password 16 bytes, of a SHA-1 key 20, else 0 (6.7.2, 6.7.4).
[[nodiscard]] std::size_t key_bytes_max(BfdAuthentication type);
/// "none" or "meticulous-sha1 key 1"
[[nodiscard]] std::string describe(const Authentication& authentication);
/// BadInput: a key that is empty, too long for the type, or there without a type; Failed: no SHA-1 on this system.
[[nodiscard]] Status check_usable(const Authentication& authentication);

/// Bytes that append_section() adds; 0 without authentication.
[[nodiscard]] std::size_t section_bytes(const Authentication& authentication);
/// `packet` has its A bit and its Length already.
void append_section(EncodedPacket& packet, const Authentication& authentication, std::uint32_t sequence);

/// The receiving side of one session.
class Authenticator {
 public:
  explicit Authenticator(Authentication authentication) : authentication_(std::move(authentication)) {}

  [[nodiscard]] const Authentication& authentication() const { return authentication_; }
  /// Whether `payload`, which decode() made `packet` of, is from who knows the key, and new.
  Discard check(Instant now, std::span<const std::byte> payload, const ControlPacket& packet);
  /// After each accepted packet: when the present detection time has passed twice, its number is forgotten.
  void heard(Instant now, Duration detection_time) { forget_at_ = now + 2 * detection_time; }
  /// This observer stood still and notices it now.
  void own_freeze(Instant now, Duration detection_time);

 private:
  [[nodiscard]] Discard check_digest(std::span<const std::byte> packet) const;
  [[nodiscard]] bool in_window(Instant now, std::uint32_t sequence, std::uint8_t detect_multiplier) const;

  Authentication authentication_;
  bool known_ = false;          ///< bfd.AuthSeqKnown
  std::uint32_t received_ = 0;  ///< bfd.RcvAuthSeq
  Instant forget_at_;
  Instant open_until_;
};

}  // namespace understudy::link::bfd
