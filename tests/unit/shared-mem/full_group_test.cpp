// SPDX-License-Identifier: Apache-2.0
/// A full table that changes record by record: what each transaction erases or replaces is the room that the next ones
/// need. A mirror commits several of them at once, and must end the same.
///
/// Covers: shared-mem/src/apply.cpp, shared-mem/src/received.cpp
#include <algorithm>

#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t capacity = 128;  ///< as many as a group has changes at most
constexpr std::uint32_t value_bytes = 200;

class FullTableOf : public testing::TestWithParam<TableKind> {
 protected:
  static RegionSchema schema() { return {{{"state", {{"records", 8, value_bytes, capacity, GetParam()}}, 128 << 10}}}; }
  static std::vector<std::byte> value_of(std::uint64_t id) { return {value_bytes, static_cast<std::byte>(id)}; }
  Status add(std::uint64_t id) {
    const auto done = writer.put(0, as_bytes_of(Key{id}), value_of(id));
    return done ? Status{} : Status(done.error());
  }
  /// The journal of the sender from where the mirror is, as one piece.
  [[nodiscard]] JournalReader::Chunk rest() const {
    JournalReader reader(sender, mirror.committed());
    return reader.read(1 << 20).value();
  }
  std::map<std::uint64_t, std::vector<std::byte>> content(const Store& store) {
    std::map<std::uint64_t, std::vector<std::byte>> all;
    EXPECT_TRUE(store.scan(0, {}, [&](const Store::Record& record) {
      Key key{};
      std::memcpy(&key, record.key.data(), sizeof key);
      all[key.id].assign(record.value.begin(), record.value.end());
      return true;
    }));
    return all;
  }

  RegionFile sender_file;
  RegionFile mirror_file;
  Region sender_region = Region::create(sender_file.path(), small_region_bytes, schema()).value();
  Region mirror_region = Region::create(mirror_file.path(), small_region_bytes, schema()).value();
  Store sender = sender_region.store("state").value();
  Store mirror = mirror_region.store("state").value();
  StoreWriter writer = sender.become_writer(Term{1}).value();
  StoreWriter receiver = mirror.become_writer(Term{1}).value();
};
INSTANTIATE_TEST_SUITE_P(Kind, FullTableOf, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& kind) { return kind.param == TableKind::Blob ? "Blobs" : "Fixed"; });

TEST_P(FullTableOf, ChangedRecordByRecordInOneGroupEndsTheSame) {
  for (std::uint64_t id = 0; id < capacity; ++id) { ASSERT_TRUE(add(id).ok()); }
  ASSERT_TRUE(receiver.apply(rest().bytes).ok());
  ASSERT_FALSE(add(capacity).ok()) << "it is full";
  const std::uint64_t last = capacity + 60;
  for (std::uint64_t id = capacity; id < last; ++id) {
    ASSERT_TRUE(writer.erase(0, as_bytes_of(Key{id - capacity})).ok());
    ASSERT_TRUE(add(id).ok());
  }
  const auto chunk = rest();
  ASSERT_EQ(chunk.last, sender.committed());
  std::vector<JournalEntry> applied;
  const auto done = receiver.apply(chunk.bytes, &applied);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(*done, sender.committed());
  EXPECT_EQ(content(mirror), content(sender));
  EXPECT_EQ(mirror.count(0), capacity);
  ASSERT_EQ(applied.size(), 120U) << "each change is told once";
  EXPECT_TRUE(std::is_sorted(applied.begin(), applied.end(),
                             [](const auto& a, const auto& b) { return a.sequence < b.sequence; }));

  // All of them anew: none is erased, and what each held is free after the commit only.
  for (std::uint64_t id = 60; id < last; ++id) {
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{id}), value_of(id + 1)).ok());
  }
  const auto replaced = receiver.apply(rest().bytes);
  ASSERT_TRUE(replaced.ok()) << replaced.error().message;
  EXPECT_EQ(content(mirror), content(sender));
  EXPECT_EQ(mirror.committed(), sender.committed());

  // It goes on as a mirror, and as a writer.
  ASSERT_TRUE(writer.erase(0, as_bytes_of(Key{last - 1})).ok());
  ASSERT_TRUE(receiver.apply(rest().bytes).ok());
  EXPECT_EQ(content(mirror), content(sender));
  EXPECT_TRUE(receiver.put(0, as_bytes_of(Key{7}), value_of(7)).ok());
}

}  // namespace
}  // namespace understudy::shm
