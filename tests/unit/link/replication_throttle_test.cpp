// SPDX-License-Identifier: Apache-2.0
/// A writer that laps its sender again and again: bounded tries, then it waits for the mirror, and not for ever
/// (rule 23).
/// Covers: link/src/replication_mirror_throttle.cpp, link/src/replication_throttle.cpp
#include "replication_throttle.hpp"

#include <gmock/gmock.h>

#include <thread>

#include "replication_bench.hpp"
#include "support/eventually.hpp"

namespace understudy::link::replication {
namespace {

using testing::HasSubstr;
using AfterLap = WriterThrottle::AfterLap;
using Verdict = WriterThrottle::Verdict;

constexpr WriterThrottle::Limits limits{3, 60s, 5s};
const WriterThrottle::Time start{1h};

WriterThrottle begun() {
  WriterThrottle sut;
  while (sut.lapped(limits, start) == AfterLap::TryAgain) {}
  return sut;
}

TEST(WriterThrottleTest, BeginsAfterTriesInARow) {
  WriterThrottle sut;
  EXPECT_EQ(sut.lapped(limits, start), AfterLap::TryAgain);
  EXPECT_EQ(sut.lapped(limits, start), AfterLap::TryAgain);
  sut.caught_up();
  EXPECT_EQ(sut.lapped(limits, start), AfterLap::TryAgain) << "a mirror that was synced begins anew";
  EXPECT_EQ(sut.lapped(limits, start), AfterLap::TryAgain);
  EXPECT_EQ(sut.lapped(limits, start), AfterLap::Begin);
  EXPECT_TRUE(sut.on());
}

TEST(WriterThrottleTest, EndsWhenTheMirrorIsSyncedAndTheWriterHadNotToWaitForAWhile) {
  auto sut = begun();
  EXPECT_EQ(sut.look(limits, start + 10s, false, 1s), Verdict::GoOn);
  EXPECT_EQ(sut.look(limits, start + 20s, false, 1s), Verdict::GoOn) << "not synced";
  EXPECT_EQ(sut.look(limits, start + 21s, true, 2s), Verdict::GoOn);
  EXPECT_EQ(sut.look(limits, start + 25s, true, 2s), Verdict::GoOn);
  EXPECT_EQ(sut.look(limits, start + 26s, true, 2s), Verdict::Calm);
  EXPECT_FALSE(sut.on());
  EXPECT_EQ(sut.lapped(limits, start + 27s), AfterLap::TryAgain);
}

TEST(WriterThrottleTest, EndsAtItsLimitAndAfterAsManyLapsAllTheSame) {
  auto late = begun();
  EXPECT_EQ(late.look(limits, start + 59s, true, 59s), Verdict::GoOn);
  EXPECT_EQ(late.look(limits, start + 60s, true, 60s), Verdict::TimeUp);
  EXPECT_FALSE(late.on());
  auto in_vain = begun();
  EXPECT_EQ(in_vain.lapped(limits, start), AfterLap::TryAgain);
  EXPECT_EQ(in_vain.lapped(limits, start), AfterLap::TryAgain);
  EXPECT_EQ(in_vain.lapped(limits, start), AfterLap::LetMirrorGo);
  EXPECT_FALSE(in_vain.on());
}

TEST(WriterThrottleTest, OfAMirrorThatWasLostHasOneTryWhenItComesAgain) {
  auto sut = begun();
  sut.pause();
  EXPECT_FALSE(sut.on());
  EXPECT_EQ(sut.lapped(limits, start + 600s), AfterLap::Begin);
  EXPECT_EQ(sut.look(limits, start + 601s, false, 1s), Verdict::GoOn) << "its time begins anew";
}

/// Puts as fast as it can, into a ring of 64 KiB.
class Flood {
 public:
  explicit Flood(shm::StoreWriter writer)
      : writer_(std::move(writer)), thread_([this](const std::stop_token& stop) {
          for (std::uint64_t i = 0; !stop.stop_requested(); ++i) { put(writer_, i % 4000, i); }
        }) {}
  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) { thread_.join(); }
  }

 private:
  shm::StoreWriter writer_;
  std::jthread thread_;
};

class Throttling : public testing::Test {
 protected:
  Throttling() {
    pair.sender_options.on_throttle = [this](bool is_alarm, const std::string& what) {
      (is_alarm ? alarms : words).push_back(what);
    };
  }
  void start_both() {
    pair.start_sender();
    pair.start_receiver();
  }
  /// The mirror gets so many changes more without being lapped.
  bool follows(std::uint64_t changes) {
    const auto laps = pair.net_status().laps;
    const auto from = pair.mirror.store().committed().value;
    const auto done = [&] { return pair.mirror.store().committed().value >= from + changes; };
    return pair.run_until([&] { return done() || pair.net_status().laps != laps; }) && done();
  }

  std::vector<std::string> alarms;
  std::vector<std::string> words;
  Pair pair;
};

TEST_F(Throttling, AMirrorOfAWriterThatWouldLapForEverIsSynced) {
  Flood flood(pair.active.writer(1));
  start_both();
  ASSERT_TRUE(pair.run_until([&] { return pair.net_status().throttled; }));
  ASSERT_TRUE(pair.synced()) << pair.net_status().laps << " laps";
  EXPECT_EQ(pair.net_status().throttles, 1u);
  EXPECT_TRUE(follows(20'000)) << "more than 15 rings";
  EXPECT_GT(pair.net_status().writer_waited, 0ms);
  ASSERT_FALSE(alarms.empty());
  EXPECT_THAT(alarms[0], testing::AllOf(HasSubstr("\"net\" of role-1"), HasSubstr("5 times"), HasSubstr("now 64"),
                                        HasSubstr("journal_kib")));
  flood.stop();
  pair.expect_same();
}

TEST_F(Throttling, EndsWhenTheMirrorKeepsUp) {
  pair.sender_options.throttle_calm = 200ms;
  Flood flood(pair.active.writer(1));
  start_both();
  ASSERT_TRUE(pair.run_until([&] { return pair.net_status().throttled; }));
  ASSERT_TRUE(pair.synced());
  flood.stop();
  ASSERT_TRUE(pair.run_until([&] { return !words.empty(); }));
  EXPECT_THAT(words[0], HasSubstr("do not wait any more"));
  EXPECT_FALSE(pair.active.store().throttled());
  pair.expect_same();
}

TEST_F(Throttling, EndsAtItsLimitAndSaysThatTheRoleIsNotProtectedThen) {
  pair.sender_options.throttle_limit = 1s;
  Flood flood(pair.active.writer(1));
  start_both();
  ASSERT_TRUE(pair.run_until([&] { return alarms.size() >= 2; }));
  EXPECT_THAT(alarms[1], testing::AllOf(HasSubstr("all that is asked"), HasSubstr("not protected")));
  flood.stop();
  pair.expect_same();
}

TEST_F(Throttling, OfASenderThatStandsStillEndsByItself) {
  Flood flood(pair.active.writer(1));
  start_both();
  ASSERT_TRUE(pair.run_until([&] { return pair.net_status().throttled; }));
  ASSERT_TRUE(pair.synced());
  const auto store = pair.active.store();
  const auto from = store.committed().value;
  EXPECT_TRUE(test::eventually([&] { return store.committed().value >= from + 20'000; })) << "nobody runs the sender";
  flood.stop();
}

TEST_F(Throttling, EndsWithItsSenderAndWhatAFormerOneLeftIsTakenBack) {
  auto store = pair.active.store();
  ASSERT_TRUE(store.throttle_writer());
  pair.start_sender();
  EXPECT_FALSE(store.throttled());
  Flood flood(pair.active.writer(1));
  pair.start_receiver();
  ASSERT_TRUE(pair.run_until([&] { return pair.net_status().throttled; }));
  pair.sender->stop();
  EXPECT_FALSE(store.throttled());
  flood.stop();
}

TEST_F(Throttling, OfAWriterThatDoesNotWaitLetsTheMirrorGoAndSaysSo) {
  auto writer = pair.active.writer(1);
  writer.never_wait();
  Flood flood(std::move(writer));
  start_both();
  ASSERT_TRUE(pair.run_until([&] { return alarms.size() >= 2; }));
  EXPECT_THAT(alarms[1], HasSubstr("although its application was asked to wait"));
  EXPECT_FALSE(pair.active.store().throttled());
  flood.stop();
  pair.expect_same();
}

}  // namespace
}  // namespace understudy::link::replication
