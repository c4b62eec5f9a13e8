// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_authentication.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>

#include "understudy/link/control_api_status.hpp"

namespace understudy::link::bfd {

namespace {

constexpr std::size_t section_at = packet_bytes;
constexpr std::size_t password_at = section_at + 3;
constexpr std::size_t sequence_at = section_at + 4;
constexpr std::size_t digest_at = section_at + 8;
constexpr std::size_t digest_bytes = 20;
constexpr std::size_t sha1_section_bytes = 28;
constexpr std::size_t password_bytes_max = 16;
/// The half of the circle that is ahead.
constexpr std::uint32_t ahead_max = 0x7fffffff;

using Digest = std::array<std::byte, digest_bytes>;

/// Nothing: OpenSSL offers no SHA-1 here. Fetched once: a fetch takes locks, and this runs for every packet.
std::optional<Digest> sha1(std::span<const std::byte> bytes) {
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  Digest digest;
  unsigned size = 0;
  if (algorithm == nullptr || EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                                         &size, algorithm, nullptr) != 1) {
    return std::nullopt;
  }
  return size == digest_bytes ? std::optional(digest) : std::nullopt;
}

bool is_sha1(BfdAuthentication type) {
  return type == BfdAuthentication::Sha1 || type == BfdAuthentication::MeticulousSha1;
}

std::span<const std::byte> bytes_of(const std::string& key) { return std::as_bytes(std::span(key)); }

/// The key with zeros up to 20 bytes takes the digest's place while the digest is computed (6.7.4): no HMAC.
std::optional<Digest> digest_of(std::span<std::byte> packet, const std::string& key) {
  const auto place = packet.subspan(digest_at, digest_bytes);
  const auto bytes = bytes_of(key);
  std::fill(std::copy(bytes.begin(), bytes.end(), place.begin()), place.end(), std::byte{0});
  return sha1(packet);
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::uint32_t sequence_of(std::span<const std::byte> packet) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) { value = value << 8 | std::to_integer<std::uint32_t>(packet[sequence_at + i]); }
  return value;
}

}  // namespace

std::size_t key_bytes_max(BfdAuthentication type) {
  if (is_sha1(type)) { return digest_bytes; }
  return type == BfdAuthentication::Simple ? password_bytes_max : 0;
}

std::string describe(const Authentication& authentication) {
  std::string text = link::to_string(authentication.type);
  if (authentication.type != BfdAuthentication::None) { text += " key " + std::to_string(authentication.key_id); }
  return text;
}

Status check_usable(const Authentication& authentication) {
  const auto most = key_bytes_max(authentication.type);
  const auto size = authentication.key.size();
  if (size > most || (most > 0 && size == 0)) {
    return failure(std::string("BFD authentication ") + link::to_string(authentication.type) + " takes a key of " +
                       (most == 0 ? "0 bytes" : "1 to " + std::to_string(most) + " bytes") + ", this one has " +
                       std::to_string(size),
                   Errc::BadInput);
  }
  if (is_sha1(authentication.type) && !sha1({})) {
    return failure("OpenSSL offers no SHA-1 on this system, which BFD's keyed SHA-1 needs: look at its configuration");
  }
  return {};
}

std::size_t section_bytes(const Authentication& authentication) {
  if (is_sha1(authentication.type)) { return sha1_section_bytes; }
  return authentication.type == BfdAuthentication::Simple ? 3 + authentication.key.size() : 0;
}

void append_section(EncodedPacket& packet, const Authentication& authentication, std::uint32_t sequence) {
  const auto added = section_bytes(authentication);
  if (added == 0) { return; }
  auto& bytes = packet.storage;
  bytes[section_at] = static_cast<std::byte>(authentication.type);
  bytes[section_at + 1] = static_cast<std::byte>(added);
  bytes[section_at + 2] = static_cast<std::byte>(authentication.key_id);
  packet.size = section_at + added;
  if (!is_sha1(authentication.type)) {
    const auto password = bytes_of(authentication.key);
    std::copy(password.begin(), password.end(), bytes.begin() + password_at);
    return;
  }
  bytes[section_at + 3] = std::byte{0};
  for (std::size_t i = 0; i < 4; ++i) { bytes[sequence_at + i] = static_cast<std::byte>(sequence >> (24 - 8 * i)); }
  const auto digest = digest_of(std::span(bytes).first(packet.size), authentication.key);
  UNDERSTUDY_ASSERT(digest.has_value());  // check_usable() has tried it
  std::copy(digest->begin(), digest->end(), bytes.begin() + digest_at);
}

// --- what comes ---------------------------------------------------------------------------------------------------

Discard Authenticator::check(Instant now, std::span<const std::byte> payload, const ControlPacket& packet) {
  const bool in_use = authentication_.type != BfdAuthentication::None;
  if (!packet.authentication_present) { return in_use ? Discard::AuthenticationMissing : Discard::Kept; }
  if (!in_use) { return Discard::AuthenticationUnexpected; }
  const auto bytes = payload.first(packet.length);  // decode(): at least 26, and all there
  const auto byte_at = [&](std::size_t at) { return std::to_integer<std::uint8_t>(bytes[at]); };
  if (byte_at(section_at) != static_cast<std::uint8_t>(authentication_.type)) {
    return Discard::AuthenticationOtherType;
  }
  const std::size_t section = byte_at(section_at + 1);
  const bool sized =
      is_sha1(authentication_.type) ? section == sha1_section_bytes : section > 3 && section <= 3 + password_bytes_max;
  if (!sized || bytes.size() != section_at + section) { return Discard::AuthenticationMalformed; }
  if (byte_at(section_at + 2) != authentication_.key_id) { return Discard::AuthenticationOtherKey; }
  if (!is_sha1(authentication_.type)) {
    return same(bytes.subspan(password_at), bytes_of(authentication_.key)) ? Discard::Kept
                                                                           : Discard::AuthenticationFailed;
  }
  const auto sequence = sequence_of(bytes);
  if (!in_window(now, sequence, packet.detect_multiplier)) { return Discard::AuthenticationReplayed; }
  if (const auto wrong = check_digest(bytes); wrong != Discard::Kept) { return wrong; }
  known_ = true;
  received_ = sequence;
  return Discard::Kept;
}

Discard Authenticator::check_digest(std::span<const std::byte> packet) const {
  EncodedPacket copy;
  copy.size = packet.size();  // 52
  std::copy(packet.begin(), packet.end(), copy.storage.begin());
  const auto digest = digest_of(std::span(copy.storage).first(copy.size), authentication_.key);
  const bool right = digest && same(*digest, packet.subspan(digest_at, digest_bytes));
  return right ? Discard::Kept : Discard::AuthenticationFailed;
}

/// Circular: 2^32 is one step behind 0. The multiplier is the packet's own, as 6.7.4 says.
bool Authenticator::in_window(Instant now, std::uint32_t sequence, std::uint8_t detect_multiplier) const {
  if (!known_ || now >= forget_at_) { return true; }
  const std::uint32_t ahead = sequence - received_;
  const std::uint32_t least = authentication_.type == BfdAuthentication::MeticulousSha1 ? 1 : 0;
  const std::uint32_t most = now < open_until_ ? ahead_max : 3u * detect_multiplier;
  return ahead >= least && ahead <= most;
}

void Authenticator::own_freeze(Instant now, Duration detection_time) {
  open_until_ = now + detection_time;
  forget_at_ = std::max(forget_at_, now + 2 * detection_time);  // who stood still cannot tell that nothing came
}

}  // namespace understudy::link::bfd
