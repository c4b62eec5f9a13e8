// SPDX-License-Identifier: Apache-2.0
/// Covers: control-server/edge/state_store.cpp
#include "edge/store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>

#include "support/eventually.hpp"

namespace understudy::control {
namespace {

class StoreTest : public testing::Test {
 protected:
  StoreTest() : folder_(testing::TempDir() + "store_test_" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~StoreTest() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<Store> open() {
    auto store = Store::open(path());
    EXPECT_TRUE(store.ok()) << store.error().message;
    return std::move(store).value();
  }
  [[nodiscard]] std::string path() const { return folder_ + "/control.db"; }
  static Ownership owned(std::uint64_t term, std::uint64_t reserved = 0) {
    return {RoleId{"role-1"},
            Term{term},
            {BladeId{"blade-" + std::to_string(term)}, PlaceKind::Mirror},
            link::StopEvidence::Isolated,
            Term{reserved}};
  }
  /// A number that a child of fork() counts up and this process reads.
  static std::unique_ptr<std::atomic<std::uint64_t>, void (*)(std::atomic<std::uint64_t>*)> shared_counter() {
    using Counter = std::atomic<std::uint64_t>;
    void* page = mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return {page == MAP_FAILED ? nullptr : new (page) Counter(0),
            [](Counter* counter) { munmap(counter, sizeof(Counter)); }};
  }
  std::string folder_;
};

TEST_F(StoreTest, WhichRolesWereProtectedIsKeptToTheLastWord) {
  const RoleId one{"role-1"};
  const RoleId two{"role-2"};
  {
    const auto store = open();
    EXPECT_TRUE(store->protected_roles().value().empty());
    ASSERT_TRUE(store->set_protected(one, true));
    ASSERT_TRUE(store->set_protected(two, true));
    ASSERT_TRUE(store->set_protected(one, false));
  }
  EXPECT_EQ(open()->protected_roles().value(), std::set<RoleId>{two});
}

TEST_F(StoreTest, WhatWasStoredIsThereAfterAReopenUnderTheSameIdentity) {
  std::string id;
  {
    auto store = open();
    id = store->state_id();
    EXPECT_EQ(id.size(), 32U);
    EXPECT_TRUE(store->ownerships().value().empty());
    EXPECT_TRUE(store->compare_and_set(Term{0}, Term{0}, owned(1)).ok());
    EXPECT_TRUE(store->compare_and_set(Term{1}, Term{0}, owned(2)).ok());
  }
  auto store = open();
  EXPECT_EQ(store->state_id(), id);
  EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{owned(2)});
}

TEST_F(StoreTest, TheComparisonDecides) {
  auto store = open();
  ASSERT_TRUE(store->compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  const auto refused = store->compare_and_set(Term{0}, Term{0}, owned(2));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::Refused);
  EXPECT_NE(refused.error().message.find("role-1 is stored under term 1"), std::string::npos);
  EXPECT_FALSE(store->compare_and_set(Term{2}, Term{0}, owned(3)).ok());
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{5}, owned(2)).ok());
  EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{owned(1)}) << "nothing was changed";
}

TEST_F(StoreTest, AReservationIsPartOfTheComparisonAndNoNumberIsTakenBack) {
  auto store = open();
  ASSERT_TRUE(store->compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  ASSERT_TRUE(store->compare_and_set(Term{1}, Term{0}, owned(1, 2)).ok());
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{0}, owned(1, 3)).ok()) << "somebody reserved meanwhile";
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{2}, owned(1, 2)).ok()) << "nothing grows";
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{2}, owned(1, 0)).ok()) << "2 was promised";
  EXPECT_TRUE(store->compare_and_set(Term{1}, Term{2}, owned(1, 3)).ok());
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{3}, owned(2, 0)).ok()) << "3 was promised";
  EXPECT_TRUE(store->compare_and_set(Term{1}, Term{3}, owned(2, 3)).ok()) << "an older try succeeded, 3 stays used";
  EXPECT_TRUE(store->compare_and_set(Term{2}, Term{3}, owned(4)).ok());
}

TEST_F(StoreTest, ALeaseComesAndGoesUnderTheSameTermAndNothingElseDoes) {
  auto store = open();
  auto leased = owned(1);
  leased.leased = true;
  EXPECT_FALSE(store->compare_and_set(Term{0}, Term{0}, {RoleId{"role-1"}, {}, {}, {}, {}, true}).ok())
      << "nobody owns it";
  ASSERT_TRUE(store->compare_and_set(Term{0}, Term{0}, owned(1)).ok());
  ASSERT_TRUE(store->compare_and_set(Term{1}, Term{0}, leased).ok());
  EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{leased});
  auto elsewhere = owned(1);
  elsewhere.place.blade = BladeId{"blade-9"};
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{0}, elsewhere).ok()) << "another place under the same term";
  auto otherwise = owned(1);
  otherwise.evidence = link::StopEvidence::StoodDown;
  EXPECT_FALSE(store->compare_and_set(Term{1}, Term{0}, otherwise).ok());
  store.reset();
  store = open();
  EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{leased}) << "after a reopen";
  ASSERT_TRUE(store->compare_and_set(Term{1}, Term{0}, owned(1)).ok()) << "exposed";
  EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{owned(1)});
  auto ran_out = owned(2);
  ran_out.evidence = link::StopEvidence::LeaseRanOut;
  ASSERT_TRUE(store->compare_and_set(Term{1}, Term{0}, ran_out).ok());
  EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{ran_out});
}

TEST_F(StoreTest, OneOfVersion1KeepsWhatItHoldsAndIsLeasedNowhere) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database,
                         "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
                         "CREATE TABLE ownership (role TEXT PRIMARY KEY, term INTEGER NOT NULL, blade TEXT NOT NULL, "
                         "kind INTEGER NOT NULL, evidence INTEGER NOT NULL, reserved INTEGER NOT NULL, "
                         "changed_ns INTEGER NOT NULL) WITHOUT ROWID;"
                         "CREATE TABLE event (id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, "
                         "severity INTEGER NOT NULL, kind TEXT NOT NULL, role TEXT NOT NULL, blade TEXT NOT NULL, "
                         "phase TEXT NOT NULL, ms REAL NOT NULL, text TEXT NOT NULL);"
                         "INSERT INTO meta VALUES ('state_id', 'the-old-one');"
                         "INSERT INTO ownership VALUES ('role-1', 3, 'blade-3', 1, 2, 7, 1);"
                         "PRAGMA user_version=1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  for (int opening = 0; opening < 2; ++opening) {
    auto store = open();
    EXPECT_EQ(store->state_id(), "the-old-one");
    EXPECT_EQ(store->ownerships().value(), std::vector<Ownership>{owned(3, 7)});
  }
  auto leased = owned(3, 7);
  leased.leased = true;
  ASSERT_TRUE(open()->compare_and_set(Term{3}, Term{7}, leased).ok());
  EXPECT_EQ(open()->ownerships().value(), std::vector<Ownership>{leased});
}

TEST_F(StoreTest, OneProcessHasItAtATime) {
  auto store = open();
  const auto second = Store::open(path());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::Refused);
  EXPECT_NE(second.error().message.find("belongs to a running control-server"), std::string::npos);
  store.reset();
  EXPECT_TRUE(Store::open(path()).ok());
}

TEST_F(StoreTest, OpeningWaitsForOneWhoLooksIntoTheFile) {
  { (void)open(); }
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open_v2(path().c_str(), &other, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE", nullptr, nullptr, nullptr),
            SQLITE_OK);
  auto opening = std::async(std::launch::async, [this] { return Store::open(path()); });
  EXPECT_EQ(opening.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  sqlite3_close(other);
  const auto store = opening.get();
  EXPECT_TRUE(store.ok()) << store.error().message;
}

TEST_F(StoreTest, OpeningWaitsForALockThatAKilledPredecessorsChildHolds) {
  { (void)open(); }
  const int child = ::open((path() + ".lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(child, LOCK_EX | LOCK_NB), 0);
  auto opening = std::async(std::launch::async, [this] { return Store::open(path()); });
  EXPECT_EQ(opening.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  close(child);
  const auto store = opening.get();
  EXPECT_TRUE(store.ok()) << store.error().message;
}

TEST_F(StoreTest, EventsKeepTheirOrderAndNumbers) {
  {
    auto store = open();
    EXPECT_EQ(store->last_event_id().value(), 0U);
    std::vector<link::EventRecord> events;
    for (std::uint64_t id = 1; id <= 500; ++id) {
      events.push_back({id, 1'700'000'000'000'000'000, link::Severity::Alarm, "phase", RoleId{"role-1"},
                        BladeId{"blade-1"}, "isolate", 1.25, "text 'quoted'"});
    }
    ASSERT_TRUE(store->append(events).ok());
    EXPECT_FALSE(store->append(events).ok()) << "an id is used once";
    EXPECT_EQ(store->last_event_id().value(), 500U);
  }
  auto store = open();
  EXPECT_EQ(store->last_event_id().value(), 500U);
  const auto some = store->events_after(490, 5).value();
  ASSERT_EQ(some.size(), 5U);
  EXPECT_EQ(some[0].id, 491U);
  EXPECT_EQ(some[0].text, "text 'quoted'");
  EXPECT_EQ(some[0].ms, 1.25);
  EXPECT_TRUE(store->events_after(500, 5).value().empty());
}

TEST_F(StoreTest, EventsStandInTheOrderInWhichTheyHappenedWhateverTheClockSays) {
  auto store = open();
  const std::int64_t times[] = {1'700'000'000'000'000'000, 5, 1'800'000'000'000'000'000, 1'600'000'000'000'000'000};
  for (std::uint64_t id = 1; id <= 4; ++id) {
    ASSERT_TRUE(
        store->append({{id, times[id - 1], link::Severity::Info, "vote", RoleId{}, BladeId{}, "", 0, ""}}).ok());
  }
  const auto all = store->events_after(0, 10).value();
  ASSERT_EQ(all.size(), 4U);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(all[id - 1].id, id);
    EXPECT_EQ(all[id - 1].time_ns, times[id - 1]) << "as the clock said";
  }
  EXPECT_EQ(store->events_after(2, 10)->size(), 2U);
}

TEST_F(StoreTest, AKilledWriterLeavesWholeTransactionsBehind) {
  (void)open();
  const auto written = shared_counter();
  ASSERT_NE(written, nullptr);
  for (unsigned round = 0; round < 5; ++round) {
    const auto enough = written->load() + 3 + 2 * round;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = Store::open(path());
      if (!store) { _exit(1); }
      const auto stored = store.value()->ownerships().value();
      for (std::uint64_t term = stored.empty() ? 0 : stored[0].term.value;; ++term) {
        if (store.value()->compare_and_set(Term{term}, Term{0}, owned(term + 1)).ok()) { ++*written; }
      }
    }
    EXPECT_TRUE(test::eventually([&] { return written->load() >= enough; })) << "the child writes";
    kill(child, SIGKILL);  // at whatever point of its next transaction it is
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const auto stored = open()->ownerships().value();
    ASSERT_EQ(stored.size(), 1U);
    EXPECT_EQ(stored[0], owned(stored[0].term.value)) << "term and place belong together";
    EXPECT_GE(stored[0].term.value, written->load()) << "what was answered is there";
  }
}

TEST_F(StoreTest, AFileThatIsNoStateStoreIsRefused) {
  std::ofstream(path()) << std::string(8192, 'x');
  const auto store = Store::open(path());
  ASSERT_FALSE(store.ok());
  EXPECT_NE(store.error().message.find(path()), std::string::npos);
  EXPECT_FALSE(Store::open("/nonexistent/control.db").ok());
}

}  // namespace
}  // namespace understudy::control
