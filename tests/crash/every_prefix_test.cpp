// SPDX-License-Identifier: Apache-2.0
/// Freezes a writer after every single store of a workload and opens what it left behind.
///
/// The library under test is built with a hook after each store (target understudy_shm_points). One thread writes, so
/// the memory at the hook is exactly the prefix of stores that a frozen guest or a killed process leaves: the live
/// file is opened afresh for reading, and a copy of it is given to a next writer.
/// Covers: shared-mem/src/recovery.cpp
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
  explicit EveryPrefix(bool deep = false) : deep_(deep) {
    EXPECT_TRUE(Region::create(file_.path(), crash_region_bytes, crash_schema()).ok());
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
      if (deep_) { freeze_recovery(*found, steps); }
      check_next_writer(copy_.path(), *found, steps, violations);
    }
    if (violations.size() > known) { violations.back() += " (image " + std::to_string(images_) + ")"; }
    points::held_back = held;
    points::swap = swap;
    points::on_store = suspended;
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
std::vector<Step> random_steps(std::mt19937_64& random, const Expected& state, std::size_t most) {
  Content content = state.content;
  std::vector<Step> steps;
  std::vector<std::uint64_t> used;
  const std::size_t wanted = random() % 3 == 0 ? random() % most + 1 : 1;
  for (int tries = 0; steps.size() < wanted && tries < 1000; ++tries) {
    const std::uint64_t id = random() % (2 * capacity);
    if (std::find(used.begin(), used.end(), id) != used.end()) { continue; }
    const bool present = content.contains(id);
    if (present && random() % 2 == 0) {
      steps.push_back({id, std::nullopt});
      content.erase(id);
    } else if (present || content.size() < capacity) {
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

void run_workload(EveryPrefix& sut, int changes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  for (int i = 0; i < changes && sut.violations.empty(); ++i) {
    const auto steps = random_steps(random, sut.state(), 6);
    sut.run(steps, [&]() -> Status {
      const auto written = write(writer, sut.state(), steps);
      return written ? Status() : Status(written.error());
    });
  }
}

TEST(EveryPrefixOfAWriter, IsTheStateBeforeOrAfterAndTheNextWriterGoesOn) {
  EveryPrefix sut;
  run_workload(sut, 250, 1);
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images(), 5000U);
}

TEST(EveryPrefixOfAWriter, HoldsAlsoWhenTheNextWriterDiesWhileItTakesOver) {
  EveryPrefix sut(true);
  run_workload(sut, 25, 2);
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.images(), 2000U);
}

TEST(EveryPrefixOfAWriter, HoldsForTheLargestTransaction) {
  EveryPrefix sut;
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

TEST(EveryPrefixOfAnApplyingMirror, IsTheStateBeforeOrAfterAWholeTransaction) {
  ImageFile sender_file("sender");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema()).value();
  auto sender = sender_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  EveryPrefix sut;
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto receiver = region.store("state").value().become_writer(Term{1}).value();
  JournalReader reader(sender, Sequence{0});
  std::mt19937_64 random(3);
  for (int i = 0; i < 120 && sut.violations.empty(); ++i) {
    const auto steps = random_steps(random, sut.state(), 6);
    ASSERT_TRUE(write(writer, sut.state(), steps).ok());
    const auto chunk = reader.read(1 << 20).value();
    sut.run(steps, [&]() -> Status {
      const auto applied = receiver.apply(chunk.bytes);
      return applied ? Status() : Status(applied.error());
    });
  }
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
}

TEST(EveryPrefixOfASnapshot, SaysSyncingOrIsWhole) {
  ImageFile sender_file("sender");
  ImageFile mirror_file("mirror");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema()).value();
  auto mirror_region = Region::create(mirror_file.path(), crash_region_bytes, crash_schema()).value();
  auto sender = sender_region.store("state").value();
  auto mirror = mirror_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  auto receiver = mirror.become_writer(Term{1}).value();
  Expected held;
  Expected sent;
  for (std::uint64_t id = 0; id < 10; ++id) { held = write(receiver, held, {{id, id + 50}}).value(); }
  for (std::uint64_t id = 5; id < 20; ++id) { sent = write(writer, sent, {{id, id}}).value(); }
  std::vector<std::string> violations;
  std::uint64_t syncing = 0;
  std::uint64_t whole = 0;
  points::on_store = [&] {
    const auto suspended = std::exchange(points::on_store, nullptr);
    const auto region = Region::open(mirror_file.path(), Access::ReadOnly).value();
    if (region.store("state").value().syncing()) {
      ++syncing;
    } else {
      ++whole;
      Content content;
      EXPECT_TRUE(region.store("state")
                      .value()
                      .scan(0, {},
                            [&](const Store::Record& record) {
                              std::uint64_t id = 0;
                              std::memcpy(&id, record.key.data(), 8);
                              std::memcpy(&content[id], record.value.data(), 8);
                              return true;
                            })
                      .ok());
      if (content != held.content && content != sent.content) { violations.push_back("a mixture without the mark"); }
    }
    points::on_store = suspended;
  };
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  ASSERT_TRUE(sender
                  .scan(0, {},
                        [&](const Store::Record& record) {
                          EXPECT_TRUE(
                              receiver.apply_snapshot_record(0, record.key, record.value, record.sequence).ok());
                          return true;
                        })
                  .ok());
  ASSERT_TRUE(receiver.end_sync(sender.committed(), sender.history(), sender.purged_up_to()).ok());
  points::on_store = nullptr;
  EXPECT_TRUE(violations.empty()) << first_of(violations);
  EXPECT_GT(syncing, 50U);
  EXPECT_GE(whole, 1U);
  EXPECT_EQ(mirror.committed(), sender.committed());
  EXPECT_EQ(mirror.count(0), sent.content.size());
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

enum class Part { Versions, KeysAndValues, Journal, JournalEnds, Counts };
struct Broken {
  const char* name;
  Part part;             ///< whose stores come too late
  bool until_committed;  ///< after the commit point; else after the next publication
};

/// Where this process has the file mapped for writing.
const std::uint64_t* mapped_at(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) == std::string::npos || line.find(" rw-s ") == std::string::npos) { continue; }
    return reinterpret_cast<const std::uint64_t*>(std::stoull(line, nullptr, 16));
  }
  return nullptr;
}

bool is_in(Part part, std::uint64_t byte) {
  using layout::StoreControl;
  const std::uint64_t ring = layout::header_area_bytes + layout::page_bytes;
  const std::uint64_t slots = ring + (64 << 10);
  const bool in_version = byte >= slots && (byte - slots) / 8 % layout::slot_words(8, 24) < 2;
  const std::uint64_t in_control = byte - layout::header_area_bytes;
  switch (part) {
    case Part::Versions:
      return in_version;
    case Part::KeysAndValues:
      return byte >= slots && !in_version;
    case Part::Journal:
      return byte >= ring && byte < slots;
    case Part::JournalEnds:
      return in_control >= 96 && in_control < 128;
    case Part::Counts:
      return in_control >= offsetof(StoreControl, counts) && in_control < offsetof(StoreControl, anchors);
  }
  return false;
}

class ABrokenProtocol : public testing::TestWithParam<Broken> {};

TEST_P(ABrokenProtocol, IsCaught) {
  EveryPrefix sut;
  std::mt19937_64 random(5);
  auto region = Region::open(sut.path(), Access::ReadWrite).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const auto* base = mapped_at(sut.path());
  ASSERT_NE(base, nullptr);
  points::swap.hold = [base](const std::uint64_t* at) {
    return is_in(GetParam().part, static_cast<std::uint64_t>(at - base) * 8);
  };
  if (GetParam().until_committed) { points::swap.until = base + (layout::header_area_bytes + 64) / 8; }
  for (int i = 0; i < 60 && sut.violations.empty(); ++i) {
    const auto steps = random_steps(random, sut.state(), 4);
    sut.run(steps, [&]() -> Status {
      const auto written = write(writer, sut.state(), steps);
      return written ? Status() : Status(written.error());
    });
  }
  EXPECT_FALSE(sut.violations.empty()) << GetParam().name << " was not noticed";
}

INSTANTIATE_TEST_SUITE_P(Order, ABrokenProtocol,
                         testing::Values(Broken{"VersionBeforeValue", Part::KeysAndValues, false},
                                         Broken{"TableBeforeJournal", Part::Journal, true},
                                         Broken{"CommitBeforeTable", Part::Versions, true},
                                         Broken{"CommitBeforeJournalEnd", Part::JournalEnds, true},
                                         Broken{"CommitBeforeCount", Part::Counts, true}),
                         [](const auto& broken) { return std::string(broken.param.name); });

}  // namespace
}  // namespace understudy::shm::crash
