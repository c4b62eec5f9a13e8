// SPDX-License-Identifier: Apache-2.0
/// A guest may write anything into its region at any moment. Whatever it writes, the host's process neither crashes nor
/// hangs nor touches memory outside the mapping; it may find less, or other, records.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "hostile/scribbler.hpp"
#include "image_check.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t used_bytes = 192 << 10;  // where crash_schema's stores lie, and a little more

void read_everything(const std::string& path) {
  auto region = Region::open(path, Access::ReadOnly);
  if (!region) { return; }
  const Store store = region->store("state").value();
  (void)store.history();
  (void)store.mirrored();
  (void)store.count(0);
  (void)store.capacity(0);
  std::uint64_t records = 0;
  (void)store.scan(0, {}, [&](const Store::Record&) { return ++records <= 1000; });
  ASSERT_LE(records, 1000U) << "more records than slots";
  for (std::uint64_t id = 0; id < capacity; ++id) { (void)get(store, id); }
  for (const std::uint64_t after : {std::uint64_t{0}, std::uint64_t{40}, store.committed().value}) {
    JournalReader reader(store, Sequence{after});
    for (int i = 0; i < 100; ++i) {
      auto chunk = reader.read(4096);
      if (!chunk || chunk->state != JournalReader::State::Entries) { break; }
      (void)for_each_entry(chunk->bytes, [](const JournalEntry&) {});
    }
  }
}

void write_everything(const std::string& path, std::mt19937_64& random) {
  auto region = Region::open(path, Access::ReadWrite);
  if (!region) { return; }
  const Store store = region->store("state").value();
  auto writer = store.become_writer(Term{~0ULL});
  if (!writer) { return; }
  (void)writer->accept_unsynced();
  const TableKind kind = store.schema().tables[0].kind;
  for (std::uint64_t id = 0; id < capacity; ++id) {
    (void)writer->put(0, as_bytes_of(Key{id}), value_bytes_of(kind, id));
    (void)writer->erase(0, as_bytes_of(Key{random() % capacity}));
  }
  if (random() % 4 == 0) { (void)writer->rebuild(0); }
  (void)writer->begin();
  for (std::uint64_t id = 0; id < 10; ++id) { (void)writer->put(0, as_bytes_of(Key{id}), value_bytes_of(kind, id)); }
  (void)writer->commit();
  (void)writer->begin_sync(random() % 2 == 0);
  for (std::uint64_t id = 0; id < 10; ++id) {
    (void)writer->apply_snapshot_record(0, as_bytes_of(Key{id}), value_bytes_of(kind, id), Sequence{random() % 5000});
  }
  (void)writer->end_sync(Sequence{100}, {{Term{1}, Sequence{1}}}, {});
  (void)writer->extend_history({{Term{1}, Sequence{1}}, {Term{2}, Sequence{7}}});
}

void fill(const std::string& path, TableKind kind = TableKind::Hashed) {
  auto region = Region::create(path, crash_region_bytes, crash_schema(kind)).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{i % capacity}), value_bytes_of(kind, i)).ok());
  }
  for (std::uint64_t id = 0; id < 5; ++id) { ASSERT_TRUE(writer.erase(0, as_bytes_of(Key{id})).ok()); }
}

class HostileBytesOf : public testing::TestWithParam<TableKind> {};
INSTANTIATE_TEST_SUITE_P(Kind, HostileBytesOf, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& kind) { return kind.param == TableKind::Blob ? "Blobs" : "Fixed"; });

TEST_P(HostileBytesOf, AnywhereInTheRegionNeverCrashAReaderOrAWriter) {
  ImageFile good("good");
  ImageFile bad("bad");
  fill(good.path(), GetParam());
  std::mt19937_64 random(123);
  const std::uint64_t control = layout::header_area_bytes;
  for (int round = 0; round < effort(1000, 20000); ++round) {
    copy_image(good.path(), bad.path());
    {
      hostile::Scribbler guest(bad.path(), crash_region_bytes);
      const std::uint64_t first = round % 4 == 0 ? 0 : control;
      const std::uint64_t last = round % 4 == 1 ? control + 512 : round % 4 == 2 ? control + 4096 : used_bytes;
      for (std::uint64_t n = random() % 40 + 1; n > 0; --n) { guest.scribble(random, first, last); }
    }
    ASSERT_NO_FATAL_FAILURE(read_everything(bad.path()));
    write_everything(bad.path(), random);
    ASSERT_NO_FATAL_FAILURE(read_everything(bad.path()));
  }
}

TEST(HostileBytes, ADamagedDescriptionIsAnErrorThatNamesIt) {
  ImageFile good("good");
  ImageFile bad("bad");
  fill(good.path());
  std::mt19937_64 random(5);
  for (std::uint64_t byte = 0; byte < sizeof(layout::RegionHeader); byte += 7) {
    copy_image(good.path(), bad.path());
    const int fd = ::open(bad.path().c_str(), O_RDWR | O_CLOEXEC);
    std::uint8_t value = 0;
    ASSERT_EQ(::pread(fd, &value, 1, static_cast<off_t>(byte)), 1);
    value ^= static_cast<std::uint8_t>(1U << (random() % 8));
    ASSERT_EQ(::pwrite(fd, &value, 1, static_cast<off_t>(byte)), 1);
    ::close(fd);
    const RegionState state = Region::inspect(bad.path());
    EXPECT_EQ(state, byte < 8    ? RegionState::Foreign
                     : byte < 12 ? RegionState::OtherLayoutVersion
                                 : RegionState::Damaged)
        << "byte " << byte;
  }
}

TEST_P(HostileBytesOf, WrittenWhileTheHostReadsAndWritesNeverCrashIt) {
  ImageFile file("live");
  fill(file.path(), GetParam());
  std::atomic<bool> done = false;
  // First journal and tables only, so that writers get on; then the control page too.
  std::atomic<std::uint64_t> first_byte = layout::header_area_bytes + layout::page_bytes;
  hostile::Scribbler guest(file.path(), crash_region_bytes);
  std::thread scribbler([&] {
    std::mt19937_64 random(77);
    while (!done) { guest.scribble(random, first_byte, used_bytes); }
  });
  std::mt19937_64 random(78);
  for (int round = 0; round < 60 && !HasFatalFailure(); ++round) {
    if (round == 40) { first_byte = layout::header_area_bytes; }
    read_everything(file.path());
    write_everything(file.path(), random);
  }
  done = true;
  scribbler.join();
}

}  // namespace
}  // namespace understudy::shm::crash
