// SPDX-License-Identifier: Apache-2.0
#include "edge/guest_pace.hpp"

#include <gtest/gtest.h>

namespace understudy::host {
namespace {

using namespace link::guest;
using std::chrono::milliseconds;

constexpr Instant start = Instant(std::chrono::seconds(100));

TEST(GuestPace, AnHonestGuestIsHeardAtOnce) {
  GuestPace pace;
  for (int n = 0; n < 1000; ++n) {
    const auto now = start + milliseconds(50 * n);
    EXPECT_TRUE(pace.heard(now, State{}).has_value());
    EXPECT_TRUE(pace.heard(now, PeerSeen{link::Vote::Up}).has_value());
    EXPECT_FALSE(pace.deadline().has_value());
  }
}

TEST(GuestPace, OfAFloodTheNewestWordOfEachKindIsHeardInTheNextWindow) {
  GuestPace pace;
  int heard = 0;
  for (int n = 0; n < 10'000; ++n) {
    heard += pace.heard(start, PeerSeen{n % 2 == 0 ? link::Vote::Up : link::Vote::Down}).has_value() ? 1 : 0;
    heard += pace.heard(start, Alarm{"flood"}).has_value() ? 1 : 0;
  }
  EXPECT_EQ(heard, GuestPace::budget);
  ASSERT_TRUE(pace.deadline().has_value());
  EXPECT_EQ(*pace.deadline(), start + GuestPace::window);
  EXPECT_TRUE(pace.due(start + milliseconds(999)).empty());
  const auto due = pace.due(start + GuestPace::window);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(std::get<PeerSeen>(due[0]).vote, link::Vote::Down);
  EXPECT_FALSE(pace.deadline().has_value());
}

TEST(GuestPace, NothingOvertakesWhatWaits) {
  GuestPace pace;
  for (int n = 0; n <= GuestPace::budget; ++n) { (void)pace.heard(start, PeerSeen{link::Vote::Up}); }
  EXPECT_FALSE(pace.heard(start + GuestPace::window, PeerSeen{link::Vote::Down}).has_value())
      << "the timer has not fired yet, and the older word still waits";
  const auto due = pace.due(start + 2 * GuestPace::window);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(std::get<PeerSeen>(due[0]).vote, link::Vote::Down);
}

TEST(GuestPace, AnswersToOrdersNeverWait) {
  GuestPace pace;
  for (int n = 0; n < 1000; ++n) { (void)pace.heard(start, State{}); }
  EXPECT_TRUE(pace.heard(start, Quiesced{}).has_value());
  EXPECT_TRUE(pace.heard(start, Ready{}).has_value());
}

}  // namespace
}  // namespace understudy::host
