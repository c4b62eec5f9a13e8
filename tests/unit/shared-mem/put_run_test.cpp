// SPDX-License-Identifier: Apache-2.0
/// Puts that arrive at a mirror in a run, one transaction each.
///
/// Covers: shared-mem/src/put_run.cpp, shared-mem/src/apply_run.cpp
#include <algorithm>
#include <random>

#include "bulk.hpp"
#include "put_run.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t large_region_bytes = 4 << 20;

struct Mirror {
  RegionFile file;
  Region region;
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
  explicit Mirror(const RegionSchema& schema = small_schema())
      : region(Region::create(file.path(), large_region_bytes, schema).value()) {}
};

std::vector<std::byte> all_of(const Store& store) {
  return JournalReader(store, Sequence{0}).read(1 << 20).value().bytes;
}

class Runs : public testing::Test {
 protected:
  void put_ids(const std::vector<std::uint64_t>& ids) {
    for (const std::uint64_t id : ids) { ASSERT_TRUE(put(sender.writer, id, ++seed_).ok()); }
  }
  static void expect_equal(const Store& a, const Store& b, std::uint64_t ids) {
    EXPECT_EQ(a.committed(), b.committed());
    EXPECT_EQ(a.count(flows), b.count(flows));
    for (std::uint64_t id = 0; id < ids; ++id) { EXPECT_EQ(get(a, id), get(b, id)) << id; }
  }
  Mirror sender;

 private:
  std::uint64_t seed_ = 0;
};

TEST_F(Runs, OfEveryLengthEndAsTheSender) {
  std::uint64_t id = 0;
  Mirror mirror;
  JournalReader reader(sender.store, Sequence{0});
  for (std::size_t length = 1; length <= 2 * PutRun::puts_max + 9; length += length < 20 ? 1 : 37) {
    std::vector<std::uint64_t> ids;
    for (std::size_t i = 0; i < length; ++i) { ids.push_back(id++ % 97); }
    put_ids(ids);
    const auto chunk = reader.read(1 << 20).value();
    std::vector<JournalEntry> told;
    ASSERT_EQ(mirror.writer.apply(chunk.bytes, &told).value(), sender.store.committed());
    EXPECT_EQ(told.size(), length);
    expect_equal(sender.store, mirror.store, 97);
  }
  EXPECT_EQ(all_of(mirror.store), all_of(sender.store)) << "a follower of the mirror sees what the sender's sees";
}

TEST_F(Runs, KeysThatComeAgainLeaveTheirLastValue) {
  Mirror mirror;
  put_ids({1, 2, 3});
  ASSERT_TRUE(mirror.writer.apply(all_of(sender.store)).ok());
  ASSERT_TRUE(erase(sender.writer, 2).ok());
  put_ids({1, 1, 1, 2, 7, 7, 2, 3, 1, 7, 7, 7, 7, 2});
  JournalReader reader(sender.store, Sequence{3});
  ASSERT_TRUE(mirror.writer.apply(reader.read(1 << 20).value().bytes).ok());
  expect_equal(sender.store, mirror.store, 10);
  EXPECT_EQ(mirror.store.count(flows), 4U);
}

TEST_F(Runs, AReaderStartsAnywhereInAMirrorsRing) {
  Mirror mirror;
  std::vector<std::uint64_t> ids(3'000);
  for (std::uint64_t id = 0; id < ids.size(); ++id) { ids[id] = id % 500; }
  put_ids(ids);
  JournalReader reader(sender.store, Sequence{0});
  ASSERT_EQ(reader.read(1 << 20).value().state, JournalReader::State::Lapped);
  const std::uint64_t held = (64 << 10) / 56 - 50;
  const std::uint64_t from = sender.store.committed().value - held;
  // As after a snapshot: the journal begins here.
  ASSERT_TRUE(mirror.writer.begin_sync(true).ok());
  ASSERT_TRUE(mirror.writer.end_sync(Sequence{from}, sender.store.history(), {}).ok());
  JournalReader rest(sender.store, Sequence{from});
  ASSERT_TRUE(mirror.writer.apply(rest.read(1 << 20).value().bytes).ok());
  for (std::uint64_t after = from; after < from + held; after += 7) {
    const auto chunk = JournalReader(mirror.store, Sequence{after}).read(1 << 20).value();
    ASSERT_EQ(chunk.state, JournalReader::State::Entries) << after;
    EXPECT_EQ(chunk.first.value, after + 1);
    EXPECT_EQ(chunk.bytes, JournalReader(sender.store, Sequence{after}).read(1 << 20).value().bytes);
  }
}

/// Whatever is wrong with one entry of a run, those before it hold and nothing of it or after it is there.
TEST_F(Runs, EndBeforeTheFirstEntryThatIsNotSound) {
  constexpr std::uint64_t puts = 13;
  put_ids({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  const auto good = all_of(sender.store);
  const std::size_t entry = good.size() / puts;
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bytes = good;
    bytes[at] ^= static_cast<std::byte>(1U << (at % 8));
    Mirror mirror;
    const auto done = mirror.writer.apply(bytes);
    ASSERT_FALSE(done.ok()) << at;
    ASSERT_EQ(mirror.store.committed().value, at / entry) << at;
    for (std::uint64_t id = 0; id < puts; ++id) {
      ASSERT_EQ(get(mirror.store, id), id < at / entry ? std::optional(id + 1) : std::nullopt) << at;
    }
    ASSERT_TRUE(mirror.writer.apply(Bytes(good).subspan(at / entry * entry)).ok()) << "and it goes on";
    expect_equal(sender.store, mirror.store, puts);
  }
}

TEST_F(Runs, ThatDoNotFollowOrComeTwiceAreNoRun) {
  Mirror mirror;
  put_ids({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  const auto good = all_of(sender.store);
  const std::size_t entry = good.size() / 13;
  EXPECT_EQ(mirror.writer.apply(Bytes(good).subspan(entry)).error().code, Errc::BadInput);
  EXPECT_EQ(mirror.store.committed(), Sequence{0});
  ASSERT_TRUE(mirror.writer.apply(good).ok());
  EXPECT_EQ(mirror.writer.apply(good).value(), Sequence{13}) << "those are there already";
  expect_equal(sender.store, mirror.store, 13);
  auto gap = good;
  gap.erase(gap.begin() + static_cast<std::ptrdiff_t>(10 * entry),
            gap.begin() + static_cast<std::ptrdiff_t>(11 * entry));
  Mirror other;
  EXPECT_FALSE(other.writer.apply(gap).ok());
  EXPECT_EQ(other.store.committed(), Sequence{10});
}

/// A mirror's table grows by itself when the run needs it.
TEST(GrowingRuns, EndAsTheSender) {
  const RegionSchema schema = {{{"state", {{"flows", 8, 24, 40, TableKind::Hashed, 400}}, 64 << 10}}};
  Mirror sender(schema);
  Mirror mirror(schema);
  ASSERT_TRUE(sender.writer.rebuild(0).ok());
  for (std::uint64_t id = 0; id < 300; ++id) { ASSERT_TRUE(put(sender.writer, id, id).ok()); }
  ASSERT_TRUE(mirror.writer.apply(all_of(sender.store)).ok());
  EXPECT_EQ(mirror.store.count(0), 300U);
  EXPECT_EQ(mirror.store.capacity(0), 400U);
  for (std::uint64_t id = 0; id < 300; ++id) { EXPECT_EQ(get(mirror.store, id), id); }
}

/// Values of any number of words, as a writer's small ones (1 to 4) and larger.
TEST(RunsOfValues, OfAnySizeEndAsTheSender) {
  for (const std::uint32_t words : {1U, 2U, 3U, 4U, 5U, 32U, 128U}) {
    const RegionSchema schema = {{{"state", {{"flows", 8, 8 * words, 200}}, 256 << 10}}};
    Mirror sender(schema);
    Mirror mirror(schema);
    std::vector<std::uint64_t> value(words);
    for (std::uint64_t i = 0; i < 150; ++i) {
      for (std::uint32_t w = 0; w < words; ++w) { value[w] = i * 1000 + w; }
      ASSERT_TRUE(sender.writer.put(0, as_bytes_of(Key{i % 60}), std::as_bytes(std::span(value))).ok());
    }
    ASSERT_TRUE(mirror.writer.apply(all_of(sender.store)).ok());
    std::vector<std::byte> a(8UL * words);
    std::vector<std::byte> b(8UL * words);
    for (std::uint64_t id = 0; id < 60; ++id) {
      ASSERT_TRUE(sender.store.get(0, as_bytes_of(Key{id}), a).ok());
      ASSERT_TRUE(mirror.store.get(0, as_bytes_of(Key{id}), b).ok());
      EXPECT_EQ(a, b) << words << " words, key " << id;
    }
  }
}

/// Rings may differ: 128 puts of a large ring are several laps of a small one, and nothing may be written behind it.
TEST(RunsOfValues, LargerThanTheMirrorsRingComeWholeAndStayWithinIt) {
  constexpr std::uint64_t keys = 80;
  const auto schema = [](std::uint64_t ring) { return RegionSchema{{{"state", {{"pages", 8, 4096, keys}}, ring}}}; };
  Mirror sender(schema(1 << 20));
  Mirror mirror(schema(64 << 10));
  std::vector<std::byte> page(4096);
  const auto put_pages = [&](std::uint64_t first, std::uint64_t puts) {
    for (std::uint64_t i = first; i < first + puts; ++i) {
      std::ranges::fill(page, static_cast<std::byte>(i));
      ASSERT_TRUE(sender.writer.put(0, as_bytes_of(Key{i % keys}), page).ok());
    }
  };
  JournalReader reader(sender.store, Sequence{0});
  put_pages(0, keys);
  while (reader.position() < sender.store.committed()) {  // little by little: the table is full of records
    ASSERT_TRUE(mirror.writer.apply(reader.read(16 << 10).value().bytes).ok());
  }
  put_pages(keys, 130);
  const auto applied = mirror.writer.apply(reader.read(1 << 20).value().bytes);
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  EXPECT_EQ(applied.value(), sender.store.committed());
  EXPECT_EQ(mirror.store.count(0), keys);
  std::vector<std::byte> held(4096);
  for (std::uint64_t id = 0; id < keys; ++id) {
    ASSERT_TRUE(mirror.store.get(0, as_bytes_of(Key{id}), held).ok()) << id;
    ASSERT_TRUE(sender.store.get(0, as_bytes_of(Key{id}), page).ok()) << id;
    ASSERT_EQ(held, page) << id;
  }
}

TEST(StoreBulk, WritesWhatItIsGivenAndNothingBeside) {
  std::mt19937_64 random(5);
  std::vector<std::byte> from(6'000);
  std::ranges::generate(from, [&] { return static_cast<std::byte>(random()); });
  std::vector<Word> to(1'000);
  for (int round = 0; round < 4'000; ++round) {
    const std::size_t at = random() % 32;
    const std::size_t offset = random() % 64;
    const std::size_t bytes = round % 2 == 0 ? random() % 5'000 : words::bulk_bytes_min - 40 + random() % 200;
    std::ranges::fill(to, ~Word{0});
    words::store_bulk(to.data() + at, std::span(from).subspan(offset, bytes));
    const auto held = std::as_bytes(std::span(to)).subspan(8 * at);
    ASSERT_TRUE(std::ranges::equal(held.first(bytes), std::span(from).subspan(offset, bytes))) << bytes;
    const std::size_t whole = (bytes + 7) / 8 * 8;
    for (std::size_t i = bytes; i < whole; ++i) { ASSERT_EQ(held[i], std::byte{0}) << "padded"; }
    ASSERT_TRUE(std::ranges::all_of(held.subspan(whole), [](std::byte byte) { return byte == std::byte{0xff}; }));
    ASSERT_TRUE(std::all_of(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(at),
                            [](Word word) { return word == ~Word{0}; }));
  }
}

}  // namespace
}  // namespace understudy::shm
