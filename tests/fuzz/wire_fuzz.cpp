// SPDX-License-Identifier: Apache-2.0
/// What a coverage-guided fuzzer gives to whatever reads a wire: BFD's packets, replication's byte stream and payloads,
/// a guest's lines, an application's. Whoever sends may send anything (D6).
///
///   input   first byte: what it is for; the rest: bytes as they would arrive
///
/// BFD gets packets one after another (length u8, bytes), each with time passed before it (ms, u8), at a session
/// without authentication, with a password, or with meticulous SHA-1 whose digest is put right for every other packet.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "app/messages.hpp"
#include "understudy/link/bfd_authentication.hpp"
#include "understudy/link/bfd_session.hpp"
#include "understudy/link/guest_channel.hpp"
#include "understudy/link/replication_frame.hpp"

namespace understudy::link {
namespace {

using Bytes = std::span<const std::byte>;

Bytes take(Bytes& rest, std::size_t bytes) {
  const auto taken = rest.first(std::min(bytes, rest.size()));
  rest = rest.subspan(taken.size());
  return taken;
}
std::size_t number(Bytes& rest) {
  const auto one = take(rest, 1);
  return one.empty() ? 0 : std::to_integer<std::size_t>(one[0]);
}

/// The same packet with a section that its receiver takes for good.
std::vector<std::byte> signed_packet(Bytes packet, const bfd::Authentication& authentication, std::uint32_t sequence) {
  const auto decoded = bfd::decode(packet);
  const auto* good = std::get_if<bfd::ControlPacket>(&decoded);
  if (good == nullptr) { return {packet.begin(), packet.end()}; }
  auto again = *good;
  again.authentication_present = true;
  again.length = static_cast<std::uint8_t>(bfd::packet_bytes + bfd::section_bytes(authentication));
  auto encoded = bfd::encode(again);
  bfd::append_section(encoded, authentication, sequence);
  const auto bytes = encoded.bytes();
  return {bytes.begin(), bytes.end()};
}

void feed_bfd(Bytes rest) {
  bfd::SessionParameters parameters;
  parameters.local_discriminator = 11;
  constexpr BfdAuthentication types[] = {BfdAuthentication::None, BfdAuthentication::Simple,
                                         BfdAuthentication::MeticulousSha1};
  parameters.authentication = {types[number(rest) % std::size(types)], 1, "password"};
  if (parameters.authentication.type == BfdAuthentication::None) { parameters.authentication = {}; }
  Instant now{std::chrono::seconds(1)};
  bfd::Session session(
      parameters, [] { return 0.5; }, now);
  for (std::uint32_t sequence = 1; !rest.empty(); ++sequence) {
    now = now + std::chrono::milliseconds(static_cast<int>(number(rest)));
    if (session.next_deadline() <= now) { (void)session.on_tick(now); }
    const auto packet = take(rest, number(rest));
    const bool well_signed = sequence % 2 == 0 && parameters.authentication.type != BfdAuthentication::None;
    const auto bytes = well_signed ? signed_packet(packet, parameters.authentication, sequence)
                                   : std::vector<std::byte>(packet.begin(), packet.end());
    const auto output = session.on_packet(now, bytes);
    if (output.packet && !std::holds_alternative<bfd::ControlPacket>(bfd::decode(output.packet->bytes()))) {
      std::abort();  // what it says itself is always well-formed
    }
  }
}

void feed_stream(Bytes rest) {
  replication::FrameDecoder decoder;
  while (!rest.empty()) {
    const auto arrived = take(rest, number(rest) + 1);
    const auto room = decoder.prepare();
    if (room.empty()) { std::abort(); }
    const auto bytes = std::min(room.size(), arrived.size());
    std::memcpy(room.data(), arrived.data(), bytes);
    decoder.commit(bytes);
    for (;;) {
      const auto frame = decoder.next();
      if (!frame) { return; }
      if (!*frame) { break; }
    }
  }
}

void feed_payload(Bytes rest) {
  using namespace replication;
  (void)decode_hello(rest);
  (void)decode_refusal(rest);
  (void)decode_resume(rest);
  (void)decode_snapshot_begin(rest);
  (void)decode_snapshot_records(rest);
  (void)decode_snapshot_end(rest);
  (void)decode_history(rest);
  (void)decode_progress(rest);
  (void)decode_grant_nonce(rest);
}

void feed_lines(Bytes rest) {
  guest::LineReader reader(4096);
  reader.feed({reinterpret_cast<const char*>(rest.data()), rest.size()}, [](std::string_view line) {
    if (const auto order = guest::parse_order(line)) { (void)guest::to_line(order.value()); }
    if (const auto event = guest::parse_event(line)) { (void)guest::to_line(event.value()); }
  });
}

/// What was understood is understood again as it is told on: by lines that fit, and by their first telling on for good.
template <class Message, class Decode>
void carry_on(const Message& message, const Decode& decode) {
  const auto encoded = app::encode(message);
  if (encoded.size() > app::max_line_bytes || encoded.find('\n') != encoded.size() - 1) { std::abort(); }
  const auto again = decode(std::string_view(encoded).substr(0, encoded.size() - 1));
  if (!again || app::encode(*again) != encoded) { std::abort(); }
}

void feed_application_lines(Bytes rest) {
  app::LineBuffer lines;
  while (!rest.empty()) {
    const auto arrived = take(rest, number(rest) * 8 + 1);
    if (!lines.append({reinterpret_cast<const char*>(arrived.data()), arrived.size()})) { return; }
    while (const auto line = lines.next()) {
      if (const auto order = app::decode_order(*line)) { carry_on(*order, app::decode_order); }
      if (const auto status = app::decode_status(*line)) { carry_on(*status, app::decode_status); }
    }
  }
}

}  // namespace
}  // namespace understudy::link

// NOLINTNEXTLINE(readability-identifier-naming): the fuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::link;
  Bytes rest{reinterpret_cast<const std::byte*>(data), size};
  switch (number(rest) % 5) {
    case 0:
      feed_bfd(rest);
      break;
    case 1:
      feed_stream(rest);
      break;
    case 2:
      feed_payload(rest);
      break;
    case 3:
      feed_lines(rest);
      break;
    default:
      feed_application_lines(rest);
  }
  return 0;
}
