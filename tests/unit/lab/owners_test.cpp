// SPDX-License-Identifier: Apache-2.0
#include "owners.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace lab {
namespace {

const std::string mac = "02:e0:00:00:00:02";

/// A bridge with ports a (the old place), b (the new one) and srv.
class Owners : public testing::Test {
 protected:
  void arrives(const std::string& port, const FrameBytes& bytes = gratuitous_arp()) {
    sut.arrived(++time_ns, "ext", port, hash_of(bytes), read_frame(bytes));
  }
  void leaves(const std::string& port, const FrameBytes& bytes = gratuitous_arp()) {
    sut.left(++time_ns, "ext", port, hash_of(bytes));
  }
  void forwarded(const std::string& from, const FrameBytes& bytes = gratuitous_arp()) {
    arrives(from, bytes);
    leaves("srv", bytes);
    leaves(from == "a" ? "b" : "a", bytes);
  }
  OwnerWatch sut;
  std::int64_t time_ns = 0;
};

TEST_F(Owners, OnePlaceIsNoViolation) {
  for (int times = 0; times < 5; ++times) forwarded("a");
  EXPECT_TRUE(sut.violations().empty());
  ASSERT_EQ(sut.changes().size(), 2U);  // its IP address and its MAC
  EXPECT_EQ(sut.changes()[0].port, "a");
  EXPECT_EQ(sut.forwarded(), 5U);
}

TEST_F(Owners, AHandoverIsNoViolation) {
  forwarded("a");
  forwarded("b");
  forwarded("b", arp_request());
  EXPECT_TRUE(sut.violations().empty());
  EXPECT_EQ(sut.changes().back().before, "a");
}

TEST_F(Owners, TheOldPlaceForwardedAgainAfterTheNewOneIsAViolation) {
  forwarded("a");
  forwarded("b");
  forwarded("a", arp_request());
  ASSERT_FALSE(sut.violations().empty());
  EXPECT_EQ(sut.violations()[0].port, "a");
  EXPECT_EQ(sut.violations()[0].owner, "b");
}

TEST_F(Owners, FramesThatAnIsolatedPortHoldsBackDoNotCount) {
  forwarded("a");
  forwarded("b");
  arrives("a");
  arrives("a", arp_request());
  EXPECT_TRUE(sut.violations().empty());
  EXPECT_EQ(sut.held_back(), 2U);
}

TEST_F(Owners, EqualFramesOfBothPlacesCountOnceForEachThatLeft) {
  forwarded("a");
  forwarded("b");
  arrives("b");
  arrives("a");  // isolated, the same bytes, and later: the frame that leaves is still b's
  leaves("srv");
  EXPECT_TRUE(sut.violations().empty());
  leaves("srv");  // a second one left: a's
  EXPECT_FALSE(sut.violations().empty());
}

TEST_F(Owners, AnotherMacThatClaimsTheAddressIsSeenToo) {
  auto other = gratuitous_arp();
  other[11] = other[27] = 9;  // 02:e0:00:00:00:09 says the address is its own
  forwarded("a");
  forwarded("b", other);
  forwarded("a");
  ASSERT_FALSE(sut.violations().empty());
  EXPECT_EQ(sut.violations()[0].address, "10.23.4.122");
}

TEST_F(Owners, SegmentsAreApart) {
  forwarded("a");
  sut.arrived(++time_ns, "int2", "c", hash_of(gratuitous_arp()), read_frame(gratuitous_arp()));
  sut.left(++time_ns, "int2", "d", hash_of(gratuitous_arp()));
  forwarded("a");
  EXPECT_TRUE(sut.violations().empty());
}

TEST_F(Owners, AnOldArrivalIsNotMatched) {
  arrives("a");
  time_ns += 2 * OwnerWatch::window_ns;
  arrives("b", arp_request());
  leaves("srv");
  EXPECT_TRUE(sut.changes().empty());
}

}  // namespace
}  // namespace lab
