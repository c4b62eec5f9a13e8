// SPDX-License-Identifier: Apache-2.0
/// Words that must be in the store, and a store that does not take them.
#include "edge/patient_writes.hpp"

#include <gtest/gtest.h>

#include "edge/watched_store.hpp"
#include "full_disk.hpp"
#include "support/run_until.hpp"

namespace understudy::control {
namespace {

using Values = std::map<std::string, std::string>;

PatientWrites::Write keep(const std::string& key, const std::string& value) {
  return [key, value](StateStore& store) { return store.keep(key, value); };
}

class PatientWritesTest : public testing::Test, protected test::Loop {
 protected:
  FullDisk disk_;
  PatientWrites sut_{io_};
};

TEST_F(PatientWritesTest, AWordThatWasRefusedIsWrittenWhenThereIsRoomAndTheNewestWins) {
  sut_.use(disk_);
  sut_.put("that blade-2 failed", keep("hold-out/blade-2", "- 1"));
  sut_.put("that blade-2 failed", keep("hold-out/blade-2", "2 1 2"));
  sut_.put("that blade-3 failed", keep("hold-out/blade-3", "- 3"));
  EXPECT_EQ(sut_.waiting(), 2U);
  EXPECT_TRUE(disk_.values.empty());
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return sut_.waiting() == 0; })) << "nobody has written it again";
  EXPECT_EQ(disk_.values, (Values{{"hold-out/blade-2", "2 1 2"}, {"hold-out/blade-3", "- 3"}}));
}

TEST_F(PatientWritesTest, OneWordAtATimeTellsWhetherTheStoreTakesAnything) {
  sut_.use(disk_);
  std::vector<std::string> tried;
  const std::vector<std::string> words{"a", "b", "c", "d"};
  for (const auto& word : words) {
    sut_.put(word, [&tried, word](StateStore& store) {
      tried.push_back(word);
      return word == "a" ? Status(failure("this one is never taken")) : store.keep(word, word);
    });
  }
  tried.clear();
  ASSERT_TRUE(run_until([&] { return !tried.empty(); }));
  EXPECT_EQ(tried.size(), 1U) << "each may wait as long as a locked store lets it";
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return sut_.waiting() == 1; })) << "the one that is never taken keeps the others waiting";
  EXPECT_EQ(disk_.values.size(), 3U);
}

TEST_F(PatientWritesTest, AnEmbeddedStoreHasItAtOnce) {
  disk_.full = false;
  sut_.use(disk_);
  sut_.put("policy", keep("policy", "manual"));
  EXPECT_EQ(disk_.values.at("policy"), "manual");
  EXPECT_EQ(sut_.waiting(), 0U);
}

TEST_F(PatientWritesTest, ASharedStoreIsWrittenBesideAndWhoLeadsNoMoreWritesNothing) {
  const auto shared = std::make_shared<FullDisk>();
  shared->full = false;
  Worker worker;
  sut_.use(shared, worker);
  sut_.put("policy", keep("policy", "manual"));
  ASSERT_TRUE(run_until([&] { return sut_.waiting() == 0; }));
  EXPECT_EQ(shared->values.at("policy"), "manual");
  sut_.stop();
  sut_.put("policy", keep("policy", "always"));
  std::atomic<bool> passed = false;
  worker.add([&] { passed = true; });
  ASSERT_TRUE(run_until([&] { return passed.load(); }));
  EXPECT_EQ(shared->values.at("policy"), "manual");
}

TEST(WatchedStoreTest, TellsOnceOfTheSlowestWriteForWhichEverybodyHasWaited) {
  auto made = std::make_unique<FullDisk>();
  auto& disk = *made;
  disk.full = false;
  Instant clock;
  Duration takes = std::chrono::milliseconds(100);
  WatchedStore sut(std::move(made), [&] { return clock = clock + takes; });
  EXPECT_TRUE(sut.probe(1).ok());
  EXPECT_FALSE(sut.take_slow().has_value());
  takes = std::chrono::seconds(8);
  EXPECT_TRUE(sut.append({}).ok());
  takes = std::chrono::seconds(3);
  disk.full = true;
  EXPECT_FALSE(sut.set_protected(RoleId{"role-1"}, true).ok());
  takes = std::chrono::milliseconds(100);
  EXPECT_FALSE(sut.compare_and_set({}, {}, {}).ok());
  EXPECT_EQ(sut.take_slow(), Duration(std::chrono::seconds(8)));
  EXPECT_FALSE(sut.take_slow().has_value()) << "once";
  takes = std::chrono::seconds(2);
  EXPECT_FALSE(sut.probe(2).ok());
  EXPECT_EQ(sut.take_slow(), Duration(std::chrono::seconds(2))) << "a write that has failed was waited for too";
}

TEST(WatchedStoreTest, RemembersWhyTheLastWriteWasNotTakenUntilOneIs) {
  auto made = std::make_unique<FullDisk>();
  auto& disk = *made;
  WatchedStore sut(std::move(made));
  EXPECT_EQ(sut.problem(), "");
  EXPECT_FALSE(sut.probe(1).ok());
  EXPECT_EQ(sut.problem(), "database or disk is full");
  disk.full = false;
  EXPECT_TRUE(sut.append({{}}).ok());
  EXPECT_EQ(sut.problem(), "");
  disk.conflict = true;
  EXPECT_FALSE(sut.compare_and_set({}, {}, {}).ok());
  EXPECT_EQ(sut.problem(), "") << "a conflict is an answer of a store that works";
  disk.full = true;
  disk.conflict = false;
  for (const auto& write : std::vector<std::function<Status()>>{
           [&] { return sut.append({{}}); }, [&] { return sut.set_protected(RoleId{"role-1"}, true); },
           [&] { return sut.compare_and_set({}, {}, {}); }, [&] { return sut.keep("k", "v"); }}) {
    disk.full = false;
    ASSERT_TRUE(sut.probe(1).ok());
    disk.full = true;
    EXPECT_FALSE(write().ok());
    EXPECT_NE(sut.problem(), "");
  }
}

}  // namespace
}  // namespace understudy::control
