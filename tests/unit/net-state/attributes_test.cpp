// SPDX-License-Identifier: Apache-2.0
/// Attributes as the kernel lays them out, and as nobody should: every length is checked before it is believed.
#include "attributes.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace understudy::net {
namespace {

/// Attributes in a row. The length is given apart, so that it can lie.
class Bytes {
 public:
  Bytes& add(std::uint16_t type, const std::string& payload, int length_off_by = 0) {
    const nlattr header{static_cast<std::uint16_t>(static_cast<int>(sizeof(nlattr) + payload.size()) + length_off_by),
                        type};
    const auto* raw = reinterpret_cast<const char*>(&header);
    bytes_.insert(bytes_.end(), raw, raw + sizeof header);
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    bytes_.resize(netlink_aligned(bytes_.size()));
    return *this;
  }
  [[nodiscard]] Attributes read() const { return {bytes_.data(), bytes_.size()}; }
  [[nodiscard]] Attributes first(std::size_t size) const { return {bytes_.data(), size}; }
  [[nodiscard]] std::string text() const { return {bytes_.begin(), bytes_.end()}; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  std::vector<char> bytes_;
};

const std::string number("\x01\x02\x03\x04", 4);
const std::string v4("\x0a\x17\x04\x79", 4);
const std::string v6("\xfd\x00\x00\x23\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x01\x22", 16);

TEST(Attributes, AreFoundByTheirType) {
  const auto bytes = Bytes().add(1, number).add(5, "xyz").add(127, "").add(2, v6);
  const auto sut = bytes.read();
  EXPECT_TRUE(sut.has(1) && sut.has(5) && sut.has(127) && sut.has(2));
  EXPECT_FALSE(sut.has(0) || sut.has(3) || sut.has(126));
  EXPECT_EQ(sut.get<std::uint32_t>(1), 0x04030201U);
}

TEST(Attributes, AValueOfAnotherSizeIsNone) {
  const auto bytes = Bytes().add(1, number);
  const auto sut = bytes.read();
  EXPECT_EQ(sut.get<std::uint8_t>(1), std::nullopt);
  EXPECT_EQ(sut.get<std::uint16_t>(1), std::nullopt);
  EXPECT_EQ(sut.get<std::uint64_t>(1), std::nullopt);
  EXPECT_EQ(sut.get<std::uint32_t>(2), std::nullopt);
}

TEST(Attributes, AnAddressFitsItsFamilyOrIsNone) {
  const auto bytes = Bytes().add(1, v4).add(2, v6).add(3, v4 + "x").add(4, "");
  const auto sut = bytes.read();
  AddressBytes expected{};
  std::copy(v4.begin(), v4.end(), expected.begin());
  EXPECT_EQ(sut.address(1, 4), expected) << "the rest is zero";
  std::copy(v6.begin(), v6.end(), expected.begin());
  EXPECT_EQ(sut.address(2, 6), expected);
  EXPECT_EQ(sut.address(1, 6), std::nullopt);
  EXPECT_EQ(sut.address(2, 4), std::nullopt);
  EXPECT_EQ(sut.address(3, 4), std::nullopt);
  EXPECT_EQ(sut.address(4, 4), std::nullopt);
  EXPECT_EQ(sut.address(9, 6), std::nullopt);
}

TEST(Attributes, ATextEndsInsideItsAttributeOrIsNone) {
  const auto bytes = Bytes().add(1, std::string("ext0\0", 5)).add(2, "ext0").add(3, std::string(1, '\0')).add(4, "");
  const auto sut = bytes.read();
  EXPECT_STREQ(sut.text(1), "ext0");
  EXPECT_EQ(sut.text(2), nullptr) << "what follows is another attribute's";
  EXPECT_STREQ(sut.text(3), "");
  EXPECT_EQ(sut.text(4), nullptr);
  EXPECT_EQ(sut.text(9), nullptr);
}

TEST(Attributes, NestedOnesAreReadFromTheirOwnBytesOnly) {
  const auto inside = Bytes().add(1, number).add(2, v4);
  const auto bytes = Bytes().add(7 | NLA_F_NESTED, inside.text()).add(3, v6).add(8, "");
  const auto nested = bytes.read().nested(7);
  EXPECT_EQ(nested.get<std::uint32_t>(1), 0x04030201U);
  EXPECT_TRUE(nested.address(2, 4));
  EXPECT_FALSE(nested.has(3));
  EXPECT_FALSE(bytes.read().nested(8).has(1)) << "empty";
  EXPECT_FALSE(bytes.read().nested(9).has(1)) << "absent";
  EXPECT_FALSE(bytes.read().nested(9).nested(1).has(1));
}

TEST(Attributes, TheLastOfOneTypeCountsAndUnknownTypesAreIgnored) {
  const auto bytes = Bytes().add(1, v6).add(1, number).add(128, number).add(0x3fff, number).add(2, v4);
  const auto sut = bytes.read();
  EXPECT_EQ(sut.get<std::uint32_t>(1), 0x04030201U);
  EXPECT_TRUE(sut.has(2));
}

TEST(Attributes, ALengthThatCannotBeEndsTheReadingThere) {
  EXPECT_FALSE(Bytes().add(1, number, +1).read().has(1)) << "longer than the message";
  EXPECT_FALSE(Bytes().add(1, number, -5).read().has(1)) << "shorter than its own header";
  const auto after = Bytes().add(1, number).add(2, number, -8).add(3, number);
  EXPECT_TRUE(after.read().has(1));
  EXPECT_FALSE(after.read().has(2) || after.read().has(3)) << "a length of 0 would be read for ever";
  const auto inside = Bytes().add(1, number, -1).text();
  EXPECT_FALSE(Bytes().add(7, inside + inside).first(7).has(7));
}

TEST(Attributes, AMessageCutAnywhereIsReadUpToThere) {
  const auto bytes = Bytes().add(1, number).add(2, "abc").add(3, v6);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto sut = bytes.first(size);
    EXPECT_EQ(sut.has(1), size >= 8) << size;
    EXPECT_EQ(sut.has(2), size >= 15) << size << ": the padding behind the last one may be missing";
    EXPECT_EQ(sut.has(3), size >= 36) << size;
  }
}

TEST(Attributes, OfAMessageBeginBehindItsFixedPart) {
  std::vector<char> memory(256);
  nlmsghdr* message = mnl_nlmsg_put_header(memory.data());
  mnl_nlmsg_put_extra_header(message, 6);
  mnl_attr_put_u32(message, 3, 0x04030201U);
  EXPECT_EQ(Attributes::of_message(message, 6).get<std::uint32_t>(3), 0x04030201U);
  message->nlmsg_len = sizeof *message + 4;
  EXPECT_FALSE(Attributes::of_message(message, 6).has(3)) << "the fixed part itself is cut";
}

TEST(Attributes, AnyBytesAreSurvived) {
  std::mt19937 random(16);
  for (int round = 0; round < 50'000; ++round) {
    std::vector<std::uint8_t> exact(random() %
                                    80);  // exactly as long as told, so that a sanitizer sees every step outside
    for (auto& byte : exact) { byte = static_cast<std::uint8_t>(random() % (round % 2 == 0 ? 256 : 24)); }
    const Attributes sut(exact.data(), exact.size());
    for (int type = 0; type < static_cast<int>(Attributes::types_max); ++type) {
      (void)sut.get<std::uint32_t>(type);
      (void)sut.address(type, 6);
      (void)sut.text(type);
      (void)sut.nested(type).has(1);
    }
  }
}

}  // namespace
}  // namespace understudy::net
