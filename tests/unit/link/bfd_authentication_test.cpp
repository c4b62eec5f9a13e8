// SPDX-License-Identifier: Apache-2.0
/// The digests were computed by `openssl sha1` over the header of packet(), the section, and the key with its zeros.
#include "understudy/link/bfd_authentication.hpp"

#include <gtest/gtest.h>

#include <random>
#include <sstream>

namespace understudy::link::bfd {
namespace {

using namespace std::chrono_literals;

constexpr Duration detection = 150ms;
constexpr Instant start{1s};

const Authentication none{};
const Authentication simple{BfdAuthentication::Simple, 3, "sesame"};
const Authentication keyed{BfdAuthentication::Sha1, 7, "router-key"};
const Authentication meticulous{BfdAuthentication::MeticulousSha1, 1, "twenty-bytes-of-key!"};

ControlPacket packet(const Authentication& with) {
  ControlPacket packet;
  packet.state = SessionState::Up;
  packet.detect_multiplier = 3;
  packet.my_discriminator = 11;
  packet.your_discriminator = 22;
  packet.desired_min_tx_us = packet.required_min_rx_us = 50'000;
  packet.authentication_present = with.type != BfdAuthentication::None;
  packet.length = static_cast<std::uint8_t>(packet_bytes + section_bytes(with));
  return packet;
}

EncodedPacket encoded(const Authentication& with, std::uint32_t sequence) {
  auto out = encode(packet(with));
  append_section(out, with, sequence);
  return out;
}

std::string hex(std::span<const std::byte> bytes) {
  std::ostringstream out;
  for (const auto byte : bytes) {
    out << "0123456789abcdef"[unsigned(byte) >> 4] << "0123456789abcdef"[unsigned(byte) & 15];
  }
  return out.str();
}

/// The receiving side with the clock in the test's hand.
struct Receiver {
  explicit Receiver(const Authentication& with) : authenticator(with) {}
  /// As Session does: decode(), check(), and heard() after what was kept.
  Discard take(std::span<const std::byte> bytes) {
    const auto decoded = decode(bytes);
    if (const auto* discard = std::get_if<Discard>(&decoded)) { return *discard; }
    const auto discard = authenticator.check(now, bytes, std::get<ControlPacket>(decoded));
    if (discard == Discard::Kept) { authenticator.heard(now, detection); }
    return discard;
  }
  Discard take(const Authentication& with, std::uint32_t sequence) { return take(encoded(with, sequence).bytes()); }

  Authenticator authenticator;
  Instant now = start;
};

TEST(BfdAuthentication, TheSectionsLieOnTheWireAsTheStandardDrawsThem) {
  const std::string rest = "0000000b000000160000c3500000c35000000000";
  EXPECT_EQ(hex(encoded(simple, 9).bytes()), "20c40321" + rest + "010903" + "736573616d65");
  EXPECT_EQ(hex(encoded(keyed, 0xfffffffe).bytes()),
            "20c40334" + rest + "041c0700fffffffe" + "3736d97350d50238c541bf6c79106a71dbc439e8");
  EXPECT_EQ(hex(encoded(meticulous, 0x01020304).bytes()),
            "20c40334" + rest + "051c010001020304" + "a9d872fec0cd3e55bbf2ad0d33719b9eee1617eb");
  EXPECT_EQ(encoded(none, 1).size, packet_bytes);
}

TEST(BfdAuthentication, WhatOneSideSignsTheOtherTakes) {
  for (const auto& with : {none, simple, keyed, meticulous}) {
    Receiver receiver(with);
    for (std::uint32_t sequence : {5u, 6u, 7u}) {
      EXPECT_EQ(receiver.take(with, sequence), Discard::Kept) << describe(with);
    }
  }
}

TEST(BfdAuthentication, AnotherKeyIdTypeOrKeyIsRefusedAndNothingFallsBack) {
  auto other_key = meticulous;
  other_key.key = "twenty-bytes-of-key?";
  auto shorter_key = meticulous;
  shorter_key.key.pop_back();
  auto other_id = meticulous;
  other_id.key_id = 2;
  Receiver receiver(meticulous);
  EXPECT_EQ(receiver.take(other_key, 5), Discard::AuthenticationFailed);
  EXPECT_EQ(receiver.take(shorter_key, 5), Discard::AuthenticationFailed);
  EXPECT_EQ(receiver.take(other_id, 5), Discard::AuthenticationOtherKey);
  EXPECT_EQ(receiver.take(keyed, 5), Discard::AuthenticationOtherType);
  EXPECT_EQ(receiver.take(simple, 5), Discard::AuthenticationOtherType);
  EXPECT_EQ(receiver.take(none, 5), Discard::AuthenticationMissing);
  EXPECT_EQ(Receiver(none).take(meticulous, 5), Discard::AuthenticationUnexpected);
  EXPECT_EQ(receiver.take(meticulous, 5), Discard::Kept);
}

TEST(BfdAuthentication, APasswordIsComparedAsAWhole) {
  auto longer = simple;
  longer.key += "!";
  auto shorter = simple;
  shorter.key.pop_back();
  auto other = simple;
  other.key.back() = 'E';
  for (const auto& wrong : {longer, shorter, other}) {
    EXPECT_EQ(Receiver(simple).take(wrong, 0), Discard::AuthenticationFailed) << wrong.key;
  }
}

TEST(BfdAuthentication, KeysOfTheLongestLengthWorkAndLongerOnesAreRefusedFirst) {
  for (const auto type : {BfdAuthentication::Simple, BfdAuthentication::Sha1, BfdAuthentication::MeticulousSha1}) {
    Authentication with{type, 255, std::string(key_bytes_max(type), 'k')};
    EXPECT_TRUE(check_usable(with).ok());
    EXPECT_EQ(Receiver(with).take(with, 1), Discard::Kept);
    with.key += 'k';
    EXPECT_EQ(check_usable(with).error().code, Errc::BadInput);
    EXPECT_EQ(check_usable({type, 1, ""}).error().code, Errc::BadInput) << "no key is no authentication";
  }
  EXPECT_EQ(check_usable({BfdAuthentication::None, 0, "k"}).error().code, Errc::BadInput);
  EXPECT_TRUE(check_usable(none).ok());
}

// --- replays ---

TEST(BfdAuthentication, AReplayIsRefused) {
  Receiver receiver(meticulous);
  ASSERT_EQ(receiver.take(meticulous, 100), Discard::Kept);
  EXPECT_EQ(receiver.take(meticulous, 100), Discard::AuthenticationReplayed);
  EXPECT_EQ(receiver.take(meticulous, 99), Discard::AuthenticationReplayed);
  EXPECT_EQ(receiver.take(meticulous, 101), Discard::Kept);
  EXPECT_EQ(receiver.take(meticulous, 100), Discard::AuthenticationReplayed);
}

TEST(BfdAuthentication, NotMeticulousTheSameNumberMayComeAgainButNoOlderOne) {
  Receiver receiver(keyed);
  ASSERT_EQ(receiver.take(keyed, 100), Discard::Kept);
  EXPECT_EQ(receiver.take(keyed, 100), Discard::Kept);
  EXPECT_EQ(receiver.take(keyed, 99), Discard::AuthenticationReplayed);
}

TEST(BfdAuthentication, TheWindowIsThreeTimesTheMultiplierOfThePacketAndCircular) {
  for (const auto& with : {keyed, meticulous}) {
    for (const std::uint32_t last : {100u, 0xfffffffcu}) {
      Receiver receiver(with);
      ASSERT_EQ(receiver.take(with, last), Discard::Kept);
      EXPECT_EQ(receiver.take(with, last + 10), Discard::AuthenticationReplayed);
      EXPECT_EQ(receiver.take(with, last + 9), Discard::Kept);
      auto patient = packet(with);
      patient.detect_multiplier = 50;
      auto bytes = encode(patient);
      append_section(bytes, with, last + 9 + 150);
      EXPECT_EQ(receiver.take(bytes.bytes()), Discard::Kept);
    }
  }
}

TEST(BfdAuthentication, AForgedPacketMovesNoWindow) {
  Receiver receiver(meticulous);
  ASSERT_EQ(receiver.take(meticulous, 100), Discard::Kept);
  auto forged = encoded(meticulous, 109);
  forged.storage[forged.size - 1] ^= std::byte{1};
  EXPECT_EQ(receiver.take(forged.bytes()), Discard::AuthenticationFailed);
  EXPECT_EQ(receiver.take(meticulous, 101), Discard::Kept) << "the peer's own next one is still new";

  Receiver fresh(meticulous);
  EXPECT_EQ(fresh.take(forged.bytes()), Discard::AuthenticationFailed);
  EXPECT_EQ(fresh.take(meticulous, 1), Discard::Kept) << "nor does it begin one";
}

TEST(BfdAuthentication, TheNumberIsForgottenAfterTwiceTheDetectionTimeOfSilence) {
  Receiver receiver(meticulous);
  ASSERT_EQ(receiver.take(meticulous, 100), Discard::Kept);
  receiver.now = start + 2 * detection - 1ms;
  EXPECT_EQ(receiver.take(meticulous, 50), Discard::AuthenticationReplayed);
  receiver.now = start + 2 * detection;
  EXPECT_EQ(receiver.take(meticulous, 50), Discard::Kept) << "refused packets are no sign of life";
  EXPECT_EQ(receiver.take(meticulous, 50), Discard::AuthenticationReplayed);
}

TEST(BfdAuthentication, AfterAFreezeOfItsOwnItTakesWhatIsNewerHoweverFarAndNothingOlder) {
  Receiver receiver(meticulous);
  ASSERT_EQ(receiver.take(meticulous, 100), Discard::Kept);
  receiver.now = start + 10s;
  receiver.authenticator.own_freeze(receiver.now, detection);
  EXPECT_EQ(receiver.take(meticulous, 100), Discard::AuthenticationReplayed) << "nothing was forgotten";
  EXPECT_EQ(receiver.take(meticulous, 300), Discard::Kept);
  EXPECT_EQ(receiver.take(meticulous, 200), Discard::AuthenticationReplayed);
  receiver.now = receiver.now + detection;
  EXPECT_EQ(receiver.take(meticulous, 310), Discard::AuthenticationReplayed) << "and the window is narrow again";
}

// --- hostile bytes ---

TEST(BfdAuthentication, NoPrefixOfAPacketAndNoOtherLengthOfItsSectionIsTaken) {
  for (const auto& with : {simple, keyed, meticulous}) {
    const auto whole = encoded(with, 5);
    for (std::size_t size = 0; size < whole.size; ++size) {
      // What the network cut, and what was sent that way.
      EXPECT_NE(Receiver(with).take(whole.bytes().first(size)), Discard::Kept) << describe(with) << size;
      auto cut = whole;
      cut.storage[3] = static_cast<std::byte>(size);
      EXPECT_NE(Receiver(with).take(cut.bytes().first(size)), Discard::Kept) << describe(with) << size;
    }
    for (unsigned length = 0; length < 256; ++length) {
      if (length == section_bytes(with)) { continue; }
      auto other = whole;
      other.storage[packet_bytes + 1] = static_cast<std::byte>(length);
      EXPECT_EQ(Receiver(with).take(other.bytes()), Discard::AuthenticationMalformed) << describe(with) << length;
    }
  }
}

TEST(BfdAuthentication, NoPacketWithASingleOtherBitIsTaken) {
  for (const auto& with : {keyed, meticulous}) {
    const auto whole = encoded(with, 5);
    for (std::size_t bit = 0; bit < 8 * whole.size; ++bit) {
      auto changed = whole;
      changed.storage[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      EXPECT_NE(Receiver(with).take(changed.bytes()), Discard::Kept) << describe(with) << " bit " << bit;
    }
  }
}

TEST(BfdAuthentication, SurvivesAnyBytesAndTakesNoneOfThem) {
  std::mt19937 random(5880);
  for (const auto& with : {simple, keyed, meticulous}) {
    Receiver receiver(with);
    ASSERT_EQ(receiver.take(with, 100), Discard::Kept);
    for (int round = 0; round < 20'000; ++round) {
      const auto whole = encoded(with, 101);
      std::vector<std::byte> bytes(whole.bytes().begin(), whole.bytes().end());
      for (auto changes = 1 + random() % 8; changes > 0; --changes) {
        bytes[random() % bytes.size()] = static_cast<std::byte>(random());
      }
      if (round % 3 == 0) { bytes.resize(random() % 300); }  // on the heap: whoever reads past the end is caught
      const bool altered =
          bytes.size() < whole.size || !std::equal(whole.bytes().begin(), whole.bytes().end(), bytes.begin());
      // A password proves nothing about the header; a digest covers every bit.
      const bool section_altered =
          bytes.size() < whole.size ||
          !std::equal(whole.bytes().begin() + packet_bytes, whole.bytes().end(), bytes.begin() + packet_bytes);
      const bool must_refuse = with.type == BfdAuthentication::Simple ? section_altered : altered;
      const auto discard = receiver.take(bytes);
      if (must_refuse) { ASSERT_NE(discard, Discard::Kept) << describe(with) << " round " << round; }
    }
    EXPECT_EQ(receiver.take(with, 102), Discard::Kept) << "the window is where the peer's own packets left it";
  }
}

TEST(BfdAuthentication, WhatItTellsAPersonHoldsNoKey) {
  EXPECT_EQ(describe(meticulous), "meticulous-sha1 key 1");
  EXPECT_EQ(describe(none), "none");
  auto too_long = simple;
  too_long.key = "a-password-of-more-than-16";
  EXPECT_EQ(check_usable(too_long).error().message.find(too_long.key), std::string::npos);
}

}  // namespace
}  // namespace understudy::link::bfd
