// SPDX-License-Identifier: Apache-2.0
/// The C API as a C program uses it. What the calls mean is tested at their C++ twins; here: that each reaches its
/// twin, that sizes come from the schema, and that every error has its status and its text. Covers:
/// shared-mem/src/c_api/arena.cpp, shared-mem/src/c_api/region.cpp, shared-mem/src/c_api/store.cpp,
/// shared-mem/src/c_api/writer.cpp, shared-mem/src/c_api/journal.cpp, shared-mem/src/c_api/lifecycle.cpp
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "understudy/shm/layout.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/understudy.h"

namespace {

using ::testing::HasSubstr;

class CApi : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(understudy_region_create(path_.c_str(), 0, &schema_, 1, &region_), UNDERSTUDY_OK)
        << understudy_last_error();
    ASSERT_EQ(understudy_store_open(region_, "orders", &store_), UNDERSTUDY_OK);
    ASSERT_EQ(understudy_store_become_writer(store_, 7, &writer_), UNDERSTUDY_OK) << understudy_last_error();
  }
  void TearDown() override {
    understudy_writer_close(writer_);
    understudy_store_close(store_);
    understudy_region_close(region_);
    std::filesystem::remove(path_);
  }
  std::uint64_t put(std::uint64_t key, std::uint64_t value, std::uint32_t table = 0) {
    std::uint64_t sequence = 0;
    EXPECT_EQ(understudy_writer_put(writer_, table, &key, &value, &sequence), UNDERSTUDY_OK) << understudy_last_error();
    return sequence;
  }
  std::uint64_t get(std::uint64_t key) {
    std::uint64_t value = 0;
    EXPECT_EQ(understudy_store_get(store_, 0, &key, &value), UNDERSTUDY_OK) << understudy_last_error();
    return value;
  }

  const std::string path_ = "/dev/shm/understudy-c-api-test-" + std::to_string(::getpid());
  const understudy_table_schema tables_[3] = {{"items", 8, 8, 4, UNDERSTUDY_TABLE_HASHED, 40},
                                              {"marks", 8, 8, 4, UNDERSTUDY_TABLE_HASHED, 0},
                                              {"texts", 8, 1000, 4, UNDERSTUDY_TABLE_BLOB, 0}};
  const understudy_store_schema schema_ = {"orders", tables_, 3, 65536, 0};
  understudy_region* region_ = nullptr;
  understudy_store* store_ = nullptr;
  understudy_writer* writer_ = nullptr;
};

TEST_F(CApi, WhatIsPutIsRead) {
  EXPECT_EQ(put(1, 10), 1U);
  EXPECT_EQ(put(2, 20), 2U);
  EXPECT_EQ(get(1), 10U);
  EXPECT_EQ(understudy_store_count(store_, 0), 2U);
  EXPECT_EQ(understudy_store_committed(store_), 2U);
  EXPECT_EQ(understudy_store_term(store_), 7U);

  const std::uint64_t keys[] = {2, 9, 1};
  std::uint64_t values[3] = {};
  std::uint8_t found[3] = {};
  ASSERT_EQ(understudy_store_get_many(store_, 0, 3, keys, values, found), UNDERSTUDY_OK);
  EXPECT_THAT(found, ::testing::ElementsAre(1, 0, 1));
  EXPECT_EQ(values[0], 20U);
  EXPECT_EQ(values[2], 10U);
}

/// Whoever copies `key` and `value` knows the table's sizes only.
TEST_F(CApi, AJournalWithChangesOfOtherSizesIsDamaged) {
  const auto path = path_ + "-foreign";
  const understudy_table_schema tables[] = {{"items", 1, 8, 4, UNDERSTUDY_TABLE_HASHED, 0}};
  const understudy_store_schema schema = {"orders", tables, 1, 65536, 0};
  understudy_region* region = nullptr;
  understudy_store* store = nullptr;
  understudy_writer* writer = nullptr;
  ASSERT_EQ(understudy_region_create(path.c_str(), 0, &schema, 1, &region), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_store_open(region, "orders", &store), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_store_become_writer(store, 7, &writer), UNDERSTUDY_OK);
  const std::uint8_t key = 1;
  const std::uint64_t value = 1;
  ASSERT_EQ(understudy_writer_put(writer, 0, &key, &value, nullptr), UNDERSTUDY_OK);
  // What a guest may write: control page and journal of that store into the other one.
  constexpr std::size_t first = understudy::shm::layout::header_area_bytes;
  std::vector<char> bytes(understudy::shm::layout::page_bytes + 65536);
  std::ifstream from(path, std::ios::binary);
  from.seekg(first).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::fstream to(path_, std::ios::in | std::ios::out | std::ios::binary);
  to.seekp(first).write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush();
  understudy_writer_close(writer);
  understudy_store_close(store);
  understudy_region_close(region);
  std::filesystem::remove(path);

  understudy_journal* journal = nullptr;
  ASSERT_EQ(understudy_journal_open(store_, 0, &journal), UNDERSTUDY_OK);
  std::size_t changes = 9;
  EXPECT_EQ(understudy_journal_read(
                journal, [](void*, const understudy_change*) { ADD_FAILURE() << "handed out"; }, nullptr, &changes),
            UNDERSTUDY_DAMAGED);
  EXPECT_EQ(changes, 0U);
  understudy_journal_close(journal);
}

TEST_F(CApi, InsideATransactionNoSequenceIsTold) {
  const std::uint64_t key = 1;
  const std::uint64_t value = 10;
  put(2, 20);
  std::uint64_t sequence = 77;
  ASSERT_EQ(understudy_writer_begin(writer_), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_writer_put(writer_, 0, &key, &value, &sequence), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_writer_put_blob(writer_, 2, &key, "x", 1, &sequence), UNDERSTUDY_OK);
  const std::uint64_t gone = 2;
  ASSERT_EQ(understudy_writer_erase(writer_, 0, &gone, &sequence), UNDERSTUDY_OK);
  EXPECT_EQ(sequence, 77U) << "the commit has the sequence";
  ASSERT_EQ(understudy_writer_commit(writer_, &sequence), UNDERSTUDY_OK);
  EXPECT_EQ(sequence, 4U);
  ASSERT_EQ(understudy_writer_put(writer_, 0, &key, &value, &sequence), UNDERSTUDY_OK);
  EXPECT_EQ(sequence, 5U);
}

TEST_F(CApi, ManyArePutWithOneCall) {
  const std::uint64_t keys[] = {2, 9, 1};
  const std::uint64_t values[] = {22, 99, 11};
  std::uint64_t sequence = 0;
  ASSERT_EQ(understudy_writer_put_many(writer_, 0, 3, keys, values, &sequence), UNDERSTUDY_OK);
  EXPECT_EQ(sequence, 3U);
  EXPECT_EQ(get(9), 99U);
  const std::uint64_t more[] = {2, 100, 101};  // the table holds 4
  EXPECT_EQ(understudy_writer_put_many(writer_, 0, 3, more, values, nullptr), UNDERSTUDY_FULL);
  EXPECT_EQ(get(100), 99U);
  EXPECT_EQ(understudy_store_committed(store_), 5U);
}

TEST_F(CApi, ARegionIsMadeAndOpenedByADescriptor) {
  const int fd = ::memfd_create("c-api-test", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(fd, 3 << 20), 0);
  understudy_region* made = nullptr;
  ASSERT_EQ(understudy_region_format_fd(fd, 1 << 20, 2 << 20, &schema_, 1, &made), UNDERSTUDY_OK)
      << understudy_last_error();
  understudy_region* opened = nullptr;
  ASSERT_EQ(understudy_region_open_fd(fd, 0, 1 << 20, 2 << 20, &opened), UNDERSTUDY_OK) << understudy_last_error();
  ::close(fd);
  understudy_store* store = nullptr;
  EXPECT_EQ(understudy_store_open(opened, "orders", &store), UNDERSTUDY_OK) << understudy_last_error();
  understudy_store_close(store);
  understudy_region_close(opened);
  understudy_region_close(made);
  EXPECT_EQ(understudy_region_open_fd(-1, 0, 0, 0, &opened), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(opened, nullptr);
  EXPECT_THAT(understudy_last_error(), HasSubstr("descriptor -1"));
}

TEST_F(CApi, AScanTellsEveryRecordAfterASequenceUntilItIsEnded) {
  put(1, 10);
  const auto second = put(2, 20);
  put(3, 30);
  std::map<std::uint64_t, std::uint64_t> seen;
  const auto visit = [](void* context, const void* key, const void* value, std::size_t, std::uint64_t) {
    (*static_cast<std::map<std::uint64_t, std::uint64_t>*>(context))[*static_cast<const std::uint64_t*>(key)] =
        *static_cast<const std::uint64_t*>(value);
    return 1;
  };
  ASSERT_EQ(understudy_store_scan(store_, 0, second - 1, visit, &seen), UNDERSTUDY_OK);
  EXPECT_EQ(seen, (std::map<std::uint64_t, std::uint64_t>{{2, 20}, {3, 30}}));
  int calls = 0;
  const auto once = [](void* context, const void*, const void*, std::size_t, std::uint64_t) {
    ++*static_cast<int*>(context);
    return 0;
  };
  ASSERT_EQ(understudy_store_scan(store_, 0, 0, once, &calls), UNDERSTUDY_OK);
  EXPECT_EQ(calls, 1);
}

TEST_F(CApi, ATransactionBecomesVisibleWithItsCommitAndNotWithARollback) {
  ASSERT_EQ(understudy_writer_begin(writer_), UNDERSTUDY_OK);
  put(1, 10);
  put(1, 11, 1);
  EXPECT_EQ(understudy_store_count(store_, 0), 0U);
  std::uint64_t sequence = 0;
  ASSERT_EQ(understudy_writer_commit(writer_, &sequence), UNDERSTUDY_OK);
  EXPECT_EQ(sequence, understudy_store_committed(store_));
  EXPECT_EQ(get(1), 10U);

  ASSERT_EQ(understudy_writer_begin(writer_), UNDERSTUDY_OK);
  put(1, 12);
  ASSERT_EQ(understudy_writer_rollback(writer_), UNDERSTUDY_OK);
  EXPECT_EQ(get(1), 10U);
}

TEST_F(CApi, TheJournalTellsEveryChangeInItsOrder) {
  understudy_journal* journal = nullptr;
  ASSERT_EQ(understudy_journal_open(store_, 0, &journal), UNDERSTUDY_OK);
  put(1, 10);
  const std::uint64_t key = 1;
  ASSERT_EQ(understudy_writer_erase(writer_, 0, &key, nullptr), UNDERSTUDY_OK);
  std::vector<std::string> told;
  const auto visit = [](void* context, const understudy_change* change) {
    static_cast<std::vector<std::string>*>(context)->push_back(
        std::to_string(change->sequence) + (change->erased ? " erase " : " put ") +
        std::to_string(*static_cast<const std::uint64_t*>(change->key)) +
        (change->value == nullptr ? "" : "=" + std::to_string(*static_cast<const std::uint64_t*>(change->value))));
  };
  std::size_t changes = 0;
  while (understudy_journal_read(journal, visit, &told, &changes) == UNDERSTUDY_OK && changes > 0) {}
  EXPECT_THAT(told, ::testing::ElementsAre("1 put 1=10", "2 erase 1"));
  understudy_journal_close(journal);
}

TEST_F(CApi, AReaderThatWasLappedIsToldSo) {
  understudy_journal* journal = nullptr;
  ASSERT_EQ(understudy_journal_open(store_, 0, &journal), UNDERSTUDY_OK);
  for (std::uint64_t i = 0; i < 3000; ++i) { put(1, i); }  // more than 64 KiB of entries
  std::size_t changes = 0;
  const auto nothing = [](void*, const understudy_change*) {};
  EXPECT_EQ(understudy_journal_read(journal, nothing, nullptr, &changes), UNDERSTUDY_EXPIRED);
  EXPECT_THAT(understudy_last_error(), HasSubstr("lapped"));
  understudy_journal_close(journal);
}

TEST_F(CApi, WithoutAMirrorAChangeIsExposed) {
  EXPECT_EQ(understudy_store_commit_mirrored(store_, put(1, 10)), UNDERSTUDY_MIRRORED_EXPOSED);
}

TEST_F(CApi, EveryErrorHasItsStatusAndAText) {
  const std::uint64_t key = 5;
  std::uint64_t value = 0;
  EXPECT_EQ(understudy_store_get(store_, 0, &key, &value), UNDERSTUDY_NOT_FOUND);
  EXPECT_EQ(understudy_writer_erase(writer_, 0, &key, nullptr), UNDERSTUDY_NOT_FOUND);
  EXPECT_EQ(understudy_store_get(store_, 3, &key, &value), UNDERSTUDY_BAD_INPUT);
  EXPECT_STREQ(understudy_last_error(), "the store \"orders\" has no table 3");
  EXPECT_EQ(understudy_writer_put(writer_, 3, &key, &value, nullptr), UNDERSTUDY_BAD_INPUT);

  auto status = UNDERSTUDY_OK;
  for (std::uint64_t i = 0; status == UNDERSTUDY_OK && i < 10000; ++i) {
    status = understudy_writer_put(writer_, 0, &i, &value, nullptr);
  }
  EXPECT_EQ(status, UNDERSTUDY_FULL);

  understudy_writer* second = reinterpret_cast<understudy_writer*>(this);  // must be set to nothing
  EXPECT_EQ(understudy_store_become_writer(store_, 6, &second), UNDERSTUDY_REFUSED);
  EXPECT_EQ(second, nullptr);
  EXPECT_STRNE(understudy_last_error(), "");
}

TEST_F(CApi, BlobsHaveTheirOwnLengths) {
  const std::uint64_t key = 5;
  const std::string text(777, 'x');
  std::uint64_t sequence = 0;
  ASSERT_EQ(understudy_writer_put_blob(writer_, 2, &key, text.data(), text.size(), &sequence), UNDERSTUDY_OK);
  EXPECT_EQ(sequence, 1U);
  std::string found(1000, ' ');
  std::size_t bytes = 0;
  ASSERT_EQ(understudy_store_get_blob(store_, 2, &key, found.data(), &bytes), UNDERSTUDY_OK);
  EXPECT_EQ(found.substr(0, bytes), text);
  EXPECT_EQ(understudy_writer_put_blob(writer_, 2, &key, text.data(), 1001, nullptr), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(understudy_writer_put(writer_, 2, &key, text.data(), nullptr), UNDERSTUDY_BAD_INPUT) << "of unknown length";
  EXPECT_EQ(understudy_store_get_blob(store_, 0, &key, found.data(), &bytes), UNDERSTUDY_BAD_INPUT);
  std::size_t scanned = 0;
  const auto visit = [](void* context, const void*, const void*, std::size_t value_bytes, std::uint64_t) {
    *static_cast<std::size_t*>(context) = value_bytes;
    return 1;
  };
  ASSERT_EQ(understudy_store_scan(store_, 2, 0, visit, &scanned), UNDERSTUDY_OK);
  EXPECT_EQ(scanned, 777U);
}

TEST_F(CApi, AFullTableSaysSoAndIsRebuiltLarger) {
  for (std::uint64_t key = 0; key < 4; ++key) { put(key, key); }
  const std::uint64_t key = 4;
  EXPECT_EQ(understudy_writer_put(writer_, 0, &key, &key, nullptr), UNDERSTUDY_FULL);
  EXPECT_EQ(understudy_store_refused_full(store_, 0), 1U);
  EXPECT_EQ(understudy_store_capacity(store_, 0), 4U);
  ASSERT_EQ(understudy_writer_rebuild(writer_, 0), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(understudy_store_capacity(store_, 0), 40U);
  EXPECT_EQ(understudy_writer_put(writer_, 0, &key, &key, nullptr), UNDERSTUDY_OK);
  EXPECT_EQ(understudy_writer_rebuild(writer_, 1), UNDERSTUDY_BAD_INPUT);
  std::vector<std::uint64_t> keys;
  const auto visit = [](void* context, const void* found, const void*, std::size_t, std::uint64_t) {
    static_cast<std::vector<std::uint64_t>*>(context)->push_back(*static_cast<const std::uint64_t*>(found));
    return 1;
  };
  std::uint64_t at = 0;
  ASSERT_EQ(understudy_store_scan_ordered(store_, 0, visit, &keys, &at), UNDERSTUDY_OK);
  EXPECT_THAT(keys, ::testing::ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(at, understudy_store_committed(store_));
}

TEST_F(CApi, OpeningSaysWhenTheTermIsStaleOrTheSchemaAnother) {
  understudy_wanted wanted = {7, &schema_, 1};
  EXPECT_EQ(understudy_region_inspect(path_.c_str(), 0, &wanted), UNDERSTUDY_REGION_GOOD);
  understudy_region* again = nullptr;
  ASSERT_EQ(understudy_region_open_wanted(path_.c_str(), 0, 0, &wanted, &again), UNDERSTUDY_OK);
  understudy_region_close(again);
  wanted.lowest_term = 8;
  EXPECT_EQ(understudy_region_inspect(path_.c_str(), 0, &wanted), UNDERSTUDY_REGION_STALE_TERM);
  EXPECT_EQ(understudy_region_open_wanted(path_.c_str(), 0, 0, &wanted, &again), UNDERSTUDY_REFUSED);
  EXPECT_EQ(again, nullptr);
  const understudy_store_schema other = {"orders", tables_, 2, 65536, 0};
  wanted = {0, &other, 1};
  EXPECT_EQ(understudy_region_inspect(path_.c_str(), 0, &wanted), UNDERSTUDY_REGION_OTHER_SCHEMA);
}

TEST_F(CApi, ARegionIsOpenedByItsPathAndInspected) {
  put(1, 10);
  EXPECT_EQ(understudy_region_inspect(path_.c_str(), 0, nullptr), UNDERSTUDY_REGION_GOOD);
  EXPECT_EQ(understudy_region_inspect("/dev/shm/understudy-not-there", 0, nullptr), UNDERSTUDY_REGION_ABSENT);
  understudy_region* again = nullptr;
  ASSERT_EQ(understudy_region_open(path_.c_str(), 0, 0, &again), UNDERSTUDY_OK) << understudy_last_error();
  understudy_store* reading = nullptr;
  ASSERT_EQ(understudy_store_open(again, "orders", &reading), UNDERSTUDY_OK);
  std::uint32_t table = 9;
  ASSERT_EQ(understudy_store_table(reading, "marks", &table), UNDERSTUDY_OK);
  EXPECT_EQ(table, 1U);
  EXPECT_EQ(understudy_store_table(reading, "nothing", &table), UNDERSTUDY_NOT_FOUND);
  understudy_region_close(again);  // the store outlives it
  const std::uint64_t key = 1;
  std::uint64_t value = 0;
  EXPECT_EQ(understudy_store_get(reading, 0, &key, &value), UNDERSTUDY_OK);
  EXPECT_EQ(value, 10U);
  understudy_store_close(reading);
}

TEST(CApiMisuse, ASchemaWithoutNamesIsBadInputAndMakesNothing) {
  const understudy_table_schema unnamed = {nullptr, 8, 8, 4, UNDERSTUDY_TABLE_HASHED, 0};
  const understudy_store_schema schema = {"orders", &unnamed, 1, 65536, 0};
  understudy_region* region = nullptr;
  EXPECT_EQ(understudy_region_create("/dev/shm/understudy-c-api-none", 0, &schema, 1, &region), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(region, nullptr);
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/understudy-c-api-none"));
  const understudy_store_schema nameless = {nullptr, nullptr, 0, 65536, 0};
  EXPECT_EQ(understudy_region_create("/dev/shm/understudy-c-api-none", 0, &nameless, 1, &region), UNDERSTUDY_BAD_INPUT);
}

/// Nothing in a C program catches what std::string throws of NULL.
TEST_F(CApi, APathOrANameThatIsNullIsBadInput) {
  for (const auto make : {+[](understudy_region** region, const understudy_store_schema* schema) {
                            return understudy_region_create(nullptr, 0, schema, 1, region);
                          },
                          +[](understudy_region** region, const understudy_store_schema* schema) {
                            return understudy_region_create_at(nullptr, 0, 4096, schema, 1, region);
                          },
                          +[](understudy_region** region, const understudy_store_schema* schema) {
                            return understudy_region_create_new(nullptr, 0, 0, schema, 1, region);
                          },
                          +[](understudy_region** region, const understudy_store_schema*) {
                            return understudy_region_open(nullptr, 0, 0, region);
                          },
                          +[](understudy_region** region, const understudy_store_schema*) {
                            return understudy_region_open_wanted(nullptr, 0, 0, nullptr, region);
                          }}) {
    auto* region = region_;
    EXPECT_EQ(make(&region, &schema_), UNDERSTUDY_BAD_INPUT) << understudy_last_error();
    EXPECT_EQ(region, nullptr);
  }
  EXPECT_EQ(understudy_region_inspect(nullptr, 0, nullptr), UNDERSTUDY_REGION_UNREADABLE);

  auto* none = store_;
  EXPECT_EQ(understudy_store_open(region_, nullptr, &none), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(none, nullptr);
  EXPECT_STREQ(understudy_last_error(), "the store's name is NULL");
  std::uint32_t table = 99;
  EXPECT_EQ(understudy_store_table(store_, nullptr, &table), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(understudy_store_table_sized(store_, nullptr, 8, 8, &table), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(table, 99U);
}

TEST(CApiArena, WhatIsCheckpointedIsThereAgain) {
  const std::string path = "/dev/shm/understudy-c-arena-" + std::to_string(::getpid());
  constexpr std::uint64_t bytes = 16 * 4096;
  const auto table = understudy_arena_table(bytes);
  const understudy_store_schema schema = {"heap", &table, 1, understudy_arena_journal_bytes(bytes), bytes};
  understudy_region* region = nullptr;
  understudy_store* store = nullptr;
  understudy_writer* writer = nullptr;
  understudy_arena* arena = nullptr;
  ASSERT_EQ(understudy_region_create(path.c_str(), 0, &schema, 1, &region), UNDERSTUDY_OK) << understudy_last_error();
  ASSERT_EQ(understudy_store_open(region, "heap", &store), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_store_become_writer(store, 1, &writer), UNDERSTUDY_OK);
  for (const auto find : {UNDERSTUDY_FIND_AUTOMATIC, UNDERSTUDY_FIND_BY_COMPARISON}) {
    ASSERT_EQ(understudy_arena_attach(writer, find, &arena), UNDERSTUDY_OK) << understudy_last_error();
    EXPECT_EQ(understudy_arena_is_empty(arena), find == UNDERSTUDY_FIND_AUTOMATIC ? 1 : 0);
    EXPECT_STRNE(understudy_arena_method(arena), "");
    understudy_arena* second = nullptr;
    EXPECT_EQ(understudy_arena_attach(writer, find, &second), UNDERSTUDY_REFUSED) << "beside a live one";
    std::size_t size = 0;
    auto* memory = static_cast<unsigned char*>(understudy_arena_memory(arena, &size));
    ASSERT_EQ(size, bytes);
    const unsigned char before = memory[5000];
    EXPECT_EQ(before, find == UNDERSTUDY_FIND_AUTOMATIC ? 0 : 1);
    ++memory[5000];
    std::uint64_t sequence = 0;
    EXPECT_EQ(understudy_arena_checkpoint(arena, &sequence), UNDERSTUDY_OK) << understudy_last_error();
    EXPECT_EQ(sequence, understudy_store_committed(store));
    memory[5000] = 99;
    understudy_arena_close(arena);
  }
  ASSERT_EQ(understudy_arena_attach(writer, UNDERSTUDY_FIND_AUTOMATIC, &arena), UNDERSTUDY_OK);
  EXPECT_EQ(static_cast<unsigned char*>(understudy_arena_memory(arena, nullptr))[5000], 2);
  EXPECT_EQ(understudy_arena_detach(arena, nullptr), UNDERSTUDY_OK);
  EXPECT_EQ(understudy_arena_memory(arena, nullptr), nullptr);
  EXPECT_EQ(understudy_arena_checkpoint(arena, nullptr), UNDERSTUDY_BAD_INPUT);
  understudy_arena_close(arena);
  understudy_writer_close(writer);

  {  // an unfinished copy that is forced to serve
    auto agents = understudy::shm::Region::open(path, understudy::shm::Access::ReadWrite).value().store("heap").value();
    ASSERT_TRUE(agents.become_writer(understudy::Term{2}).value().begin_sync(true));
  }
  ASSERT_EQ(understudy_store_become_writer(store, 2, &writer), UNDERSTUDY_OK);
  ASSERT_EQ(understudy_writer_accept_unsynced(writer), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(understudy_arena_attach(writer, UNDERSTUDY_FIND_AUTOMATIC, &arena), UNDERSTUDY_DAMAGED);
  ASSERT_EQ(understudy_arena_attach_mixed(writer, UNDERSTUDY_FIND_AUTOMATIC, &arena), UNDERSTUDY_OK)
      << understudy_last_error();
  EXPECT_EQ(understudy_arena_checkpoint(arena, nullptr), UNDERSTUDY_OK);
  understudy_arena_close(arena);
  EXPECT_EQ(understudy_arena_attach(writer, UNDERSTUDY_FIND_AUTOMATIC, &arena), UNDERSTUDY_OK);
  understudy_arena_close(arena);
  understudy_writer_close(writer);
  understudy_store_close(store);
  understudy_region_close(region);
  std::filesystem::remove(path);
}

class CApiLifecycle : public ::testing::Test {
 protected:
  void SetUp() override { ::unsetenv("UNDERSTUDY_AGENT"); }
  void TearDown() override {
    understudy_lifecycle_close(lifecycle_);
    std::filesystem::remove(path_);
  }
  const std::string path_ = "/dev/shm/understudy-c-life-test-" + std::to_string(::getpid());
  const understudy_table_schema table_ = {"items", 8, 8, 4, UNDERSTUDY_TABLE_HASHED, 0};
  const understudy_store_schema schema_ = {"orders", &table_, 1, 65536, 0};
  understudy_lifecycle* lifecycle_ = nullptr;
};

TEST_F(CApiLifecycle, APathThatIsNullIsBadInputOnlyWhereItIsUsed) {
  EXPECT_EQ(understudy_lifecycle_open(nullptr, &schema_, 0, &lifecycle_), UNDERSTUDY_BAD_INPUT);
  EXPECT_EQ(lifecycle_, nullptr);
  EXPECT_STREQ(understudy_last_error(), "without an agent the region needs a path");
  EXPECT_EQ(understudy_lifecycle_open(path_.c_str(), nullptr, 0, &lifecycle_), UNDERSTUDY_BAD_INPUT);
  ::setenv("UNDERSTUDY_REGION", path_.c_str(), 1);
  EXPECT_EQ(understudy_lifecycle_open(nullptr, &schema_, 0, &lifecycle_), UNDERSTUDY_OK) << understudy_last_error();
  ::unsetenv("UNDERSTUDY_REGION");
  ASSERT_NE(lifecycle_, nullptr);
  EXPECT_EQ(understudy_lifecycle_region_path(lifecycle_), path_);
  understudy_lifecycle_lost_writer(lifecycle_, nullptr);
  understudy_lifecycle_failed(lifecycle_, nullptr);
  understudy_lifecycle_unfit(lifecycle_, nullptr);
}

TEST_F(CApiLifecycle, AloneItIsActivatedByTheFirstDispatchAndWrites) {
  ASSERT_EQ(understudy_lifecycle_open(path_.c_str(), &schema_, 0, &lifecycle_), UNDERSTUDY_OK)
      << understudy_last_error();
  struct Seen {
    understudy_lifecycle* lifecycle;
    std::uint64_t term = 0;
    understudy_status wrote = UNDERSTUDY_FAILED;
  } seen{lifecycle_};
  understudy_callbacks callbacks{};
  callbacks.context = &seen;
  callbacks.activate = [](void* context, std::uint64_t term) {
    auto& at = *static_cast<Seen*>(context);
    at.term = term;
    understudy_store* store = nullptr;
    understudy_writer* writer = nullptr;
    ASSERT_EQ(understudy_lifecycle_open_store(at.lifecycle, 1, &store), UNDERSTUDY_OK) << understudy_last_error();
    ASSERT_EQ(understudy_store_become_writer(store, term, &writer), UNDERSTUDY_OK) << understudy_last_error();
    const std::uint64_t one = 1;
    at.wrote = understudy_writer_put(writer, 0, &one, &one, nullptr);
    understudy_writer_close(writer);
    understudy_store_close(store);
    understudy_lifecycle_active(at.lifecycle, term);
  };
  understudy_lifecycle_set_callbacks(lifecycle_, &callbacks);
  understudy_lifecycle_needs_quiescing(lifecycle_);
  understudy_lifecycle_ready(lifecycle_);
  EXPECT_EQ(understudy_lifecycle_duty(lifecycle_), UNDERSTUDY_STANDING_BY);
  EXPECT_EQ(understudy_lifecycle_has_agent(lifecycle_), 0);
  EXPECT_EQ(understudy_lifecycle_connected(lifecycle_), 0);
  EXPECT_EQ(understudy_lifecycle_region_path(lifecycle_), path_);
  EXPECT_STREQ(understudy_lifecycle_store_name(lifecycle_), "orders");
  understudy_lifecycle_dispatch(lifecycle_);
  understudy_lifecycle_unfit(lifecycle_, "96 degrees");  // alone nobody hears it
  understudy_lifecycle_fit(lifecycle_);
  EXPECT_EQ(seen.wrote, UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(understudy_lifecycle_duty(lifecycle_), UNDERSTUDY_ACTIVE);
  EXPECT_EQ(understudy_lifecycle_term(lifecycle_), seen.term);
  EXPECT_GE(understudy_lifecycle_fd(lifecycle_), 0);
}

}  // namespace
