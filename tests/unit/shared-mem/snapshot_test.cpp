// SPDX-License-Identifier: Apache-2.0
/// scan_ordered: one committed state, in the order of the keys, whatever the writer does meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

/// Big-endian, so that the order of the bytes is the order of the numbers.
struct Ordered {
  std::array<std::uint8_t, 8> bytes;
};
Ordered key_of(std::uint64_t id) {
  Ordered key{};
  for (std::size_t i = 0; i < 8; ++i) { key.bytes[i] = static_cast<std::uint8_t>(id >> (56 - 8 * i)); }
  return key;
}
std::uint64_t id_of(Bytes key) {
  std::uint64_t id = 0;
  for (const auto byte : key) { id = id << 8 | std::to_integer<std::uint64_t>(byte); }
  return id;
}
Status put_ordered(StoreWriter& writer, std::uint64_t id, std::uint64_t seed) {
  const auto done = writer.put(flows, as_bytes_of(key_of(id)), as_bytes_of(value_of(seed)));
  return done ? Status() : Status(done.error());
}
std::uint64_t seed_of(const Store::Record& record) {
  Value value{};
  std::memcpy(&value, record.value.data(), sizeof value);
  EXPECT_EQ(value, value_of(value.words[0]));
  return value.words[0];
}

struct Sut {
  explicit Sut(std::uint64_t journal_bytes = 64 << 10)
      : region(Region::create(file.path(), small_region_bytes, small_schema(1000, journal_bytes)).value()),
        store(region.store("state").value()),
        writer(store.become_writer(Term{1}).value()) {}
  RegionFile file;
  Region region;
  Store store;
  StoreWriter writer;
};

TEST(ScanOrdered, TellsEveryRecordInTheOrderOfTheKeysBytes) {
  Sut sut;
  for (const std::uint64_t id : {700U, 3U, 256U, 1U, 65536U, 255U}) {
    ASSERT_TRUE(put_ordered(sut.writer, id, id * 2).ok());
  }
  ASSERT_TRUE(sut.writer.erase(flows, as_bytes_of(key_of(3))).ok());
  std::vector<std::uint64_t> ids;
  const auto at = sut.store.scan_ordered(flows, [&](const Store::Record& record) {
    ids.push_back(id_of(record.key));
    EXPECT_EQ(seed_of(record), ids.back() * 2);
    return true;
  });
  ASSERT_TRUE(at.ok()) << at.error().message;
  EXPECT_EQ(*at, sut.store.committed());
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{1, 255, 256, 700, 65536}));
  int visits = 0;
  ASSERT_TRUE(sut.store.scan_ordered(flows, [&](const Store::Record&) { return ++visits < 2; }).ok());
  EXPECT_EQ(visits, 2) << "false stops";
  EXPECT_EQ(sut.store.scan_ordered(9, [](const Store::Record&) { return true; }).error().code, Errc::BadInput);
}

/// The writer moves one unit at a time from one record to another, and adds and erases records that hold nothing: in
/// every committed state the sum is the same and the version word is the number of the transaction.
TEST(ScanOrdered, IsOneCommittedStateWhileTheWriterWrites) {
  Sut sut(1 << 19);
  constexpr std::uint64_t accounts = 200;
  constexpr std::uint64_t each = 1000;
  for (std::uint64_t id = 0; id < accounts; ++id) { ASSERT_TRUE(put_ordered(sut.writer, id, each).ok()); }
  const std::uint64_t base = sut.store.committed().value;
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> scans = 0;
  std::thread reader([&] {
    const Store store = Region::open(sut.file.path(), Access::ReadOnly).value().store("state").value();
    while (!done) {
      std::uint64_t sum = 0;
      std::uint64_t extra = 0;
      std::uint64_t newest = 0;
      std::uint64_t last = 0;
      const auto at = store.scan_ordered(flows, [&](const Store::Record& record) {
        EXPECT_TRUE(id_of(record.key) > last || last == 0);
        last = id_of(record.key);
        newest = std::max(newest, record.sequence.value);
        (last < accounts ? sum : extra) += last < accounts ? seed_of(record) : 1;
        return true;
      });
      if (!at) {
        ASSERT_EQ(at.error().code, Errc::Expired) << at.error().message;
        continue;
      }
      ++scans;
      ASSERT_EQ(sum, accounts * each) << "at " << at->value;
      ASSERT_LE(newest, at->value);
      ASSERT_EQ((at->value - base) % 3, 0U) << "in the middle of a transaction";
      ASSERT_EQ(extra, (at->value - base) / 3 % 2) << "at " << at->value;
    }
  });
  std::vector<std::uint64_t> held(accounts, each);
  for (std::uint64_t i = 0; !done && !HasFailure(); ++i) {
    const std::uint64_t from = i * 7919 % accounts;
    const std::uint64_t to = (from + 1 + i % 5) % accounts;
    ASSERT_TRUE(sut.writer.begin().ok());
    ASSERT_TRUE(put_ordered(sut.writer, from, --held[from]).ok());
    ASSERT_TRUE(put_ordered(sut.writer, to, ++held[to]).ok());
    const Ordered odd = key_of(accounts + 5 + i / 2 % 50);
    ASSERT_TRUE((i % 2 == 0 ? sut.writer.put(flows, as_bytes_of(odd), as_bytes_of(value_of(1)))
                            : sut.writer.erase(flows, as_bytes_of(odd)))
                    .ok());
    ASSERT_TRUE(sut.writer.commit().ok());
    done = scans >= 20;
    if (i % 64 == 0) { std::this_thread::yield(); }
  }
  done = true;
  reader.join();
}

TEST(ScanOrdered, RefusesACopyThatIsSyncing) {
  Sut sut;
  ASSERT_TRUE(put_ordered(sut.writer, 1, 1).ok());
  ASSERT_TRUE(sut.writer.begin_sync(false).ok());
  const auto at = sut.store.scan_ordered(flows, [](const Store::Record&) { return true; });
  EXPECT_EQ(at.error().code, Errc::Refused);
}

}  // namespace
}  // namespace understudy::shm
