// SPDX-License-Identifier: Apache-2.0
/// What a store tells in C, its journal, its writer, and the wait for its mirror.
/// Covers: shared-mem/src/c_api/store.cpp, shared-mem/src/c_api/writer.cpp, shared-mem/src/c_api/journal.cpp,
/// shared-mem/src/c_api/handles.cpp, shared-mem/src/app/commit_mirrored.cpp
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "understudy/app/commit_mirrored.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/understudy.h"

namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
namespace us = understudy;

constexpr std::uint64_t ms = 1'000'000;

class CStore : public ::testing::Test {
 protected:
  void make() {
    understudy_region* region = nullptr;
    ASSERT_EQ(understudy_region_create(path_.c_str(), 0, &schema_, 1, &region), UNDERSTUDY_OK)
        << understudy_last_error();
    ASSERT_EQ(understudy_store_open(region, "orders", &store_), UNDERSTUDY_OK);
    understudy_region_close(region);
    ASSERT_EQ(understudy_store_become_writer(store_, 7, &writer_), UNDERSTUDY_OK) << understudy_last_error();
  }
  void TearDown() override {
    understudy_writer_close(writer_);
    understudy_store_close(store_);
    std::filesystem::remove(path_);
  }
  std::uint64_t put(std::uint64_t key, std::uint64_t value) {
    std::uint64_t sequence = 0;
    EXPECT_EQ(understudy_writer_put(writer_, 0, &key, &value, &sequence), UNDERSTUDY_OK) << understudy_last_error();
    return sequence;
  }
  /// As the agent's sender does.
  void acknowledge(std::uint64_t sequence, bool is_protected = true) {
    EXPECT_TRUE(agents_.set_mirrored({is_protected, us::Sequence{sequence}}));
  }

  const std::string path_ = "/dev/shm/understudy-c-store-test-" + std::to_string(::getpid());
  const understudy_table_schema tables_[2] = {{"items", 8, 8, 100, UNDERSTUDY_TABLE_HASHED, 200},
                                              {"texts", 8, 100, 4, UNDERSTUDY_TABLE_BLOB, 0}};
  const understudy_store_schema schema_ = {"orders", tables_, 2, 65536, 0};
  understudy_store* store_ = nullptr;
  understudy_writer* writer_ = nullptr;
  us::shm::Store agents_ = [this] {
    make();
    return us::shm::Region::open(path_, us::shm::Access::ReadWrite).value().store("orders").value();
  }();
};

TEST_F(CStore, TellsItsSchema) {
  const auto* found = understudy_store_schema_of(store_);
  EXPECT_STREQ(found->name, "orders");
  ASSERT_EQ(found->table_count, 2U);
  EXPECT_STREQ(found->tables[0].name, "items");
  EXPECT_EQ(found->tables[0].capacity_max, 200U);
  EXPECT_EQ(found->tables[1].kind, UNDERSTUDY_TABLE_BLOB);
  EXPECT_EQ(found->journal_bytes, 65536U);
}

TEST_F(CStore, ATableOfOtherSizesThanTheProgramsIsNotTaken) {
  std::uint32_t table = 99;
  EXPECT_EQ(understudy_store_table_sized(store_, "items", 8, 4, &table), UNDERSTUDY_BAD_INPUT);
  EXPECT_THAT(understudy_last_error(),
              HasSubstr("has keys of 8 and values of 8 bytes, and this program was built for 8 "
                        "and 4"));
  EXPECT_EQ(understudy_store_table_sized(store_, "items", 4, 8, &table), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(understudy_store_table_sized(store_, "none", 8, 8, &table), UNDERSTUDY_NOT_FOUND);
  EXPECT_EQ(table, 99U);
  EXPECT_EQ(understudy_store_table_sized(store_, "texts", 8, 100, &table), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(table, 1U);
}

TEST_F(CStore, TellsWhoWroteItAndWhen) {
  EXPECT_EQ(understudy_store_epoch(store_), 1U);
  put(1, 1);
  put(2, 2);
  const std::uint64_t key = 1;
  ASSERT_EQ(understudy_writer_erase(writer_, 0, &key, nullptr), UNDERSTUDY_OK);
  EXPECT_EQ(understudy_store_purged_up_to(store_), 3U);
  EXPECT_EQ(understudy_writer_committed(writer_), 3U);
  EXPECT_EQ(understudy_store_can_become_writer(store_, 8), UNDERSTUDY_REFUSED) << "it has one";
  understudy_writer_close(writer_);
  EXPECT_EQ(understudy_store_can_become_writer(store_, 8), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(understudy_store_can_become_writer(store_, 6), UNDERSTUDY_REFUSED) << "a term of before";
  ASSERT_EQ(understudy_store_become_writer(store_, 8, &writer_), UNDERSTUDY_OK);
  put(3, 3);
  understudy_term_start starts[4] = {};
  ASSERT_EQ(understudy_store_history(store_, starts, 4), 2U);
  EXPECT_EQ(starts[0].term, 7U);
  EXPECT_EQ(starts[0].first, 1U);
  EXPECT_EQ(starts[1].term, 8U);
  EXPECT_EQ(starts[1].first, 4U);
  starts[1].term = 99;
  EXPECT_EQ(understudy_store_history(store_, starts, 1), 2U) << "how many there are";
  EXPECT_EQ(starts[1].term, 99U) << "no room, nothing written";
}

TEST_F(CStore, ManyBlobsAreReadWithOneCall) {
  const std::uint64_t keys[] = {1, 2, 3};
  ASSERT_EQ(understudy_writer_put_blob(writer_, 1, &keys[0], "one", 3, nullptr), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_writer_put_blob(writer_, 1, &keys[2], "", 0, nullptr), UNDERSTUDY_OK);
  char values[3 * 100] = {};
  std::uint32_t lengths[3] = {};
  ASSERT_EQ(understudy_store_get_blobs(store_, 1, 3, keys, values, lengths), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_THAT(lengths, ::testing::ElementsAre(3U, UNDERSTUDY_ABSENT, 0U));
  EXPECT_EQ(std::string(values, 3), "one");
  EXPECT_EQ(understudy_store_get_blobs(store_, 0, 3, keys, values, lengths), UNDERSTUDY_BAD_INPUT);
}

TEST_F(CStore, WhatBelongsTogetherIsReadTogether) {
  struct Pair {
    understudy_store* store;
    understudy_writer* writer;
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::uint64_t calls = 0;
    std::uint64_t changes = 0;  ///< so many of the calls meet one
    std::uint64_t value = 10;

    void change() {
      ++value;
      ASSERT_EQ(understudy_writer_begin(writer), UNDERSTUDY_OK);
      for (const auto key : {std::uint64_t{1}, std::uint64_t{2}}) {
        ASSERT_EQ(understudy_writer_put(writer, 0, &key, &value, nullptr), UNDERSTUDY_OK);
      }
      ASSERT_EQ(understudy_writer_commit(writer, nullptr), UNDERSTUDY_OK);
    }
    static understudy_status read(void* context) {
      auto& at = *static_cast<Pair*>(context);
      const std::uint64_t keys[] = {1, 2};
      const auto one = understudy_store_get(at.store, 0, &keys[0], &at.first);
      if (++at.calls <= at.changes) { at.change(); }
      const auto other = understudy_store_get(at.store, 0, &keys[1], &at.second);
      return one != UNDERSTUDY_OK ? one : other;
    }
  } pair{store_, writer_};
  EXPECT_EQ(understudy_store_read_together(store_, Pair::read, &pair, 5, nullptr), UNDERSTUDY_NOT_FOUND);
  EXPECT_EQ(pair.calls, 1U) << "it stood still";
  pair.change();
  pair.calls = 0;
  pair.changes = 2;
  std::uint64_t at = 0;
  EXPECT_EQ(understudy_store_read_together(store_, Pair::read, &pair, 5, &at), UNDERSTUDY_OK);
  EXPECT_EQ(pair.calls, 3U);
  EXPECT_EQ(pair.first, pair.second);
  EXPECT_EQ(at, understudy_store_committed(store_));
  pair.changes = ~std::uint64_t{0};
  pair.calls = 0;
  EXPECT_EQ(understudy_store_read_together(store_, Pair::read, &pair, 5, &at), UNDERSTUDY_EXPIRED);
  EXPECT_EQ(pair.calls, 5U);
}

TEST_F(CStore, AScanIsEndedBetweenTwoLooksToo) {
  put(1, 1);
  struct Seen {
    int visits = 0;
    int pauses = 0;
    int go_on = 1;
  } seen;
  const auto visit = [](void* context, const void*, const void*, std::size_t, std::uint64_t) {
    return ++static_cast<Seen*>(context)->visits;
  };
  const auto between = [](void* context) {
    ++static_cast<Seen*>(context)->pauses;
    return static_cast<Seen*>(context)->go_on;
  };
  ASSERT_EQ(understudy_store_scan_between(store_, 0, 0, visit, between, &seen), UNDERSTUDY_OK);
  EXPECT_EQ(seen.visits, 1);
  EXPECT_EQ(seen.pauses, 1);
  seen.go_on = 0;
  ASSERT_EQ(understudy_store_scan_between(store_, 0, 0, visit, between, &seen), UNDERSTUDY_OK);
  EXPECT_EQ(seen.visits, 1) << "ended before the first look";
}

TEST_F(CStore, AWriterTellsOfItsTransaction) {
  EXPECT_EQ(understudy_writer_in_transaction(writer_), 0);
  ASSERT_EQ(understudy_writer_begin(writer_), UNDERSTUDY_OK);
  EXPECT_EQ(understudy_writer_in_transaction(writer_), 1);
  EXPECT_EQ(understudy_writer_begin(writer_), UNDERSTUDY_BAD_INPUT);
  put(1, 1);
  const std::uint64_t absent = 99;
  EXPECT_EQ(understudy_writer_erase(writer_, 0, &absent, nullptr), UNDERSTUDY_NOT_FOUND);
  EXPECT_EQ(understudy_writer_in_transaction(writer_), 1) << "what is refused leaves it open";
  std::uint64_t sequence = 0;
  ASSERT_EQ(understudy_writer_commit(writer_, &sequence), UNDERSTUDY_OK) << "with the rest of it";
  EXPECT_EQ(sequence, 1U);
  EXPECT_EQ(understudy_store_count(store_, 0), 1U);
  EXPECT_EQ(understudy_writer_rollback(writer_), UNDERSTUDY_BAD_INPUT);
}

TEST_F(CStore, ACopyThatIsNotSyncedSaysSoAndAnOperatorMayForceIt) {
  understudy_writer_close(writer_);
  writer_ = nullptr;
  {
    auto receiver = agents_.become_writer(us::Term{7}).value();
    ASSERT_TRUE(receiver.begin_sync(true));
  }
  EXPECT_EQ(understudy_store_syncing(store_), 1);
  ASSERT_EQ(understudy_store_become_writer(store_, 8, &writer_), UNDERSTUDY_OK) << understudy_last_error();
  const std::uint64_t key = 1;
  EXPECT_EQ(understudy_writer_put(writer_, 0, &key, &key, nullptr), UNDERSTUDY_REFUSED);
  ASSERT_EQ(understudy_writer_accept_unsynced(writer_), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(understudy_store_syncing(store_), 0);
  EXPECT_EQ(understudy_writer_put(writer_, 0, &key, &key, nullptr), UNDERSTUDY_OK) << understudy_last_error();
}

TEST_F(CStore, TellsWhenItsWriterIsAskedToWaitAndHowLongItDid) {
  EXPECT_EQ(understudy_store_throttled(store_), 0);
  ASSERT_TRUE(agents_.throttle_writer());
  EXPECT_EQ(understudy_store_throttled(store_), 1);
  for (std::uint64_t i = 0; understudy_store_writer_waited(store_) == 0 && i < 3000; ++i) { put(1, i); }
  EXPECT_GT(understudy_store_writer_waited(store_), 0U);
  understudy_writer_never_wait(writer_);
  ASSERT_TRUE(agents_.throttle_writer());
  const auto before = understudy_store_writer_waited(store_);
  for (std::uint64_t i = 0; i < 3000; ++i) { put(1, i); }
  EXPECT_EQ(understudy_store_writer_waited(store_), before);
}

TEST_F(CStore, AJournalsReaderTellsWhereItIs) {
  understudy_journal* journal = nullptr;
  ASSERT_EQ(understudy_journal_open(store_, 1, &journal), UNDERSTUDY_OK);
  EXPECT_EQ(understudy_journal_position(journal), 1U);
  put(1, 1);
  put(2, 2);
  put(3, 3);
  std::size_t changes = 0;
  const auto nothing = [](void*, const understudy_change*) {};
  ASSERT_EQ(understudy_journal_read(journal, nothing, nullptr, &changes), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(understudy_journal_position(journal), 1U + changes);
  understudy_journal_close(journal);
}

/// The first change is sound, the second not.
TEST_F(CStore, OfADamagedJournalNothingIsVisitedNowOrLater) {
  constexpr std::uint64_t marked = 0x1122334455667788;
  put(1, 1);
  put(2, marked);
  std::string bytes(65536 + 4096, '\0');
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  constexpr std::streamoff control = 20 << 10;
  file.seekg(control).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto at = bytes.find(std::string(reinterpret_cast<const char*>(&marked), sizeof marked));
  ASSERT_NE(at, std::string::npos);
  file.seekp(control + static_cast<std::streamoff>(at)).put('x').flush();

  understudy_journal* journal = nullptr;
  ASSERT_EQ(understudy_journal_open(store_, 0, &journal), UNDERSTUDY_OK);
  const auto visit = [](void*, const understudy_change* change) { ADD_FAILURE() << "visited " << change->sequence; };
  for (int reads = 0; reads < 2; ++reads) {
    std::size_t changes = 9;
    EXPECT_EQ(understudy_journal_read(journal, visit, nullptr, &changes), UNDERSTUDY_DAMAGED);
    EXPECT_EQ(changes, 0U);
    EXPECT_THAT(understudy_last_error(), HasSubstr("checksum"));
    put(3, 3);  // what comes later does not make it whole
  }
  EXPECT_EQ(understudy_journal_position(journal), 0U);
  understudy_journal_close(journal);
}

TEST_F(CStore, AWaitEndsAtOnceWhereThereIsNoMirror) {
  EXPECT_EQ(understudy_store_commit_mirrored_wait(store_, put(1, 1), 60'000 * ms), UNDERSTUDY_MIRRORED_EXPOSED);
  std::uint64_t acknowledged = 9;
  EXPECT_EQ(understudy_store_mirrored(store_, &acknowledged), 0);
  EXPECT_EQ(acknowledged, 0U);
}

TEST_F(CStore, AWaitEndsWithTheMirrorsWordAndWithTheMirror) {
  const auto sequence = put(1, 1);
  for (const bool is_acknowledged : {true, false}) {
    acknowledge(0);
    EXPECT_EQ(understudy_store_commit_mirrored_wait(store_, sequence, 0), UNDERSTUDY_MIRRORED_EXPIRED)
        << "without time there is no wait";
    EXPECT_EQ(understudy_store_commit_mirrored(store_, sequence), UNDERSTUDY_MIRRORED_WAIT);
    auto waiting = std::async(std::launch::async,
                              [&] { return understudy_store_commit_mirrored_wait(store_, sequence, 60'000 * ms); });
    EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout) << "nothing was said yet";
    acknowledge(is_acknowledged ? sequence : 0, is_acknowledged);
    EXPECT_EQ(waiting.get(), is_acknowledged ? UNDERSTUDY_MIRRORED_NOW : UNDERSTUDY_MIRRORED_EXPOSED);
  }
  acknowledge(sequence);
  std::uint64_t acknowledged = 0;
  EXPECT_EQ(understudy_store_mirrored(store_, &acknowledged), 1);
  EXPECT_EQ(acknowledged, sequence);
}

TEST_F(CStore, AWaitThatExpiresSaysWhatTheMirrorDoes) {
  const auto sequence = put(1, 1);
  acknowledge(0);
  EXPECT_EQ(understudy_store_commit_mirrored_wait(store_, sequence, ms), UNDERSTUDY_MIRRORED_EXPIRED);
  EXPECT_STREQ(understudy_last_error(),
               "the mirror of store \"orders\" has not acknowledged change 1 in time: it has 0 and did not move "
               "meanwhile: its agent or the path to it stands still");
  EXPECT_EQ(understudy_store_commit_mirrored_wait(store_, 5, ms), UNDERSTUDY_MIRRORED_EXPIRED);
  EXPECT_THAT(understudy_last_error(), HasSubstr("the store itself has only 1"));

  const auto second = put(2, 2);
  const us::app::WaitedForMirror moving{us::app::CommitMirrored::Answer::Expired, us::Sequence{1}, true, true};
  EXPECT_THAT(us::app::describe(moving, agents_, us::Sequence{second}),
              HasSubstr("it has 1 and moves on; it is so far behind that the writer is made to wait for it"));
}

TEST_F(CStore, AWaitSeesThatTheMirrorMovesAndThatTheWriterIsThrottled) {
  put(1, 1);
  const auto last = put(2, 2);
  acknowledge(0);
  ASSERT_TRUE(agents_.throttle_writer());
  std::atomic<bool> over = false;
  std::thread agent([&] {
    for (std::uint64_t to = 0; !over; to = 1 - to) {
      acknowledge(to);
      std::this_thread::yield();
    }
  });
  const auto readers = us::shm::Region::open(path_, us::shm::Access::ReadOnly).value().store("orders").value();
  us::app::WaitedForMirror waited;
  // It may have been at the same place at the begin and at the end.
  for (int tries = 0; !waited.moved && tries < 1000; ++tries) {
    waited = us::app::commit_mirrored(readers, us::Sequence{last}, 2ms);
    EXPECT_EQ(waited.answer, us::app::CommitMirrored::Answer::Expired);
    EXPECT_TRUE(waited.throttled);
  }
  over = true;
  agent.join();
  EXPECT_TRUE(waited.moved);
}

/// By processor time and not by the clock, so that a busy machine changes nothing.
TEST_F(CStore, AWaitSleeps) {
  const auto sequence = put(1, 1);
  acknowledge(0);
  const auto used = [] {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  const auto before = used();
  EXPECT_EQ(understudy_store_commit_mirrored_wait(store_, sequence, 300 * ms), UNDERSTUDY_MIRRORED_EXPIRED);
  EXPECT_LT(used() - before, 60ms) << "of 300 ms";
}

}  // namespace
