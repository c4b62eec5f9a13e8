// SPDX-License-Identifier: Apache-2.0
/// Freezes a writer after every single store of a workload and opens what it left behind.
///
/// The library under test is built with a hook after each store (target understudy_shm_points). One thread writes, so
/// the memory at the hook is exactly the prefix of stores that a frozen guest or a killed process leaves: the live
/// file is opened afresh for reading, and a copy of it is given to a next writer.
/// Covers: shared-mem/src/recovery.cpp, shared-mem/src/commit.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>

#include "image_check.hpp"
#include "store_points.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

/// Runs changes with every store checked. `deep`: also freezes the next writer's own recovery after each store.
class EveryPrefix {
 public:
  explicit EveryPrefix(TableKind kind = TableKind::Hashed, bool deep = false) : deep_(deep) {
    EXPECT_TRUE(Region::create(file_.path(), crash_region_bytes, crash_schema(kind)).ok());
  }
  ~EveryPrefix() {
    points::on_store = nullptr;
    points::swap = {};
    points::held_back.clear();
  }

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] std::uint64_t images() const { return images_; }
  [[nodiscard]] const Expected& state() const { return state_; }
  std::vector<std::string> violations;
  bool release_next = false;  ///< the next writers of the images are asked for nothing: each would wait anew

  /// Calls `change`, which must bring the store from the present state through `steps`.
  void run(const std::vector<Step>& steps, const std::function<Status()>& change) {
    const Expected before = state_;
    const Expected then = after(before, steps);
    points::on_store = [&] { freeze(before, then, steps); };
    const Status done = change();
    points::on_store = nullptr;
    if (!done) { violations.push_back(done.error().message); }
    state_ = then;
    check_reader(path(), state_, state_, violations);
  }

  /// The same without a look at what is in between.
  void skip(const std::vector<Step>& steps, const std::function<Status()>& change) {
    if (const Status done = change(); !done) { violations.push_back(done.error().message); }
    state_ = after(state_, steps);
  }

 private:
  void freeze(const Expected& before, const Expected& then, const std::vector<Step>& steps) {
    if (violations.size() > 20) { return; }
    ++images_;
    const auto suspended = std::exchange(points::on_store, nullptr);
    const auto swap = std::exchange(points::swap, {});
    const auto held = std::exchange(points::held_back, {});
    const std::size_t known = violations.size();
    if (const auto found = check_reader(path(), before, then, violations)) {
      copy_image(path(), copy_.path());
      if (release_next) { release(copy_.path()); }
      if (deep_) { freeze_recovery(*found, steps); }
      check_next_writer(copy_.path(), *found, steps, violations);
    }
    if (violations.size() > known) { violations.back() += " (image " + std::to_string(images_) + ")"; }
    points::held_back = held;
    points::swap = swap;
    points::on_store = suspended;
  }

  static void release(const std::string& path) {
    auto region = Region::open(path, Access::ReadWrite);
    if (region) { (void)region->store("state").value().release_writer(); }
  }

  /// The next writer dies while it takes over, after each of its stores; the one after it must not notice.
  void freeze_recovery(const Expected& found, const std::vector<Step>& steps) {
    auto region = Region::open(copy_.path(), Access::ReadWrite).value();
    points::on_store = [&] {
      const auto suspended = std::exchange(points::on_store, nullptr);
      ++images_;
      if (check_reader(copy_.path(), found, found, violations)) {
        copy_image(copy_.path(), second_copy_.path());
        check_next_writer(second_copy_.path(), found, steps, violations);
      }
      points::on_store = suspended;
    };
    const auto writer = region.store("state").value().become_writer(Term{999});
    points::on_store = nullptr;
    if (!writer) { violations.push_back("dying writer: " + writer.error().message); }
  }

  bool deep_;
  ImageFile file_{"file"};
  ImageFile copy_{"copy"};
  ImageFile second_copy_{"second"};
  Expected state_;
  std::uint64_t images_ = 0;
};

std::string first_of(const std::vector<std::string>& violations) {
  return violations.empty() ? "" : violations.front();
}

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

class EveryPrefixOfASnapshot : public testing::TestWithParam<TableKind> {};
INSTANTIATE_TEST_SUITE_P(Kind, EveryPrefixOfASnapshot, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& kind) { return kind.param == TableKind::Blob ? "Blobs" : "Fixed"; });

/// The sender has more than the mirror's table holds as it was created, so that it grows in the middle.
TEST_P(EveryPrefixOfASnapshot, SaysSyncingOrIsWhole) {
  const TableKind kind = GetParam();
  ImageFile sender_file("sender");
  ImageFile mirror_file("mirror");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema(kind)).value();
  auto mirror_region = Region::create(mirror_file.path(), crash_region_bytes, crash_schema(kind)).value();
  auto sender = sender_region.store("state").value();
  auto mirror = mirror_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  ASSERT_TRUE(writer.rebuild(0).ok());
  auto receiver = mirror.become_writer(Term{1}).value();
  Expected held;
  Expected sent;
  for (std::uint64_t id = 0; id < 10; ++id) { held = write(receiver, held, {{id, id + 50}}).value(); }
  for (std::uint64_t id = 5; id < 40; ++id) { sent = write(writer, sent, {{id, id}}).value(); }
  std::vector<std::string> violations;
  std::uint64_t syncing = 0;
  std::uint64_t whole = 0;
  points::on_store = [&] {
    const auto suspended = std::exchange(points::on_store, nullptr);
    const auto region = Region::open(mirror_file.path(), Access::ReadOnly).value();
    const auto store = region.store("state").value();
    Content content;
    const auto scanned = store.scan(0, {}, [&](const Store::Record& record) {
      std::uint64_t id = 0;
      std::memcpy(&id, record.key.data(), 8);
      std::memcpy(&content[id], record.value.data(), 8);
      if (!std::ranges::equal(record.value, value_bytes_of(kind, content[id]))) { violations.push_back("torn"); }
      return true;
    });
    if (!scanned) { violations.push_back(scanned.error().message); }
    store.syncing() ? ++syncing : ++whole;
    if (!store.syncing() && content != held.content && content != sent.content) {
      violations.push_back("a mixture without the mark");
    }
    points::on_store = suspended;
  };
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  const auto take = [&](const Store::Record& record) {
    return receiver.apply_snapshot_record(0, record.key, record.value, record.sequence).ok();
  };
  ASSERT_TRUE(sender.scan(0, {}, take).ok());
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), sender.purged_up_to()).ok());
  points::on_store = nullptr;
  EXPECT_TRUE(violations.empty()) << first_of(violations);
  EXPECT_GT(syncing, 50U);
  EXPECT_GE(whole, 1U);
  EXPECT_EQ(mirror.committed(), sender.committed());
  EXPECT_EQ(mirror.count(0), sent.content.size());
  EXPECT_EQ(mirror.capacity(0), capacity_rebuilt);
}

/// Records of the snapshot are newer than its end, since the sender went on: the copy stays SYNCING until the journal
/// has brought every change up to the newest of them, and what it holds then is a state of the sender.
TEST_P(EveryPrefixOfASnapshot, WhoseSenderWentOnSaysSyncingUntilItCaughtUp) {
  ImageFile sender_file("sender");
  ImageFile mirror_file("mirror");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema(GetParam())).value();
  auto mirror_region = Region::create(mirror_file.path(), crash_region_bytes, crash_schema(GetParam())).value();
  auto sender = sender_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  auto receiver = mirror_region.store("state").value().become_writer(Term{1}).value();
  Expected sent;
  std::map<std::uint64_t, Content> states;
  const auto change = [&](std::uint64_t id, std::optional<std::uint64_t> seed) {
    sent = write(writer, sent, {{id, seed}}).value();
    states[sent.committed] = sent.content;
  };
  for (std::uint64_t id = 0; id < 20; ++id) { change(id, id); }
  const Sequence at = sender.committed();
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  std::uint64_t taken = 0;
  const auto take = [&](const Store::Record& record) {
    if (++taken == 5) {
      for (std::uint64_t id = 0; id < 20; id += 2) { change(id, id + 500); }
      for (std::uint64_t id = 1; id < 20; id += 6) { change(id, std::nullopt); }
    }
    return receiver.apply_snapshot_record(0, record.key, record.value, record.sequence).ok();
  };
  ASSERT_TRUE(sender.scan(0, {}, take).ok());
  ASSERT_TRUE(receiver.end_sync(at, sender.history(), sender.purged_up_to()).ok());
  ASSERT_TRUE(receiver.store().syncing());
  std::vector<std::string> violations;
  std::uint64_t syncing = 0;
  std::uint64_t whole = 0;
  points::on_store = [&] {
    const auto suspended = std::exchange(points::on_store, nullptr);
    const auto region = Region::open(mirror_file.path(), Access::ReadOnly).value();
    const auto store = region.store("state").value();
    if (store.syncing()) {
      ++syncing;
    } else {
      ++whole;
      Expected state{store.committed().value, states[store.committed().value]};
      Content content;
      for (std::uint64_t id = 0; id < 20; ++id) {
        const auto got = get(store, id);
        if (got) { std::memcpy(&content[id], got->data(), 8); }
      }
      if (content != state.content) { violations.push_back("not the sender's at " + std::to_string(state.committed)); }
    }
    points::on_store = suspended;
  };
  JournalReader journal(sender, at);
  for (auto chunk = journal.read(64); chunk.ok() && chunk->state == JournalReader::State::Entries;
       chunk = journal.read(64)) {
    ASSERT_TRUE(receiver.apply(chunk->bytes).ok());
  }
  points::on_store = nullptr;
  EXPECT_TRUE(violations.empty()) << first_of(violations);
  EXPECT_GT(syncing, 20U);
  EXPECT_GE(whole, 1U);
  EXPECT_EQ(receiver.committed(), sender.committed());
}

TEST(EveryPrefixOfAFormatting, DoesNotOpenBeforeItIsWhole) {
  ImageFile file("format");
  ASSERT_TRUE(Region::create(file.path(), crash_region_bytes, crash_schema()).ok());
  std::uint64_t images = 0;
  std::uint64_t good = 0;
  points::on_store = [&] {
    const auto suspended = std::exchange(points::on_store, nullptr);
    ++images;
    good += Region::inspect(file.path()) == RegionState::Good ? 1U : 0U;
    points::on_store = suspended;
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
