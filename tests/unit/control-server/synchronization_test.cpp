// SPDX-License-Identifier: Apache-2.0
/// The synchronization unit: every state met with every event, against the table; then what it tells and orders.
/// Covers: control-server/core/synchronization_unit.cpp
#include "core/synchronization_unit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>

namespace understudy::control {
namespace {

using namespace std::chrono_literals;
using link::MirrorPhase;
using link::SyncStream;

const RoleId kRole{"role-1"};
constexpr Term kTerm{3};

/// One role's unit, and what the others say.
class Bench {
 public:
  Timings timings;
  SyncSurroundings around{timings, Instant{1h}, kTerm, BladeId{"blade-1"}, BladeId{"blade-3"}};
  SynchronizationUnit unit;
  SyncWord word;
  std::vector<std::string> alarms;
  std::vector<std::string> lags;
  unsigned orders = 0;

  Bench() {
    around.standby_connected = true;
    around.served = true;
  }
  void judge() {
    word = unit.judge(around);
    if (word.alarm_over) { around.alarmed = false; }
    if (word.alarm) {
      around.alarmed = true;
      alarms.push_back(*word.alarm);
    }
    if (word.lag) { lags.push_back(*word.lag); }
    orders += word.order ? 1U : 0U;
  }
  void mirror(MirrorPhase phase, const std::string& nonce = "boot-1", Term term = kTerm) {
    unit.mirror_said({kRole, term, phase, nonce, "", false});
    judge();
  }
  void active(SyncStream stream, std::uint64_t committed, std::uint64_t acknowledged, Term term = kTerm) {
    unit.active_said(around.now, {kRole, term, stream, {{"net", Sequence{committed}, Sequence{acknowledged}}}});
    judge();
  }
  void pass(Duration time) {
    const Instant end = around.now + time;
    for (int i = 0; i < 1000; ++i) {
      const auto next = unit.next_deadline();
      if (!next || *next > end) { break; }
      EXPECT_GT(*next, around.now) << "it would spin";
      around.now = *next;
      judge();
    }
    around.now = end;
    judge();
  }
};

void bring(Bench& bench, Protection state) {
  if (state != Protection::Exposed) { bench.mirror(MirrorPhase::Synced); }
  if (state == Protection::Doubted) { bench.mirror(MirrorPhase::Connected); }
  ASSERT_EQ(bench.unit.protection(), state);
}

struct Row {
  const char* event;
  std::function<void(Bench&)> act;
  std::array<const char*, 3> after;  ///< of exposed, protected, doubted
};

std::vector<Row> table() {
  const auto says = [](MirrorPhase phase) { return [phase](Bench& bench) { bench.mirror(phase); }; };
  return {
      {"the mirror: synced", says(MirrorPhase::Synced), {"protected", "protected", "protected"}},
      {"the mirror: synced under a former term",
       [](Bench& bench) { bench.mirror(MirrorPhase::Synced, "boot-1", Term{2}); },
       {"exposed", "doubted", "doubted"}},
      {"the mirror: its stream is gone", says(MirrorPhase::Connected), {"exposed", "doubted", "doubted"}},
      {"the mirror: starting", says(MirrorPhase::Starting), {"exposed", "doubted", "doubted"}},
      {"the mirror: a new sync began", says(MirrorPhase::Syncing), {"exposed", "exposed", "exposed"}},
      {"the mirror: failed", says(MirrorPhase::Failed), {"exposed", "exposed", "exposed"}},
      {"the mirror: stopped", says(MirrorPhase::Stopped), {"exposed", "exposed", "exposed"}},
      {"its guest has restarted",
       [](Bench& bench) { bench.mirror(MirrorPhase::Connected, "boot-2"); },
       {"exposed", "exposed", "exposed"}},
      {"synced in another boot",
       [](Bench& bench) { bench.mirror(MirrorPhase::Synced, "boot-2"); },
       {"protected", "protected", "protected"}},
      {"the active: synced",
       [](Bench& bench) { bench.active(SyncStream::Synced, 9, 9); },
       {"exposed", "protected", "doubted"}},
      {"the active: synced, a little behind",
       [](Bench& bench) { bench.active(SyncStream::Synced, 9, 8); },
       {"exposed", "protected", "doubted"}},
      {"the active: nothing is acknowledged",
       [](Bench& bench) { bench.active(SyncStream::Stalled, 9, 8); },
       {"exposed", "doubted", "doubted"}},
      {"the active: nothing is acknowledged, for the grace",
       [](Bench& bench) {
         bench.active(SyncStream::Stalled, 9, 8);
         bench.pass(bench.timings.sync_grace);
       },
       {"exposed", "exposed", "exposed"}},
      {"the active under a former term: nothing is acknowledged",
       [](Bench& bench) { bench.active(SyncStream::Stalled, 9, 8, Term{2}); },
       {"exposed", "protected", "doubted"}},
      {"the active: nobody is connected",
       [](Bench& bench) { bench.active(SyncStream::None, 9, 9); },
       {"exposed", "protected", "doubted"}},
      {"the active: nobody is connected, and the mirror does not come back at once",
       [](Bench& bench) {
         bench.active(SyncStream::None, 9, 9);
         bench.pass(bench.timings.stream_back);
       },
       {"exposed", "doubted", "doubted"}},
      {"the active: nobody is connected, and then somebody is",
       [](Bench& bench) {
         bench.active(SyncStream::None, 9, 9);
         bench.pass(bench.timings.stream_back - 1ms);
         bench.active(SyncStream::Syncing, 9, 9);
         bench.pass(1s);
       },
       {"exposed", "protected", "doubted"}},
      {"the standby's host-agent is lost",
       [](Bench& bench) {
         bench.unit.out_of_sight();
         bench.around.standby_connected = false;
         bench.judge();
       },
       {"exposed", "doubted", "doubted"}},
      {"the standby's host-agent says Hello",
       [](Bench& bench) {
         bench.unit.hello(true);
         bench.judge();
       },
       {"exposed", "doubted", "doubted"}},
      {"the standby is silent",
       [](Bench& bench) {
         bench.around.standby_silent = true;
         bench.around.standby_spoke = bench.around.now - 150ms;
         bench.judge();
       },
       {"exposed", "protected", "doubted"}},
      {"the standby is gone",
       [](Bench& bench) {
         bench.unit.out_of_sight();
         bench.around.standby_connected = false;
         bench.around.standby_gone_from = bench.around.now;
         bench.judge();
       },
       {"exposed", "exposed", "exposed"}},
      {"the standby may be gone in a second",
       [](Bench& bench) {
         bench.unit.out_of_sight();
         bench.around.standby_connected = false;
         bench.around.standby_gone_from = bench.around.now + 1s;
         bench.judge();
       },
       {"exposed", "doubted", "doubted"}},
      {"a second later it is",
       [](Bench& bench) {
         bench.unit.out_of_sight();
         bench.around.standby_connected = false;
         bench.around.standby_gone_from = bench.around.now + 1s;
         bench.judge();
         bench.pass(1s);
       },
       {"exposed", "exposed", "exposed"}},
      {"the mirror is released",
       [](Bench& bench) {
         bench.unit.released();
         bench.judge();
         bench.pass(bench.timings.sync_grace);
       },
       {"exposed", "exposed", "exposed"}},
      {"the grace passes",
       [](Bench& bench) { bench.pass(bench.timings.sync_grace); },
       {"exposed", "protected", "exposed"}},
      {"the grace passes while the observers have not decided about the active",
       [](Bench& bench) {
         bench.around.verdict_until = bench.around.now + bench.timings.sync_grace + 1s;
         bench.pass(bench.timings.sync_grace);
       },
       {"exposed", "protected", "doubted"}},
      {"and a second more, when they must have",
       [](Bench& bench) {
         bench.around.verdict_until = bench.around.now + bench.timings.sync_grace + 1s;
         bench.pass(bench.timings.sync_grace + 1s);
       },
       {"exposed", "protected", "exposed"}},
      {"the role is elsewhere", [](Bench& bench) { bench.unit.rest(); }, {"exposed", "exposed", "exposed"}},
      {"the role is decided otherwise", [](Bench& bench) { bench.unit.give_up(); }, {"exposed", "exposed", "exposed"}},
      {"a switchover is called off",
       [](Bench& bench) { bench.unit.resume(bench.around); },
       {"exposed", "doubted", "doubted"}},
  };
}

TEST(SynchronizationUnit, EveryStateMeetsEveryEventAsTheTableSays) {
  constexpr std::array kStates{Protection::Exposed, Protection::Protected, Protection::Doubted};
  for (const auto& row : table()) {
    for (std::size_t i = 0; i < kStates.size(); ++i) {
      Bench bench;
      bring(bench, kStates[i]);
      row.act(bench);
      EXPECT_STREQ(to_string(bench.unit.protection()), row.after[i]) << to_string(kStates[i]) << ": " << row.event;
      EXPECT_EQ(bench.unit.is_protected(), std::string(row.after[i]) != "exposed");
      const auto next = bench.unit.next_deadline();
      EXPECT_TRUE(!next || *next > bench.around.now) << row.event << ": a deadline that nobody waits for";
    }
  }
}

/// The network was away; the active's host-agent has not found the control-server again, and never will.
TEST(SynchronizationUnit, ASyncThatIsCompletedOutdatesWhatTheActiveSaidBefore) {
  Bench bench;
  bring(bench, Protection::Protected);
  bench.active(SyncStream::Stalled, 9, 8);
  bench.mirror(MirrorPhase::Connected);
  bench.pass(bench.timings.sync_grace);
  bench.mirror(MirrorPhase::Syncing);
  ASSERT_EQ(bench.unit.protection(), Protection::Exposed);
  bench.mirror(MirrorPhase::Synced);
  EXPECT_EQ(bench.unit.protection(), Protection::Protected);
  EXPECT_TRUE(bench.word.lag_over);
  bench.active(SyncStream::Stalled, 12, 9);
  EXPECT_EQ(bench.unit.protection(), Protection::Doubted) << "what it says after that counts";
}

TEST(SynchronizationUnit, AMirrorThatSaysSyncedAfterAHelloMayHaveSaidSoForLong) {
  Bench bench;
  bring(bench, Protection::Protected);
  bench.active(SyncStream::Stalled, 9, 8);
  bench.pass(bench.timings.sync_grace);
  ASSERT_EQ(bench.unit.protection(), Protection::Exposed);
  bench.unit.hello(true);
  bench.mirror(MirrorPhase::Synced);
  EXPECT_EQ(bench.unit.protection(), Protection::Exposed);
}

TEST(SynchronizationUnit, ASyncThatStopsIsAnAlarmWithinASecondOfTheMirrorsWord) {
  Bench bench;
  bring(bench, Protection::Doubted);
  bench.pass(999ms);
  EXPECT_TRUE(bench.alarms.empty()) << "a stream that comes back at once";
  bench.pass(1ms);
  ASSERT_EQ(bench.alarms.size(), 1U);
  bench.mirror(MirrorPhase::Synced);
  EXPECT_TRUE(bench.word.alarm_over);
}

TEST(SynchronizationUnit, AMirrorThatAcknowledgesNothingIsAnAlarmAtTheActivesWord) {
  Bench bench;
  bring(bench, Protection::Protected);
  bench.active(SyncStream::Synced, 1180, 1180);
  bench.active(SyncStream::Stalled, 1204, 1180);
  ASSERT_EQ(bench.lags.size(), 1U);
  for (const auto* words : {"blade-3", "blade-1", "\"net\"", "1204", "1180", "look at"}) {
    EXPECT_NE(bench.lags[0].find(words), std::string::npos) << bench.lags[0];
  }
  bench.pass(1s);
  bench.active(SyncStream::Stalled, 1300, 1180);
  EXPECT_EQ(bench.lags.size(), 1U) << "told once";
  bench.active(SyncStream::Synced, 1300, 1300);
  EXPECT_TRUE(bench.word.lag_over);
  EXPECT_EQ(bench.unit.protection(), Protection::Protected);
  EXPECT_TRUE(bench.alarms.empty());
}

/// Its guest is frozen: the active has waited for 0.8 s before it gave the connection up.
TEST(SynchronizationUnit, AMirrorThatIsGoneForItsActiveAndSaysSyncedIsAnAlarmWithinASecond) {
  Bench bench;
  bring(bench, Protection::Protected);
  bench.active(SyncStream::Synced, 9, 9);
  bench.active(SyncStream::None, 12, 9);
  EXPECT_TRUE(bench.lags.empty());
  bench.pass(200ms);
  ASSERT_EQ(bench.lags.size(), 1U);
  bench.pass(bench.timings.sync_grace);
  EXPECT_FALSE(bench.unit.is_protected());
  EXPECT_EQ(bench.alarms.size(), 1U);
}

/// One that has lost its stream and says so is told once, and not for a stream that comes back at once.
TEST(SynchronizationUnit, AMirrorThatSaysThatItsStreamIsGoneIsToldByItsOwnWord) {
  Bench bench;
  bring(bench, Protection::Protected);
  bench.mirror(MirrorPhase::Connected);
  bench.active(SyncStream::None, 12, 9);
  bench.pass(999ms);
  EXPECT_TRUE(bench.lags.empty() && bench.alarms.empty());
  bench.pass(1ms);
  ASSERT_EQ(bench.alarms.size(), 1U);
  EXPECT_NE(bench.alarms[0].find("blade-1 has committed up to 12, acknowledged is 9"), std::string::npos)
      << bench.alarms[0];
  EXPECT_TRUE(bench.lags.empty());
}

/// Its guest is frozen, and what it said last stays said.
TEST(SynchronizationUnit, AMirrorThatSaysSyncedAndAcknowledgesNothingProtectsNobodyAfterTheGrace) {
  Bench bench;
  bring(bench, Protection::Protected);
  bench.active(SyncStream::Stalled, 9, 8);
  bench.pass(bench.timings.sync_grace - 1ms);
  EXPECT_TRUE(bench.unit.is_protected());
  bench.pass(1ms);
  EXPECT_FALSE(bench.unit.is_protected());
  ASSERT_EQ(bench.alarms.size(), 1U);
  EXPECT_EQ(bench.alarms[0], "the mirror acknowledges nothing any more");
  bench.pass(1h);
  EXPECT_FALSE(bench.unit.is_protected());
  bench.active(SyncStream::Synced, 9, 9);
  EXPECT_TRUE(bench.unit.is_protected());
}

/// Each sample of a busy store finds something under way: that is no lag.
TEST(SynchronizationUnit, AMirrorThatIsBehindAndMovesIsNoAlarm) {
  Bench bench;
  bring(bench, Protection::Protected);
  for (std::uint64_t i = 1; i < 20; ++i) {
    bench.active(SyncStream::Synced, 1000 * i, 1000 * i - 3);
    bench.pass(1s);
  }
  EXPECT_TRUE(bench.lags.empty() && bench.alarms.empty());
  EXPECT_EQ(bench.unit.protection(), Protection::Protected);
}

/// It acknowledges nothing new before its copy is whole.
TEST(SynchronizationUnit, ACopyThatIsBeingBroughtUpIsNoLag) {
  Bench bench;
  bench.mirror(MirrorPhase::Syncing);
  for (std::uint64_t i = 1; i < 20; ++i) {
    bench.active(SyncStream::Syncing, 1000 * i, 0);
    bench.pass(1s);
  }
  EXPECT_TRUE(bench.lags.empty());
}

TEST(SynchronizationUnit, WhatIsAcknowledgedIsToldByStoreAndForHowLongItIsBehind) {
  Bench bench;
  EXPECT_TRUE(bench.unit.status(BladeId{"blade-3"}, kTerm).stream.empty()) << "nothing was said yet";
  bench.active(SyncStream::Synced, 9, 9);
  auto status = bench.unit.status(BladeId{"blade-3"}, kTerm);
  EXPECT_EQ(status.stream, "synced");
  EXPECT_EQ(status.standby, BladeId{"blade-3"});
  EXPECT_EQ(status.stores, (std::vector<link::StoreProgress>{{"net", Sequence{9}, Sequence{9}}}));
  EXPECT_EQ(status.behind_ms, 0U);
  bench.active(SyncStream::Stalled, 12, 9);
  bench.around.now = bench.around.now + 2500ms;
  bench.active(SyncStream::Stalled, 15, 9);
  EXPECT_EQ(bench.unit.status(BladeId{"blade-3"}, kTerm).behind_ms, 2500U);
  EXPECT_TRUE(bench.unit.status(BladeId{"blade-3"}, Term{4}).stores.empty()) << "of another term nothing is known";
}

TEST(SynchronizationUnit, OrdersAResyncOfAMirrorThatFailed) {
  Bench bench;
  bench.mirror(MirrorPhase::Failed);
  bench.pass(3 * bench.timings.mirror_retry);
  EXPECT_GE(bench.orders, 1U);
  const auto orders = bench.orders;
  bench.around.standby_free = false;
  bench.pass(3 * bench.timings.mirror_retry);
  EXPECT_EQ(bench.orders, orders) << "its blade has become an active";
}

TEST(SynchronizationUnit, OrdersAMirrorOfAFormerTermToFollowTheServedOne) {
  Bench bench;
  bench.mirror(MirrorPhase::Synced, "boot-1", Term{2});
  bench.around.served = false;
  bench.pass(3 * bench.timings.mirror_retry);
  EXPECT_EQ(bench.orders, 0U) << "until then its copy is all there is";
  bench.around.served = true;
  bench.judge();
  bench.pass(2 * bench.timings.mirror_retry);
  EXPECT_GE(bench.orders, 1U);
}

TEST(SynchronizationUnit, OrdersAMirrorWhoseStreamDoesNotComeBack) {
  Bench bench;
  bench.mirror(MirrorPhase::Connected);
  bench.pass(3 * bench.timings.mirror_retry);
  EXPECT_EQ(bench.orders, 0U) << "the active has not said that nobody is connected";
  bench.active(SyncStream::None, 9, 9);
  bench.pass(2 * bench.timings.mirror_retry);
  EXPECT_GE(bench.orders, 1U);
  const auto orders = bench.orders;
  bench.active(SyncStream::Syncing, 9, 0);
  bench.pass(3 * bench.timings.mirror_retry);
  EXPECT_EQ(bench.orders, orders);
}

}  // namespace
}  // namespace understudy::control
