// SPDX-License-Identifier: Apache-2.0
/// Freezes a writer after every single store of a workload and opens what it left behind.
///
/// The library under test is built with a hook after each store (target understudy_shm_points). One thread writes, so
/// the memory at the hook is exactly the prefix of stores that a frozen guest or a killed process leaves: a fresh
/// process opens the file, and goes on writing a copy of it (every_prefix.hpp).
/// Covers: shared-mem/src/recovery.cpp, shared-mem/src/commit.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>

#include "every_prefix.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

/// Puts, updates, erases, slots used again, transactions of up to `most` changes; always possible in `state`.
std::vector<Step> random_steps(std::mt19937_64& random, const Expected& state, std::size_t most,
                               std::size_t room = capacity) {
  Content content = state.content;
  std::vector<Step> steps;
  std::vector<std::uint64_t> used;
  const std::size_t wanted = random() % 3 == 0 ? random() % most + 1 : 1;
  for (int tries = 0; steps.size() < wanted && tries < 1000; ++tries) {
    const std::uint64_t id = random() % (2 * capacity);
    if (std::find(used.begin(), used.end(), id) != used.end()) { continue; }
    const bool present = content.contains(id);
    if (present && random() % (room > capacity ? 8 : 2) == 0) {
      steps.push_back({id, std::nullopt});
      content.erase(id);
    } else if (present || content.size() < room) {
      const std::uint64_t seed = random() % 1000;
      steps.push_back({id, seed});
      content[id] = seed;
    } else {
      continue;
    }
    used.push_back(id);
  }
  return steps;
}

/// In the middle the table is rebuilt larger.
void run_workload(EveryPrefix& sut, int changes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  for (int i = 0; i < changes && sut.violations.empty(); ++i) {
    if (i == changes / 2) {
      sut.run({}, [&] { return writer.rebuild(0); });
    }
    const auto steps = random_steps(random, sut.state(), 6);
    sut.run(steps, [&]() -> Status {
      const auto written = write(writer, sut.state(), steps);
      return written ? Status() : Status(written.error());
    });
  }
}

class EveryPrefixOfAWriter : public testing::TestWithParam<TableKind> {};
INSTANTIATE_TEST_SUITE_P(Kind, EveryPrefixOfAWriter, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& kind) { return kind.param == TableKind::Blob ? "Blobs" : "Fixed"; });

TEST_P(EveryPrefixOfAWriter, IsTheStateBeforeOrAfterAndTheNextWriterGoesOn) {
  for (int seed = 1; seed <= effort(1, 12); ++seed) {
    EveryPrefix sut(GetParam());
    run_workload(sut, GetParam() == TableKind::Blob ? 100 : 200, static_cast<std::uint64_t>(seed));
    EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
    EXPECT_GT(sut.images(), 4000U);
    RecordProperty("images", std::to_string(sut.images()));
  }
}

TEST_P(EveryPrefixOfAWriter, HoldsAlsoWhenTheNextWriterDiesWhileItTakesOver) {
  EveryPrefix sut(GetParam(), true);
  run_workload(sut, effort(15, 60), 2);
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images(), 2000U);
}

/// A sender asks to be waited for and stands still: what the waiting writer writes is no part of any commit.
TEST_P(EveryPrefixOfAWriter, HoldsAlsoWhereItWaitsForItsSender) {
  EveryPrefix sut(GetParam());
  sut.release_next = true;
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  const auto put = [&](std::uint64_t seed) -> Status {
    const auto written = write(writer, sut.state(), {{1, seed}});
    return written ? Status() : Status(written.error());
  };
  JournalReader sender(store, Sequence{0});
  const auto ring = store.schema().journal_bytes;
  const auto entry = layout::entry_bytes(sizeof(Key), value_bytes_of(GetParam(), 1).size());
  for (std::uint64_t bytes = 0; bytes < ring * 3 / 4 - 2 * entry; bytes += entry) {
    sut.skip({{1, 1}}, [&] { return put(1); });
  }
  for (std::uint64_t seed = 2; seed < 12; ++seed) {
    ASSERT_TRUE(sender.throttle_writer());
    sut.run({{1, seed}}, [&] { return put(seed); });
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(store.writer_waited(), Duration{0});
}

TEST_P(EveryPrefixOfAWriter, HoldsForTheLargestTransaction) {
  EveryPrefix sut(GetParam());
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const auto run = [&](const std::vector<Step>& steps) {
    sut.run(steps, [&]() -> Status {
      const auto written = write(writer, sut.state(), steps);
      return written ? Status() : Status(written.error());
    });
  };
  std::vector<Step> fill;
  std::vector<Step> replace;
  for (std::uint64_t id = 0; id < capacity; ++id) { fill.push_back({id, id}); }
  for (std::uint64_t id = 0; id < capacity; ++id) {
    replace.push_back({id, std::nullopt});
    replace.push_back({capacity + id, id + 100});
  }
  run(fill);
  run(replace);
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
}

class EveryPrefixOfAnApplyingMirror : public testing::TestWithParam<TableKind> {};
INSTANTIATE_TEST_SUITE_P(Kind, EveryPrefixOfAnApplyingMirror, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& kind) { return kind.param == TableKind::Blob ? "Blobs" : "Fixed"; });

TEST_P(EveryPrefixOfAnApplyingMirror, IsTheStateBeforeOrAfterAWholeTransaction) {
  ImageFile sender_file("sender");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema(GetParam())).value();
  auto sender = sender_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  ASSERT_TRUE(writer.rebuild(0).ok());
  EveryPrefix sut(GetParam());
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto receiver = region.store("state").value().become_writer(Term{1}).value();
  JournalReader reader(sender, Sequence{0});
  std::mt19937_64 random(3);
  for (int i = 0; i < effort(70, 300) && sut.violations.empty(); ++i) {
    // Towards the end more than the mirror has room for as it was created: it grows by itself.
    const auto steps = random_steps(random, sut.state(), 6, i < 50 ? capacity : 2 * capacity);
    ASSERT_TRUE(write(writer, sut.state(), steps).ok());
    const auto chunk = reader.read(1 << 20).value();
    sut.run(steps, [&]() -> Status {
      const auto applied = receiver.apply(chunk.bytes);
      return applied ? Status() : Status(applied.error());
    });
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
}

/// Several transactions that come together are one commit; keys come again in later ones.
TEST_P(EveryPrefixOfAnApplyingMirror, IsTheStateBeforeOrAfterAllThatCameTogether) {
  ImageFile sender_file("sender");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema(GetParam())).value();
  auto sender = sender_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  EveryPrefix sut(GetParam());
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto receiver = region.store("state").value().become_writer(Term{1}).value();
  ASSERT_TRUE(receiver.rebuild(0).ok());  // one that could have to grow goes on one transaction at a time
  JournalReader reader(sender, Sequence{0});
  std::mt19937_64 random(7);
  Expected sent;
  std::uint64_t commits = 0;
  const int full =
      GetParam() == TableKind::Blob ? 35 : 100;  // the journal is replayed from nothing: one lap of the ring
  for (int i = 0; i < effort(25, full) && sut.violations.empty(); ++i) {
    std::vector<Step> together;
    for (int transactions = 0; transactions < 5; ++transactions) {
      const auto steps = random_steps(random, sent, 3, capacity / 2);
      sent = write(writer, sent, steps).value();
      together.insert(together.end(), steps.begin(), steps.end());
    }
    const auto chunk = reader.read(1 << 20).value();
    sut.run(together, [&]() -> Status {
      const auto applied = receiver.apply(chunk.bytes);
      return applied ? Status() : Status(applied.error());
    });
    ++commits;
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(commits, 20U);
}

/// A run of puts, a transaction each, is one commit; new keys and old ones, erased ones and the same ones again.
/// `deep`: also the next writer's recovery is frozen after each of its stores.
void run_of_puts(bool deep, int rounds, std::size_t puts) {
  ImageFile sender_file("sender");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema()).value();
  auto sender = sender_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  EveryPrefix sut(TableKind::Hashed, deep);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto receiver = region.store("state").value().become_writer(Term{1}).value();
  ASSERT_TRUE(receiver.rebuild(0).ok());
  JournalReader reader(sender, Sequence{0});
  std::mt19937_64 random(11);
  Expected sent;
  const auto arrives = [&](const std::vector<Step>& steps) {
    for (const Step& step : steps) { sent = write(writer, sent, {step}).value(); }
    const auto chunk = reader.read(1 << 20).value();
    sut.run(steps, [&]() -> Status {
      const auto applied = receiver.apply(chunk.bytes);
      return applied ? Status() : Status(applied.error());
    });
  };
  for (int round = 0; round < rounds && sut.violations.empty(); ++round) {
    std::vector<Step> steps;
    for (std::size_t i = 0; i < puts; ++i) { steps.push_back({random() % (capacity / 2), random() % 1000}); }
    arrives(steps);
    if (random() % 2 != 0) { arrives({{steps.front().id, std::nullopt}}); }
    if (random() % 2 != 0 && sent.content.contains(steps.back().id)) { arrives({{steps.back().id, std::nullopt}}); }
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images(), static_cast<std::uint64_t>(rounds) * puts * 8);
}

/// As many as one lap of the ring holds: the journal is replayed from nothing.
TEST(EveryPrefixOfARunOfPuts, IsTheStateBeforeOrAfterAllOfIt) { run_of_puts(false, effort(12, 50), 16); }

TEST(EveryPrefixOfARunOfPuts, HoldsAlsoWhenTheNextWriterDiesWhileItTakesOver) { run_of_puts(true, effort(2, 12), 9); }

TEST(EveryPrefixOfAFormatting, DoesNotOpenBeforeItIsWhole) {
  ImageFile file("format");
  ASSERT_TRUE(Region::create(file.path(), crash_region_bytes, crash_schema()).ok());
  std::uint64_t images = 0;
  std::uint64_t good = 0;
  points::on_store = [&] {
    const Suspended suspended;
    ++images;
    no_region_in_children();
    good +=
        in_a_fresh_process([&](Told& tell) { tell.found = Region::inspect(file.path()) == RegionState::Good; }).found;
  };
  const auto formatted = Region::format(file.path(), crash_region_bytes, crash_schema());
  points::on_store = nullptr;
  ASSERT_TRUE(formatted.ok());
  EXPECT_GT(images, 1000U);
  EXPECT_EQ(good, 1U) << "only after the last store";
}

// --- the check itself: each of these breaks the protocol, and must be caught ---

enum class Part { Heads, KeysAndValues, Journal, JournalEnds, Counts, Slabs, LargerSlots };
enum class Until { NextPublication, Committed, Grown };
struct Broken {
  const char* name;
  Part part;  ///< whose stores come too late
  Until until;
  TableKind kind = TableKind::Hashed;
};

bool is_in(Part part, std::uint64_t byte, const layout::TableDescription& table) {
  using layout::StoreControl;
  const std::uint64_t ring = layout::header_area_bytes + layout::page_bytes;
  const std::uint64_t slot_words = layout::slot_words(8, table.kind == layout::table_blob ? 8 : 24);
  const std::uint64_t slot = byte - table.slots_offset;
  const bool in_slots = byte >= table.slots_offset && slot < table.slot_count * 8 * slot_words;
  const bool in_head = in_slots && slot / 8 % slot_words == 0;
  const std::uint64_t larger_end = table.grown_slots_offset + table.grown_slot_count * 8 * slot_words;
  const std::uint64_t in_control = byte - layout::header_area_bytes;
  switch (part) {
    case Part::Heads:
      return in_head;
    case Part::KeysAndValues:
      return in_slots && !in_head;
    case Part::Journal:
      return byte >= ring && byte < table.slots_offset;
    case Part::JournalEnds:
      return in_control >= 96 && in_control < 128;
    case Part::Counts:
      return in_control >= offsetof(StoreControl, counts) && in_control < offsetof(StoreControl, anchors);
    case Part::Slabs:
      return byte >= table.slabs_offset && table.slab_bytes != 0;
    case Part::LargerSlots:
      return byte >= table.grown_slots_offset && byte < larger_end;
  }
  return false;
}

class ABrokenProtocol : public testing::TestWithParam<Broken> {};

TEST_P(ABrokenProtocol, IsCaught) {
  const Broken& broken = GetParam();
  EveryPrefix sut(broken.kind);
  std::mt19937_64 random(5);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const auto* base = mapped_at(sut.path());
  ASSERT_NE(base, nullptr);
  layout::RegionHeader header;
  std::memcpy(&header, base, sizeof header);
  points::swap.hold = [&](const std::uint64_t* at) {
    return is_in(broken.part, static_cast<std::uint64_t>(at - base) * 8, header.stores[0].tables[0]);
  };
  const std::uint64_t until = broken.until == Until::Committed ? offsetof(layout::StoreControl, commit)
                                                               : offsetof(layout::StoreControl, tables);
  if (broken.until != Until::NextPublication) { points::swap.until = base + (layout::header_area_bytes + until) / 8; }
  for (int i = 0; i < 60 && sut.violations.empty(); ++i) {
    if (i == 20) {
      sut.run({}, [&] { return writer.rebuild(0); });
    }
    const auto steps = random_steps(random, sut.state(), 4);
    sut.run(steps, [&]() -> Status {
      const auto written = write(writer, sut.state(), steps);
      return written ? Status() : Status(written.error());
    });
  }
  EXPECT_FALSE(sut.violations.empty()) << broken.name << " was not noticed";
}

INSTANTIATE_TEST_SUITE_P(
    Order, ABrokenProtocol,
    testing::Values(Broken{"HeadBeforeValue", Part::KeysAndValues, Until::NextPublication},
                    Broken{"TableBeforeJournal", Part::Journal, Until::Committed},
                    Broken{"CommitBeforeTable", Part::Heads, Until::Committed},
                    Broken{"CommitBeforeJournalEnd", Part::JournalEnds, Until::Committed},
                    Broken{"CommitBeforeCount", Part::Counts, Until::Committed},
                    Broken{"CommitBeforeSlab", Part::Slabs, Until::Committed, TableKind::Blob},
                    Broken{"HeadBeforeRef", Part::KeysAndValues, Until::NextPublication, TableKind::Blob},
                    Broken{"SwitchBeforeCopies", Part::LargerSlots, Until::Grown},
                    Broken{"SwitchBeforeCopiesOfBlobs", Part::LargerSlots, Until::Grown, TableKind::Blob}),
    [](const auto& broken) { return std::string(broken.param.name); });

}  // namespace
}  // namespace understudy::shm::crash
