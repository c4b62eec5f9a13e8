// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_packet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace understudy::link::bfd {
namespace {

std::vector<std::byte> bytes_of(const ControlPacket& packet) {
  const auto encoded = encode(packet);
  return {encoded.bytes().begin(), encoded.bytes().end()};
}

ControlPacket sample() {
  ControlPacket packet;
  packet.diagnostic = 3;
  packet.state = SessionState::Init;
  packet.poll = true;
  packet.detect_multiplier = 3;
  packet.my_discriminator = 0x01020304;
  packet.your_discriminator = 0xa0b0c0d0;
  packet.desired_min_tx_us = 50'000;
  packet.required_min_rx_us = 60'000;
  return packet;
}

Discard discard_of(const std::vector<std::byte>& bytes) {
  const auto decoded = decode(bytes);
  return std::holds_alternative<Discard>(decoded) ? std::get<Discard>(decoded) : Discard::Kept;
}

TEST(BfdPacket, LiesOnTheWireAsTheStandardDrawsIt) {
  const std::vector<std::uint8_t> expected{0x23, 0xa0, 3,    24,   1, 2, 3,    4,    0xa0, 0xb0, 0xc0, 0xd0,
                                           0,    0,    0xc3, 0x50, 0, 0, 0xea, 0x60, 0,    0,    0,    0};
  const auto bytes = bytes_of(sample());
  ASSERT_EQ(bytes.size(), expected.size());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(),
                         [](std::byte a, std::uint8_t b) { return std::to_integer<std::uint8_t>(a) == b; }));
}

TEST(BfdPacket, ReadsBackEveryFieldItWrote) {
  for (unsigned flags = 0; flags < 32; ++flags) {
    for (unsigned state = 0; state < 4; ++state) {
      ControlPacket packet = sample();
      packet.state = static_cast<SessionState>(state);
      packet.poll = (flags & 1) != 0;
      packet.final_bit = (flags & 2) != 0;
      packet.control_plane_independent = (flags & 4) != 0;
      packet.demand = (flags & 8) != 0;
      packet.required_min_echo_rx_us = flags;
      const auto decoded = decode(bytes_of(packet));
      ASSERT_TRUE(std::holds_alternative<ControlPacket>(decoded));
      EXPECT_EQ(std::get<ControlPacket>(decoded), packet);
    }
  }
}

TEST(BfdPacket, DiscardsWhatBreaksARuleOfReception) {
  auto change = [](std::size_t at, unsigned value) {
    auto bytes = bytes_of(sample());
    bytes[at] = static_cast<std::byte>(value);
    return bytes;
  };
  auto short_one = bytes_of(sample());
  short_one.pop_back();
  EXPECT_EQ(discard_of({}), Discard::TooShort);
  EXPECT_EQ(discard_of(short_one), Discard::TooShort);
  EXPECT_EQ(discard_of(change(0, 0x03)), Discard::WrongVersion);
  EXPECT_EQ(discard_of(change(0, 0x43)), Discard::WrongVersion);
  EXPECT_EQ(discard_of(change(3, 23)), Discard::LengthTooSmall);
  EXPECT_EQ(discard_of(change(3, 25)), Discard::LengthBeyondPayload);
  EXPECT_EQ(discard_of(change(2, 0)), Discard::ZeroDetectMultiplier);
  EXPECT_EQ(discard_of(change(1, 0xa1)), Discard::Multipoint);
  auto no_discriminator = sample();
  no_discriminator.my_discriminator = 0;
  EXPECT_EQ(discard_of(bytes_of(no_discriminator)), Discard::ZeroMyDiscriminator);
}

TEST(BfdPacket, WithAuthenticationBitNeedsRoomForIt) {
  auto packet = sample();
  packet.authentication_present = true;
  auto bytes = bytes_of(packet);
  EXPECT_EQ(discard_of(bytes), Discard::LengthTooSmall);
  bytes[3] = std::byte{26};
  EXPECT_EQ(discard_of(bytes), Discard::LengthBeyondPayload);
  bytes.resize(26);
  EXPECT_EQ(discard_of(bytes), Discard::Kept);
}

TEST(BfdPacket, SurvivesAnyBytes) {
  std::mt19937 random(3784);
  for (int round = 0; round < 100'000; ++round) {
    std::vector<std::byte> bytes(random() % 80);
    for (auto& byte : bytes) { byte = static_cast<std::byte>(random()); }
    if (!bytes.empty() && round % 2 == 0) { bytes[0] = std::byte{0x20}; }  // half of them pass the version
    const auto decoded = decode(bytes);
    if (const auto* packet = std::get_if<ControlPacket>(&decoded)) {
      EXPECT_NE(packet->my_discriminator, 0u);
      EXPECT_LE(packet->length, bytes.size());
    }
  }
}

}  // namespace
}  // namespace understudy::link::bfd
