// SPDX-License-Identifier: Apache-2.0
#include "edge/hold_out_record.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "edge/store.hpp"
#include "full_disk.hpp"

namespace understudy::control {
namespace {

using namespace std::chrono_literals;

TEST(HoldOutRecord, ComesBackOlderByWhatHasPassed) {
  const HoldOutAges ages{{90s, 60s, 1s}, 1s};
  const auto text = hold_out_record(ages, 1'000'000'000'000);
  const auto back = read_hold_out_record(text, 1'005'000'000'000);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value(), (HoldOutAges{{95s, 65s, 6s}, 6s}));
  EXPECT_EQ(read_hold_out_record(hold_out_record({}, 5), 5).value(), HoldOutAges{});
}

TEST(HoldOutRecord, AnythingElseIsRefused) {
  for (const auto* text : {"", "x", "- x", "-5", "1 2 3x", "99999999999999999999"}) {
    EXPECT_FALSE(read_hold_out_record(text, 0).ok()) << text;
  }
}

TEST(HoldOutRecord, OneThatIsWrittenByAClockAtTheBeginningOfTimeIsReadAgain) {
  const HoldOutAges ages{{30min, 20min, 10min}, 10min};
  const auto text = hold_out_record(ages, 5'000'000'000);  // its battery is empty, and it has run for longer than that
  const auto back = read_hold_out_record(text, 6'000'000'000);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value(), (HoldOutAges{{6s, 6s, 6s}, 6s}));
}

TEST(HoldOutRecord, TheStoreKeepsTheLastOne) {
  const auto path = std::filesystem::temp_directory_path() / ("hold-out-" + std::to_string(getpid()) + ".db");
  {
    auto store = Store::open(path.string());
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_TRUE(store.value()->kept(kHoldOutKey).value().empty());
    EXPECT_TRUE(store.value()->keep(kHoldOutKey + "blade-4", "- 1").ok());
    EXPECT_TRUE(store.value()->keep(kHoldOutKey + "blade-4", "7 1 7").ok());
    EXPECT_TRUE(store.value()->keep("other/blade-4", "no").ok());
  }
  auto store = Store::open(path.string());
  ASSERT_TRUE(store.ok()) << store.error().message;
  const auto kept = store.value()->kept(kHoldOutKey).value();
  EXPECT_EQ(kept, (std::map<std::string, std::string>{{"blade-4", "7 1 7"}}));
  for (const auto* suffix : {"", ".lock", "-wal", "-shm"}) { std::filesystem::remove(path.string() + suffix); }
}

TEST(HoldOutRecord, AStoreThatCannotBeReadIsNoEmptyOne) {
  FullDisk disk;
  disk.values = {{"blade-4", "- 1"}, {"blade-5", "nonsense"}};
  const auto found = read_hold_outs(disk, 2);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->size(), 1U) << "a record that makes no sense is told, and the rest counts";
  disk.unreadable = true;
  EXPECT_FALSE(read_hold_outs(disk, 2).ok()) << "blades that were held out would be forgotten";
}

TEST(HoldOutRecord, WhoDecidesDoesSoWithoutThoseThatCannotBeReadAndNotWithoutAStore) {
  FullDisk disk;
  disk.values = {{"blade-4", "- 1"}};
  disk.bad_reads = 1;
  const auto second = hold_outs_to_begin(disk, 2);
  ASSERT_TRUE(second.ok()) << "it was read the second time";
  EXPECT_EQ(second->ages.size(), 1U);
  EXPECT_EQ(second->problem, "");
  disk.unreadable = true;
  const auto without = hold_outs_to_begin(disk, 2);
  ASSERT_TRUE(without.ok()) << "nobody would decide";
  EXPECT_TRUE(without->ages.empty());
  EXPECT_EQ(without->problem, "disk I/O error");
  disk.silent = true;
  EXPECT_FALSE(hold_outs_to_begin(disk, 2).ok()) << "it does not answer for anything";
}

}  // namespace
}  // namespace understudy::control
