// SPDX-License-Identifier: Apache-2.0
/// Who keeps a copy of a store and was lapped begins it anew as understudy/c/journal.h says, while the writer goes on.
/// Covers: shared-mem/src/c_api/journal.cpp
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "understudy/understudy.h"

namespace {

std::uint64_t number(const void* bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

class ALappedReader : public ::testing::Test {
 protected:
  void SetUp() override {
    understudy_region* region = nullptr;
    ASSERT_EQ(understudy_region_create(path_.c_str(), 0, &schema_, 1, &region), UNDERSTUDY_OK)
        << understudy_last_error();
    ASSERT_EQ(understudy_store_open(region, "orders", &store_), UNDERSTUDY_OK);
    understudy_region_close(region);
    ASSERT_EQ(understudy_store_become_writer(store_, 1, &writer_), UNDERSTUDY_OK);
  }
  void TearDown() override {
    understudy_journal_close(journal_);
    understudy_writer_close(writer_);
    understudy_store_close(store_);
    std::filesystem::remove(path_);
  }

  void put(std::uint64_t key, std::uint64_t value) {
    ASSERT_EQ(understudy_writer_put(writer_, 0, &key, &value, nullptr), UNDERSTUDY_OK) << understudy_last_error();
  }
  void erase(std::uint64_t key) {
    ASSERT_EQ(understudy_writer_erase(writer_, 0, &key, nullptr), UNDERSTUDY_OK) << understudy_last_error();
  }
  /// Until nothing is new, or EXPIRED.
  understudy_status follow() {
    for (std::size_t changes = 1; changes != 0;) {
      const auto read = understudy_journal_read(
          journal_,
          [](void* context, const understudy_change* change) {
            auto& copy = *static_cast<std::map<std::uint64_t, std::uint64_t>*>(context);
            if (change->erased != 0) {
              copy.erase(number(change->key));
            } else {
              copy[number(change->key)] = number(change->value);
            }
          },
          &copy_, &changes);
      if (read != UNDERSTUDY_OK) { return read; }
    }
    return UNDERSTUDY_OK;
  }
  /// Changes that the writer makes while a scan is under way, and after it.
  void scan(const std::function<void()>& meanwhile) {
    struct Scan {
      std::map<std::uint64_t, std::uint64_t>& copy;
      const std::function<void()>& meanwhile;
      std::set<std::uint64_t> shown{};
    } under_way{copy_, meanwhile};
    ASSERT_EQ(understudy_store_scan(
                  store_, 0, 0,
                  [](void* context, const void* key, const void* value, std::size_t, std::uint64_t) {
                    auto& scan = *static_cast<Scan*>(context);
                    if (scan.shown.empty()) { scan.meanwhile(); }
                    scan.shown.insert(number(key));
                    scan.copy[number(key)] = number(value);
                    return 1;
                  },
                  &under_way),
              UNDERSTUDY_OK)
        << understudy_last_error();
    std::erase_if(copy_, [&](const auto& one) { return !under_way.shown.contains(one.first); });
  }
  void open_journal(std::uint64_t after) {
    understudy_journal_close(journal_);
    ASSERT_EQ(understudy_journal_open(store_, after, &journal_), UNDERSTUDY_OK);
  }

  const std::string path_ = "/dev/shm/understudy-lapped-reader-test-" + std::to_string(::getpid());
  const understudy_table_schema table_ = {"items", 8, 8, 100, UNDERSTUDY_TABLE_HASHED, 0};
  const understudy_store_schema schema_ = {"orders", &table_, 1, 65536, 0};
  understudy_store* store_ = nullptr;
  understudy_writer* writer_ = nullptr;
  understudy_journal* journal_ = nullptr;
  std::map<std::uint64_t, std::uint64_t> copy_;
};

TEST_F(ALappedReader, BeginsItsCopyAnewAndLosesNothing) {
  std::map<std::uint64_t, std::uint64_t> wanted;
  const auto change_all = [&](std::uint64_t round) {
    for (std::uint64_t key = 1; key <= 20; ++key) {
      if (key % 3 == round % 3) {
        if (wanted.erase(key) != 0) { erase(key); }
      } else {
        put(key, wanted[key] = 100 * round + key);
      }
    }
  };
  open_journal(0);
  change_all(1);
  ASSERT_EQ(follow(), UNDERSTUDY_OK);
  ASSERT_EQ(copy_, wanted);

  while (!HasFatalFailure() && understudy_store_committed(store_) < 3000) {
    change_all(2);
    change_all(3);
  }
  ASSERT_EQ(follow(), UNDERSTUDY_EXPIRED) << "the journal holds some thousand entries";

  const auto from = understudy_store_committed(store_);  // 1
  scan([&] { change_all(4); });                          // 2, 3
  change_all(5);
  open_journal(from);  // 4
  ASSERT_EQ(follow(), UNDERSTUDY_OK) << understudy_last_error();
  EXPECT_EQ(copy_, wanted);

  // The other way round it would lose them: that the changes above are such is seen here.
  scan([&] { change_all(6); });
  change_all(7);
  open_journal(understudy_store_committed(store_));
  ASSERT_EQ(follow(), UNDERSTUDY_OK);
  EXPECT_NE(copy_, wanted);
}

}  // namespace
