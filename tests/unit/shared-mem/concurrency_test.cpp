// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <thread>

#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t changes = 400000;
constexpr std::uint64_t keys = 40;

/// Even keys are never erased, so a reader must find them at every instant after the first round.
void write_all(StoreWriter& writer) {
  std::mt19937_64 random(1);
  for (std::uint64_t id = 0; id < keys; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
  for (std::uint64_t i = 0; i < changes; ++i) {
    const std::uint64_t id = random() % keys;
    if (id % 2 == 1 && random() % 2 == 0) {
      (void)erase(writer, id);
    } else {
      ASSERT_TRUE(put(writer, id, i).ok());
    }
  }
}

class WhileOneWrites : public testing::Test {
 protected:
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema(64)).value();
  Store store = region.store("state").value();
  std::atomic<bool> written = false;

  /// Runs `read` over and over in another thread, with a mapping of its own, until the writer is done.
  void against(const std::function<void(const Store&)>& read) {
    auto writer = store.become_writer(Term{1}).value();
    ASSERT_TRUE(put(writer, 0, 0).ok());
    for (std::uint64_t id = 0; id < keys; ++id) { ASSERT_TRUE(put(writer, id, id).ok()); }
    const auto other = Region::open(file.path(), Access::ReadOnly).value();
    const Store view = other.store("state").value();
    std::thread reader([&] {
      do { read(view); } while (!written && !HasFailure());
      read(view);
    });
    write_all(writer);
    written = true;
    reader.join();
  }
};

TEST_F(WhileOneWrites, NoValueIsTornAndNothingPresentIsMissed) {
  std::uint64_t reads = 0;
  against([&](const Store& view) {
    for (std::uint64_t id = 0; id < keys; ++id, ++reads) {
      const auto seed = get(view, id);  // tells torn values
      EXPECT_TRUE(seed.has_value() || id % 2 == 1) << id;
    }
  });
  EXPECT_GT(reads, keys);
}

TEST(WhileOneWritesLargeValues, NoneIsTorn) {
  using Large = std::array<std::uint64_t, 512>;
  RegionFile file;
  auto region = Region::create(file.path(), 4 << 20, {{{"state", {{"large", 8, 4096, 1}}, 64 << 10}}}).value();
  auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  Large value{};
  ASSERT_TRUE(writer.put(0, as_bytes_of(Key{1}), as_bytes_of(value)).ok());
  std::atomic<bool> written = false;
  std::thread reader([&] {
    Large seen{};
    while (!written && !testing::Test::HasFailure()) {
      ASSERT_TRUE(store.get(0, as_bytes_of(Key{1}), std::as_writable_bytes(std::span(seen))).ok());
      ASSERT_TRUE(std::all_of(seen.begin(), seen.end(), [&](auto word) { return word == seen[0]; })) << "torn";
    }
  });
  for (std::uint64_t i = 1; i < 300000; ++i) {
    value.fill(i);
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{1}), as_bytes_of(value)).ok());
  }
  written = true;
  reader.join();
}

/// Few slabs, so that a late reader's slab is soon another record's.
TEST(WhileOneWritesBlobs, NoneIsTornNorTakenForDamaged) {
  constexpr std::uint64_t ids = 4;
  RegionFile file;
  const RegionSchema schema{{{"state", {{"blobs", 8, 4096, ids, TableKind::Blob}}, 64 << 10}}};
  auto region = Region::create(file.path(), small_region_bytes, schema).value();
  auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  std::array<std::uint64_t, 512> value{};
  const auto put_blob = [&](std::uint64_t i) {
    value.fill(i);
    const auto done = writer.put(0, as_bytes_of(Key{i % ids}), as_bytes_of(value).first(8 + 8 * (i % 512)));
    ASSERT_TRUE(done.ok()) << done.error().message;
  };
  for (std::uint64_t i = 0; i < ids; ++i) { put_blob(i); }
  std::atomic<bool> written = false;
  std::thread reader([&] {
    std::array<std::uint64_t, 512> seen{};
    std::uint64_t last = 0;
    for (std::uint64_t n = 0; !written && !testing::Test::HasFailure(); ++n) {
      const auto got = store.get_blob(0, as_bytes_of(Key{n % ids}), std::as_writable_bytes(std::span(seen)));
      ASSERT_TRUE(got.ok()) << got.error().message;
      const auto words = std::span(seen).first(*got / 8);
      ASSERT_TRUE(std::all_of(words.begin(), words.end(), [&](auto word) { return word == seen[0]; })) << "torn";
      ASSERT_EQ(words.size(), 1 + seen[0] % 512) << "another value's length";
      ASSERT_EQ(seen[0] % ids, n % ids) << "another record's value";
      if (n % ids == 0) {
        ASSERT_GE(seen[0], last);
        last = seen[0];
      }
    }
  });
  for (std::uint64_t i = ids; i < 200000; ++i) { put_blob(i); }
  written = true;
  reader.join();
}

TEST_F(WhileOneWrites, AScanSeesEveryKeyThatIsNeverErasedOnce) {
  against([&](const Store& view) {
    // A key that is erased and put again during the scan may lie before and behind it: those are not counted.
    std::map<std::uint64_t, int> seen;
    const auto scanned = view.scan(flows, Sequence{}, [&](const Store::Record& record) {
      Key key{};
      std::memcpy(&key, record.key.data(), sizeof key);
      ++seen[key.id];
      return true;
    });
    ASSERT_TRUE(scanned.ok()) << scanned.error().message;
    for (std::uint64_t id = 0; id < keys; id += 2) { EXPECT_EQ(seen[id], 1) << id; }
  });
}

TEST_F(WhileOneWrites, TheCountIsOneThatWas) {
  against([&](const Store& view) {
    const std::uint64_t count = view.count(flows);
    EXPECT_GE(count, keys / 2);
    EXPECT_LE(count, keys);
  });
}

TEST_F(WhileOneWrites, AFollowerGetsEveryEntryOrIsToldThatItWasLapped) {
  std::uint64_t entries = 0;
  std::uint64_t laps = 0;
  std::optional<JournalReader> reader;
  against([&](const Store& view) {
    if (!reader) { reader.emplace(view, view.committed()); }
    const std::uint64_t before = reader->position().value;
    auto chunk = reader->read(16 << 10);
    ASSERT_TRUE(chunk.ok()) << chunk.error().message;
    if (chunk->state == JournalReader::State::Lapped) {
      ++laps;
      return reader.reset();
    }
    std::uint64_t sequence = before;
    const auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
      EXPECT_EQ(entry.sequence.value, ++sequence);
      ++entries;
    });
    EXPECT_TRUE(walked.ok()) << walked.error().message;
  });
  // Whether it keeps up is the scheduler's choice; once the writer rests it surely gets what is left.
  JournalReader rested(store, Sequence{store.committed().value - 1});
  const auto last = rested.read(16 << 10);
  ASSERT_TRUE(last.ok()) << last.error().message;
  EXPECT_EQ(last->state, JournalReader::State::Entries);
  EXPECT_EQ(last->last, store.committed());
  RecordProperty("entries", static_cast<int>(entries));
  RecordProperty("lapped", static_cast<int>(laps));
}

}  // namespace
}  // namespace understudy::shm
