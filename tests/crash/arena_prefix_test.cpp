// SPDX-License-Identifier: Apache-2.0
/// Freezes an application with an arena, and the mirror of one, after every single store, also while it writes in the
/// live area, checkpoints, attaches and detaches: whoever attaches next finds exactly the checkpoint that `committed`
/// tells, can checkpoint again, and what that one attaches to is the same again.
/// Covers: shared-mem/src/arena.cpp, shared-mem/src/live_area.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <random>

#include "fresh_process.hpp"
#include "image_check.hpp"
#include "suspended.hpp"
#include "understudy/shm/arena.hpp"
#include "understudy/shm/layout.hpp"
#include "words.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t pages = 3;
constexpr std::uint64_t words_in_area = pages * layout::page_bytes / 8;
using Area = std::vector<std::uint64_t>;

RegionSchema arena_schema() { return {{with_arena({"state", {{"records", 8, 24, 4}}, 64 << 10}, pages * 4096)}}; }

Area copy_of(std::span<const std::byte> memory) {
  Area area(memory.size() / 8);
  std::memcpy(area.data(), memory.data(), memory.size());
  return area;
}

/// Where the parts of the one store lie in the file, as its header says.
struct Places {
  std::uint64_t live = 0;
  std::uint64_t slots = 0;
  std::uint64_t up_to = layout::header_area_bytes + offsetof(layout::StoreControl, arena);
  std::uint64_t committed = layout::header_area_bytes + offsetof(layout::StoreControl, commit);
  explicit Places(const std::string& path) {
    layout::RegionHeader header{};
    std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
    live = header.stores[0].arena_offset;
    slots = header.stores[0].tables[1].slots_offset;
  }
};

/// A region whose every prefix is checked against the checkpoints made so far.
class ArenaPrefixes {
 public:
  ArenaPrefixes() { EXPECT_TRUE(Region::create(file_.path(), crash_region_bytes, arena_schema()).ok()); }
  ~ArenaPrefixes() { unfreeze(); }
  static void unfreeze() {
    points::on_store = nullptr;
    points::swap = {};
    points::held_back.clear();
  }

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  std::map<std::uint64_t, Area> checkpoints{{0, Area(words_in_area)}};  ///< committed sequence -> content
  std::vector<std::string> violations;
  std::uint64_t images = 0;

  /// Checks after each store of `change`.
  template <class Change>
  void frozen(const Change& change) {
    no_region_in_children();
    points::on_store = [this] { freeze(); };
    change();
    points::on_store = nullptr;
    freeze();
  }

 private:
  void freeze() {
    if (violations.size() > 5) { return; }
    ++images;
    const Suspended suspended;
    const Told told = in_a_fresh_process([this](Told& tell) {
      const auto known = std::exchange(violations, {});
      copy_image(path(), copy_.path());
      check(2);
      tell.violations = std::exchange(violations, known);
    });
    violations.insert(violations.end(), told.violations.begin(), told.violations.end());
  }

  /// Attaches to the copy as the next writer, then again after a checkpoint of its own.
  void check(std::uint64_t term) {
    auto region = Region::open(copy_.path(), Access::ReadWrite);
    if (!region) { return note(region.error().message); }
    const Store store = region->store("state").value();
    auto writer = store.become_writer(Term{term});
    if (!writer) { return note(writer.error().message); }
    const auto found = checkpoints.find(store.committed().value);
    if (found == checkpoints.end()) { return note("no checkpoint " + std::to_string(store.committed().value)); }
    Area expected = found->second;
    {
      auto arena = Arena::attach(*writer, FindChanges::ByComparison);
      if (!arena) { return note(arena.error().message); }
      if (copy_of(arena->memory()) != expected) { return note("attached to something between two checkpoints"); }
      expected[7] ^= 1;
      std::memcpy(arena->memory().data() + 56, &expected[7], 8);
      if (auto done = arena->checkpoint(); !done) { return note("next checkpoint: " + done.error().message); }
      std::memset(arena->memory().data() + 8000, 7, 100);
    }
    auto again = Arena::attach(*writer, FindChanges::ByComparison);
    if (!again) { return note(again.error().message); }
    if (copy_of(again->memory()) != expected) { note("the next checkpoint was not what is attached to"); }
  }
  void note(const std::string& what) { violations.push_back(what + " (image " + std::to_string(images) + ")"); }

  ImageFile file_{"arena"};
  ImageFile copy_{"arena-copy"};
};

/// Writes some words of the live area as an application does, each a point at which it may be frozen.
void scribble(const Arena& arena, std::mt19937_64& random, int count) {
  auto* memory = reinterpret_cast<Word*>(arena.memory().data());
  const std::uint64_t page = random() % pages;
  for (int i = 0; i < count; ++i) {
    words::store(memory + page * 512 + random() % 512, random());
    words::store(memory + random() % (2 * 512), random());
  }
}

/// The checkpoint is expected before it is begun: its sequence follows from the pages that differ.
Result<Sequence> checkpoint(ArenaPrefixes& sut, Arena& arena, const StoreWriter& writer, bool detach) {
  const Area now = copy_of(arena.memory());
  const Area& before = sut.checkpoints.rbegin()->second;
  std::uint64_t changed = 0;
  for (std::uint64_t page = 0; page < pages; ++page) {
    const auto at = static_cast<std::ptrdiff_t>(page * 512);
    changed += std::equal(now.begin() + at, now.begin() + at + 512, before.begin() + at) ? 0U : 1U;
  }
  sut.checkpoints[writer.committed().value + changed] = now;
  return detach ? arena.detach() : arena.checkpoint();
}

void run_application(ArenaPrefixes& sut, int rounds, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  std::optional<Arena> arena;
  for (int round = 0; round < rounds && sut.violations.empty(); ++round) {
    sut.frozen([&] {
      if (!arena) { arena.emplace(Arena::attach(writer, FindChanges::ByComparison).value()); }
      scribble(*arena, random, 6);
      const bool detach = round % 3 == 1;
      const auto done = checkpoint(sut, *arena, writer, detach);
      EXPECT_TRUE(done) << done.error().message;
      // Now and then it dies after it has written on, or is quiesced: both attach again.
      if (detach) { arena.reset(); }
      if (round % 3 == 2) {
        scribble(*arena, random, 2);
        arena.reset();
      }
    });
  }
}

std::string first_of(const std::vector<std::string>& violations) {
  return violations.empty() ? "" : violations.front();
}

TEST(EveryPrefixOfAnArena, IsTheCheckpointBeforeOrAfter) {
  ArenaPrefixes sut;
  run_application(sut, 7, 1);
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images, 8000U);
}

/// A sender whose checkpoints are applied to `sut`, every store frozen.
class ArenaMirroring {
 public:
  explicit ArenaMirroring(ArenaPrefixes& mirror) : sut(mirror) {}

  void round(std::mt19937_64& random) {
    scribble(*arena, random, 4);
    const auto done = arena->checkpoint();
    ASSERT_TRUE(done) << done.error().message;
    sut.checkpoints[done->value] = copy_of(arena->memory());
    const auto chunk = reader.read(1 << 20).value();
    sut.frozen([&] { EXPECT_TRUE(receiver.apply(chunk.bytes).ok()); });
  }

  ArenaPrefixes& sut;
  ImageFile sender_file{"arena-sender"};
  Region sender_region = Region::create(sender_file.path(), crash_region_bytes, arena_schema()).value();
  Store sender = sender_region.store("state").value();
  StoreWriter writer = sender.become_writer(Term{1}).value();
  std::optional<Arena> arena = Arena::attach(writer, FindChanges::ByComparison).value();
  Region mirror_region = Region::open(sut.path(), Access::ReadWrite).value();
  StoreWriter receiver = mirror_region.store("state").value().become_writer(Term{1}).value();
  JournalReader reader{sender, Sequence{0}};
};

TEST(EveryPrefixOfAnArenasMirror, IsTheCheckpointBeforeOrAfter) {
  ArenaPrefixes sut;
  std::mt19937_64 random(2);
  ArenaMirroring mirroring(sut);
  for (int i = 0; i < 4 && sut.violations.empty(); ++i) { mirroring.round(random); }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images, 5000U);
}

// --- the check itself: each of these breaks the protocol, and must be caught ---

/// Stores to [from, to) of the file are done only after the publication of the word at `until`.
void hold(const std::string& path, std::uint64_t from, std::uint64_t to, std::uint64_t until) {
  const std::uint64_t* base = mapped_at(path);
  ASSERT_NE(base, nullptr);
  points::swap.hold = [=](const std::uint64_t* at) { return at >= base + from / 8 && at < base + to / 8; };
  points::swap.until = base + until / 8;
}

TEST(ABrokenArena, WhoseMirrorSaysWhereItIsBeforeItIsThereIsCaught) {
  ArenaPrefixes sut;
  std::mt19937_64 random(3);
  ArenaMirroring mirroring(sut);
  const Places at(sut.path());
  hold(sut.path(), at.live, at.live + pages * layout::page_bytes, at.up_to);
  for (int i = 0; i < 3 && sut.violations.empty(); ++i) { mirroring.round(random); }
  EXPECT_FALSE(sut.violations.empty());
}

TEST(ABrokenArena, WhoseCheckpointIsCommittedBeforeItsPagesAreThereIsCaught) {
  ArenaPrefixes sut;
  std::mt19937_64 random(4);
  ArenaMirroring mirroring(sut);
  const Places at(sut.path());
  hold(sut.path(), at.slots, at.live, at.committed);
  for (int i = 0; i < 3 && sut.violations.empty(); ++i) { mirroring.round(random); }
  EXPECT_FALSE(sut.violations.empty());
}

TEST(ABrokenArena, ThatIsHandedOutBeforeItIsUnknownIsCaught) {
  ArenaPrefixes sut;
  std::mt19937_64 random(6);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  {
    auto arena = Arena::attach(writer, FindChanges::ByComparison).value();
    scribble(arena, random, 3);
    ASSERT_TRUE(checkpoint(sut, arena, writer, true));
  }
  const auto* up_to = mapped_at(sut.path()) + Places(sut.path()).up_to / 8;
  points::swap.lost = [=](const std::uint64_t* at) { return at == up_to; };
  auto arena = Arena::attach(writer, FindChanges::ByComparison).value();
  sut.frozen([&] { scribble(arena, random, 1); });
  EXPECT_FALSE(sut.violations.empty());
}

TEST(ABrokenArena, ThatIsWrittenAfterItWasDetachedIsCaught) {
  ArenaPrefixes sut;
  std::mt19937_64 random(5);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  auto arena = Arena::attach(writer, FindChanges::ByComparison).value();
  auto* memory = reinterpret_cast<Word*>(arena.memory().data());
  scribble(arena, random, 3);
  ASSERT_TRUE(checkpoint(sut, arena, writer, true));
  sut.frozen([&] { words::store(memory + 100, random()); });
  EXPECT_FALSE(sut.violations.empty());
}

}  // namespace
}  // namespace understudy::shm::crash
