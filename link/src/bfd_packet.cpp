// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_packet.hpp"

namespace understudy::link::bfd {

namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t length_min_with_authentication = 26;

void put_u32(EncodedPacket& packet, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) { packet.storage[at + i] = static_cast<std::byte>(value >> (24 - 8 * i)); }
}

std::uint8_t get_u8(std::span<const std::byte> bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

std::uint32_t get_u32(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) { value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]); }
  return value;
}

}  // namespace

const char* to_string(SessionState state) {
  switch (state) {
    case SessionState::AdminDown:
      return "AdminDown";
    case SessionState::Down:
      return "Down";
    case SessionState::Init:
      return "Init";
    case SessionState::Up:
      return "Up";
  }
  return "unknown";
}

const char* to_string(Diagnostic diagnostic) {
  switch (diagnostic) {
    case Diagnostic::None:
      return "none";
    case Diagnostic::DetectionTimeExpired:
      return "detection time expired";
    case Diagnostic::EchoFunctionFailed:
      return "echo function failed";
    case Diagnostic::NeighborSignaledDown:
      return "neighbor signaled down";
    case Diagnostic::ForwardingPlaneReset:
      return "forwarding plane reset";
    case Diagnostic::PathDown:
      return "path down";
    case Diagnostic::ConcatenatedPathDown:
      return "concatenated path down";
    case Diagnostic::AdministrativelyDown:
      return "administratively down";
    case Diagnostic::ReverseConcatenatedPathDown:
      return "reverse concatenated path down";
    case Diagnostic::MisconnectivityDefect:
      return "mis-connectivity defect";
  }
  return "reserved";
}

const char* to_string(Discard discard) {
  switch (discard) {
    case Discard::Kept:
      return "kept";
    case Discard::TooShort:
      return "too short";
    case Discard::WrongVersion:
      return "wrong version";
    case Discard::LengthTooSmall:
      return "length too small";
    case Discard::LengthBeyondPayload:
      return "length beyond payload";
    case Discard::ZeroDetectMultiplier:
      return "detect multiplier is 0";
    case Discard::Multipoint:
      return "multipoint bit set";
    case Discard::ZeroMyDiscriminator:
      return "my discriminator is 0";
    case Discard::OtherSession:
      return "your discriminator is of no session here";
    case Discard::StateWithoutDiscriminator:
      return "state needs a discriminator";
    case Discard::AuthenticationUnexpected:
      return "authentication not in use here";
    case Discard::AuthenticationMissing:
      return "authentication missing";
    case Discard::AuthenticationOtherType:
      return "authentication of another type";
    case Discard::AuthenticationMalformed:
      return "authentication section of a wrong length";
    case Discard::AuthenticationOtherKey:
      return "authentication with another key id";
    case Discard::AuthenticationReplayed:
      return "authentication sequence number out of its window";
    case Discard::AuthenticationFailed:
      return "authentication with another key";
    case Discard::SessionAdminDown:
      return "session is administratively down";
  }
  return "unknown";
}

EncodedPacket encode(const ControlPacket& packet) {
  EncodedPacket out;
  out.size = packet_bytes;
  out.storage[0] = static_cast<std::byte>(version << 5 | (packet.diagnostic & 0x1f));
  out.storage[1] =
      static_cast<std::byte>(static_cast<unsigned>(packet.state) << 6 | (packet.poll ? 0x20u : 0u) |
                             (packet.final_bit ? 0x10u : 0u) | (packet.control_plane_independent ? 0x08u : 0u) |
                             (packet.authentication_present ? 0x04u : 0u) | (packet.demand ? 0x02u : 0u));
  out.storage[2] = static_cast<std::byte>(packet.detect_multiplier);
  out.storage[3] = static_cast<std::byte>(packet.length);
  put_u32(out, 4, packet.my_discriminator);
  put_u32(out, 8, packet.your_discriminator);
  put_u32(out, 12, packet.desired_min_tx_us);
  put_u32(out, 16, packet.required_min_rx_us);
  put_u32(out, 20, packet.required_min_echo_rx_us);
  return out;
}

std::variant<ControlPacket, Discard> decode(std::span<const std::byte> payload) {
  if (payload.size() < packet_bytes) { return Discard::TooShort; }
  if (get_u8(payload, 0) >> 5 != version) { return Discard::WrongVersion; }
  const std::uint8_t flags = get_u8(payload, 1);
  ControlPacket packet;
  packet.diagnostic = get_u8(payload, 0) & 0x1f;
  packet.state = static_cast<SessionState>(flags >> 6);
  packet.poll = (flags & 0x20) != 0;
  packet.final_bit = (flags & 0x10) != 0;
  packet.control_plane_independent = (flags & 0x08) != 0;
  packet.authentication_present = (flags & 0x04) != 0;
  packet.demand = (flags & 0x02) != 0;
  packet.detect_multiplier = get_u8(payload, 2);
  packet.length = get_u8(payload, 3);
  const std::size_t length_min = packet.authentication_present ? length_min_with_authentication : packet_bytes;
  if (packet.length < length_min) { return Discard::LengthTooSmall; }
  if (packet.length > payload.size()) { return Discard::LengthBeyondPayload; }
  if (packet.detect_multiplier == 0) { return Discard::ZeroDetectMultiplier; }
  if ((flags & 0x01) != 0) { return Discard::Multipoint; }
  packet.my_discriminator = get_u32(payload, 4);
  packet.your_discriminator = get_u32(payload, 8);
  packet.desired_min_tx_us = get_u32(payload, 12);
  packet.required_min_rx_us = get_u32(payload, 16);
  packet.required_min_echo_rx_us = get_u32(payload, 20);
  if (packet.my_discriminator == 0) { return Discard::ZeroMyDiscriminator; }
  return packet;
}

}  // namespace understudy::link::bfd
