// SPDX-License-Identifier: Apache-2.0
#include "stream.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lab {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

std::string take(ByteStream& stream, std::size_t bytes) {
  std::string text(bytes, '\0');
  stream.fill(text);
  return text;
}

TEST(ByteStream, IsTheSameForTheSameNameHoweverItIsCut) {
  ByteStream whole("role-2-ipv4-download"), pieces("role-2-ipv4-download");
  std::string joined;
  for (const std::size_t size : {1U, 7U, 8U, 100U, 884U}) joined += take(pieces, size);
  EXPECT_EQ(take(whole, 1000), joined);
}

TEST(ByteStream, DiffersBetweenNames) {
  ByteStream one("a"), other("b");
  EXPECT_NE(take(one, 64), take(other, 64));
}

TEST(Pacer, SpreadsBytesOverTime) {
  Pacer sut(1'000'000, 0);
  EXPECT_EQ(sut.take(0), 0U);
  EXPECT_EQ(sut.take(second_ns / 100), 10'000U);
  EXPECT_EQ(sut.take(second_ns / 100), 0U);
  EXPECT_EQ(sut.take(second_ns / 50), 10'000U);
}

TEST(Pacer, CatchesUpWithOneBoundedBurstAfterAStall) {
  Pacer sut(1'000'000, 0);
  EXPECT_EQ(sut.take(10 * second_ns), Pacer::burst_bytes);
  EXPECT_EQ(sut.take(10 * second_ns), 0U);
  EXPECT_EQ(sut.take(10 * second_ns + second_ns / 100), 10'000U);
}

TEST(Amount, OpenEndedNeedsBothTheMinimumAndTheWord) {
  const Amount sut{0, 100};
  EXPECT_FALSE(sut.is_done(100, false));
  EXPECT_FALSE(sut.is_done(99, true));
  EXPECT_TRUE(sut.is_done(100, true));
  EXPECT_EQ(sut.within(50, 1'000'000), 50U);
}

TEST(Amount, FixedEndsExactlyThere) {
  const Amount sut{100, 0};
  EXPECT_FALSE(sut.is_done(99, true));
  EXPECT_TRUE(sut.is_done(100, false));
  EXPECT_EQ(sut.within(50, 80), 20U);
}

}  // namespace
}  // namespace lab
