// SPDX-License-Identifier: Apache-2.0
#include "tcp_flags.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace lab {
namespace {

TEST(TcpFlags, ASynThatIsSentAgainIsOneAttempt) {
  TcpFlags sut;
  sut.add(read_frame(tcp_v4("02")), true);
  sut.add(read_frame(tcp_v4("02")), true);
  const auto got = sut.to_json();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].at("syns").to_number<int>(), 1);
  EXPECT_EQ(got[0].at("local").as_string(), "10.50.2.2:49153");
}

TEST(TcpFlags, ASecondSynOfAnotherSequenceIsASecondAttempt) {
  TcpFlags sut;
  auto second = tcp_v4("02");
  second[41] = 9;
  sut.add(read_frame(tcp_v4("02")), true);
  sut.add(read_frame(second), true);
  EXPECT_EQ(sut.to_json()[0].at("syns").to_number<int>(), 2);
}

TEST(TcpFlags, ASynWithAckIsNoAttempt) {
  TcpFlags sut;
  sut.add(read_frame(tcp_v4("12")), true);
  EXPECT_EQ(sut.to_json()[0].at("syns").to_number<int>(), 0);
}

TEST(TcpFlags, ResetsAreCountedByDirectionAtTheSameConnection) {
  TcpFlags sut;
  sut.add(read_frame(tcp_v4("04")), true);
  sut.add(read_frame(tcp_v4("14")), false);  // arrives: this end is its destination
  const auto got = sut.to_json();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].at("local").as_string(), "10.23.4.1:8080");
  EXPECT_EQ(got[0].at("resets_in").to_number<int>(), 1);
  EXPECT_EQ(got[1].at("resets_out").to_number<int>(), 1);
}

TEST(TcpFlags, OtherSegmentsDoNotCount) {
  TcpFlags sut;
  sut.add(read_frame(tcp_v4("10")), true);
  EXPECT_TRUE(sut.to_json().empty());
}

}  // namespace
}  // namespace lab
